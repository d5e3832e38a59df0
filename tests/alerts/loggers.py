"""Records as they come out of all that an application may log with, made by these themselves."""

from __future__ import annotations

import logging
import multiprocessing
import pickle  # noqa: TID251 - what a SocketHandler sends
import queue
import socket
import warnings
from logging.handlers import (  # noqa: TID251 - what users have before this handler
    QueueHandler,
    QueueListener,
    SocketHandler,
)
from typing import Any

import structlog
from loguru import logger as loguru_logger


def queued(made: logging.LogRecord) -> logging.LogRecord:
    """Return the record as it comes out of a queue: its traceback is in its text."""
    found: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = QueueListener(waiting, Keep())
    listener.start()
    QueueHandler(waiting).handle(made)
    listener.stop()
    return found[0]


def fail_in_a_process(waiting: Any, value: str) -> None:
    """Log an error in a process of its own, as `multiprocessing` would have it."""
    logger = logging.getLogger("app")
    logger.addHandler(QueueHandler(waiting))
    try:
        refuse(value)
    except ValueError:
        logger.exception("no %s", value)


def refuse(value: str) -> None:
    raise ValueError(value)


def from_a_process(value: str) -> logging.LogRecord:
    """Return a record that another process has logged."""
    context = multiprocessing.get_context("spawn")
    waiting: Any = context.Queue()
    process = context.Process(target=fail_in_a_process, args=(waiting, value))
    process.start()
    try:
        found: logging.LogRecord = waiting.get(timeout=30)
    finally:
        process.join()
        waiting.close()
        waiting.join_thread()
    return found


def sent(made: logging.LogRecord) -> logging.LogRecord:
    """Return the record as a log server gets it from a `SocketHandler`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        handler = SocketHandler(*server.getsockname()[:2])
        handler.handle(made)
        handler.close()
        with server.accept()[0] as connection:
            data = b"".join(iter(lambda: connection.recv(65_536), b""))
    return logging.makeLogRecord(pickle.loads(data[4:]))


class Catch(logging.Handler):
    """What reaches a logger while it is looked at."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.found: list[logging.LogRecord] = []
        self._logger = logging.getLogger(name)

    def __enter__(self) -> list[logging.LogRecord]:
        self._logger.addHandler(self)
        self._logger.propagate = False
        return self.found

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record)


def warned(text: str, kind: type[Warning] = UserWarning, line: int = 12) -> logging.LogRecord:
    """Return what `logging.captureWarnings` makes of a warning."""
    with Catch("py.warnings") as found, warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        try:
            warnings.warn_explicit(text, kind, "/srv/app/main.py", line)
        finally:
            logging.captureWarnings(capture=False)
    return found[0]


def structured(
    event: str, *, renderer: Any = None, error: BaseException | None = None, **fields: Any
) -> logging.LogRecord:
    """Return what structlog hands to the standard library."""
    last = renderer or structlog.stdlib.ProcessorFormatter.wrap_for_formatter
    with Catch("shop.structured") as found:
        log = structlog.wrap_logger(
            logging.getLogger("shop.structured"),
            processors=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(),
                last,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        if error is None:
            log.error(event, **fields)
        else:
            try:
                raise error
            except type(error):
                log.exception(event, **fields)
    return found[0]


def as_json(event: str, **fields: Any) -> logging.LogRecord:
    return structured(event, renderer=structlog.processors.JSONRenderer(), **fields)


def as_keys(event: str, **fields: Any) -> logging.LogRecord:
    return structured(event, renderer=structlog.processors.KeyValueRenderer(), **fields)


def with_loguru(
    message: str, *args: Any, error: BaseException | None = None, recipe: bool = False
) -> logging.LogRecord:
    """Return what loguru hands to the standard library: as a sink, or by its own recipe."""

    class Propagate(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("shop.loguru").handle(record)

    with Catch("shop.loguru") as found:
        loguru_logger.remove()
        if recipe:
            loguru_logger.add(Propagate(), format="{message}")
        else:
            loguru_logger.add(
                lambda text: logging.getLogger("shop.loguru").error(str(text).rstrip()),
                format="{message}",
            )
        loguru_logger.opt(exception=error).error(message, *args)
        loguru_logger.remove()
    return found[0]


def adapted(message: str, **extra: Any) -> logging.LogRecord:
    with Catch("shop.adapted") as found:
        logging.LoggerAdapter(logging.getLogger("shop.adapted"), extra).error(message)
    return found[0]


def outside(message: str) -> logging.LogRecord:
    """Return what `logger.exception` logs where nothing is being handled."""
    with Catch("shop.outside") as found:
        logging.getLogger("shop.outside").exception(message)  # noqa: LOG004 - that is the case
    return found[0]
