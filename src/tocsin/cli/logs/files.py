"""The files of logs: plain, compressed by gzip, or standard input; merged by time."""

from __future__ import annotations

import contextlib
import gzip
import heapq
import io
import itertools
import os
import sys
import zlib
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from tocsin.cli.logs.reader import LogReader
from tocsin.cli.logs.text_lines import PatternLines, TextLines
from tocsin.cli.logs.times import Times
from tocsin.cli.output import UsageError
from tocsin.text import short

if TYPE_CHECKING:
    import datetime as dt
    import logging
    from collections.abc import Callable, Iterator

_MAX_NAME = 300  # characters
_MAX_LINE = 1 << 20  # characters; the rest of a longer line is skipped
_SAMPLE = 200  # lines by which the format of a log is recognized
_EACH = 4096  # lines between two calls of `progress`
_GZIP = b"\x1f\x8b"


class LogFile:
    """A log, whose records are read once.

    Args:
        path: its path; "-" for standard input.
        least: the lowest level of records that are read.
        zone: the zone of times that name none.
        pattern: a regular expression for its text lines; None for the usual formats.
        progress: called from time to time.

    Attributes:
        name: how it is shown.
        lines: how many lines were read so far.
        reader: what reads the lines; None before the first one.
        size: bytes of the file; 0 if they aren't known.
        problem: why the file couldn't be read to its end; "" if it could.

    Raises:
        UsageError: it can't be opened, or the pattern is wrong.
    """

    def __init__(
        self,
        path: str,
        *,
        least: int,
        zone: dt.tzinfo | None = None,
        pattern: str | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.name: str = "standard input" if path == "-" else short(path, _MAX_NAME)
        self.lines: int = 0
        self.problem: str = ""
        self._least = least
        self._progress = progress
        self._pattern = None if pattern is None else PatternLines(pattern)
        self._raw, self._text = _open(path)
        found = os.fstat(self._raw.fileno()) if path != "-" else None
        self.size: int = found.st_size if found else 0
        self._times = Times(zone, found.st_mtime if found else 0)
        self.reader: LogReader = LogReader(self._pattern or TextLines(), self._times, least)

    @property
    def position(self) -> int:
        """How many bytes of the file were read so far."""
        return self._raw.tell() if self.size and not self._raw.closed else self.size

    def records(self) -> Iterator[logging.LogRecord]:
        """Yield the records, as far as the file can be read."""
        with contextlib.closing(self._raw), contextlib.closing(self._text):
            lines = self._until_a_problem(_lines(self._text))
            yield from self._records(lines)

    def _until_a_problem(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield lines; the rest of a damaged file is left out."""
        try:
            yield from lines
        except (OSError, EOFError, zlib.error) as error:
            self.problem = getattr(error, "strerror", None) or str(error)

    def _records(self, lines: Iterator[str]) -> Iterator[logging.LogRecord]:
        sample = list(itertools.islice(lines, _SAMPLE))
        format_ = self._pattern or TextLines(sample)
        reader = self.reader = LogReader(format_, self._times, self._least)
        feed = reader.feed
        for number, line in enumerate(itertools.chain(sample, lines), 1):
            record = feed(line, number)
            if not number % _EACH:
                self.lines = number
                self._progress()
            if record is not None:
                self.lines = number
                yield record
            self.lines = number
        yield from reader.finish()


def merged(files: list[LogFile]) -> Iterator[logging.LogRecord]:
    """Yield the records of all files, by time: rotated files may be given in any order."""
    if len(files) == 1:
        return files[0].records()
    streams = [_in_order(file.records()) for file in files]
    pairs = heapq.merge(*streams, key=lambda pair: pair[0])
    return (record for _, record in pairs)


def _in_order(records: Iterator[logging.LogRecord]) -> Iterator[tuple[float, logging.LogRecord]]:
    """Yield records with times that never go back."""
    latest = 0.0
    for record in records:
        latest = max(latest, record.created)
        yield latest, record


def _open(path: str) -> tuple[IO[bytes], IO[str]]:
    """Return the bytes of a file and its text."""
    if path == "-":
        if sys.stdin is None:
            raise UsageError("standard input is closed")
        return sys.stdin.buffer, io.TextIOWrapper(
            sys.stdin.buffer, "utf-8-sig", "replace", newline="\n"
        )
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 - `LogFile.records` closes it
        start = raw.peek(2)[:2]
    except OSError as error:
        raise UsageError(f"can't read {path!r}: {error.strerror}") from None
    content = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if start == _GZIP else raw
    return raw, io.TextIOWrapper(content, "utf-8-sig", "replace", newline="\n")


def _lines(text: IO[str]) -> Iterator[str]:
    """Yield lines without their ends; of a line that is too long, its start."""
    read: Callable[[], Any] = partial(text.readline, _MAX_LINE)
    for line in iter(read, ""):
        if line[-1] == "\n":
            yield line[:-1].rstrip("\r")
            continue
        yield line
        while len(line) == _MAX_LINE and line[-1] != "\n":
            line = read()  # noqa: PLW2901 - the rest of it
            if not line:
                return
