"""Where records arrive, in the application's threads: counted, bounded, without I/O.

A record of a group that was seen since the last drain is only counted. Of the first one a capture
is taken, which holds on to nothing; it becomes a sample where the groups are drained.
"""

from __future__ import annotations

import enum
import linecache
import os
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.alerts.grouping import OTHER, Group, Source, as_other
from tocsin.events.capture import Capture
from tocsin.events.fingerprint import Fingerprints
from tocsin.events.records import FAR, plain
from tocsin.redact.base import NoSecrets
from tocsin.text import short, type_name

if TYPE_CHECKING:
    import logging

    from tocsin.events.event import Event
    from tocsin.events.fingerprint import Identity
    from tocsin.events.frames import OwnCode
    from tocsin.pipeline.context import Context
    from tocsin.redact.base import Redacts

_MAX_SAMPLES = 1 << 20  # characters of all samples together
_MAX_TEXT = 200


class Wake(enum.IntEnum):
    """Whether the worker has to hear of a record."""

    NO = 0
    SOON = 1
    NOW = 2


_NO = Wake.NO  # looked up once: up to Python 3.11 that takes 0.06 µs


class Slot:
    """What is counted of a group since the last drain, and its first record."""

    __slots__ = (
        "capture",
        "count",
        "detailed",
        "first",
        "identity",
        "last",
        "level",
        "level_name",
        "logger",
    )

    def __init__(self, record: logging.LogRecord, identity: Identity, capture: Capture) -> None:
        self.identity: Identity = identity
        self.level: int = record.levelno
        self.level_name: str = record.levelname[:_MAX_TEXT]
        self.logger: str = capture.logger
        self.capture: Capture = capture
        self.detailed: bool = True
        self.count: int = 1
        self.first: float = capture.time
        self.last: float = capture.time

    def add(self, time: float) -> None:
        """Count one more."""
        if time > self.last:
            self.last = time
        elif time < self.first:
            self.first = time
        self.count += 1


class Intake:
    """Count records by group until they are drained.

    Args:
        own: tells the application's own frames.
        host: the machine's name.
        version: the application's, or "".
        limit: how many groups are told apart.
        urgent_level: from which level on a new group is drained at once.
        redact: takes secrets out of what is told.
        context: knows what came before a record.

    Attributes:
        dropped: how many of them couldn't be taken.
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
        self._own = own
        self._host = host
        self._version = version
        self._limit = limit
        self._urgent_level = urgent_level
        self._redact = redact or NoSecrets()
        self._context = context
        self._fingerprints = Fingerprints(own)
        # Re-entrant: a signal handler or a finalizer may log while its thread is in here. What it
        # logs then waits aside, as a count that is half changed can't be changed again.
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
            Whether the worker has to hear of it.

        Raises:
            Exception: a field of it is of another kind than logging makes it; nothing is counted.
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
        """Count a record that can't be taken."""
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
        """Return the slot of the others, if a record that has none is one of these."""
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
        """Count a group's first event; whether that is news, and no other thread was faster."""
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
        """Load what `told` needs; where that fails, nothing has been taken yet.

        Raises:
            Exception: what is needed can't be loaded, as where no more files can be opened.
        """
        self._redact.text("")

    def redacted(self, text: str) -> str:
        """Return a text without secrets."""
        return self._redact.text(text)

    def drain(self) -> tuple[Group, ...]:
        """Return what was counted since the last time, with samples."""
        return self.told(self.take())

    def take(self) -> list[tuple[str, Slot]]:
        """Return what was counted since the last time, by group."""
        with self._lock:
            late: list[tuple[str, Slot]] = []
            while self._aside:
                slot = self._aside.popleft()
                if self._inside is None:
                    self._first(slot)
                else:  # a signal handler sees to the end, in the middle of its thread's count
                    late.append((slot.identity.fingerprint, slot))
                    self._late += 1
            slots, self._slots = self._slots, {}  # at once: who logs meanwhile finds the new one
            self._room = _MAX_SAMPLES
            changing = self._inside
            taken = [item for item in slots.items() if item[1] is not changing]
            if len(taken) < len(slots):
                self._slots.update(item for item in slots.items() if item[1] is changing)
        return taken + late

    def told(self, taken: list[tuple[str, Slot]]) -> tuple[Group, ...]:
        """Return the groups of what was taken, with samples. It reads files."""
        room = _MAX_SAMPLES
        groups: list[Group] = []
        for name, slot in taken:
            group = self._group(slot)
            room -= group.size
            if room < 0:  # the lines of the code have come to what was captured
                room += group.size
                group = replace(group, samples=())
            groups.append(as_other(group) if name == OTHER else group)
        return tuple(groups)

    def _group(self, slot: Slot) -> Group:
        """Return the group of all that were counted in a slot."""
        kind, place, event = self._sample(slot)
        # Of what was only counted it is known that its time is a float, and no more.
        first, last = (
            time if abs(time) <= FAR else slot.capture.time for time in (slot.first, slot.last)
        )
        raised = next((line.text for line in event.traceback if line.kind == "error"), "")
        return Group(
            fingerprint=slot.identity.fingerprint,
            level=slot.level,
            level_name=short(slot.level_name, 20),
            logger=short(slot.logger, 100),
            kind=kind,
            place=place,
            text=short(raised or event.message, _MAX_TEXT),
            count=slot.count,
            first=first,
            last=last,
            sources=(Source(self._host, os.getpid(), self._version, slot.count),),
            samples=(event,) if slot.detailed else (),
        )

    def _sample(self, slot: Slot) -> tuple[str, str, Event]:
        """Return what happened, where, and a sample."""
        try:
            kind, place = slot.identity.describe(self._redact)
            event = slot.capture.event(
                own=self._own, host=self._host, source=linecache.getline, redact=self._redact
            )
        except Exception as error:  # noqa: BLE001 - what can't be told is counted all the same
            kind, place, event = (
                type_name(type(error)),
                "tocsin",
                slot.capture.placeholder(self._host),
            )
        return kind, place, event
