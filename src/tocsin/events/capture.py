"""The capture: what is taken of a record in the application's thread, to be finished elsewhere.

It costs little, is bounded in size, and holds on to nothing: neither arguments nor exceptions,
frames or tracebacks. What takes time, such as reading the lines of the code, and looking for
secrets, is done where the capture becomes an event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.events import exceptions, traceback_text
from tocsin.events.event import Event, Past
from tocsin.events.fields import fields, raised, wording
from tocsin.events.frames import Line, shown_path
from tocsin.text import MARGIN, Raw, attempt, short

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tocsin.events.exceptions import Fault
    from tocsin.events.frames import OwnCode, Source
    from tocsin.redact.base import Redacts

MAX_PAST = 500  # characters of a record that came before
_MAX_MESSAGE = 10_000
_MAX_FIELDS = 20
_MAX_NAME = 100
_MAX_FIELD = 500
_MAX_TITLE = 200


class Before(NamedTuple):
    """A record that came before, as it came.

    Attributes:
        time: when it was logged, in seconds since the epoch.
        level: the level's name.
        logger: the logger's name.
        message: its text.
    """

    time: float
    level: str
    logger: str
    message: Raw


@dataclass(slots=True, kw_only=True)
class Capture:
    """A record, as it came: text that isn't clean yet, may hold secrets, and is cut later.

    Attributes:
        time: when it was logged, in seconds since the epoch.
        logger: the logger's name.
        message: its text.
        path: the file of the call that logged it.
        call: the line and the function of that call.
        faults: the exception and those behind it.
        trace: an exception that came as text.
        stack: where it was logged, if that was asked for.
        extra: the fields that the call added.
        fields: how many these were.
        pid: the process.
        thread: the thread's name; with the task's where there is one.
        context: what the same thread or task logged before it.
    """

    time: float
    logger: str
    message: Raw
    path: str
    call: str
    faults: tuple[Fault, ...]
    trace: Raw | None
    stack: Raw | None
    extra: tuple[tuple[Raw, Raw], ...]
    fields: int
    pid: int
    thread: str
    context: tuple[Before, ...]

    @classmethod
    def of(
        cls,
        record: logging.LogRecord,
        *,
        formatter: logging.Formatter | None = None,
        note_source: Callable[[str, dict[str, Any]], object] = lambda _path, _names: None,
        context: tuple[Before, ...] = (),
    ) -> Capture:
        """Take from a record what a digest can tell.

        Args:
            record: any record; what it holds may raise when it is asked for its text.
            formatter: makes the message's text, if given; the traceback is told apart from it.
            note_source: is told each file of a traceback and its code's globals, so that its lines
                can be found later: `linecache.lazycache`.
            context: what came before.
        """
        error = raised(record)
        message, trace = _parted(wording(record, formatter), error)
        if error is None and record.exc_text:  # came through a socket
            trace = Raw.end_of(record.exc_text, traceback_text.MAX_BODY)
        stack = record.stack_info
        added = fields(record)
        task = record.__dict__.get("taskName")
        return cls(
            time=float(record.created),
            logger=f"{record.name}"[:_MAX_FIELD],
            message=Raw.of(message, _MAX_MESSAGE),
            path=f"{record.pathname}"[:_MAX_FIELD],
            call=f"{record.lineno} in {record.funcName}"[:_MAX_FIELD],
            faults=() if error is None else exceptions.take(error, note_source),
            trace=trace,
            stack=Raw.end_of(attempt(stack), traceback_text.MAX_BODY) if stack else None,
            extra=_extra(added) if added else (),
            fields=len(added),
            pid=record.process if isinstance(record.process, int) else 0,
            thread=(f"{record.threadName} {task}" if task else f"{record.threadName}")[:_MAX_FIELD],
            context=context,
        )

    @property
    def size(self) -> int:
        """Characters that it holds, about."""
        size = len(self.message.text)
        for raw in (self.trace, self.stack):
            size += 0 if raw is None else len(raw.text)
        for name, value in self.extra:
            size += len(name.text) + len(value.text)
        for fault in self.faults:
            size += fault.size
        for past in self.context:
            size += len(past.message.text) + len(past.logger)
        return size

    def brief(self) -> Capture:
        """Return what a title takes, where there is no room for more."""
        first = [one._replace(raised=_shorter(one.raised), frames=()) for one in self.faults[:1]]
        return replace(
            self,
            message=_shorter(self.message),
            faults=tuple(first),
            trace=None,
            stack=None,
            extra=(),
            context=(),
        )

    def event(self, *, own: OwnCode, host: str, source: Source, redact: Redacts) -> Event:
        """Return the event: clean, without secrets, with the lines of the code.

        Args:
            own: tells the application's own frames.
            host: the machine's name.
            source: finds the lines of the code: `linecache.getline`.
            redact: takes secrets out.
        """
        tell = partial(exceptions.tell, own=own, logger=self.logger, source=source, redact=redact)
        traceback = tell(self.faults)
        if self.trace is not None:
            traceback += _printed(self.trace.told_end(traceback_text.MAX_BODY, redact.text), tell)
        if self.stack is not None:
            traceback += _plain(self.stack.told_end(traceback_text.MAX_BODY, redact.text))
        return Event(
            time=self.time,
            message=self.message.told(_MAX_MESSAGE, redact.text),
            location=short(f"{shown_path(self.path)}:{self.call}", _MAX_FIELD),
            traceback=traceback,
            extra=self._extra(redact),
            host=host,
            pid=self.pid,
            thread=short(self.thread, _MAX_NAME),
            context=tuple(_past(one, redact) for one in self.context),
        )

    def untold(self, host: str) -> Event:
        """Return an event that says nothing, where what it says can't be told."""
        message = "[what this record says can't be told]"
        return Event(
            time=self.time,
            message=message,
            location="",
            traceback=(),
            extra=(),
            host=host,
            pid=self.pid,
            thread="",
        )

    def _extra(self, redact: Redacts) -> tuple[tuple[str, str], ...]:
        told: list[tuple[str, str]] = []
        for name, value in self.extra:
            key = name.told(_MAX_NAME + MARGIN, redact.text)
            text = value.told(_MAX_FIELD, partial(redact.field, key))
            told.append((short(key, _MAX_NAME), text))
        if self.fields > len(self.extra):
            told.append(("...", f"[cut: first {len(self.extra)} of {self.fields} fields]"))
        return tuple(told)


