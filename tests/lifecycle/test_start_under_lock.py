"""A thread that starts while logging is configured may run the finalizer of a logging handler.

`Thread.start` waits for the new thread. If its caller has the lock of logging, and the new thread
needs that lock before it has begun, both would wait for ever. Garbage collection runs at any point:
here the new thread always needs the lock.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tocsin.forks import logging_lock, start_thread

if TYPE_CHECKING:
    from pathlib import Path

BEGINNING = """
import logging, logging.config, sys, threading

import tocsin
from tocsin.forks import logging_lock

begin = threading.Thread._bootstrap_inner

def begin_with_a_finalizer(thread):
    with logging_lock():  # as `logging._removeHandlerRef` does
        pass
    begin(thread)

def configure():
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "alerts": {
                "class": "tocsin.AlertHandler",
                "to": "ann@example.com",
                "from_addr": "a@example.com",
                "email": {"handler": "test"},
                "store": sys.argv[1],
                "policy": {"group_wait": 3600},
            },
        },
        "root": {"handlers": ["alerts"]},
    })
"""
CASES = {
    "configured": "threading.Thread._bootstrap_inner = begin_with_a_finalizer\nconfigure()\n",
    "configured again with something unmailed": """
configure()
logging.error("it failed")
threading.Thread._bootstrap_inner = begin_with_a_finalizer
configure()
""",
}
END = "(handler,) = logging.root.handlers\nhandler.send_now(10)\nprint('over')\n"


@pytest.mark.parametrize("store", ["memory:", "sqlite:alerts.db"])
@pytest.mark.parametrize("case", CASES)
def test_a_configuration_ends(case: str, store: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", BEGINNING + CASES[case] + END, store],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("over\n", "")


class _Refused(threading.Thread):
    """A thread that the system does not start."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("locked", [False, True])
def test_a_thread_that_cannot_start_is_told(locked: bool) -> None:
    told = threading.Event()
    with logging_lock() if locked else contextlib.nullcontext():
        start_thread(_Refused(), told.set)
        assert told.wait(20)
