"""A slot of the intake: one group's count and first record, and how it becomes a group."""

from __future__ import annotations

import linecache
import os
from typing import TYPE_CHECKING

from tocsin.alerts.grouping import Group, Source
from tocsin.events.records import FAR
from tocsin.text import short, type_name

if TYPE_CHECKING:
    import logging

    from tocsin.events.capture import Capture
    from tocsin.events.event import Event
    from tocsin.events.fingerprint import Identity
    from tocsin.events.frames import OwnCode
    from tocsin.redact.base import Redacts

_MAX_TEXT = 200


class Slot:
    """The records of a group since the last drain: how many, and the first one."""

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
        """Count one more record, of that time."""
        if time > self.last:
            self.last = time
        elif time < self.first:
            self.first = time
        self.count += 1


class Describer:
    """Make the group of a slot. It reads source files, and takes secrets out of text.

    Args:
        own: tells the application's own frames.
        host: the machine's name.
        version: the application's version, or "".
        redact: takes secrets out of text.
    """

    def __init__(self, *, own: OwnCode, host: str, version: str, redact: Redacts) -> None:
        self._own = own
        self._host = host
        self._version = version
        self._redact = redact

    def prepare(self) -> None:
        """Load the redactor.

        Raises:
            Exception: it cannot be loaded, as where no more files can be opened.
        """
        self._redact.text("")

    def group(self, slot: Slot) -> Group:
        """Return the group of all records that were counted in a slot."""
        kind, place, event = self._sample(slot)
        # Of a record that was only counted it is known that its time is a float, and no more.
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
        """Return the kind of error, its place, and a sample."""
        try:
            kind, place = slot.identity.describe(self._redact)
            event = slot.capture.event(
                own=self._own, host=self._host, source=linecache.getline, redact=self._redact
            )
        except Exception as error:  # noqa: BLE001 - an event that can't be described is counted
            return type_name(type(error)), "tocsin", slot.capture.placeholder(self._host)
        return kind, place, event
