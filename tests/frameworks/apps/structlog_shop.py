"""A shop that logs by structlog: the argument names the way to the standard library."""

from __future__ import annotations

import logging.config
import sys
from typing import Any

import alerting
import structlog
from structlog.processors import JSONRenderer, KeyValueRenderer, dict_tracebacks, format_exc_info
from structlog.stdlib import (
    ProcessorFormatter,
    render_to_log_args_and_kwargs,
    render_to_log_kwargs,
)

WAYS: dict[str, list[Any]] = {
    "json": [format_exc_info, JSONRenderer()],
    "json, tracebacks as structures": [dict_tracebacks, JSONRenderer()],
    "console": [structlog.dev.ConsoleRenderer(colors=True)],
    "pairs": [format_exc_info, KeyValueRenderer(key_order=["timestamp", "level", "event"])],
    "wrap_for_formatter": [ProcessorFormatter.wrap_for_formatter],
    "text, wrap_for_formatter": [format_exc_info, ProcessorFormatter.wrap_for_formatter],
    "render_to_log_kwargs": [render_to_log_kwargs],
    "render_to_log_args_and_kwargs": [render_to_log_args_and_kwargs],
}


def charge(number: int) -> None:
    raise ValueError("no card " + str(number))


if __name__ == "__main__":
    logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20, app="shop"))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.stdlib.PositionalArgumentsFormatter(),
            *WAYS[sys.argv[1]],
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    log = structlog.get_logger("shop.orders")
    structlog.contextvars.bind_contextvars(request_id="r-1")
    log.info("order taken", order=6)
    for order in (7, 8):
        log.error("payment refused", order=order, password="hunter2")
    for order in (9, 10):
        try:
            charge(order)
        except ValueError:
            log.exception("charge failed", order=order)
    try:
        charge(11)
    except ValueError:
        log.error("charge failed again", exc_info=True)  # noqa: G201 - structlog itself sets it
