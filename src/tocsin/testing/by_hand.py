"""Rounds by hand: the engine of an alert handler that collects. It starts no thread.

A record only notes that its handler has something to do. A round runs when a test asks for it, or a
call of `flush`, `send_now` or `close`, and in the thread that asks.
"""

from __future__ import annotations

import copy
import functools
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from typing_extensions import override

from tocsin.alerts.policy import Urgency
from tocsin.pipeline.assembly import assemble_round
from tocsin.pipeline.engine import Engine
from tocsin.pipeline.intake import Intake
from tocsin.pipeline.sending import SendingThread
from tocsin.pipeline.thread import working_here
from tocsin.pipeline.worker import Worker

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from typing import Any

    from tocsin.mail.base import EmailHandler
    from tocsin.pipeline.assembly import Parts
    from tocsin.pipeline.intake import Wake
    from tocsin.pipeline.round import Round
    from tocsin.stores.base import Store
    from tocsin.testing.clock import ShiftedClock

_Value = TypeVar("_Value")
_PATIENCE = 60.0  # seconds that a round may take


class Keeper(Protocol):
    """The keeper of what handlers collect.

    Attributes:
        on: whether rounds run when handlers ask for them.
        clock: the clock of the handlers.
    """

    on: bool
    clock: ShiftedClock

    def open_store(self, scope: str) -> Store:
        """Return the store of a handler."""
        ...

    def tee(self, email: EmailHandler, name: str) -> EmailHandler:
        """Return an email handler that gives a handler's mails to another one, and keeps them."""
        ...

    def note(self, engine: EngineByHand) -> None:
        """Note that a handler has something to do."""
        ...


class EngineByHand(Engine):
    """The engine of a handler that collects.

    Args:
        parts: what the handler's options have made.
        keeper: keeps the handler's mails and groups, and has the clock.
    """

    _hands: WorkerByHand

    def __init__(self, parts: Parts, keeper: Keeper) -> None:
        self._keeper = keeper
        super().__init__(parts, "memory:", lambda _, scope: keeper.open_store(scope))

    def run(self, urgency: Urgency = Urgency.NONE) -> float | None:
        """Run a round; return the seconds until the next one is due, or None."""
        return self._hands.run(urgency)

    def restart(self) -> None:
        """Begin anew: no group is known."""
        retired = self.worker.retired
        self._begin()
        if retired:
            self.worker.retire()

    @override
    def hurry(self, urgency: Urgency, timeout: float | None = None) -> None:
        if self._keeper.on:  # not after the tests, as the process ends
            super().hurry(urgency, timeout)

    @override
    def _assemble(self, store: Store) -> Worker:
        clock = self._keeper.clock
        round_ = assemble_round(
            replace(self.parts, email=self._keeper.tee(self.parts.email, self._name)),
            store,
            spare=self._open_store("memory:", self._scope),
            place=store,
            inherited=self._inherited,
            clock=clock.read,
            thread=_SameThread(),
            make_intake=functools.partial(_ShiftedIntake, lambda: clock.offset),
        )
        self._hands = WorkerByHand(
            round_,
            exit_timeout=self.parts.exit_timeout,
            note=lambda: self._keeper.note(self),
        )
        return self._hands


class WorkerByHand(Worker):
    """Run a round when it is asked for, in the thread that asks.

    Args:
        round_: a round.
        exit_timeout: seconds that a round may take while a caller waits for it.
        note: called when there is something to do.
    """

    def __init__(self, round_: Round, *, exit_timeout: float, note: Callable[[], None]) -> None:
        super().__init__(round_, exit_timeout=exit_timeout)
        self._note = note
        self._lock = threading.RLock()
        self._asked = Urgency.NONE

    def run(self, urgency: Urgency = Urgency.NONE) -> float | None:
        """Run a round; return the seconds until the next one is due, or None."""
        with self._lock:
            urgency, self._asked = max(urgency, self._asked), Urgency.NONE
            return self.round.run(urgency, time.monotonic() + _PATIENCE)

    @override
    def wake(self, *, urgent: bool) -> None:
        self._note()

    @override
    def ask(self, urgency: Urgency, timeout: float | None = None) -> int:
        self._asked = max(self._asked, urgency)
        return 0

    @override
    def wait(self, number: int, until: float) -> bool:
        if not working_here():  # an email handler that flushes
            try:
                self.run()
            except Exception as error:  # noqa: BLE001 - as in a thread, the application goes on
                self.round.complaints.unexpected(error)
        return True

    @override
    def take_over(self) -> None:
        """Do nothing: no thread of another worker waits."""


class _SameThread(SendingThread):
    """Make each call in the thread that asks for it."""

    @override
    def run(self, call: Callable[[], _Value]) -> _Value:
        return call()


class _ShiftedIntake(Intake):
    """An intake whose records are as late as the clock of the tests is ahead."""

    def __init__(self, offset: Callable[[], float], **options: Any) -> None:
        super().__init__(**options)
        self._offset = offset

    @override
    def add(self, record: logging.LogRecord, formatter: logging.Formatter | None) -> Wake:
        if ahead := self._offset():
            record = copy.copy(record)
            record.created += ahead
        return super().add(record, formatter)
