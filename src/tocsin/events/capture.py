"""The capture: a record as it is kept in the application's thread, until it becomes an event.

Capturing is cheap. A capture is bounded in size, and holds no reference to arguments,
exceptions, frames or tracebacks. The slow work is done later, in the worker, by `Capture.event`:
reading lines of source code, and redacting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.events import exceptions, traceback_text
from tocsin.events.event import ContextRecord, Event
from tocsin.events.fields import content_of, exception_of
from tocsin.events.frames import Line, shown_path
from tocsin.text import MARGIN, Excerpt, attempt, short, type_name

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Sequence

    from tocsin.events.captured import CapturedException
    from tocsin.events.fields import Content
    from tocsin.events.frames import OwnCode, Source
    from tocsin.redact.base import Redacts

    Format = Callable[[tuple[CapturedException, ...]], tuple[Line, ...]]

MAX_CONTEXT_MESSAGE = 500  # characters
_MAX_MESSAGE = 10_000
_MAX_FIELDS = 20
_MAX_NAME = 100
_MAX_FIELD = 500
_MAX_TITLE = 200


class CapturedRecord(NamedTuple):
    """A record of the context: it was logged before the error.

    Attributes:
        time: when it was logged, in seconds since the epoch.
        level: the level's name.
        logger: the logger's name.
        message: its text, neither cleaned nor redacted.
    """

    time: float
    level: str
    logger: str
    message: Excerpt


class Origin(NamedTuple):
    """The request or the task in which a record was logged.

    Attributes:
        values: names and values, such as "request" and "GET /"; neither cleaned nor redacted.
        used: the record's extra fields that have nothing more to tell.
    """

    values: tuple[tuple[str, str], ...]
    used: frozenset[str] = frozenset()


NO_ORIGIN = Origin(())


@dataclass(slots=True, kw_only=True)
class Capture:
    """A captured record. Its texts are neither cleaned nor redacted.

    Attributes:
        time: when it was logged, in seconds since the epoch.
        logger: the logger's name.
        message: its text.
        path: the file of the logging call.
        call: the line and the function of that call.
        chain: the exception, followed by the related ones; empty without one.
        printed: a traceback that arrived as text, or None.
        stack: the `stack_info`, or None.
        origin: names and values of the request or the task.
        extra: names and values of the first extra fields.
        field_count: how many extra fields the record has.
        pid: the process.
        thread: the thread's name, followed by the asyncio task's name if there is one.
        context: the records that the same thread or task logged before it.
    """

    time: float
    logger: str
    message: Excerpt
    path: str
    call: str
    chain: tuple[CapturedException, ...]
    printed: Excerpt | None
    stack: Excerpt | None
    origin: tuple[tuple[Excerpt, Excerpt], ...]
    extra: tuple[tuple[Excerpt, Excerpt], ...]
    field_count: int
    pid: int
    thread: str
    context: tuple[CapturedRecord, ...]

    @classmethod
    def of(
        cls,
        record: logging.LogRecord,
        *,
        formatter: logging.Formatter | None = None,
        note_source: Callable[[str, dict[str, Any]], object] = lambda _path, _names: None,
        origin: Origin = NO_ORIGIN,
        context: tuple[CapturedRecord, ...] = (),
    ) -> Capture:
        """Capture a record.

        Args:
            record: any record. The text of its message or of a field may raise.
            formatter: formats the message, without the traceback; None for the bare message.
            note_source: called with each file of a traceback and the globals of its code, so that
                its lines can be read later: `linecache.lazycache`.
            origin: the request or the task in which it was logged.
            context: the records before it.
        """
        error = exception_of(record)
        content = content_of(record, formatter)
        message, printed = _printed_in(record, content, error)
        if printed is not None:
            error = None
        stack = record.stack_info or content.stack
        extra = [item for item in content.extra if item[0] not in origin.used]
        return cls(
            time=float(record.created),
            logger=f"{record.name}"[:_MAX_FIELD],
            message=Excerpt.from_start(message, _MAX_MESSAGE),
            path=f"{record.pathname}"[:_MAX_FIELD],
            call=f"{record.lineno} in {record.funcName}"[:_MAX_FIELD],
            chain=() if error is None else exceptions.capture(error, note_source),
            printed=printed,
            stack=Excerpt.from_end(attempt(stack), traceback_text.MAX_BODY) if stack else None,
            origin=_pairs(origin.values),
            extra=_pairs(extra),
            field_count=len(extra),
            pid=record.process if isinstance(record.process, int) else 0,
            thread=_thread(record),
            context=context,
        )

    @property
    def size(self) -> int:
        """About how many characters it holds."""
        size = len(self.message.text)
        for text in (self.printed, self.stack):
            size += 0 if text is None else len(text.text)
        for name, value in (*self.origin, *self.extra):
            size += len(name.text) + len(value.text)
        for error in self.chain:
            size += error.size
        for record in self.context:
            size += len(record.message.text) + len(record.logger)
        return size

    def brief(self) -> Capture:
        """Return a small capture with only the start of the message and of the exception's text."""
        first = [one._replace(text=_shorter(one.text), frames=()) for one in self.chain[:1]]
        return replace(
            self,
            message=_shorter(self.message),
            chain=tuple(first),
            printed=None,
            stack=None,
            origin=(),
            extra=(),
            context=(),
        )

    def event(self, *, own: OwnCode, host: str, source: Source, redact: Redacts) -> Event:
        """Return the event: cleaned, redacted, with the lines of source code.

        Args:
            own: decides which frames are the application's own.
            host: the machine's name.
            source: returns a line of source code: `linecache.getline`.
            redact: takes secrets out.
        """
        show = partial(
            exceptions.format_lines, own=own, logger=self.logger, source=source, redact=redact
        )
        return Event(
            time=self.time,
            message=self.message.show_start(_MAX_MESSAGE, redact.text),
            location=short(f"{shown_path(self.path)}:{self.call}", _MAX_FIELD),
            traceback=self._traceback(show, redact),
            origin=tuple(_shown_pairs(self.origin, redact)),
            extra=self._shown_extra(redact),
            host=host,
            pid=self.pid,
            thread=short(self.thread, _MAX_NAME),
            context=tuple(_context_record(one, redact) for one in self.context),
        )

    def placeholder(self, host: str) -> Event:
        """Return an event without content, for a record that can't be made an event."""
        return Event(
            time=self.time,
            message="[this record can't be shown]",
            location="",
            traceback=(),
            extra=(),
            host=host,
            pid=self.pid,
            thread="",
        )

    def _traceback(self, show: Format, redact: Redacts) -> tuple[Line, ...]:
        lines = show(self.chain)
        if self.printed is not None:
            lines += _printed(self.printed.show_end(traceback_text.MAX_BODY, redact.text), show)
        if self.stack is not None:
            lines += _plain(self.stack.show_end(traceback_text.MAX_BODY, redact.text))
        return lines

    def _shown_extra(self, redact: Redacts) -> tuple[tuple[str, str], ...]:
        shown = list(_shown_pairs(self.extra, redact))
        if self.field_count > len(self.extra):
            shown.append(("...", f"[cut: first {len(self.extra)} of {self.field_count} fields]"))
        return tuple(shown)


