"""The engine of a handler: its worker and its intake, begun once, and anew after a fork."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tocsin.alerts.policy import Urgency
from tocsin.forks import holds_logging_lock, notice_fork, on_fork
from tocsin.pipeline import leftovers
from tocsin.pipeline.assembly import assemble

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.pipeline.assembly import Parts
    from tocsin.pipeline.intake import Intake
    from tocsin.pipeline.stats import Stats
    from tocsin.pipeline.thread import WorkerThread
    from tocsin.pipeline.worker import Worker
    from tocsin.stores.base import Store


class Engine:
    """Begin and hold the worker of a handler.

    Args:
        parts: what the handler's options have made.
        store: the option of that name.
        open_store: opens a store; its arguments are that option, and a scope.

    Attributes:
        parts: the same.
        process: the process in which the worker was begun; 0 before.
        worker: the worker.
        thread: the worker's thread.
        intake: where records arrive.
    """

    worker: Worker
    thread: WorkerThread
    intake: Intake

    def __init__(
        self, parts: Parts, store: object, open_store: Callable[[object, str], Store]
    ) -> None:
        self.parts: Parts = parts
        self.process: int = 0
        self._store = store
        self._open_store = open_store
        self._name = ""
        self._inherited = False
        self._generation = leftovers.generation()
        notice_fork()  # before this engine is one of those that begin anew
        on_fork(self._begin_in_child)

    @property
    def stats(self) -> Stats:
        """The accounts, now."""
        self.check_process()
        return self.worker.round.ledger.stats

    @property
    def nothing_left(self) -> bool:
        """Whether no event is unmailed."""
        return not self.process or self.worker.round.ledger.nothing_left

    def begin(self, name: str = "") -> bool:
        """Begin under the handler's name, by which its events are kept apart in a store.

        A handler that is renamed before its first record begins again.

        Returns:
            Whether it has begun now.

        Raises:
            ConfigError: the store cannot be used.
        """
        if not self.process or (name != self._name and not self.stats.seen):
            self._name = name
            self._begin()
            return True
        return False

    def resume(self) -> None:
        """Send what an earlier process has left in the store, or an earlier handler in this one."""
        if self.worker.round.journal.store.durable or self._inherited:
            self.worker.take_over()
            if self.worker.round.journal.may_wait():
                self.worker.wake(urgent=False)

    def check_process(self) -> None:
        """Begin, if nothing runs in this process so far."""
        if not self.process:
            self._begin()
            self.resume()
        elif self.process != os.getpid():
            notice_fork()

    def hurry(self, urgency: Urgency, timeout: float | None = None) -> None:
        """Ask for a round, and wait for its end.

        Args:
            urgency: how urgent it is.
            timeout: seconds to wait; by default `exit_timeout`.
        """
        if not self.process:  # nothing was logged
            return
        self.check_process()
        if self.worker.settled and urgency is not Urgency.ALL:
            return
        if holds_logging_lock():  # no wait, and nothing is given up: the program goes on
            self.worker.ask(Urgency.FLUSH)
            return
        timeout = self.parts.exit_timeout if timeout is None else timeout
        asked = self.worker.ask(urgency, timeout)
        until = time.monotonic() + timeout
        if urgency is Urgency.EXIT:
            self.worker.leave(asked, until)
        else:
            self.worker.wait(asked, until)

    def warn(self, kind: str, text: str) -> None:
        """Write a warning to standard error; one of the same kind only once."""
        self.check_process()
        self.worker.round.complaints.tell(kind, text)

    def close(self) -> None:
        """Send what is unmailed, and retire; a store in memory is left to the next handler."""
        self.hurry(Urgency.EXIT)
        if not self.process:
            return
        journal = self.worker.round.journal
        if self._name and not (self.worker.retired or journal.store.durable):
            leftovers.leave(self._place, journal.store.usual, self._generation)
        self.worker.retire()

    @property
    def _scope(self) -> str:
        """What keeps the handler's events apart from those of others in a store."""
        sender = self.parts.sender
        return f"{sender.app}\x1f{sender.environment}\x1f{self._name}"

    @property
    def _place(self) -> tuple[object, str]:
        """Where the handler's events wait: equal for two handlers that share them."""
        return self._store, self._scope

    def _begin(self, store: Store | None = None) -> None:
        """Build what runs in this process.

        Args:
            store: the store; by default one that a closed handler left, or a new one.
        """
        left = None if store is not None or not self._name else leftovers.take(self._place)
        if store is None:
            store = left or self._open_store(self._store, self._scope)
        self._inherited = left is not None
        self.worker = self._assemble(store)
        self.thread, self.intake = self.worker.thread, self.worker.round.intake
        self.process = os.getpid()

    def _assemble(self, store: Store) -> Worker:
        return assemble(
            self.parts,
            store,
            spare=self._open_store("memory:", self._scope),
            place=self._place if store.durable else store,
            inherited=self._inherited,
        )

    def _begin_in_child(self) -> None:
        """Begin anew: the events of the parent are the parent's to send."""
        if not self.process:
            return
        usual, retired = self.worker.round.journal.store.usual, self.worker.retired
        try:
            self._begin(usual if usual.durable else None)
        except Exception:  # noqa: BLE001 - a user's store; the other handlers begin all the same
            self._begin(self._open_store("memory:", ""))
        if retired:
            self.worker.retire()
