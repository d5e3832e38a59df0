"""The server of aiohttp."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.events.fields import exception_of
from tocsin.integrations import carriers, web
from tocsin.integrations.base import Integration
from tocsin.text import attempt

if TYPE_CHECKING:
    from tocsin.events.capture import Origin

_LOGGER = "aiohttp.server"


class Aiohttp(Integration):
    """The server of aiohttp."""

    name: ClassVar[str] = "aiohttp"
    modules: ClassVar[tuple[str, ...]] = ("aiohttp.web",)
    loggers: ClassVar[tuple[str, ...]] = (_LOGGER,)

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a record without the client's address in its message."""
        if record.msg != "Error handling request from %s":
            return record
        return logging.makeLogRecord(
            record.__dict__ | {"msg": "Error handling request", "args": ()}
        )

    @override
    def origin(self, record: logging.LogRecord, *, personal_data: bool) -> Origin | None:
        error = exception_of(record)
        request: Any = carriers.of_error(error)
        if not type(request).__module__.startswith("aiohttp."):
            return None
        resource = getattr(getattr(request.match_info, "route", None), "resource", None)
        fails = error is not None and record.name == _LOGGER and not _answered(request)
        return web.WebRequest(
            method=attempt(request.method),
            path=attempt(request.rel_url.path),
            query=attempt(request.rel_url.raw_query_string),
            route=attempt(getattr(resource, "canonical", "")),
            status="500" if fails else "",
            headers=tuple((name.lower(), attempt(text)) for name, text in request.headers.items()),
            client=attempt(request.remote or ""),
        ).origin(personal_data=personal_data)


def _answered(request: Any) -> bool:
    """Return whether the answer to a request has begun."""
    return bool(getattr(getattr(request, "writer", None), "output_size", 0))
