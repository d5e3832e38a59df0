"""A service that starts, logs one error and dies, every ten seconds: an hour of it, in seconds.

Each life is a process of its own, forked from one that has loaded what it needs. The store's clock
is ten seconds further in each; nobody waits for them.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass

from tocsin import AlertHandler, SMTPEmailHandler, TestEmailHandler
from tocsin.alerts.policy import Urgency
from tocsin.stores.sqlite import SQLiteStore

DEATHS = ("exit", "exception", "os._exit", "kill")
START = 1_700_000_000.0
EVERY = 10.0  # seconds
PATIENCE = 20.0  # seconds


class ServiceError(Exception):
    """What the service dies of."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is told the program.

    Attributes:
        store: the store's file; "" for memory.
        port: the mail server's.
        lives: how many processes there are.
        death: how each of them dies; "turns" for each way in its turn.
        first: which one is the first, as the clock goes.
    """

    store: str
    port: int
    lives: int
    death: str
    first: int = 0


def build(options: Options, number: int) -> AlertHandler:
    """Return the handler of one life, with the clock of that time."""
    started = time.monotonic()

    def clock() -> float:
        return START + EVERY * number + time.monotonic() - started

    defaults = SQLiteStore.__init__.__kwdefaults__
    assert defaults is not None
    defaults.update(clock=clock, ticks=clock)
    return AlertHandler(
        to="ops@example.com",
        from_addr="alerts@example.com",
        app="shop",
        email={"host": "127.0.0.1", "port": options.port},
        store=f"sqlite:///{options.store}" if options.store else "memory:",
        name="alerts",
    )


def load() -> None:
    """Load and compile what a mail needs, without a thread: a fork follows."""
    handler = AlertHandler(to="a@example.com", from_addr="a@example.com", email=TestEmailHandler())
    handler._engine.worker.round.load()
    SMTPEmailHandler().prepare()
    record = logging.LogRecord("shop", logging.ERROR, __file__, 1, "no database", (), None)
    handler._engine.worker.round.intake.add(record, None)
    handler._engine.worker.round.run(Urgency.ALL)
    gc.freeze()  # a process that ends by itself looks at all that it has


def live(options: Options, number: int) -> None:
    """Live one life."""
    handler = build(options, number)
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    death = DEATHS[number % len(DEATHS)] if options.death == "turns" else options.death
    if death == "nothing":
        handler.send_now()
        return
    logger.error("no database")
    if death == "exit":
        sys.exit(3)
    if death == "exception":
        raise ServiceError
    until, never = time.monotonic() + PATIENCE, threading.Event()
    while not handler.stats.handed_over and time.monotonic() < until:
        never.wait(0.0005)
    never.wait(number % 7 * 0.005)  # somewhere in what it does next
    if death == "os._exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Let them live, one after the other."""
    options = Options(**json.loads(sys.argv[1]))
    load()
    for number in range(options.first, options.first + options.lives):
        pid = os.fork()
        if not pid:
            live(options, number)
            return
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
