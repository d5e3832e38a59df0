"""The standard library's loggers for failures of an application: tasks and callbacks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from tocsin.integrations.base import Integration

if TYPE_CHECKING:
    import logging


class Asyncio(Integration):
    """Tasks whose exception is never retrieved, and callbacks of futures that fail."""

    name: ClassVar[str] = "asyncio"
    modules: ClassVar[tuple[str, ...]] = ("asyncio.base_events", "concurrent.futures.thread")
    loggers: ClassVar[tuple[str, ...]] = ("asyncio", "concurrent.futures")
    is_server: ClassVar[bool] = False


class Jupyter(Integration):
    """Notebooks. With `uncaught`, the exceptions of cells are alerts."""

    name: ClassVar[str] = "jupyter"
    modules: ClassVar[tuple[str, ...]] = ("ipykernel",)

    @override
    def owner(self, record: logging.LogRecord) -> object:
        """Return the same value for all cells: each is a task of its own."""
        return Jupyter if threading.current_thread() is threading.main_thread() else None
