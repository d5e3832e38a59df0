"""A shop on FastAPI, which sets up logging inside the application."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import os
from typing import TYPE_CHECKING, Any

import alerting
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

if "LOG_CONFIG" not in os.environ:
    options: dict[str, Any] = json.loads(os.environ.get("ALERTS", "{}"))
    configuration = alerting.logging_config(level="DEBUG", context=20, **options)
    if "DISABLE_EXISTING" in os.environ:
        del configuration["disable_existing_loggers"]
    logging.config.dictConfig(configuration)
log = logging.getLogger("shop")
app = FastAPI()
admin = FastAPI()
app.mount("/admin", admin)


class OutOfStockError(Exception):
    """Answered by an exception handler."""


@app.exception_handler(OutOfStockError)
async def out_of_stock(request: Request, error: OutOfStockError) -> JSONResponse:
    log.error("out of stock: %s", error, exc_info=error)
    return JSONResponse({"error": "out of stock"}, 503)


if "MIDDLEWARE" in os.environ:

    @app.middleware("http")
    async def told(request: Request, call_next: Any) -> Any:
        log.info("begin %s", request.url.path)
        return await call_next(request)


@app.get("/async/{number}")
async def in_task(number: int) -> None:
    log.info("async order %d", number)
    raise LookupError("async order")


@app.get("/thread/{number}")
def in_thread(number: int) -> None:
    log.info("thread order %d", number)
    raise KeyError("thread order")


@app.get("/logged/{number}")
def logged(number: int) -> None:
    try:
        raise ValueError("no such order")
    except ValueError:
        log.exception("order %d failed", number)
        raise


@app.get("/by-server/{number}")
async def logged_as_server(number: int) -> None:
    try:
        raise OverflowError("too many orders")
    except OverflowError:
        logging.getLogger("uvicorn.error").exception("order %d of too many", number)
        raise


@app.get("/group")
async def in_group() -> None:
    raise ExceptionGroup("several", [OSError("disk full"), TimeoutError("slow")])


@app.get("/background")
def in_background(tasks: BackgroundTasks) -> str:
    def later() -> None:
        log.info("writing the invoice")
        raise RuntimeError("no invoice")

    tasks.add_task(later)
    return "accepted"


@app.get("/gather/{number}")
async def in_tasks(number: int) -> None:
    async def part(name: str) -> None:
        log.info("%s part of order %d", name, number)
        await asyncio.sleep(0)
        if name == "second":
            raise ArithmeticError("second part")

    log.info("order %d has two parts", number)
    await asyncio.gather(part("first"), part("second"))


@app.get("/stream")
def stream() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        yield "first\n"
        log.info("reading the second line")
        raise ZeroDivisionError("second line")

    return StreamingResponse(lines())


@app.get("/handled/{number}")
async def handled(number: int) -> None:
    log.info("handled order %d", number)
    raise OutOfStockError(number)


@app.get("/told/{number}")
def told_only(number: int) -> str:
    """Log an error without an exception, and answer."""
    log.info("told order %d", number)
    log.error("an order without a price")
    return "done"


@app.websocket("/socket/{number}")
async def socket(socket: WebSocket, number: int) -> None:
    await socket.accept()
    log.info("socket order %d", number)
    await socket.receive_text()
    raise PermissionError("socket order")


@admin.get("/orders/{number}")
def admin_order(number: int) -> None:
    log.info("admin order %d", number)
    raise NotImplementedError("admin order")


both = asyncio.Barrier(2)


@app.get("/meet/{name}")
async def meet(name: str) -> None:
    """Log in turn with another request, and fail with it."""
    for step in range(3):
        await both.wait()
        log.info("step %d of %s", step, name)
    await both.wait()
    raise (BlockingIOError if name == "ada" else InterruptedError)(name)
