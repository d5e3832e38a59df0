"""What a record says, whatever form its application's logging gives it."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

from tocsin.events.exceptions import error_in
from tocsin.text import attempt, exact, type_module, type_name

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "alert_group",
    "asctime",
    "message",
    "taskName",  # since 3.12
    "_from_structlog",
    "_logger",
    "_name",
    "_record",
}
_SAYS = ("event", "message", "msg")  # keys of structured messages: structlog's, and others'
_TOLD = frozenset({*_SAYS, "exc_info", "exception", "_from_structlog", "_record"})
_MAX_RENDERED = 20_000
_MAX_WARNING = 2_000
_JSON_SAYS = re.compile(r'"(?:event|message|msg)": ?"((?:[^"\\]|\\.)*)"')
_LOGFMT = re.compile(r"[\w.]+=")
_LOGFMT_SAYS = re.compile(r"""(?:^|\s)(?:event|message|msg)=(?:'([^'\n]*)'|"([^"\n]*)")""")
# `logging.captureWarnings`: path, line, category, text, and a line of source.
_WARNING = re.compile(r".*?:\d+: (\w+: .*?)(?:\n  .*)?\n?", re.DOTALL)


def template(record: logging.LogRecord) -> str:
    """Return the part of a record's message that is the same for its kind.

    It is the text before its arguments are put in; of a structured message what it says, without
    its other fields; of a warning its category and text; of an object what kind of thing it is.
    """
    message: object = record.msg
    if isinstance(message, dict):
        message = said(message) or message
    if not isinstance(message, str):
        return f"{type_module(type(message))}.{type_name(type(message), qualified=True)}"
    message = exact(message)
    if record.name == "py.warnings":
        found = _WARNING.fullmatch(_warning(record))
        return found[1] if found else message
    if message.startswith("{") and (found := _JSON_SAYS.search(message, 0, _MAX_RENDERED)):
        return found[1]
    if _LOGFMT.match(message) and (found := _LOGFMT_SAYS.search(message, 0, _MAX_RENDERED)):
        return found[1] or found[2] or ""
    return message


def _warning(record: logging.LogRecord) -> str:
    """Return a warning's text: it is the only argument of a bare "%s"."""
    text = record.args[0] if isinstance(record.args, tuple) and record.args else record.msg
    return attempt(text)[:_MAX_WARNING]


def said(message: dict[Any, Any]) -> str | None:
    """Return what a structured message says: structlog's "event"."""
    for name in _SAYS:
        text: Any = message.get(name)
        if issubclass(type(text), str):
            return exact(text)
    return None


def wording(record: logging.LogRecord, formatter: logging.Formatter | None) -> str:
    """Return a record's text.

    Args:
        record: any record; what it holds may raise when it is asked for its text.
        formatter: makes the text, if given; the traceback is told apart from it.
    """
    message: object
    try:
        if isinstance(record.msg, dict) and not record.args:
            message = said(record.msg) or record.getMessage()
        else:
            message = record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments that don't fit, or whose text raises
        return f"{attempt(record.msg)} [its arguments don't fit: {type_name(type(error))}]"
    text = attempt(message)
    if formatter is None:
        return text
    bare = logging.makeLogRecord(record.__dict__)
    bare.exc_info = bare.exc_text = bare.stack_info = None
    try:
        return exact(str(formatter.format(bare)))
    except Exception as error:  # noqa: BLE001 - whatever a formatter of the application raises
        return f"{text} [its formatter raises {type_name(type(error))}]"


def fields(record: logging.LogRecord) -> list[tuple[object, object]]:
    """Return what was added to a record, in its order."""
    found: list[tuple[object, object]] = [
        (name, value)
        for name, value in record.__dict__.items()
        if type(name) is not str or name not in _STANDARD
    ]
    if isinstance(record.msg, dict) and said(record.msg) is not None:
        found += [
            (name, value)
            for name, value in record.msg.items()
            if type(name) is not str or name not in _TOLD
        ]
    return found


def raised(record: logging.LogRecord) -> BaseException | None:
    """Return the exception that a record is about; structlog's has it in its message."""
    info: Any = record.exc_info
    if not info and isinstance(record.msg, dict):
        info = record.msg.get("exc_info")
        if info is True:  # as in `logger.exception`: it is being handled right now
            info = sys.exc_info()
    if type(info) is tuple and len(info) > 1 and isinstance(info[1], BaseException):
        found: BaseException = info[1]  # without a call more, as it is asked for each record
        return found
    return error_in(info)
