"""What is kept of a log record: text, bounded in size, that holds on to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tocsin.events.frames import Line  # noqa: TC001 - codec reads the types of fields


class Past(NamedTuple):
    """A record that came before an event: its context.

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
    """A sample of a group: one record, as text. The earlier one is the smaller one.

    Attributes:
        time: when it was logged, in seconds since the epoch.
        message: its text.
        location: file, line and function of the call that logged it.
        traceback: the exception, told in lines; empty without one.
        extra: the fields that the call added.
        host: the machine.
        pid: the process.
        thread: the thread's name; with the task's where there is one.
        context: what the same thread or task logged before it.
    """

    time: float
    message: str
    location: str
    traceback: tuple[Line, ...]
    extra: tuple[tuple[str, str], ...]
    host: str
    pid: int
    thread: str
    context: tuple[Past, ...] = ()

    @property
    def size(self) -> int:
        """Characters that it holds, about."""
        lines = sum(len(line.text) for line in self.traceback)
        fields = sum(len(key) + len(value) for key, value in self.extra)
        past = sum(len(one.message) + len(one.logger) for one in self.context)
        return len(self.message) + lines + fields + past
