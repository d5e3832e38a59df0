"""A shop on Starlette, with a mounted application and a lifespan that may fail."""

from __future__ import annotations

import contextlib
import logging
import logging.config
import os
from typing import TYPE_CHECKING, NoReturn

import alerting
from starlette.applications import Starlette
from starlette.routing import Mount, Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20, uncaught=True))
log = logging.getLogger("shop")


async def order(request: Request) -> NoReturn:
    log.info("order %s", request.path_params["number"])
    raise LookupError("order")


def in_thread(request: Request) -> NoReturn:
    log.info("thread order %s", request.path_params["number"])
    raise KeyError("thread order")


@contextlib.asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    if "FAIL_AT_START" in os.environ:
        raise ConnectionError("no database")
    yield
    if "FAIL_AT_END" in os.environ:
        raise ConnectionError("the database has gone")


if "FAIL_AT_IMPORT" in os.environ:
    raise ImportError("no driver")
app = Starlette(
    routes=[
        Route("/orders/{number:int}", order),
        Mount("/shops/{shop}", routes=[Route("/thread/{number:int}", in_thread)]),
    ],
    lifespan=lifespan,
)
