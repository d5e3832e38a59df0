"""The servers for web applications that need nothing but their error loggers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from tocsin.events.fields import exception_of
from tocsin.integrations import carriers
from tocsin.integrations.base import Integration
from tocsin.text import attempt

if TYPE_CHECKING:
    from types import TracebackType


class WorkerTimeout(Exception):  # noqa: N818 - as gunicorn calls it
    """Gunicorn ended a worker, as a request took longer than its option `timeout`."""

    __module__ = "gunicorn"


class Gunicorn(Integration):
    """Gunicorn: its logger does not propagate."""

    name: ClassVar[str] = "gunicorn"
    modules: ClassVar[tuple[str, ...]] = ("gunicorn",)
    loggers: ClassVar[tuple[str, ...]] = ("gunicorn.error",)
    clients: ClassVar[tuple[tuple[str, str], ...]] = (
        ("gunicorn.access", ""),
        ("gunicorn.error", "Invalid request from ip="),
    )

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a worker's `SystemExit` at the end of its time as a `WorkerTimeout`."""
        error = exception_of(record)
        if type(error) is not SystemExit or not _timed_out(error.__traceback__):
            return record
        told = WorkerTimeout("the request took longer than gunicorn's timeout; the worker ended")
        told.__traceback__ = error.__traceback__
        info = WorkerTimeout, told, error.__traceback__
        return logging.makeLogRecord(record.__dict__ | {"exc_info": info, "exc_text": None})

    @override
    def status(self, record: logging.LogRecord, error: BaseException) -> str:
        """Return 500 for records about requests that gunicorn answers.

        It answers neither if the answer has begun, nor if the error is an `OSError`, which it takes
        for one of its own connection.
        """
        message = attempt(record.msg)
        if message.startswith("Error handling request %s"):
            return "500"
        return super().status(record, error) if "ASGI" in message else ""


def _timed_out(trace: TracebackType | None) -> bool:
    """Return whether an exception was raised by the handler of gunicorn's signal to a worker."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_name == "handle_abort"


class Hypercorn(Integration):
    """Hypercorn."""

    name: ClassVar[str] = "hypercorn"
    modules: ClassVar[tuple[str, ...]] = ("hypercorn",)
    loggers: ClassVar[tuple[str, ...]] = ("hypercorn.error",)
    clients: ClassVar[tuple[tuple[str, str], ...]] = (("hypercorn.access", ""),)


class Daphne(Integration):
    """Daphne."""

    name: ClassVar[str] = "daphne"
    modules: ClassVar[tuple[str, ...]] = ("daphne",)
    loggers: ClassVar[tuple[str, ...]] = ("daphne.server",)

    @override
    def status(self, record: logging.LogRecord, error: BaseException) -> str:
        """Return the status if the application has noted that there was no answer yet."""
        return "500" if carriers.response_started(error.__traceback__) is False else ""


class Waitress(Integration):
    """Waitress."""

    name: ClassVar[str] = "waitress"
    modules: ClassVar[tuple[str, ...]] = ("waitress",)
    loggers: ClassVar[tuple[str, ...]] = ("waitress",)


class Werkzeug(Integration):
    """The development server of Flask. It logs a traceback as text."""

    name: ClassVar[str] = "werkzeug"
    modules: ClassVar[tuple[str, ...]] = ("werkzeug.serving",)
    loggers: ClassVar[tuple[str, ...]] = ("werkzeug",)
    clients: ClassVar[tuple[tuple[str, str], ...]] = (("werkzeug", ""),)