def _thread(record: logging.LogRecord) -> str:
    task = record.__dict__.get("taskName")
    return (f"{record.threadName} {task}" if task else f"{record.threadName}")[:_MAX_FIELD]


def _shown_pairs(
    pairs: tuple[tuple[Excerpt, Excerpt], ...], redact: Redacts
) -> Iterator[tuple[str, str]]:
    for name, value in pairs:
        key = name.show_start(_MAX_NAME + MARGIN, redact.text)
        text = value.show_start(_MAX_FIELD, partial(redact.field, key))
        yield short(key, _MAX_NAME), text


def _pairs(fields: Sequence[tuple[object, object]]) -> tuple[tuple[Excerpt, Excerpt], ...]:
    return tuple(
        (
            Excerpt.from_start(attempt(name), _MAX_NAME),
            Excerpt.from_start(attempt(value), _MAX_FIELD),
        )
        for name, value in fields[:_MAX_FIELDS]
    )


def _shorter(text: Excerpt) -> Excerpt:
    return Excerpt(text.text[: _MAX_TITLE + MARGIN], text.length)


def _printed_in(
    record: logging.LogRecord, content: Content, error: BaseException | None
) -> tuple[str, Excerpt | None]:
    """Return the message without a traceback at its end, and the traceback that is to be shown.

    Args:
        record: the record. A formatter, or the application, may have put a traceback into it.
        content: its content.
        error: its exception, or None.

    Returns:
        The message, and the traceback. The traceback is None if there is none, or if it is the
        one of `error`. The traceback of another exception remains a part of the message.
    """
    text = content.traceback if (record.exc_text or "").isspace() else record.exc_text
    text = text or content.traceback
    message, body = traceback_text.split(content.message) or (content.message, "")
    if error is None:
        text = text or body
        return message, Excerpt.from_end(text, traceback_text.MAX_BODY) if text else None
    if exceptions.traceback_of(error) is None:  # it was pickled: the text tells more
        name = type_name(type(error))
        for one in (text, body):
            found = traceback_text.parse(one)
            if found is not None and found.kind.rpartition(".")[2] == name:
                return message, Excerpt.from_end(one, traceback_text.MAX_BODY)
    return (message if _prints(body, error) else content.message), None


def _prints(body: str, error: BaseException) -> bool:
    """Return whether a printed traceback is an exception's: it has the innermost frame."""
    trace = exceptions.traceback_of(error)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    return f", line {trace.tb_lineno}, in {trace.tb_frame.f_code.co_name}" in body


def _printed(text: str, show: Format) -> tuple[Line, ...]:
    """Return the lines of a traceback that arrived as text, in the form of a captured one."""
    lines: tuple[Line, ...] = ()
    if text.startswith("[cut: "):
        cut, _, rest = text.partition("\n")
        lines, text = (Line("more", cut),), f"{traceback_text.HEADER}\n{rest}"
    found = traceback_text.parse(text)
    if found is None:
        return lines + _plain(text)
    return lines + show(found.chain) + tuple(Line("library", line) for line in found.stack)


def _plain(text: str) -> tuple[Line, ...]:
    return tuple(Line("library", line) for line in text.splitlines())


def _context_record(record: CapturedRecord, redact: Redacts) -> ContextRecord:
    message = record.message.show_start(MAX_CONTEXT_MESSAGE, redact.text)
    return ContextRecord(
        record.time, short(record.level, 20), short(record.logger, _MAX_NAME), message
    )
