"""The content of a record: its message, its exception and its extra fields.

Applications log in several forms: text with arguments, structlog's dictionaries, JSON, logfmt,
warnings. Each function here returns one part of a record, whatever its form.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

from tocsin.events.exceptions import exception_in
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
_TEXT_KEYS = ("event", "message", "msg")  # of a structured message; the first is structlog's
_NOT_EXTRA = frozenset({*_TEXT_KEYS, "exc_info", "exception", "_from_structlog", "_record"})
_MAX_SEARCHED = 20_000  # characters
_MAX_WARNING = 2_000
_JSON_TEXT = re.compile(r'"(?:event|message|msg)": ?"((?:[^"\\]|\\.)*)"')
_LOGFMT = re.compile(r"[\w.]+=")
_LOGFMT_TEXT = re.compile(r"""(?:^|\s)(?:event|message|msg)=(?:'([^'\n]*)'|"([^"\n]*)")""")
# A warning as `logging.captureWarnings` logs it: path, line, category, text, a line of source.
_WARNING = re.compile(r".*?:\d+: (\w+: .*?)(?:\n  .*)?\n?", re.DOTALL)


def template_of(record: logging.LogRecord) -> str:
    """Return the part of a record's message that all records of its group have in common.

    This is the text before its arguments are inserted; the text of a structured message, without
    its other fields; the category and text of a warning; or the type of a message that is no text.
    """
    message: object = record.msg
    if isinstance(message, dict):
        message = _structured_text(message) or message
    if not isinstance(message, str):
        return f"{type_module(type(message))}.{type_name(type(message), qualified=True)}"
    message = exact(message)
    if record.name == "py.warnings":
        found = _WARNING.fullmatch(_warning(record))
        return found[1] if found else message
    if message.startswith("{") and (found := _JSON_TEXT.search(message, 0, _MAX_SEARCHED)):
        return found[1]
    if _LOGFMT.match(message) and (found := _LOGFMT_TEXT.search(message, 0, _MAX_SEARCHED)):
        return found[1] or found[2] or ""
    return message


def _warning(record: logging.LogRecord) -> str:
    """Return a warning's text: the only argument of a message "%s"."""
    text = record.args[0] if isinstance(record.args, tuple) and record.args else record.msg
    return attempt(text)[:_MAX_WARNING]


def _structured_text(message: dict[Any, Any]) -> str | None:
    """Return the text of a structured message, such as structlog's "event"; None without one."""
    for name in _TEXT_KEYS:
        text: Any = message.get(name)
        if issubclass(type(text), str):
            return exact(text)
    return None


def message_of(record: logging.LogRecord, formatter: logging.Formatter | None) -> str:
    """Return a record's message; if it can't be formatted, a text that says so.

    Args:
        record: any record. The text of its message or of an argument may raise.
        formatter: formats the record without its traceback; None for the bare message.
    """
    message: object
    try:
        if isinstance(record.msg, dict) and not record.args:
            message = _structured_text(record.msg) or record.getMessage()
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
    except Exception as error:  # noqa: BLE001 - a formatter of the application may raise anything
        return f"{text} [its formatter raises {type_name(type(error))}]"


def extra_of(record: logging.LogRecord) -> list[tuple[object, object]]:
    """Return the extra fields of a record, in their order: names and values."""
    found: list[tuple[object, object]] = [
        (name, value)
        for name, value in record.__dict__.items()
        if type(name) is not str or name not in _STANDARD
    ]
    if isinstance(record.msg, dict) and _structured_text(record.msg) is not None:
        found += [
            (name, value)
            for name, value in record.msg.items()
            if type(name) is not str or name not in _NOT_EXTRA
        ]
    return found


def exception_of(record: logging.LogRecord) -> BaseException | None:
    """Return a record's exception, or that of its structured message; None without one."""
    info: Any = record.exc_info
    if not info and isinstance(record.msg, dict):
        info = record.msg.get("exc_info")
        if info is True:  # the exception that is being handled
            info = sys.exc_info()
    if type(info) is tuple and len(info) > 1 and isinstance(info[1], BaseException):
        found: BaseException = info[1]  # one call less: this runs for each record
        return found
    return exception_in(info)
