"""Jobs of APScheduler: `python scheduled.py threads`, or `asyncio`."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import sys
import threading

import alerting
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler

logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20))
log = logging.getLogger("jobs")
failed = threading.Semaphore(0)


def works() -> None:
    log.info("a job works")


def fails(number: int) -> None:
    log.info("job %d begins", number)
    raise LookupError(f"no order {number}")


async def fails_in_task(number: int) -> None:
    log.info("job %d begins", number)
    await asyncio.sleep(0)
    raise LookupError(f"no order {number}")


def add(scheduler: BackgroundScheduler | AsyncIOScheduler) -> None:
    scheduler.add_job(works)
    scheduler.add_job(fails, args=[1], id="nightly", name="Nightly bill")
    scheduler.add_listener(lambda _: failed.release(), EVENT_JOB_ERROR)
    scheduler.start()


def wait(count: int) -> None:
    for _ in range(count):
        failed.acquire()


async def run() -> None:
    scheduler = AsyncIOScheduler()
    scheduler.add_job(fails_in_task, args=[2], id="hourly", name="Hourly bill")
    add(scheduler)
    await asyncio.to_thread(wait, 2)
    scheduler.shutdown()


if sys.argv[1] == "asyncio":
    asyncio.run(run())
else:
    background = BackgroundScheduler()
    add(background)
    wait(1)
    background.shutdown()
