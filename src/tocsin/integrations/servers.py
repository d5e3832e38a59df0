"""The servers for web applications that need nothing but their error loggers."""

from __future__ import annotations

from typing import ClassVar

from tocsin.integrations.base import Integration


class Gunicorn(Integration):
    """Gunicorn: its logger does not propagate."""

    name: ClassVar[str] = "gunicorn"
    modules: ClassVar[tuple[str, ...]] = ("gunicorn",)
    loggers: ClassVar[tuple[str, ...]] = ("gunicorn.error",)


class Hypercorn(Integration):
    """Hypercorn."""

    name: ClassVar[str] = "hypercorn"
    modules: ClassVar[tuple[str, ...]] = ("hypercorn",)
    loggers: ClassVar[tuple[str, ...]] = ("hypercorn.error",)


class Daphne(Integration):
    """Daphne."""

    name: ClassVar[str] = "daphne"
    modules: ClassVar[tuple[str, ...]] = ("daphne",)
    loggers: ClassVar[tuple[str, ...]] = ("daphne.server",)


class Waitress(Integration):
    """Waitress."""

    name: ClassVar[str] = "waitress"
    modules: ClassVar[tuple[str, ...]] = ("waitress",)
    loggers: ClassVar[tuple[str, ...]] = ("waitress",)
