"""Where records arrive, in the application's threads: counted, bounded, without I/O.

A record of a group that was seen since the last drain is only counted. The first one becomes a
sample: its text is made here, so that nothing holds on to its arguments or its frames.
"""

from __future__ import annotations

import enum
import os
import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.alerts.event import Event
from tocsin.alerts.fingerprint import Fingerprints
from tocsin.alerts.grouping import OTHER, Group, Source, as_other
from tocsin.alerts.text import short

if TYPE_CHECKING:
    import logging

    from tocsin.alerts.fingerprint import Identity
    from tocsin.alerts.frames import OwnCode

_MAX_SAMPLES = 1 << 20  # characters of all samples together
_MAX_TEXT = 200


class Wake(enum.IntEnum):
    """Whether the worker has to hear of a record."""

    NO = 0
    SOON = 1
    NOW = 2


class Slot:
    """What is counted of a group since the last drain."""

    __slots__ = ("count", "first", "group", "last")

    def __init__(self, group: Group) -> None:
        self.group: Group = group
        self.count: int = 1
        self.first: float = group.first
        self.last: float = group.first

    def add(self, time: float) -> None:
        """Count one more."""
        if time > self.last:
            self.last = time
        elif time < self.first:
            self.first = time
        self.count += 1

    def total(self, source: tuple[str, int, str]) -> Group:
        """Return the group of all that were counted."""
        return replace(
            self.group,
            count=self.count,
            first=self.first,
            last=self.last,
            sources=(Source(*source, self.count),),
        )


class Intake:
    """Count records by group until they are drained.

    Args:
        own: tells the application's own frames.
        host: the machine's name.
        version: the application's, or "".
        limit: how many groups are told apart.
        urgent_level: from which level on a new group is drained at once.

    Attributes:
        dropped: how many of them couldn't be taken.
    """

    def __init__(
        self, *, own: OwnCode, host: str, limit: int, urgent_level: int, version: str = ""
    ) -> None:
        self._own = own
        self._host = host
        self._version = version
        self._limit = limit
        self._urgent_level = urgent_level
        self._fingerprints = Fingerprints(own)
        # Re-entrant: a signal handler or a finalizer may log while its thread is in here. What it
        # logs then waits aside, as a count that is half changed can't be changed again.
        self._lock = threading.RLock()
        self._inside = False
        self._aside: deque[Group] = deque()
        self._slots: dict[str, Slot] = {}
        self._room = _MAX_SAMPLES
        self._counted = 0
        self.dropped: int = 0

    def add(self, record: logging.LogRecord, formatter: logging.Formatter | None) -> Wake:
        """Count a record.

        Args:
            record: the record.
            formatter: makes the text of a sample, if given.

        Returns:
            Whether the worker has to hear of it.
        """
        try:
            identity = self._fingerprints.of(record)
            with self._lock:
                if not self._inside and self._repeat(identity.fingerprint, record):
                    return Wake.NO
            event = Event.of(record, own=self._own, host=self._host, formatter=formatter)
            group = first_of(record, identity, event)
            with self._lock:
                if self._inside:
                    self._aside.append(group)
                    return Wake.SOON
                return self._first(group)
        except Exception:
            with self._lock:
                self._counted += 1
                self.dropped += 1
            raise

    @property
    def seen(self) -> int:
        """Records so far."""
        return self._counted + len(self._aside)

    def _repeat(self, fingerprint: str, record: logging.LogRecord) -> bool:
        """Count a record whose group has a slot; whether it has one."""
        slot = self._slots.get(fingerprint)
        if slot is None and len(self._slots) > self._limit:
            other = self._slots[OTHER]
            slot = other if record.levelno <= other.group.level else None
        if slot is None:
            return False
        self._inside = True
        try:
            slot.add(record.created)
            self._counted += 1
        finally:
            self._inside = False
        return True

    def _first(self, group: Group) -> Wake:
        """Count what may be a group's first event."""
        self._inside = True
        try:
            idle = not self._slots
            urgent = self._insert(group) and group.level >= self._urgent_level
            self._counted += 1
        finally:
            self._inside = False
        return Wake.NOW if urgent else Wake.SOON if idle else Wake.NO

    def _insert(self, group: Group) -> bool:
        """Count a group's first event; whether that is news, and no other thread was faster."""
        if group.fingerprint not in self._slots and len(self._slots) >= self._limit:
            group = as_other(group)
        slot = self._slots.get(group.fingerprint)
        if slot is not None:
            slot.add(group.first)
            worse = group.level > slot.group.level  # among the others
            if worse:
                slot.group = replace(slot.group, level=group.level, level_name=group.level_name)
            return worse
        if group.size > self._room:
            group = replace(group, samples=())
        self._room -= group.size
        self._slots[group.fingerprint] = Slot(group)
        return True

    def drain(self) -> tuple[Group, ...]:
        """Return what was counted since the last time."""
        with self._lock:
            while self._aside:
                self._first(self._aside.popleft())
            slots, self._slots = self._slots, {}
            self._room = _MAX_SAMPLES
        source = self._host, os.getpid(), self._version
        return tuple(slot.total(source) for slot in slots.values())


def first_of(record: logging.LogRecord, identity: Identity, event: Event) -> Group:
    """Return the group that holds one event."""
    raised = next((line.text for line in event.traceback if line.kind == "error"), "")
    return Group(
        fingerprint=identity.fingerprint,
        level=int(record.levelno),
        level_name=short(record.levelname, 20),
        logger=short(record.name, 100),
        kind=identity.kind,
        place=identity.place,
        text=short(raised or event.message, _MAX_TEXT),
        count=1,
        first=event.time,
        last=event.time,
        sources=(),
        samples=(event,),
    )
