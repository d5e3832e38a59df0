"""A shop on asyncio and executors, whose tasks and callbacks fail without anybody waiting."""

from __future__ import annotations

import asyncio
import gc
import logging.config
from concurrent.futures import Future, ThreadPoolExecutor

import alerting

log = logging.getLogger("shop")


async def pay(number: int) -> None:
    raise LookupError("order " + str(number))


async def ship() -> None:
    await asyncio.wait_for(asyncio.sleep(60), 0.01)


async def refund() -> None:
    await asyncio.wait_for(asyncio.sleep(60), 0.01)


async def note() -> None:
    try:
        raise KeyError("no note")
    except KeyError:
        log.exception("no note")
        raise


def ring() -> None:
    raise ZeroDivisionError("ring")


def called(_future: Future[int]) -> None:
    raise OSError("called")


async def main() -> None:
    tasks = {asyncio.ensure_future(one) for one in (pay(1), pay(2), ship(), refund(), note())}
    asyncio.get_running_loop().call_soon(ring)
    await asyncio.wait(tasks)
    del tasks
    gc.collect()


if __name__ == "__main__":
    logging.config.dictConfig(alerting.logging_config(uncaught=True))
    asyncio.run(main())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).add_done_callback(called)
