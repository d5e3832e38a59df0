"""Logs as real libraries write them: a program that fails, logged in each format."""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

import loguru
import structlog
import uvicorn.logging
from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Callable

START = 1_780_000_000.0
PLAIN = "%(asctime)s %(levelname)s %(name)s %(message)s"


class GatewayError(Exception):
    """An error of the program that logs."""


def fail() -> None:
    """Raise an error with a cause."""
    try:
        raise ConnectionError("no answer")
    except ConnectionError as error:
        raise GatewayError("order 17") from error


def logged(formatter: logging.Formatter | None, name: str = "shop.pay") -> str:
    """Return what a handler with a formatter writes: a warning, an error, an exception."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger(name)  # noqa: LOG001 - one that no other test has
    handler.addFilter(_clock())
    logger.addHandler(handler)
    logger.warning("Slow answer")
    logger.error("Charging order %d failed\nfor user %s", 17, "ada")
    try:
        fail()
    except GatewayError:
        logger.exception("Charging order %d failed", 18, extra={"order": 18})
    logger.info("Done")
    return stream.getvalue()


def _clock() -> Callable[[logging.LogRecord], bool]:
    """Return a filter that gives records the times START, START + 1, ..."""
    passed = iter(range(1000))

    def stamp(record: logging.LogRecord) -> bool:
        record.created = START + next(passed)
        record.msecs = 0
        return True

    return stamp


def json_logger(**options: Any) -> str:
    """Return what python-json-logger writes."""
    return logged(JsonFormatter("%(levelname)s %(name)s %(message)s", timestamp=True, **options))


def structured(*, tracebacks: Any) -> str:
    """Return what structlog's JSONRenderer writes."""
    stream = io.StringIO()
    passed = iter(range(1000))

    def stamp(_logger: object, _method: str, event: Any) -> Any:
        event["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + next(passed)))
        return event

    def named(_logger: object, _method: str, event: Any) -> Any:
        event["logger"] = "shop.pay"
        return event

    logger: Any = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            stamp,
            named,
            structlog.processors.add_log_level,
            tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    logger.warning("slow", seconds=3)
    logger.error("charge_failed", order=17)
    try:
        fail()
    except GatewayError:
        logger.exception("charge_failed", order=18)
    return stream.getvalue()


def loguru_lines(*, serialize: bool) -> str:
    """Return what loguru writes."""
    stream = io.StringIO()
    logger = loguru.logger
    logger.remove()
    try:
        logger.add(stream, serialize=serialize, backtrace=False, diagnose=False)
        logger.warning("Slow answer")
        logger.error("Charging order 17 failed")
        try:
            fail()
        except GatewayError:
            logger.exception("Charging order 18 failed")
    finally:
        logger.remove()
        logger.add(sys.stderr)
    return stream.getvalue()


def in_docker(text: str, *, stream: str = "stderr") -> str:
    """Return a log as Docker's json-file has it: each line is a JSON object."""
    return "".join(
        json.dumps(
            {
                "log": line,
                "stream": stream,
                "time": time.strftime(
                    f"%Y-%m-%dT%H:%M:%S.{number:09}Z", time.gmtime(START + number)
                ),
            }
        )
        + "\n"
        for number, line in enumerate(text.splitlines(keepends=True))
    )


def uvicorn_lines() -> str:
    """Return what uvicorn's formatter writes."""
    return logged(uvicorn.logging.DefaultFormatter("%(levelprefix)s %(message)s", use_colors=True))
