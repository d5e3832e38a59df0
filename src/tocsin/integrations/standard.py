"""The standard library's loggers for failures of an application: tasks and callbacks."""

from __future__ import annotations

from typing import ClassVar

from tocsin.integrations.base import Integration


class Asyncio(Integration):
    """Tasks whose exception is never retrieved, and callbacks of futures that fail."""

    name: ClassVar[str] = "asyncio"
    modules: ClassVar[tuple[str, ...]] = ("asyncio.base_events", "concurrent.futures.thread")
    loggers: ClassVar[tuple[str, ...]] = ("asyncio", "concurrent.futures")


class Jupyter(Integration):
    """Notebooks. With `uncaught`, the exceptions of cells are alerts."""

    name: ClassVar[str] = "jupyter"
    modules: ClassVar[tuple[str, ...]] = ("ipykernel",)
