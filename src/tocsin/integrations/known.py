"""The known integrations, by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import options
from tocsin.integrations import apscheduler, celery, dramatiq, rq, servers, standard
from tocsin.integrations.aiohttp import Aiohttp
from tocsin.integrations.asgi import Asgi
from tocsin.integrations.django import Django
from tocsin.integrations.flask import Flask
from tocsin.integrations.tornado import Tornado
from tocsin.integrations.uvicorn import Uvicorn

if TYPE_CHECKING:
    from tocsin.integrations.base import Integration

INTEGRATIONS: tuple[Integration, ...] = (
    Django(),
    Flask(),
    Asgi(),
    Uvicorn(),
    servers.Gunicorn(),
    servers.Hypercorn(),
    servers.Daphne(),
    servers.Waitress(),
    celery.Celery(),
    rq.Rq(),
    dramatiq.Dramatiq(),
    apscheduler.APScheduler(),
    servers.Werkzeug(),
    Aiohttp(),
    Tornado(),
    standard.Asyncio(),
    standard.Jupyter(),
)

_ALWAYS = ("structlog", "loguru")  # names of libraries whose records are read in any case


def build_integrations(value: object) -> tuple[Integration, ...]:
    """Return the integrations that the option `integrations` names.

    Args:
        value: `True` for all, `False` for none, or names.

    Raises:
        ConfigError: there is no such integration.
    """
    if isinstance(value, bool):
        return INTEGRATIONS if value else ()
    names = options.texts("integrations", value)
    known = {one.name: one for one in INTEGRATIONS}
    options.reject_unknown("integrations", names, (*known, *_ALWAYS))
    return tuple(known[name] for name in names if name in known)
