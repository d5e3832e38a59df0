"""Flask: its requests, and what it logs of them with the application's own logger."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.integrations import carriers, web
from tocsin.integrations.base import Integration
from tocsin.text import attempt

if TYPE_CHECKING:
    import logging

    from tocsin.events.capture import Origin

_MAX_FIELDS = 100  # names of a form


class Flask(Integration):
    """Flask, under any server."""

    name: ClassVar[str] = "flask"
    modules: ClassVar[tuple[str, ...]] = ("flask",)
    functions: ClassVar[tuple[tuple[str, str], ...]] = (("log_exception", "flask.app"),)

    @override
    def origin(self, record: logging.LogRecord, *, personal_data: bool) -> Origin | None:
        request = _request()
        if request is None:
            return None
        return web.of_environ(request.environ)._replace(
            status="500" if self.has_logged(record) else "",
            route=attempt(getattr(request.url_rule, "rule", "")),
            form=_form(request) if personal_data else (),
        ).origin(personal_data=personal_data)

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


def _form(request: Any) -> tuple[str, ...]:
    """Return the names of a form's fields, if the application has read the form."""
    return tuple(attempt(name) for name in list(vars(request).get("form", ()))[:_MAX_FIELDS])
