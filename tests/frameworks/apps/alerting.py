"""The configuration of the programs here: ten lines, as a user writes them."""

from __future__ import annotations

import os
from typing import Any


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
