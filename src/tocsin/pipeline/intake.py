"""The intake: records are counted in the application's threads, bounded and without I/O.

The first record of a group after a drain is captured, as text, without a reference to its
arguments; the next drain makes a sample of this capture. Further records of the group are only
counted.
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
from tocsin.events.capture import NO_ORIGIN, Capture
from tocsin.events.fingerprint import Fingerprints
from tocsin.events.records import plain
from tocsin.pipeline.slot import Describer, Slot
from tocsin.redact.base import NoSecrets

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tocsin.alerts.grouping import Group
    from tocsin.events.capture import Origin
    from tocsin.events.frames import OwnCode
    from tocsin.pipeline.context import Context
    from tocsin.redact.base import Redacts

_MAX_SAMPLES = 1 << 20  # characters of all samples together


class Wake(enum.IntEnum):
    """Whether a record wakes the worker."""

    NO = 0
    SOON = 1
    NOW = 2


_NO = Wake.NO  # a constant: up to Python 3.11, looking up the attribute takes 0.06 µs


class Intake:
    """Count records by group until they are drained.

    Args:
        own: decides which frames are the application's own.
        host: the machine's name.
        version: the application's version, or "".
        limit: the largest number of groups; records of further groups are counted as "other".
        urgent_level: the lowest level at which a new group is handed over at once.
        redact: takes secrets out of text.
        context: the buffer for the records before an error.
        origin_of: returns the request or the task in which a record was logged.

    Attributes:
        dropped: how many records could not be counted in a group.
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
        origin_of: Callable[[logging.LogRecord], Origin | None] = lambda _record: None,
    ) -> None:
        self._limit = limit
        self._urgent_level = urgent_level
        self._context = context
        self._origin_of = origin_of
        self._describe = Describer(
            own=own, host=host, version=version, redact=redact or NoSecrets()
        )
        self._fingerprints = Fingerprints(own)
        # Re-entrant: a signal handler or a finalizer may interrupt a thread that has the lock, and
        # log. If the interrupted thread was changing a slot, the new record waits in a queue.
        self._lock = threading.RLock()
        self._changing: Slot | None = None  # the slot that a thread is changing
        self._queued: deque[Slot] = deque()
        self._late = 0  # queued records that `take` returned without counting them in a slot
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
            Whether the record wakes the worker.

        Raises:
            Exception: a field of the record has an unusual type; nothing was counted.
        """
        identity = self._fingerprints.of(record)
        with self._lock:
            # A repeated error needs only these lines, 0.5 µs: each call of a function adds 0.1 µs.
            slot = self._slots.get(identity.fingerprint) or self._other(record)
            if slot is not None and self._changing is None:
                self._changing = slot
                try:
                    slot.add(record.created)
                    self._counted += 1
                finally:
                    self._changing = None
                return _NO
        usual = plain(record, time.time())
        slot = Slot(usual, identity, self._capture(usual, formatter))
        with self._lock:
            if self._changing is not None:
                self._queued.append(slot)
                return Wake.SOON
            return self._count_captured(slot)

    def drop(self) -> None:
        """Count a record that can't be counted in a group."""
        with self._lock:
            self._counted += 1
            self.dropped += 1

    @property
    def seen(self) -> int:
        """How many records there were so far."""
        return self._counted + self._late + len(self._queued)

    def _capture(self, record: logging.LogRecord, formatter: logging.Formatter | None) -> Capture:
        return Capture.of(
            record,
            formatter=formatter,
            note_source=linecache.lazycache,
            origin=self._origin(record),
            context=() if self._context is None else self._context.before(record),
        )

    def _origin(self, record: logging.LogRecord) -> Origin:
        try:
            return self._origin_of(record) or NO_ORIGIN
        except Exception:  # noqa: BLE001 - an object of a framework may raise anything
            return NO_ORIGIN

    def _other(self, record: logging.LogRecord) -> Slot | None:
        """Return the slot of "other" if it can count a record that has no slot of its own."""
        other = self._slots.get(OTHER) if len(self._slots) > self._limit else None
        return other if other is not None and record.levelno <= other.level else None

    def _count_captured(self, slot: Slot) -> Wake:
        """Count a captured record, which is the first one of its group unless a thread was faster.

        Args:
            slot: a new slot with this record alone.

        Returns:
            Whether the record wakes the worker.
        """
        self._changing = slot
        try:
            idle = not self._slots
            urgent = self._insert(slot) and slot.level >= self._urgent_level
            self._counted += 1
        finally:
            self._changing = None
        return Wake.NOW if urgent else Wake.SOON if idle else Wake.NO

    def _insert(self, slot: Slot) -> bool:
        """Add a slot, or count its record in the slot of its group.

        Returns:
            Whether the slot was added, or its record has a higher level than the group had.
        """
        name = slot.identity.fingerprint
        if name not in self._slots and len(self._slots) >= self._limit:
            name = OTHER
        known = self._slots.get(name)
        if known is not None:
            known.add(slot.first)
            worse = slot.level > known.level  # possible only in "other"
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
        """Load the modules that `drain` needs. If that fails, no event has left the intake.

        Raises:
            Exception: a module can't be loaded, for instance because too many files are open.
        """
        self._describe.prepare()

    def drain(self) -> tuple[Group, ...]:
        """Return the groups since the last drain, with samples. It reads source files."""
        return self.groups_of(self.take())

    def take(self) -> list[tuple[str, Slot]]:
        """Return the slots since the last drain, each with its fingerprint."""
        with self._lock:
            late: list[tuple[str, Slot]] = []
            while self._queued:
                slot = self._queued.popleft()
                if self._changing is None:
                    self._count_captured(slot)
                else:  # a signal handler, which ends the process, interrupted a change of a slot
                    late.append((slot.identity.fingerprint, slot))
                    self._late += 1
            slots, self._slots = self._slots, {}
            self._room = _MAX_SAMPLES
            # The slot that an interrupted thread is changing stays.
            changing = self._changing
            taken = [item for item in slots.items() if item[1] is not changing]
            if len(taken) < len(slots):
                self._slots.update(item for item in slots.items() if item[1] is changing)
        return taken + late

    def groups_of(self, taken: list[tuple[str, Slot]]) -> tuple[Group, ...]:
        """Return the groups of slots, with samples as long as there is room for them."""
        room = _MAX_SAMPLES
        groups: list[Group] = []
        for name, slot in taken:
            group = self._describe.group(slot)
            room -= group.size
            if room < 0:  # with its lines of source code, a sample is larger than its capture
                room += group.size
                group = replace(group, samples=())
            groups.append(as_other(group) if name == OTHER else group)
        return tuple(groups)
