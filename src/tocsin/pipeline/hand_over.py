"""Handing over: the events of the intake are appended to the store."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tocsin.alerts.policy import Urgency
from tocsin.forks import imports

if TYPE_CHECKING:
    from collections.abc import Generator

    from tocsin.pipeline.complaints import Complaints
    from tocsin.pipeline.intake import Intake
    from tocsin.pipeline.journal import Journal


class HandOver:
    """Hand events over.

    Args:
        intake: has them.
        journal: appends them to the store.
        complaints: tells that events cannot be stored.
    """

    def __init__(self, intake: Intake, journal: Journal, complaints: Complaints) -> None:
        self._intake = intake
        self._journal = journal
        self._complaints = complaints
        self._lock = threading.RLock()  # held while events are between intake and store
        self._dropped = 0  # events whose loss the store was told

    def __call__(self, urgency: Urgency = Urgency.NONE) -> None:
        """Hand over all events.

        Raises:
            StoreError: the store does not take them; the journal keeps them.
        """
        with self._lock:
            if urgency is not Urgency.EXIT:
                with imports:
                    self._intake.prepare()
            groups = self._intake.drain()
            dropped = self._intake.dropped - self._dropped
            self._dropped += dropped
            lost = self._journal.dropped
            self._journal.append(groups, dropped)
        if self._journal.dropped > lost:
            self._complaints.tell("record", "errors were lost, as their records can't be stored")

    @contextlib.contextmanager
    def free(self, seconds: float) -> Generator[bool]:
        """Keep other threads from handing over; the value is false if that takes too long."""
        held = self._lock.acquire(timeout=seconds)
        try:
            yield held
        finally:
            if held:
                self._lock.release()
