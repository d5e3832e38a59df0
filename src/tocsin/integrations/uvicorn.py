"""Uvicorn, also as a worker of gunicorn: its loggers do not propagate.

A signal that ends uvicorn kills its process when the server has finished: no exit hook runs. So
what is unmailed is sent when uvicorn logs that it has finished.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from tocsin.integrations.base import Integration
from tocsin.pipeline import exits

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_LOGGER = "uvicorn.error"
_FAILED = ("Application startup failed. Exiting.", "Application shutdown failed. Exiting.")
_FINISHED = "Finished server process [%d]"


class Uvicorn(Integration):
    """Uvicorn, also as a worker of gunicorn."""

    name: ClassVar[str] = "uvicorn"
    modules: ClassVar[tuple[str, ...]] = ("uvicorn",)
    loggers: ClassVar[tuple[str, ...]] = (_LOGGER,)
    clients: ClassVar[tuple[tuple[str, str], ...]] = (
        ("uvicorn.access", ""),
        (_LOGGER, '%s - "WebSocket'),
    )

    def __init__(self) -> None:
        self._end: _End | None = None
        self._reason_told = False

    @override
    def connect(self, settle: Callable[[], None]) -> None:
        # Not earlier: this needs the lock of logging, and a thread that has it may import Tocsin.
        self._end = self._end or _End(logging.INFO)
        logging.getLogger(_LOGGER).addHandler(self._end)  # a configuration has removed it

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord | None:
        if record.module == "on":  # uvicorn.lifespan.on
            if record.msg in _FAILED:
                told, self._reason_told = self._reason_told, False
                return None if told else record
            self._reason_told = True
        return record


class _End(logging.NullHandler):
    """A handler that sends what is unmailed when uvicorn has finished, and a signal ends it.

    It has no lock, as a `logging.NullHandler`: nothing may wait for a mail in order to log.
    """

    @override
    def handle(self, record: logging.LogRecord) -> bool:
        if record.msg == _FINISHED and _is_killed(sys._getframe()):  # noqa: SLF001 - as in carriers
            exits.finish()
        return True


def _is_killed(frame: FrameType | None) -> bool:
    """Return whether the server that logs in a frame raises a signal next."""
    while frame is not None and frame.f_code.co_name != "_serve":
        frame = frame.f_back
    server = None if frame is None else frame.f_locals.get("self")
    return bool(getattr(server, "_captured_signals", ()))
