"""A shop on Quart."""

from __future__ import annotations

import asyncio
import logging
import logging.config
from typing import TYPE_CHECKING

import alerting
from quart import Blueprint, Quart, websocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20))
app = Quart(__name__)
admin = Blueprint("admin", __name__, url_prefix="/admin")
log = logging.getLogger("shop")


@app.get("/async/<int:number>")
async def in_task(number: int) -> str:
    log.info("async order %d", number)
    raise LookupError("async order")


@app.get("/thread/<int:number>")
def in_thread(number: int) -> str:
    log.info("thread order %d", number)
    raise KeyError("thread order")


@app.get("/logged/<int:number>")
async def logged(number: int) -> str:
    try:
        raise ValueError("no such order")
    except ValueError:
        log.exception("order %d failed", number)
        raise


@app.get("/group")
async def in_group() -> str:
    raise ExceptionGroup("several", [OSError("disk full"), TimeoutError("slow")])


@app.get("/background")
async def in_background() -> str:
    async def later() -> None:
        log.info("writing the invoice")
        raise RuntimeError("no invoice")

    app.add_background_task(later)
    return "accepted"


@app.get("/stream")
async def stream() -> AsyncIterator[str]:
    async def lines() -> AsyncIterator[str]:
        yield "first\n"
        log.info("reading the second line")
        raise ZeroDivisionError("second line")

    return lines()


@app.get("/told/<int:number>")
async def told_only(number: int) -> str:
    log.info("told order %d", number)
    app.logger.error("an order without a price")
    return "done"


@app.websocket("/socket/<int:number>")
async def socket(number: int) -> None:
    await websocket.accept()
    log.info("socket order %d", number)
    await websocket.receive()
    raise PermissionError("socket order")


@admin.get("/orders/<int:number>")
async def admin_order(number: int) -> str:
    log.info("admin order %d", number)
    raise NotImplementedError("admin order")


app.register_blueprint(admin)
both = asyncio.Barrier(2)


@app.get("/meet/<name>")
async def meet(name: str) -> str:
    for step in range(3):
        await both.wait()
        log.info("step %d of %s", step, name)
    await both.wait()
    raise (BlockingIOError if name == "ada" else InterruptedError)(name)
