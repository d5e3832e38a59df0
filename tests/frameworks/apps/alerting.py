"""The configuration of the programs here: ten lines, as a user writes them."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import tocsin


def logging_config(*, loggers: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return a configuration with an alert handler on the root logger."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "alerts": {
                "class": "tocsin.AlertHandler",
                "to": "oncall@example.com",
                "from_addr": "alerts@example.com",
                "email": {"host": "127.0.0.1", "port": int(os.environ["SMTP_PORT"])},
                "policy": {"group_wait": 0.5},
                **options,
            }
        },
        "loggers": loggers or {},
        "root": {"level": "INFO", "handlers": ["alerts"]},
    }


def wait_for_handlers() -> None:
    """Wait until the alert handler was added to the loggers of the server.

    That takes a moment; on a machine that is busy, some requests are served in it.
    """
    while not all(map(_reaches_handler, ("gunicorn.error", "uvicorn.error", "django.request"))):
        time.sleep(0.01)


def _reaches_handler(name: str) -> bool:
    logger: logging.Logger | None = logging.getLogger(name)
    if logger is not None and logger.disabled:
        return False
    while logger is not None:
        if any(isinstance(one, tocsin.AlertHandler) for one in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
