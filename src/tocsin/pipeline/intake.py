"""The intake: records are counted in the application's threads, bounded and without I/O.

A record of a group that was seen since the last drain is only counted. Of the first record of a
group a capture is taken, which holds on to nothing; it becomes a sample when the intake is drained.
"""

from __future__ import annotations

import enum
import linecache
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.alerts.grouping import OTHER, as_other
from tocsin.events.capture import Capture
from tocsin.events.fingerprint import Fingerprints
from tocsin.events.records import plain
from tocsin.pipeline.slot import Describer, Slot
from tocsin.redact.base import NoSecrets

if TYPE_CHECKING:
    import logging

    from tocsin.alerts.grouping import Group
    from tocsin.events.frames import OwnCode
    from tocsin.pipeline.context import Context
    from tocsin.redact.base import Redacts

_MAX_SAMPLES = 1 << 20  # characters of all samples together


class Wake(enum.IntEnum):
    """Whether a record wakes the worker."""

    NO = 0
    SOON = 1
    NOW = 2


_NO = Wake.NO  # looked up once: up to Python 3.11 that takes 0.06 µs


class Intake:
    """Count records by group until they are drained.

    Args:
        own: tells the application's own frames.
        host: the machine's name.
        version: the application's version, or "".
        limit: how many groups are told apart.
        urgent_level: the level from which on a new group is handed over at once.
        redact: takes secrets out of text.
        context: keeps the records before an error.

    Attributes:
        dropped: records that could not be taken.
    """

    def __init__(
        self,
        *,
        own: OwnCode,
        host: str,
        limit: int,
        urgent_level: int,
        version: str = "",
        redact: Redacts | None = None,
        context: Context | None = None,
    ) -> None:
        self._limit = limit
        self._urgent_level = urgent_level
        self._context = context
        self._describe = Describer(
            own=own, host=host, version=version, redact=redact or NoSecrets()
        )
        self._fingerprints = Fingerprints(own)
        # Re-entrant: a signal handler or a finalizer may log while its thread is in here. Its
        # record waits aside then, as a count that is half changed cannot be changed again.
        self._lock = threading.RLock()
        self._inside: Slot | None = None
        self._aside: deque[Slot] = deque()
        self._late = 0  # counted while a count was half changed
        self._slots: dict[str, Slot] = {}
        self._room = _MAX_SAMPLES
        self._counted = 0
        self.dropped: int = 0

    def add(self, record: logging.LogRecord, formatter: logging.Formatter | None) -> Wake:
        """Count a record.

        Args:
            record: the record; its time is a float.
            formatter: makes the text of a sample, if given.

        Returns:
            Whether it wakes the worker.

        Raises:
            Exception: a field of it has an unusual type; nothing is counted.
        """
        identity = self._fingerprints.of(record)
        with self._lock:
            # All that a repeated error takes is here: a call less is 0.1 µs of 0.5.
            slot = self._slots.get(identity.fingerprint) or self._other(record)
            if slot is not None and self._inside is None:
                self._inside = slot
                try:
                    slot.add(record.created)
                    self._counted += 1
                finally:
                    self._inside = None
                return _NO
        usual = plain(record, time.time())
        slot = Slot(usual, identity, self._capture(usual, formatter))
        with self._lock:
            if self._inside is not None:
                self._aside.append(slot)
                return Wake.SOON
            return self._first(slot)

    def drop(self) -> None:
        """Count a record that cannot be taken."""
        with self._lock:
            self._counted += 1
            self.dropped += 1

    @property
    def seen(self) -> int:
        """Records so far."""
        return self._counted + self._late + len(self._aside)

    def _capture(self, record: logging.LogRecord, formatter: logging.Formatter | None) -> Capture:
        return Capture.of(
            record,
            formatter=formatter,
            note_source=linecache.lazycache,
            context=() if self._context is None else self._context.before(record),
        )

    def _other(self, record: logging.LogRecord) -> Slot | None:
        """Return the slot of "other", if a record without a slot belongs there."""
        other = self._slots.get(OTHER) if len(self._slots) > self._limit else None
        return other if other is not None and record.levelno <= other.level else None

    def _first(self, slot: Slot) -> Wake:
        """Count what may be a group's first event."""
        self._inside = slot
        try:
            idle = not self._slots
            urgent = self._insert(slot) and slot.level >= self._urgent_level
            self._counted += 1
        finally:
            self._inside = None
        return Wake.NOW if urgent else Wake.SOON if idle else Wake.NO

    def _insert(self, slot: Slot) -> bool:
        """Count a group's first event; return whether it is news and no thread was faster."""
        name = slot.identity.fingerprint
        if name not in self._slots and len(self._slots) >= self._limit:
            name = OTHER
        known = self._slots.get(name)
        if known is not None:
            known.add(slot.first)
            worse = slot.level > known.level  # among the others
            if worse:
                known.level, known.level_name = slot.level, slot.level_name
            return worse
        size = slot.capture.size
        if size > self._room or name == OTHER:
            slot.capture, slot.detailed = slot.capture.brief(), False
        else:
            self._room -= size
        self._slots[name] = slot
        return True

    def prepare(self) -> None:
        """Load what `drain` needs; if that fails, nothing was taken yet.

        Raises:
            Exception: it cannot be loaded, as where no more files can be opened.
        """
        self._describe.prepare()

    def drain(self) -> tuple[Group, ...]:
        """Return the groups counted since the last time, with samples. It reads files."""
        return self.told(self.take())

    def take(self) -> list[tuple[str, Slot]]:
        """Return the slots since the last time, by fingerprint."""
        with self._lock:
            late: list[tuple[str, Slot]] = []
            while self._aside:
                slot = self._aside.popleft()
                if self._inside is None:
                    self._first(slot)
                else:  # a signal handler ends the process, in the middle of its thread's count
                    late.append((slot.identity.fingerprint, slot))
                    self._late += 1
            slots, self._slots = (
                self._slots,
                {},
            )  # a thread that logs meanwhile finds the new one
            self._room = _MAX_SAMPLES
            changing = self._inside
            taken = [item for item in slots.items() if item[1] is not changing]
            if len(taken) < len(slots):
                self._slots.update(item for item in slots.items() if item[1] is changing)
        return taken + late

    def told(self, taken: list[tuple[str, Slot]]) -> tuple[Group, ...]:
        """Return the groups of slots, with samples."""
        room = _MAX_SAMPLES
        groups: list[Group] = []
        for name, slot in taken:
            group = self._describe.group(slot)
            room -= group.size
            if room < 0:  # the lines of the code have come to what was captured
                room += group.size
                group = replace(group, samples=())
            groups.append(as_other(group) if name == OTHER else group)
        return tuple(groups)
