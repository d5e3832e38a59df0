"""The end of a process, while a thread looks at the loggers."""

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
