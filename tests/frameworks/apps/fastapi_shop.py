"""A shop on FastAPI, which sets up logging inside the application."""

from __future__ import annotations

import logging
import logging.config
import os

import alerting
from fastapi import BackgroundTasks, FastAPI

if "LOG_CONFIG" not in os.environ:
    logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20))
log = logging.getLogger("shop")
app = FastAPI()


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
