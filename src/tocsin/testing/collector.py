"""The collector: the mails and the groups of alert handlers that collect instead of sending."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from typing_extensions import override

from tocsin import config
from tocsin.alerts.batch import Batch
from tocsin.alerts.codec import load
from tocsin.alerts.grouping import merge
from tocsin.alerts.policy import Urgency
from tocsin.pipeline.leftovers import forget_alerts
from tocsin.stores.memory import MemoryStore
from tocsin.testing.by_hand import EngineByHand
from tocsin.testing.clock import ShiftedClock
from tocsin.testing.collected_email import TeeEmailHandler, build_collected_email

if TYPE_CHECKING:
    from tocsin.alerts.grouping import Group
    from tocsin.mail.base import AnyMessage, EmailHandler
    from tocsin.mail.outbox import TestEmailHandler
    from tocsin.pipeline.assembly import Parts

_LEAST = 0.001  # seconds from one round to the next, and by which the clock goes on a bit further


class Collector:
    """Keep the mails and the groups of the handlers that are built while it collects.

    Attributes:
        on: whether rounds run when handlers ask for them.
        clock: the clock of the handlers.
        mails: the name of a handler, and a mail that it would have sent, in order.
    """

    def __init__(self) -> None:
        self.on: bool = True
        self.clock: ShiftedClock = ShiftedClock()
        self.mails: list[tuple[str, AnyMessage]] = []
        self._groups: dict[tuple[str, str], Group] = {}  # by handler's name and fingerprint
        self._used: dict[EngineByHand, None] = {}  # the handlers that have got records
        self._engines: weakref.WeakSet[EngineByHand] = weakref.WeakSet()
        self._outboxes: weakref.WeakSet[TestEmailHandler] = weakref.WeakSet()
        self._lock = threading.RLock()  # held while a test lets rounds run
        self._adding = threading.Lock()  # a round of another thread may add while a test waits

    # For handlers

    def email(self, value: object, /) -> EmailHandler:
        """Return the email handler that keeps the mails, for the option `email`."""
        built = build_collected_email(value)
        if built is not value:
            self._outboxes.add(built)
        return built

    def engine(self, parts: Parts, store: object, /) -> EngineByHand:
        """Return the engine of a handler; it doesn't open the store that the option names."""
        if not callable(store):
            config.store_file(store)
        engine = EngineByHand(parts, self)
        self._engines.add(engine)
        return engine

    def open_store(self, scope: str) -> MemoryStore:
        """Return the store of a handler; the last part of the scope is the handler's name."""
        return _Store(self, scope.rpartition("\x1f")[2])

    def tee(self, email: EmailHandler, name: str) -> EmailHandler:
        """Return an email handler that gives mails to another one, and keeps them."""
        return TeeEmailHandler(email, lambda message: self.mails.append((name, message)))

    def note(self, engine: EngineByHand) -> None:
        """Note that a handler has something to do."""
        self._used[engine] = None

    def keep_group(self, name: str, group: Group) -> None:
        """Add events of the handler of that name to a group."""
        key = name, group.fingerprint
        with self._adding:
            known = self._groups.get(key)
            self._groups[key] = group if known is None else merge(known, group)

    # For tests

    @property
    def groups(self) -> list[tuple[str, Group]]:
        """The name of a handler, and a group of its events, in the order of their first events."""
        found = [(name, group) for (name, _), group in list(self._groups.items())]
        return sorted(found, key=lambda item: item[1].first)

    def run(self) -> None:
        """Let each handler do what is due."""
        with self._lock:
            for engine in list(self._used):
                engine.run()

    def flush(self) -> None:
        """Let each handler send what is due, and new groups at once."""
        with self._lock:
            for engine in list(self._used):
                at_exit = engine.parts.sender.policy.at_exit
                engine.run(Urgency.EXIT if at_exit else Urgency.FLUSH)

    def advance(self, seconds: float) -> None:
        """Let the time pass: each handler does what is due, at its time."""
        with self._lock:
            end = self.clock.offset + seconds + _LEAST
            while (step := self._pause()) <= end - self.clock.offset:
                self.clock.offset += max(step, _LEAST)
            self.clock.offset = max(end, self.clock.offset)
            self.run()

    def _pause(self) -> float:
        """Run a round of each handler; return the seconds until a round is due."""
        pauses = [engine.run() for engine in list(self._used)]
        return min((pause for pause in pauses if pause is not None), default=float("inf"))

    def clear(self) -> None:
        """Forget the mails and the groups: each handler begins anew."""
        with self._lock:
            forget_alerts()
            used, self._used = self._used, {}
            for engine in used:
                engine.restart()
            for engine in list(self._engines):
                if engine.parts.context is not None:
                    engine.parts.context.clear()
            self._groups.clear()
            self.mails.clear()
            for email in list(self._outboxes):
                email.outbox.clear()


class _Store(MemoryStore):
    """A store in memory whose events the collector keeps, too."""

    def __init__(self, collector: Collector, name: str) -> None:
        super().__init__(collector.clock.read)
        self._collector = collector
        self._name = name

    @override
    def append(self, batch: bytes) -> None:
        super().append(batch)
        for group in load(Batch, batch).groups:
            self._collector.keep_group(self._name, group)
