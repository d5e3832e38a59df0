"""A process of the soak test: it logs, notes what the store has of it, and may be killed any time.

Its notes are lines in a file of its own: "logged 7" before the seventh event, "kept 5" once the
store has taken five. Every other event is of a kind that all processes share.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin import AlertHandler
from tocsin.alerts import outcome, state
from tocsin.pipeline import claims, journal, thread
from tocsin.pipeline import round as rounds

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from tocsin.stores.base import Entry, Lease, Store

POLICY = {
    "group_wait": 0.1,
    "repeat_after": 0.3,
    "repeat_max": 0.6,
    "quiet_after": 1,
    "burst": 1000,
    "refill": 1,
    "max_groups": 300,
    "shown_groups": 1000,
}
PATIENCE = 90  # tries of a second to send what is left


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a process is told.

    Attributes:
        life: its name.
        port: the mail server's.
        folder: where the store and the notes are.
        steps: of how many steps of the store's transactions the process dies; 0 for none.
        events: how many events it logs.
        stays: whether it waits then until somebody ends it, instead of ending by itself.
        apart: whether each recipient has a transaction.
        last: whether it logs nothing, and sends all that is left.
    """

    life: str
    port: int
    folder: str
    steps: int = 0
    events: int = sys.maxsize
    stays: bool = False
    apart: bool = False
    last: bool = False

    @property
    def store(self) -> str:
        """The store's URL."""
        return f"sqlite:///{Path(self.folder, 'alerts.db')}"

    @property
    def notes(self) -> Path:
        """The file of its notes."""
        return Path(self.folder, f"{self.life}.notes")


def hurry() -> None:
    """Let what a dead process held be free in seconds, and no wait be longer than one."""
    journal._LEASE = 0.3
    claims._SEND, claims._MARGIN, rounds._BUSY = 3.0, 0.5, 0.1
    thread._HAND_OVER = 0.1
    outcome._FIRST_PAUSE, outcome._LAST_PAUSE = 0.1, 1.0
    # In an hour there are never so many mails as here in a minute.
    state.MAX_OUTGOING = 200


class Frail:
    """A store whose process dies before or after one of its transactions."""

    durable = True

    def __init__(self, store: Store, steps: int) -> None:
        self._store = store
        self._steps = steps

    def append(self, batch: bytes) -> None:
        with self.risk():
            self._store.append(batch)

    def lead(self, owner: str, ttl: float) -> FrailLease | None:
        with self.risk():
            lease = self._store.lead(owner, ttl)
        return None if lease is None else FrailLease(lease, self)

    def close(self) -> None:
        self._store.close()

    @contextlib.contextmanager
    def risk(self) -> Generator[None]:
        self._step()
        yield
        self._step()

    def _step(self) -> None:
        self._steps -= 1
        if self._steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class FrailLease:
    """The lease of a `Frail` store."""

    def __init__(self, lease: Lease, store: Frail) -> None:
        self.now = lease.now
        self._lease = lease
        self._store = store

    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        with self._store.risk():
            return self._lease.read(limit)

    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        with self._store.risk():
            self._lease.commit(state, consumed)

    def release(self) -> None:
        with self._store.risk():
            self._lease.release()


class Notes:
    """A file that keeps each line from the moment it is written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


def build(options: Options) -> AlertHandler:
    """Return a handler that the mail server knows by its process."""
    handler = AlertHandler(
        to="a@example.com, b@example.com",
        from_addr="alerts@example.com",
        app="soak",
        name="alerts",
        policy=POLICY,
        store=options.store,
        exit_timeout=2,
        email={
            "host": "127.0.0.1",
            "port": options.port,
            "timeout": 10,
            "local_hostname": f"pid-{os.getpid()}.example.com",
            "recipients_per_message": 1 if options.apart else None,
        },
    )
    if options.steps:
        kept = handler._engine.worker.round.journal
        kept.store.usual = Frail(kept.store.usual, options.steps)
    return handler


def log(options: Options, handler: AlertHandler, notes: Notes) -> None:
    """Log until somebody or something ends it."""
    loggers = [logging.getLogger(f"soak.{kind}") for kind in (options.life, "all")]
    for logger in loggers:
        logger.addHandler(handler)
    chance, never = random.Random(options.life), threading.Event()
    number = kept = 0
    while number < options.events:
        for _ in range(chance.randint(1, 10)):
            notes.write("logged", number + 1)
            loggers[number % 2].error("event %d", number)
            number += 1
        never.wait(chance.uniform(0, 0.1))
        if handler.stats.handed_over > kept:
            kept = handler.stats.handed_over
            notes.write("kept", kept)
        if handler._engine.worker.round.journal.store.trouble:
            notes.write("alone", handler._engine.worker.round.journal.store.trouble)


def finish(handler: AlertHandler, notes: Notes) -> None:
    """Send all that is left, and note the store's accounts."""
    never = threading.Event()
    for _ in range(PATIENCE):
        if handler.send_now(10):
            break
        never.wait(1)
    store = handler.stats.store
    assert store is not None
    notes.write("accounts", store.received, store.mailed, store.pending, store.undelivered)


def main() -> None:
    """Do what the argument says."""
    options = Options(**json.loads(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    hurry()
    handler = build(options)
    notes = Notes(options.notes)
    if options.last:
        finish(handler, notes)
    else:
        log(options, handler, notes)
        while options.stays:
            signal.pause()


if __name__ == "__main__":
    main()