def _extra(added: list[tuple[object, object]]) -> tuple[tuple[Raw, Raw], ...]:
    return tuple(
        (Raw.of(attempt(name), _MAX_NAME), Raw.of(attempt(value), _MAX_FIELD))
        for name, value in added[:_MAX_FIELDS]
    )


def _shorter(raw: Raw) -> Raw:
    return Raw(raw.text[: _MAX_TITLE + MARGIN], raw.length)


def _parted(text: str, error: BaseException | None) -> tuple[str, Raw | None]:
    """Return a message without the traceback in it, and that traceback unless it is known."""
    parts = traceback_text.split(text)
    if parts is None:
        return text, None
    message, body = parts
    if error is None:
        return message, Raw.end_of(body, traceback_text.MAX_BODY)
    trace = exceptions.trace_of(error)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    # What tells the same frame is the same exception, put into the text by a formatter.
    if (
        trace is not None
        and f", line {trace.tb_lineno}, in {trace.tb_frame.f_code.co_name}" in body
    ):
        return message, None
    return text, None


def _printed(text: str, tell: Callable[[tuple[Fault, ...]], tuple[Line, ...]]) -> tuple[Line, ...]:
    """Return the lines of a traceback that came as text, told as if it hadn't."""
    lines: tuple[Line, ...] = ()
    if text.startswith("[cut: "):
        stated, _, rest = text.partition("\n")
        lines, text = (Line("more", stated),), f"{traceback_text.HEADER}\n{rest}"
    found = traceback_text.parse(text)
    if found is None:
        return lines + _plain(text)
    return lines + tell(found.faults) + tuple(Line("library", line) for line in found.stack)


def _plain(text: str) -> tuple[Line, ...]:
    return tuple(Line("library", line) for line in text.splitlines())


def _past(one: Before, redact: Redacts) -> Past:
    message = one.message.told(MAX_PAST, redact.text)
    return Past(one.time, short(one.level, 20), short(one.logger, _MAX_NAME), message)
