"""The event: one record as text, bounded in size, cleaned and redacted.

Events are stored as a part of their groups. So the names of their fields do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tocsin.events.frames import Line  # noqa: TC001 - codec reads the types of fields


class ContextRecord(NamedTuple):
    """A record of an event's context: it was logged before the event.

    Attributes:
        time: when it was logged, in seconds since the epoch.
        level: the level's name.
        logger: the logger's name.
        message: its text.
    """

    time: float
    level: str
    logger: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Event:
    """One record as text: a sample of a group. Events are ordered by time.

    Attributes:
        time: when it was logged, in seconds since the epoch.
        message: its text.
        location: file, line and function of the logging call.
        traceback: the lines that show the exception; empty without one.
        extra: names and values of the extra fields.
        host: the machine.
        pid: the process.
        thread: the thread's name, followed by the asyncio task's name if there is one.
        context: the records that the same thread or task logged before it.
        origin: names and values of the request or the task in which it was logged.
    """

    time: float
    message: str
    location: str
    traceback: tuple[Line, ...]
    extra: tuple[tuple[str, str], ...]
    host: str
    pid: int
    thread: str
    context: tuple[ContextRecord, ...] = ()
    origin: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """About how many characters it holds."""
        lines = sum(len(line.text) for line in self.traceback)
        fields = sum(len(key) + len(value) for key, value in (*self.origin, *self.extra))
        context = sum(len(one.message) + len(one.logger) for one in self.context)
        return len(self.message) + lines + fields + context
