"""A shop that configures logging, and then runs uvicorn itself; a thread of it fails."""

from __future__ import annotations

import logging.config
import os
import threading

import alerting
import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/async/{number}")
async def in_task(number: int) -> None:
    logging.getLogger("shop").info("async order %d", number)
    raise LookupError("async order")


@app.get("/in-a-thread")
def in_a_thread() -> str:
    def work() -> None:
        raise RuntimeError("no stock in the thread")

    threading.Thread(target=work).start()
    return "started"


if __name__ == "__main__":
    logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20, uncaught=True))
    uvicorn.run(app, port=int(os.environ["PORT"]))
