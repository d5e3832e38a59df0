"""Functions that run in the processes of pools."""

from __future__ import annotations

import logging
import logging.config
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import alerting


def price(item: str) -> int:
    return {"pear": 3}[item]


def fetch_from_executor() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        pool.submit(price, "apple").result()


def fetch_from_pool() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map(price, ["apple"])


if __name__ == "__main__":
    logging.config.dictConfig(alerting.logging_config())
    for fetch in (fetch_from_executor, fetch_from_pool):
        try:
            fetch()
        except KeyError:
            logging.getLogger("shop").exception("no price")
