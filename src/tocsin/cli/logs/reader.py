"""The reader of a log: from its lines to records of logging.

The lines of a traceback, or of a long message, belong to the record before them. A line that begins
with "{" is a JSON object; Docker's has a line of the program in it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tocsin.cli.logs.json_lines import JSONLines, read_object, read_printed
from tocsin.events import traceback_text

if TYPE_CHECKING:
    from tocsin.cli.logs.entry import Entry
    from tocsin.cli.logs.times import Times

_MAX_LINES = 400  # of a record: the first ones; then its last ones are kept
_MAX_LINE = 20_000  # characters
_UNKNOWN = logging.makeLogRecord({"process": 0, "threadName": "", "processName": ""}).__dict__
_MAX_PART = 1 << 20  # characters of a line that Docker has split
_TRACEBACK = "Traceback (most recent call last)"
_TRACEBACK_STARTS = (_TRACEBACK, "  + Exception Group " + _TRACEBACK, "╭")  # the last is rich's
_LINKS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)


class Lines(Protocol):
    """The format of text lines."""

    def entry(self, line: str, least: int) -> Entry | None:
        """Return the entry that a line begins; None if it begins none."""
        ...

    def is_foreign(self, line: str) -> bool:
        """Return whether a line that begins no entry belongs to no record either."""
        ...


@dataclass(slots=True)
class _Stream:
    """The records of one stream, such as the standard error of a container.

    Attributes:
        entry: the record whose lines are read; None before the first one.
        created: its time.
        lines: its further lines.
        open: whether further lines may belong to the record before, also where it is ignored.
        linked: whether the line before says that the next traceback is of the same error.
        parts: the start of a line that Docker has split.
        size: the characters of these parts.
    """

    entry: Entry | None = None
    created: float = 0
    lines: list[str] = field(default_factory=list[str])
    open: bool = False
    linked: bool = False
    parts: list[str] = field(default_factory=list[str])
    size: int = 0


class LogReader:
    """Read the lines of one log.

    Args:
        lines: the format of its text lines.
        times: reads times.
        least: the lowest level of records that are returned.

    Attributes:
        records: how many records began, those below the lowest level included.
        unread: how many lines belong to no record.
        first_unread: the number of the first of these lines; 0 if there is none.
        tracebacks: how many tracebacks belong to no record of the lowest level or above.
        first_traceback: the number of the first line of one; 0 if there is none.
        first_time: the time of the first record that has one; None if none has.
    """

    def __init__(self, lines: Lines, times: Times, least: int) -> None:
        self.records: int = 0
        self.unread: int = 0
        self.first_unread: int = 0
        self.tracebacks: int = 0
        self.first_traceback: int = 0
        self.first_time: float | None = None
        self._lines = lines
        self._json = JSONLines()
        self._times = times
        self._least = least
        self._streams: dict[str, _Stream] = {"": _Stream()}
        self._written: object = None  # the time of the latest record, as it is written
        self._time = 0.0  # the latest time that was read

    def feed(self, line: str, number: int) -> logging.LogRecord | None:
        """Read a line; return the record that ends before it, if there is one.

        Args:
            line: the line, without its end.
            number: its number.
        """
        if line[:1] == "{" and (found := read_object(line)) is not None:
            if isinstance(found.get("log"), str) and ("stream" in found or "time" in found):
                return self._feed_docker(found, number)
            return self._feed_object(found, number, self._streams[""], None)
        return self._feed_text(line, number, self._streams[""], None)

    def finish(self) -> list[logging.LogRecord]:
        """Return the records whose last lines are read."""
        ended = [self._end(stream) for stream in self._streams.values()]
        return [record for record in ended if record is not None]

    @property
    def last_time(self) -> float | None:
        """The time of the latest record; None if no record has a time."""
        return None if self.first_time is None else self._now()

    def _feed_docker(self, found: dict[str, Any], number: int) -> logging.LogRecord | None:
        """Read a line of Docker's json-file: a line of the program, and when it was written."""
        name = found.get("stream")
        stream = self._streams.setdefault(name if name == "stderr" else "stdout", _Stream())
        text = found["log"]
        stream.parts.append(text)
        stream.size += len(text) + 1  # an empty part counts, too
        if not text.endswith("\n") and stream.size < _MAX_PART:
            return None
        line = "".join(stream.parts).rstrip("\r\n")
        stream.parts, stream.size = [], 0
        inner = read_object(line) if line[:1] == "{" else None
        if inner is not None:
            return self._feed_object(inner, number, stream, found.get("time"))
        return self._feed_text(line, number, stream, found.get("time"))

    def _feed_object(
        self, found: dict[str, Any], number: int, stream: _Stream, time: object
    ) -> logging.LogRecord | None:
        entry = self._json.entry(found, self._least)
        if entry is None:
            self._miss(number)
            stream.open = False
            return self._end(stream)
        return self._begin(entry, stream, time)

    def _feed_text(
        self, line: str, number: int, stream: _Stream, time: object
    ) -> logging.LogRecord | None:
        if line[:1] not in " \t":  # nor is it empty
            if "\x1b" in line:
                line = _without_colours(line)
            entry = self._lines.entry(line, self._least) or self._printed(line)
            if entry is not None:
                return self._begin(entry, stream, time)
            if self._lines.is_foreign(line):
                self._miss(number)
                stream.open = False
                return self._end(stream)
        if stream.entry is None:
            self._look_for_traceback(line, number, stream)
        if not stream.open:
            if line.strip():
                self._miss(number)
        elif stream.entry is not None:
            if len(stream.lines) >= _MAX_LINES:
                del stream.lines[_MAX_LINES // 4]
            stream.lines.append(line[:_MAX_LINE])
        return None

    def _printed(self, line: str) -> Entry | None:
        found = read_printed(line)
        entry = None if found is None else self._json.entry(found, self._least)
        return None if entry is None else entry._replace(whole=False)

    def _look_for_traceback(self, line: str, number: int, stream: _Stream) -> None:
        """Count a traceback that belongs to no record; one error may have several in a row."""
        if _TRACEBACK in line and line.startswith(_TRACEBACK_STARTS) and not stream.linked:
            self.tracebacks += 1
            self.first_traceback = self.first_traceback or number
        if line.strip():
            stream.linked = line.startswith(_LINKS)

    def _begin(self, entry: Entry, stream: _Stream, time: object) -> logging.LogRecord | None:
        """Begin a record, and end the one before it."""
        ended = self._end(stream)
        self.records += 1
        written = time if entry.time is None else entry.time
        if written is not None:
            self._written = written
            if self.first_time is None:
                self.first_time = self._now()
            elif isinstance(written, str) and written[2:3] == ":":
                self._now()  # without a date, each time has to be read: a new day may begin
        stream.open = not entry.whole
        if entry.level >= self._least:
            stream.entry, stream.created = entry, self._now()
        return ended

    def _now(self) -> float:
        """Return the time of the latest record that has one."""
        time = None if self._written is None else self._times.read(self._written)
        if time is not None:
            self._time = time
        return self._time

    def _end(self, stream: _Stream) -> logging.LogRecord | None:
        """Return the record whose last line was read; None if there is none."""
        entry, stream.entry = stream.entry, None
        lines, stream.lines = stream.lines, []
        return None if entry is None else _record(entry, stream.created, lines)

    def _miss(self, number: int) -> None:
        self.unread += 1
        self.first_unread = self.first_unread or number


def _record(entry: Entry, created: float, lines: list[str]) -> logging.LogRecord:
    """Return a record as a handler would have got it, apart from the arguments of its message."""
    message = entry.message
    printed = read_printed(message)
    trace: str | None = entry.fields.get("exc_text")
    if lines:
        message = "\n".join((message, *lines)).rstrip()
    if trace is None and (parts := traceback_text.split(message)) is not None:
        message, trace = parts
    whole = printed is not None and message == entry.message
    # `logging.makeLogRecord` takes four times as long: it looks up process and thread.
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__.update(_UNKNOWN)
    record.__dict__.update(entry.fields)
    record.__dict__.update(
        msg=printed if whole else message,  # as structlog gives it to a handler
        created=created,
        levelno=entry.level,
        levelname=logging.getLevelName(entry.level),
        name=entry.logger or "root",
        exc_text=trace,
    )
    return record


def _without_colours(line: str) -> str:
    """Return a line without the escape sequences of colours (ECMA-48 SGR)."""
    parts = line.split("\x1b[")
    kept = [parts[0]]
    for part in parts[1:]:
        codes = part.lstrip("0123456789;")
        kept.append(codes[1:] if codes[:1] == "m" else part)
    return "".join(kept)
