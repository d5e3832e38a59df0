"""Applications for ASGI: Starlette and FastAPI by their frames, Quart by its context."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.integrations import carriers, web
from tocsin.integrations.base import Integration
from tocsin.text import attempt

if TYPE_CHECKING:
    import logging


class Asgi(Integration):
    """Applications for ASGI: Starlette, FastAPI, Quart."""

    name: ClassVar[str] = "asgi"
    modules: ClassVar[tuple[str, ...]] = ("starlette", "quart", "asgiref")
    functions: ClassVar[tuple[tuple[str, str], ...]] = (("log_exception", "quart.app"),)

    @override
    def request(self, record: logging.LogRecord, *, personal_data: bool) -> web.WebRequest | None:
        request = _quart_request()
        found = None if request is None else web.of_carrier(getattr(request, "scope", None))
        if found is None:
            return None
        rule = getattr(getattr(request, "url_rule", None), "rule", "")
        return found._replace(route=attempt(rule))

    @override
    def status(self, record: logging.LogRecord, error: BaseException) -> str:
        """Return 500 for an exception that Quart answers, and not for one in the background."""
        trace = error.__traceback__
        answered = trace is not None and trace.tb_frame.f_code.co_name == "handle_request"
        return "500" if answered else ""

    @override
    def owner(self, record: logging.LogRecord) -> object:
        request = _quart_request()
        return None if request is None else carriers.token(request)


def _quart_request() -> Any:
    """Return the request, or the websocket, that Quart serves in this context; None without one."""
    quart = sys.modules.get("quart")
    for has, name in (("has_request_context", "request"), ("has_websocket_context", "websocket")):
        if getattr(quart, has, bool)():
            return getattr(quart, name)._get_current_object()  # noqa: SLF001 - werkzeug's API
    return None
