"""A shop on aiohttp."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import os
from typing import NoReturn

import alerting
from aiohttp import web

log = logging.getLogger("shop")
routes = web.RouteTableDef()
admin = web.RouteTableDef()
both = asyncio.Barrier(2)


@routes.get("/order/{number}")
async def order(request: web.Request) -> NoReturn:
    log.info("order %s", request.match_info["number"])
    raise LookupError("order")


@routes.get("/logged/{number}")
async def logged(request: web.Request) -> NoReturn:
    try:
        raise ValueError("no such order")
    except ValueError:
        log.exception("order %s failed", request.match_info["number"])
        raise


@routes.get("/group")
async def in_group(_request: web.Request) -> NoReturn:
    raise ExceptionGroup("several", [OSError("disk full"), TimeoutError("slow")])


@routes.get("/executor/{number}")
async def in_executor(request: web.Request) -> NoReturn:
    def read() -> NoReturn:
        raise KeyError("in a thread")

    log.info("executor order %s", request.match_info["number"])
    await asyncio.get_running_loop().run_in_executor(None, read)
    raise AssertionError


@routes.get("/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"first\n")
    log.info("reading the second line")
    raise ZeroDivisionError("second line")


@routes.get("/told/{number}")
async def told_only(request: web.Request) -> web.Response:
    log.info("told order %s", request.match_info["number"])
    log.error("an order without a price")
    return web.Response(text="done")


@routes.get("/noted/{number}")
async def noted_only(request: web.Request) -> web.Response:
    log.info("noted order %s", request.match_info["number"])
    return web.Response(text="done")


@routes.get("/answered")
async def answered(_request: web.Request) -> NoReturn:
    raise web.HTTPServiceUnavailable


@routes.get("/socket/{number}")
async def socket(request: web.Request) -> NoReturn:
    response = web.WebSocketResponse()
    await response.prepare(request)
    log.info("socket order %s", request.match_info["number"])
    await response.receive()
    raise PermissionError("socket order")


@routes.get("/meet/{name}")
async def meet(request: web.Request) -> NoReturn:
    name = request.match_info["name"]
    for step in range(3):
        await both.wait()
        log.info("step %d of %s", step, name)
    await both.wait()
    raise (BlockingIOError if name == "ada" else InterruptedError)(name)


@admin.get("/orders/{number}")
async def admin_order(request: web.Request) -> NoReturn:
    log.info("admin order %s", request.match_info["number"])
    raise NotImplementedError("admin order")


app, inner = web.Application(), web.Application()
app.add_routes(routes)
inner.add_routes(admin)
app.add_subapp("/admin", inner)

if __name__ == "__main__":
    logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20))
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]))
