"""The view of a sample: one event as the template of a group shows it, cut to its room.

Texts are redacted already, and cleaned here, as another program may have written the store. The
templates escape them. Each cut is stated where it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tocsin.events.frames import Line
from tocsin.text import cut, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.events.event import ContextRecord, Event
    from tocsin.render.times import Times

MAX_NAME = 100  # characters of a name; events and groups have shorter ones
MAX_TITLE = 250
_EXCEPTION_LINES = ("error", "cause")  # kinds of lines that show an exception, not a frame
_OVERHEAD = 16  # about how many characters the template adds to a line or a field


class Room(NamedTuple):
    """How many characters each part of a sample may have.

    Attributes:
        first: for the message and for the traceback of the first event.
        rest: for its fields and for its context, and for each part of the latest event.
    """

    first: int
    rest: int


NO_ROOM = Room(0, 0)
"""Samples are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleView:
    """One event of a group.

    Attributes:
        which: "First" or "Latest".
        time: when it was logged, to the millisecond.
        where: host, process and thread.
        message: its text; of the latest event, a note if it equals the first one's.
        location: the logging call; empty if there is a traceback.
        traceback: lines with a `kind` ("own", "library", "error", "cause", "more") and a `text`.
        origin: the request or the task: pairs of a name and a value; its kind comes first.
        extra: pairs of a field's name and its value.
        context: the records before it: `time`, `level`, `logger`, `message` of each.
    """

    which: str
    time: str
    where: str
    message: str
    location: str
    traceback: tuple[Line, ...]
    origin: tuple[tuple[str, str], ...]
    extra: tuple[tuple[str, str], ...]
    context: tuple[ContextView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextView:
    """A record that was logged before an event.

    Attributes:
        time: when it was logged, to the millisecond; "" for a line that states a cut.
        level: the level's name.
        logger: the logger's name.
        message: its text.
    """

    time: str
    level: str
    logger: str
    message: str


def view_samples(samples: tuple[Event, ...], times: Times, room: Room) -> Iterator[SampleView]:
    """Yield the views of a group's samples. The latest one shows only what differs.

    Args:
        samples: the first event and the latest one, or fewer.
        times: the format of times.
        room: for each part of a sample.
    """
    for number, event in enumerate(samples):
        first = samples[0] if number else None
        main = room.rest if number else room.first
        same_message = first is not None and first.message == event.message
        same_place = first is not None and not first.traceback and first.location == event.location
        same_context = first is not None and first.context == event.context
        where = [event.host, f"pid {event.pid}", *([event.thread] if event.thread else ())]
        yield SampleView(
            which="Latest" if number else "First",
            time=times.exact(event.time),
            where=", ".join(short(part, MAX_NAME) for part in where),
            message="[the same message]" if same_message else cut(event.message, main),
            location="" if event.traceback or same_place else short(event.location, MAX_TITLE),
            traceback=_cut_traceback(_new_lines(event, first), main),
            origin=_first_fields(event.origin, room.rest),
            extra=_first_fields(event.extra, room.rest),
            context=() if same_context else _last_context(event.context, times, room.rest),
        )


def min_size(samples: tuple[Event, ...], room: Room) -> int:
    """Return about how many characters the views of samples have at least."""
    first, rest = room
    total = 0
    for event in samples:
        lines = sum(len(line.text) for line in event.traceback)
        fields = sum(len(name) + len(value) for name, value in (*event.origin, *event.extra))
        context = sum(len(one.message) for one in event.context)
        total += min(len(event.message), first) + min(lines, first)
        total += min(fields, rest) + min(context, rest)
        first = rest
    return total


def _new_lines(event: Event, first: Event | None) -> tuple[Line, ...]:
    """Return the lines of a traceback that differ from those of the first event."""
    lines = event.traceback
    if first is None or not lines:
        return lines
    if lines == first.traceback:
        return (Line("more", "[the same traceback]"),)
    if _frames(lines) == _frames(first.traceback):
        other = [
            line for line in lines if line.kind in _EXCEPTION_LINES and line not in first.traceback
        ]
        return (Line("more", "[the same frames]"), *other)
    return lines


def _frames(lines: tuple[Line, ...]) -> list[Line]:
    return [line for line in lines if line.kind not in _EXCEPTION_LINES]


def _cut_traceback(lines: tuple[Line, ...], room: int) -> tuple[Line, ...]:
    """Return the lines that have room: the last ones up to the exception, then the related ones."""
    lines = tuple(Line(kind, cut(text, room // 2)) for kind, text in lines)
    end = next((number for number, line in enumerate(lines, 1) if line.kind == "error"), len(lines))
    main, related = lines[:end], lines[end:]
    sizes = [len(line.text) + _OVERHEAD for line in lines]
    kept = _fitting(sizes[:end][::-1], room) or min(1, end)
    kept_related = _fitting(sizes[end:], room - sum(sizes[end - kept : end]))
    shown = [*main[end - kept :], *related[:kept_related]]
    if kept < len(main):
        note = f"[cut: last {kept:,} of {len(main):,} lines of the traceback]"
        shown.insert(0, Line("more", note))
    if kept_related < len(related):
        note = f"[cut: first {kept_related:,} of {len(related):,} lines of related exceptions]"
        shown.append(Line("more", note))
    return tuple(shown)


def _first_fields(extra: tuple[tuple[str, str], ...], room: int) -> tuple[tuple[str, str], ...]:
    fields = [(short(name, MAX_NAME), cut(value, room // 4)) for name, value in extra]
    kept = _fitting([len(name) + len(value) + _OVERHEAD for name, value in fields], room)
    if kept < len(fields):
        fields[kept:] = [("...", f"[cut: first {kept} of {len(extra)} fields]")]
    return tuple(fields)


def _last_context(
    context: tuple[ContextRecord, ...], times: Times, room: int
) -> tuple[ContextView, ...]:
    shown = [
        ContextView(
            time=times.exact(record.time),
            level=short(record.level, MAX_NAME),
            logger=short(record.logger, MAX_NAME),
            message=cut(record.message, room // 4),
        )
        for record in context
    ]
    sizes = [len(one.message) + len(one.logger) + 2 * _OVERHEAD for one in reversed(shown)]
    kept = _fitting(sizes, room)
    if kept < len(context):
        note = f"[cut: last {kept} of {len(context)} records before it]"
        shown[: len(context) - kept] = [ContextView(time="", level="", logger="", message=note)]
    return tuple(shown)


def _fitting(sizes: list[int], room: int) -> int:
    """Return how many of the first sizes fit into the room together."""
    for position, size in enumerate(sizes):
        room -= size
        if room < 0:
            return position
    return len(sizes)
