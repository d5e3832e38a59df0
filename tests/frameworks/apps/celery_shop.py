"""A shop's tasks on Celery, which sets up logging inside the application's module."""

from __future__ import annotations

import logging
import logging.config
import os
import signal
import threading
import time
from typing import Any

import alerting
from celery import Celery, signals
from celery.utils.log import get_task_logger

CONFIG = alerting.logging_config(
    level="DEBUG",
    context=20,
    store=os.environ.get("STORE", "memory:"),
    policy={"group_wait": float(os.environ.get("GROUP_WAIT", "0.5"))},
)
CONFIG["disable_existing_loggers"] = "DISABLE" in os.environ
if "SETUP_LOGGING" in os.environ:

    @signals.setup_logging.connect
    def set_up(**_: Any) -> None:
        logging.config.dictConfig(CONFIG)

else:
    logging.config.dictConfig(CONFIG)
log = logging.getLogger("shop")
task_log = get_task_logger("shop.tasks")

app = Celery("shop", broker=os.environ["BROKER"])
app.conf.update(
    worker_hijack_root_logger="NO_HIJACK" not in os.environ,
    task_default_queue="orders",
    task_ignore_result=True,
    worker_max_tasks_per_child=int(os.environ.get("TASKS_PER_CHILD", "0")) or None,
    broker_connection_retry_on_startup=True,
)


class LockedError(Exception):
    """An error that can't be pickled."""

    def __init__(self, order: int, reason: str) -> None:
        super().__init__(f"order {order} {reason}")
        self.lock = threading.Lock()


@app.task
def works(number: int) -> None:
    log.info("order %d works", number)


@app.task
def fails(number: int, **_: object) -> None:
    log.info("order %d begins", number)
    raise LookupError(f"no order {number}")


@app.task
def locked() -> None:
    raise LockedError(7, "is locked") from TimeoutError("no key in time")


@app.task
def logged(number: int) -> None:
    try:
        raise ValueError("no such customer")
    except ValueError:
        log.exception("order %d failed", number)
        raise


@app.task
def told(number: int) -> None:
    task_log.error("stock of %d is low", number)


@app.task(bind=True, max_retries=2)
def retried(self: Any) -> None:
    log.info("attempt %d", self.request.retries)
    try:
        raise ConnectionError("the bank is away")
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0) from error


@app.task(autoretry_for=(OSError,), max_retries=1, default_retry_delay=0)
def auto() -> None:
    raise BrokenPipeError("the disk is away")


@app.task(time_limit=1)
def hard(number: int) -> None:
    log.info("waiting %d", number)
    time.sleep(60)


@app.task(soft_time_limit=1)
def soft() -> None:
    time.sleep(60)


@app.task
def lost() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
