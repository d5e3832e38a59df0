"""Flask: its requests, and what it logs of them with the application's own logger."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.events.fields import exception_of
from tocsin.integrations import carriers, web
from tocsin.integrations.base import Integration
from tocsin.text import attempt

if TYPE_CHECKING:
    import logging

_MAX_FIELDS = 100  # names of a form


class Flask(Integration):
    """Flask, under any server."""

    name: ClassVar[str] = "flask"
    modules: ClassVar[tuple[str, ...]] = ("flask",)
    functions: ClassVar[tuple[tuple[str, str], ...]] = (("log_exception", "flask.app"),)

    @override
    def request(self, record: logging.LogRecord, *, personal_data: bool) -> web.WebRequest | None:
        request = _request() or _of_frames(record)
        if request is None:
            return None
        return web.of_environ(request.environ)._replace(
            route=attempt(getattr(request.url_rule, "rule", "")),
            form=_form(request) if personal_data else (),
        )

    @override
    def owner(self, record: logging.LogRecord) -> object:
        request = _request()
        return None if request is None else carriers.token(request.environ)


def _request() -> Any:
    """Return Flask's request of this thread or task; None if there is none."""
    flask = sys.modules.get("flask")
    if flask is None or not flask.has_request_context():
        return None
    return flask.request._get_current_object()  # noqa: SLF001 - a documented method of werkzeug


def _of_frames(record: logging.LogRecord) -> Any:
    """Return the request of an exception that has left Flask; None if there is none."""
    error = exception_of(record)
    trace = None if error is None else error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "wsgi_app":
            request = getattr(trace.tb_frame.f_locals.get("ctx"), "request", None)
            return request if hasattr(request, "url_rule") else None
        trace = trace.tb_next
    return None


def _form(request: Any) -> tuple[str, ...]:
    """Return the names of a form's fields, if the application has read the form."""
    return tuple(attempt(name) for name in list(vars(request).get("form", ()))[:_MAX_FIELDS])
