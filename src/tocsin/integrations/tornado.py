"""Tornado: its requests, and its access log, which logs each answer of status 5xx as an error."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.events.fields import exception_of
from tocsin.integrations import carriers, web
from tocsin.integrations.base import Integration
from tocsin.text import attempt

if TYPE_CHECKING:
    from collections.abc import Iterator


_ERRORS, _ACCESS, _GENERAL = "tornado.application", "tornado.access", "tornado.general"
_TOO_LATE = "Cannot send error response after headers written"
_MAX_RULES = 2_000


class Tornado(Integration):
    """Tornado."""

    name: ClassVar[str] = "tornado"
    modules: ClassVar[tuple[str, ...]] = ("tornado.web",)
    loggers: ClassVar[tuple[str, ...]] = (_ERRORS, _ACCESS, _GENERAL)
    clients: ClassVar[tuple[tuple[str, str], ...]] = (
        (_ACCESS, ""),
        (_GENERAL, "Malformed HTTP message from"),
    )

    def __init__(self) -> None:
        self._told: weakref.WeakSet[Any] = weakref.WeakSet()  # requests of which an error was told

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """Return a record without the whole request in its message.

        The message "Uncaught exception GET /pay (192.0.2.7)" has the client's address, and then the
        request in full. A record of an answer, such as "503 GET /pay/7 (192.0.2.7) 12.00ms", is
        dropped if an error of its request was told; else its group is its status and its route.
        """
        error = exception_of(record)
        if error is not None:
            if record.name == _ERRORS and str(record.msg).startswith("Uncaught exception %s"):
                if (handler := _handler(error)) is not None:
                    self._told.add(handler.request)  # even if the application has logged the error
                return _with(record, "Uncaught exception")
            return record
        answered = record.name == _ACCESS
        handler = _handler(None) if answered or record.msg == _TOO_LATE else None
        if handler is None:
            return record
        if handler.request in self._told:
            return None
        if not answered:
            return record
        request = handler.request
        name = _route(handler) or type(handler).__qualname__
        return _with(record, f"{handler.get_status()} {attempt(request.method)} {name}")

    @override
    def told(self, record: logging.LogRecord) -> None:
        """Note the request of the running task: each alert of a program needs these lines."""
        if carriers.running_task() is not None:
            request = carriers.owner_here()
            if type(request).__module__.startswith("tornado."):
                self._told.add(request)

    @override
    def status(self, record: logging.LogRecord, error: BaseException) -> str:
        handler = _handler(error)
        return "" if handler is None or getattr(handler, "_headers_written", True) else "500"

    @override
    def request(self, record: logging.LogRecord, *, personal_data: bool) -> web.WebRequest | None:
        handler = _handler(exception_of(record))
        if handler is None:
            return None
        request = handler.request
        headers = request.headers.get_all()
        return web.WebRequest(
            method=attempt(request.method),
            path=attempt(request.path),
            query=attempt(request.query),
            route=_route(handler),
            status=attempt(handler.get_status()) if record.name == _ACCESS else "",
            headers=tuple((name.lower(), attempt(value)) for name, value in headers),
            client=attempt(request.remote_ip or ""),
        )


def _with(record: logging.LogRecord, message: str) -> logging.LogRecord:
    return logging.makeLogRecord(record.__dict__ | {"msg": message, "args": ()})


def _handler(error: BaseException | None) -> Any:
    """Return the handler of the request in which a record was logged; None without one."""
    found = carriers.of_error(error)
    return found if hasattr(found, "get_status") and hasattr(found, "request") else None


def _route(handler: Any) -> str:
    """Return the pattern that the path of a handler's request has matched; "" if not known."""
    found = [
        attempt(getattr(getattr(rule.matcher, "regex", None), "pattern", "")).rstrip("$")
        for rule in _rules(getattr(handler.application, "default_router", None))
        if rule.target is type(handler)
    ]
    return found[0] if len(found) == 1 else ""


def _rules(router: Any) -> Iterator[Any]:
    """Yield the rules of a router and of the routers in it."""
    todo, left = [router], _MAX_RULES
    while todo and left:
        for rule in list(getattr(todo.pop(), "rules", ())):
            left -= 1
            if hasattr(rule.target, "rules"):
                todo.append(rule.target)
            else:
                yield rule
