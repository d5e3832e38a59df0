"""A shop that logs by loguru: the argument names the way to the alert handler."""

from __future__ import annotations

import logging.config
import os
import sys

import alerting
from loguru import logger

from tocsin import AlertHandler


class PropagateHandler(logging.Handler):
    """The recipe in loguru's documentation."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


def charge(number: int) -> None:
    raise ValueError("no card " + str(number))


def alerts() -> AlertHandler:
    return AlertHandler(
        to="oncall@example.com",
        from_addr="alerts@example.com",
        email={"host": "127.0.0.1", "port": int(os.environ["SMTP_PORT"])},
        level="DEBUG",
        context=20,
        app="shop",
    )


if __name__ == "__main__":
    way = sys.argv[1]
    logger.remove()
    if way == "propagate":
        logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20, app="shop"))
        logger.add(PropagateHandler())
    else:
        logger.add(alerts(), enqueue=way == "queue", serialize=way == "json", colorize=True)
    bound = logger.bind(request_id="r-1")
    bound.info("order taken {}", 6)
    for order in (7, 8):
        bound.error("payment of {} refused", order)
    for order in (9, 10, 11):
        try:
            charge(order)
        except ValueError:
            bound.bind(order=order).exception("charge failed")
    logger.complete()
    logger.remove()
