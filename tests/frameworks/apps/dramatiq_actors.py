"""Actors of Dramatiq, in a module that sets up logging."""

from __future__ import annotations

import logging
import logging.config
import os

import alerting
import dramatiq
from dramatiq.brokers.redis import RedisBroker

logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20))
dramatiq.set_broker(RedisBroker(url=os.environ["BROKER"]))  # type: ignore[no-untyped-call]
log = logging.getLogger("actors")


@dramatiq.actor(max_retries=0, queue_name="orders")
def works(number: int) -> None:
    log.info("actor %d works", number)


@dramatiq.actor(max_retries=0, queue_name="orders")
def fails(number: int, **_: object) -> None:
    log.info("actor %d begins", number)
    raise LookupError(f"no order {number}")


@dramatiq.actor(max_retries=0, queue_name="orders")
def logged(number: int) -> None:
    try:
        raise ValueError("no such customer")
    except ValueError:
        log.exception("order %d failed", number)
        raise


@dramatiq.actor(max_retries=2, min_backoff=1, max_backoff=2, queue_name="orders")
def retried() -> None:
    raise ConnectionError("the bank is away")


@dramatiq.actor(queue_name="orders")
def patient() -> None:
    """Is retried 20 times, as is Dramatiq's default: the last time after weeks."""
    raise BrokenPipeError("the disk is away")


if __name__ == "__main__":
    works.send(1)
    fails.send(2, password="s3cret")
    logged.send(3)
    retried.send()
    patient.send()
