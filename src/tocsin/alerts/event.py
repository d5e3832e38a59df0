"""What is kept of a log record: text, bounded in size, that holds on to nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from tocsin.alerts.frames import Line, shown_path, tell
from tocsin.alerts.text import attempt, clean, cut, short

if TYPE_CHECKING:
    from tocsin.alerts.frames import OwnCode

_MAX_MESSAGE = 10_000
_MAX_STACK = 10_000
_MAX_FIELDS = 20
_MAX_FIELD = 500
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "alert_group",
    "asctime",
    "message",
    "taskName",  # since 3.12
}


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

    @classmethod
    def of(
        cls,
        record: logging.LogRecord,
        *,
        own: OwnCode,
        host: str,
        formatter: logging.Formatter | None = None,
    ) -> Self:
        """Take from a record what a digest can tell.

        Args:
            record: any record; what it holds may raise when it is asked for its text.
            own: tells the application's own frames.
            host: the machine's name.
            formatter: makes the message's text, if given; the traceback is told apart from it.
        """
        traceback: tuple[Line, ...] = ()
        if record.exc_info and record.exc_info[1] is not None:
            traceback = tell(record.exc_info[1], own, record.name)
        elif record.exc_text:  # came through a queue or a socket, already as text
            traceback = _told(record.exc_text)
        if record.stack_info:
            traceback += _told(record.stack_info)
        task = record.__dict__.get("taskName")
        return cls(
            time=float(record.created),
            message=cut(_message(record, formatter), _MAX_MESSAGE),
            location=short(
                f"{shown_path(record.pathname)}:{record.lineno} in {record.funcName}", _MAX_FIELD
            ),
            traceback=traceback,
            extra=_extra(record),
            host=host,
            pid=record.process if isinstance(record.process, int) else 0,
            thread=short(f"{record.threadName} {task}" if task else f"{record.threadName}", 100),
        )

    @property
    def size(self) -> int:
        """Characters that it holds, about."""
        lines = sum(len(line.text) for line in self.traceback)
        fields = sum(len(key) + len(value) for key, value in self.extra)
        return len(self.message) + lines + fields


def _message(record: logging.LogRecord, formatter: logging.Formatter | None) -> str:
    try:
        message = record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments that don't fit, or whose text raises
        return f"{attempt(record.msg)} [its arguments don't fit: {type(error).__name__}]"
    if formatter is None:
        return message
    bare = logging.makeLogRecord(record.__dict__)
    bare.exc_info = bare.exc_text = bare.stack_info = None
    try:
        return str(formatter.format(bare))
    except Exception as error:  # noqa: BLE001 - whatever a formatter of the application raises
        return f"{message} [its formatter raises {type(error).__name__}]"


def _told(text: str) -> tuple[Line, ...]:
    if len(text) > _MAX_STACK:
        text = f"[cut: last {_MAX_STACK:,} of {len(text):,} characters]\n{text[-_MAX_STACK:]}"
    return tuple(Line("library", line) for line in clean(text).splitlines())


def _extra(record: logging.LogRecord) -> tuple[tuple[str, str], ...]:
    names = [name for name in record.__dict__ if name not in _STANDARD]
    fields = [
        (short(attempt(name), 100), cut(attempt(record.__dict__[name]), _MAX_FIELD))
        for name in names[:_MAX_FIELDS]
    ]
    if len(names) > _MAX_FIELDS:
        fields.append(("...", f"[cut: first {_MAX_FIELDS} of {len(names)} fields]"))
    return tuple(fields)
