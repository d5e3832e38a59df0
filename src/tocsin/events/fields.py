"""The content of a record: its message, its exception and its extra fields.

Applications log in several forms: text with arguments, structured messages, warnings. Each
function here returns one part of a record, whatever its form.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.events import structured, traceback_forms
from tocsin.events.exceptions import exception_in
from tocsin.events.structured import Structured
from tocsin.text import attempt, exact, type_module, type_name, uncoloured

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_MAX_WARNING = 2_000
# A warning as `logging.captureWarnings` logs it: path, line, category, text, a line of source.
_WARNING = re.compile(r".*?:\d+: (\w+: .*?)(?:\n  .*)?\n?", re.DOTALL)


class Content(NamedTuple):
    """The content of a record, apart from its exception.

    Attributes:
        message: its text.
        extra: names and values of the extra fields.
        traceback: a traceback that arrived as text, or "".
        stack: a stack that arrived as text, or "".
    """

    message: str
    extra: list[tuple[object, object]]
    traceback: str
    stack: str


def structured_of(record: logging.LogRecord) -> Structured | None:
    """Return a record's message if it is a structured one, whatever its arguments."""
    message: object = record.msg
    if isinstance(message, dict):
        return structured.of_mapping(message)
    return structured.read(uncoloured(exact(message))) if isinstance(message, str) else None


def template_of(record: logging.LogRecord, found: Structured | None) -> str:
    """Return the part of a record's message that all records of its group have in common.

    This is the text before its arguments are inserted; the text of a structured message, without
    its other values; the category and text of a warning; or the type of a message that is no text.

    Args:
        record: the record.
        found: its structured message, if it is one.
    """
    if found is not None:
        return found.text
    message: object = record.msg
    if not isinstance(message, str):
        return f"{type_module(type(message))}.{type_name(type(message), qualified=True)}"
    message = uncoloured(exact(message))
    if record.name == "py.warnings":
        warning = _WARNING.fullmatch(_warning(record))
        return warning[1] if warning else message
    return message


def traceback_in(record: logging.LogRecord, found: Structured | None) -> str:
    """Return a text of a record in which a traceback may be; "" if there is none.

    Args:
        record: the record.
        found: its structured message, if it is one.
    """
    if record.exc_text and not record.exc_text.isspace():  # loguru sets it to a line's end
        return record.exc_text
    if found is not None and found.traceback:
        return found.traceback
    value = record.__dict__.get("exception")
    if value is not None and (printed := traceback_forms.printed(value)):
        return printed
    return exact(record.msg) if isinstance(record.msg, str) else ""


def _warning(record: logging.LogRecord) -> str:
    """Return a warning's text: the only argument of a message "%s"."""
    text = record.args[0] if isinstance(record.args, tuple) and record.args else record.msg
    return attempt(text)[:_MAX_WARNING]


def message_of(record: logging.LogRecord) -> str:
    """Return a record's message as logging makes it; a text that says so if that is impossible.

    Args:
        record: any record. The text of its message or of an argument may raise.
    """
    message: object
    try:
        if isinstance(record.msg, dict) and _is_bare(record):
            found = structured.of_mapping(record.msg)
            message = record.getMessage() if found is None else found.text
        else:
            message = record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments that don't fit, or whose text raises
        return f"{attempt(record.msg)} [its arguments don't fit: {type_name(type(error))}]"
    return attempt(message)


def line_of(record: logging.LogRecord) -> str:
    """Return a record's message as one text, with the values of a mapping."""
    if isinstance(record.msg, dict) and _is_bare(record):
        found = structured.of_mapping(record.msg)
        if found is not None:
            return found.line(record.levelname, record.name)
    return message_of(record)


def content_of(record: logging.LogRecord, formatter: logging.Formatter | None) -> Content:
    """Return the content of a record.

    Args:
        record: any record. The text of its message, of an argument or a field may raise.
        formatter: formats the record without its traceback; None for the bare message.
    """
    text = message_of(record)
    found = structured_of(record) if _is_bare(record) else None
    said = structured.arranged(text if found is None else found.text, _extra(record))
    if found is not None:
        said = _merged(said, found)
    if formatter is not None:
        shown = _formatted(record, formatter, said.text)
        inner = structured.read(uncoloured(shown))
        if inner is None:
            said = said._replace(text=shown)
        else:
            said = _merged(said if found else said._replace(text=inner.text), inner)
    extra: dict[object, object] = {}
    for name, value in said.values:
        if not structured.is_known(name, value, record.levelname, record.name):
            extra.setdefault(name if type(name) is str else attempt(name), value)
    return Content(said.text, list(extra.items()), said.traceback, said.stack)


def _is_bare(record: logging.LogRecord) -> bool:
    """Return whether a record's message has no arguments; an object as such may raise anything."""
    args: Any = record.args
    return args is None or ((type(args) is tuple or type(args) is dict) and not args)


def _formatted(record: logging.LogRecord, formatter: logging.Formatter, text: str) -> str:
    bare = logging.makeLogRecord(record.__dict__)
    bare.exc_info = bare.exc_text = bare.stack_info = None
    if type(formatter).format is logging.Formatter.format:
        bare.msg, bare.args = text, ()  # without the values of a structured message
    try:
        return exact(str(formatter.format(bare)))
    except Exception as error:  # noqa: BLE001 - a formatter of the application may raise anything
        return f"{text} [its formatter raises {type_name(type(error))}]"


def _merged(first: Structured, second: Structured) -> Structured:
    return Structured(
        first.text,
        first.values + second.values,
        first.traceback or second.traceback,
        first.stack or second.stack,
    )


def _extra(record: logging.LogRecord) -> Iterator[tuple[object, object]]:
    """Yield the extra fields of a record; of loguru's field `extra` its values."""
    for name, value in record.__dict__.items():
        if type(name) is str and name in _STANDARD:
            continue
        if type(name) is str and name == "extra" and type(value) is dict:
            yield from value.items()
        else:
            yield name, value


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
