"""The thread that looks at the loggers: the end of its process, and no thread without need."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit

@atexit.register  # before logging's own hook, so it is called after that
def late():
    threading.Thread(target=arrival.settle, name="tocsin-arrival", daemon=True).start()
    looking.wait(1)

import logging, threading, tocsin
from tocsin.integrations import arrival

looking = threading.Event()

class Slow(logging.Logger):
    @property
    def disabled(self):
        if threading.current_thread().name == "tocsin-arrival":
            looking.set()  # the thread has the lock of logging
            threading.Event().wait(0.5)
        return True

    @disabled.setter
    def disabled(self, value):
        pass

email = tocsin.TestEmailHandler(default_from="alerts@example.com")
logging.root.addHandler(tocsin.AlertHandler(to="a@example.com", email=email))
logging.setLoggerClass(Slow)
logging.getLogger("shop")
other = logging.StreamHandler()  # deleted as Python ends, under the lock of logging
"""


def test_a_process_ends_while_a_thread_looks_at_the_loggers() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], timeout=30, check=False)
    assert done.returncode == 0


WITHOUT_A_SERVER = """
import logging, logging.config, sys, threading

logging.config.dictConfig({
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "alerts": {
            "class": "tocsin.AlertHandler",
            "to": "a@example.com",
            "email": {"handler": "test", "default_from": "alerts@example.com"},
        },
    },
    "loggers": {"audit": {"propagate": False}},
    "root": {"handlers": ["alerts"]},
})
assert threading.active_count() == 1
logging.getLogger("shop").error("boom")
print("logged", file=sys.stderr, flush=True)
"""


def test_without_a_server_the_first_error_is_the_occasion_to_look_at_the_loggers() -> None:
    """A thread could be in the way of a fork that Python does not know of."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_SERVER],
        timeout=30,
        check=True,
        capture_output=True,
        text=True,
    )
    before, logged, _ = done.stderr.partition("logged\n")
    assert logged
    assert "'audit' don't reach the alert handler" in before
