"""Handlers reach the loggers of servers, however configurations follow each other."""

from __future__ import annotations

import logging
import logging.config
from typing import TYPE_CHECKING, Any

import pytest
from programs import wait_for

from tocsin import AlertHandler
from tocsin.forks import logging_lock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loose() -> Iterator[logging.Logger]:
    """A logger of a server, cut off from the root logger."""
    import gunicorn  # noqa: F401, PLC0415 - the integration needs the loaded framework

    logger = logging.getLogger("gunicorn.error")
    before = logger.propagate, logger.handlers[:], logging.root.handlers[:]
    logger.propagate = False
    yield logger
    for handler in [*logger.handlers, *logging.root.handlers]:
        if isinstance(handler, AlertHandler):
            handler.close()
    logger.propagate, logger.handlers[:], logging.root.handlers[:] = before


def _configure(name: str) -> AlertHandler:
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            name: {
                "class": "tocsin.AlertHandler",
                "to": "oncall@example.com",
                "from_addr": "alerts@example.com",
                "email": {"handler": "test"},
            }
        },
        "root": {"handlers": [name]},
    }
    logging.config.dictConfig(config)
    (found,) = (one for one in logging.root.handlers if isinstance(one, AlertHandler))
    return found


def test_a_configuration_that_follows_at_once(loose: logging.Logger) -> None:
    """Django configures logging anew each time that an application is made of it."""
    with logging_lock():
        first = _configure("first")
        wait_for(lambda: first._frameworks.on, "a thread that waits for the lock of logging")
        second = _configure("second")
    wait_for(lambda: second in loose.handlers, "the second handler on the server's logger")
    assert first not in loose.handlers
