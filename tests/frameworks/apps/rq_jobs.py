"""Jobs for RQ, and for schedulers and pools: a module that sets up logging."""

from __future__ import annotations

import logging
import logging.config
import os

import alerting

logging.config.dictConfig(
    alerting.logging_config(level="DEBUG", context=20, store=os.environ.get("STORE", "memory:"))
)
log = logging.getLogger("jobs")


def works(number: int) -> None:
    log.info("job %d works", number)


def fails(number: int, **_: object) -> None:
    log.info("job %d begins", number)
    raise LookupError(f"no order {number}")


def divides(number: int) -> float:
    return number / 0


def logged(number: int) -> None:
    try:
        raise ValueError("no such customer")
    except ValueError:
        log.exception("order %d failed", number)
        raise


def told(number: int) -> None:
    log.error("stock of %d is low", number)


def lost() -> None:
    os.kill(os.getpid(), 9)


def retried() -> None:
    raise ConnectionError("the bank is away")
