"""The server of aiohttp."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from typing_extensions import override

from tocsin.events.fields import exception_of
from tocsin.integrations import carriers, web
from tocsin.integrations.base import Integration
from tocsin.text import attempt


class Aiohttp(Integration):
    """The server of aiohttp."""

    name: ClassVar[str] = "aiohttp"
    modules: ClassVar[tuple[str, ...]] = ("aiohttp.web",)
    loggers: ClassVar[tuple[str, ...]] = ("aiohttp.server",)
    clients: ClassVar[tuple[tuple[str, str], ...]] = (("aiohttp.access", ""),)

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a record without the client's address in its message."""
        if record.msg != "Error handling request from %s":
            return record
        return logging.makeLogRecord(
            record.__dict__ | {"msg": "Error handling request", "args": ()}
        )

    @override
    def request(self, record: logging.LogRecord, *, personal_data: bool) -> web.WebRequest | None:
        request: Any = carriers.of_error(exception_of(record))
        if not type(request).__module__.startswith("aiohttp."):
            return None
        resource = getattr(getattr(request.match_info, "route", None), "resource", None)
        return web.WebRequest(
            method=attempt(request.method),
            path=attempt(request.rel_url.path),
            query=attempt(request.rel_url.raw_query_string),
            route=attempt(getattr(resource, "canonical", "")),
            headers=tuple((name.lower(), attempt(text)) for name, text in request.headers.items()),
            client=attempt(request.remote or ""),
        )

    @override
    def status(self, record: logging.LogRecord, error: BaseException) -> str:
        request: Any = carriers.of_error(error)
        answered = getattr(getattr(request, "writer", None), "output_size", 0)
        return "" if answered else "500"
