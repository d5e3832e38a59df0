"""A shop on Flask, which sets up logging inside the application."""

from __future__ import annotations

import logging
import logging.config
import os
import time
from typing import TYPE_CHECKING

import alerting
from flask import Flask, Response, abort, request

if TYPE_CHECKING:
    from collections.abc import Iterator

if "LOG_CONFIG" not in os.environ:
    logging.config.dictConfig(
        alerting.logging_config(
            level="DEBUG", context=20, personal_data=os.environ.get("PERSONAL") == "1"
        )
    )
log = logging.getLogger("shop")
app = Flask(__name__)


@app.get("/pay/<int:number>")
def pay(number: int) -> str:
    log.info("paying order %d", number)
    raise LookupError("no such order")


@app.get("/fine")
def fine() -> str:
    alerting.wait_for_handlers()
    log.info("all is fine")
    return "fine"


@app.get("/logged")
def logged() -> str:
    try:
        raise ValueError("no stock")
    except ValueError:
        app.logger.exception("could not order")
        raise


@app.get("/told/<int:number>")
def told(number: int) -> str:
    tell(number)
    return "told"


def tell(number: int) -> None:
    app.logger.error("order %d waits", number)


@app.get("/down")
def down() -> str:
    log.info("the warehouse is down")
    abort(503)


@app.get("/stream")
def stream() -> Response:
    def parts() -> Iterator[str]:
        yield "first"
        raise ArithmeticError("stream broke")

    return Response(parts())


@app.post("/login")
def login() -> str:
    pin = request.form["pin"]
    raise PermissionError(f"card of {len(pin)} digits")


@app.get("/slow")
def slow() -> str:
    log.info("waiting for the warehouse")
    time.sleep(60)
    return "slow"
