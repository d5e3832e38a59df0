"""Records with fields of unusual types, converted to the types that logging gives them.

A receiver that builds records from JSON, a record factory or an `extra` may replace any field: a
float by a `Decimal`, a number by text. A value is converted where that is possible; otherwise its
field gets a default.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from tocsin.events.exceptions import exception_in, traceback_of
from tocsin.text import attempt, exact

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LEVEL = 1_000_000
_MAX_NUMBER = (1 << 63) - 1
_MAX_TEXT = 500
FAR = 253_402_000_000.0  # seconds since the epoch: the year 9999


def seconds(value: object, now: float) -> float:
    """Return the value as seconds since the epoch; `now` if it is no number."""
    found = _finite(value)
    return now if found is None else max(min(found, FAR), -FAR)


def plain(record: logging.LogRecord, now: float) -> logging.LogRecord:
    """Return the record, or a copy whose fields have the types that logging gives them.

    Args:
        record: the record.
        now: the time, in seconds since the epoch, for a record without a readable one.

    Returns:
        The record itself if all its types are usual. So a second call returns the copy itself.
    """
    fields = record.__dict__
    fixed: dict[str, Any] = {}
    created = fields.get("created")
    if (time := seconds(created, now)) is not created:
        fixed["created"] = time
    for name, usual in _USUAL.items():
        value = fields.get(name)
        kept = usual(value)
        if kept is not value or (name not in fields and name != "taskName"):  # since 3.12
            fixed[name] = kept
    return changed(record, fixed) if fixed else record


def changed(record: logging.LogRecord, fields: dict[str, Any]) -> logging.LogRecord:
    """Return a copy of a record with other values of some fields."""
    copy: logging.LogRecord = object.__new__(type(record))
    copy.__dict__.update(record.__dict__)
    copy.__dict__.update(fields)
    return copy


def _finite(value: object) -> float | None:
    try:
        number = value if type(value) is float else float(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - a class of the application may raise anything
        return None
    return number if math.isfinite(number) else None


def _span(value: object) -> float:
    found = _finite(value)
    return 0.0 if found is None else found


def _level(value: Any) -> int:
    try:
        return int(max(min(value, _MAX_LEVEL), -_MAX_LEVEL))
    except Exception:  # noqa: BLE001 - as above
        return logging.ERROR


def _number(value: object) -> int:
    """Return the value if it is a number; else 0, which no line, process or thread has."""
    if type(value) is int and 0 <= value <= _MAX_NUMBER:
        return value
    return 0


def _number_or_none(value: object) -> int | None:
    return None if value is None else _number(value)


def _name(value: object) -> str:
    text = value if type(value) is str else attempt(value)
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT]


def _name_or_none(value: object) -> str | None:
    return None if value is None else _name(value)


def _text_or_none(value: Any) -> str | None:
    if value is None:
        return None
    return exact(value) if issubclass(type(value), str) else attempt(value)


def _message(value: object) -> object:
    """Return a message whose type `isinstance` reports truly; a proxy's text if it does not.

    A proxy may claim the class of the object that it stands for.
    """
    kind = type(value)
    if kind is str or kind is dict:
        return value
    try:
        if issubclass(kind, dict):
            return dict(dict.items(value))  # type: ignore[arg-type] # it is a dict
        is_proxy = isinstance(value, (str, dict)) and not issubclass(kind, str)
    except Exception:  # noqa: BLE001 - as above
        is_proxy = True
    return attempt(value) if is_proxy else value


def _exception(value: object) -> object:
    """Return an `exc_info` as logging stores it: a tuple, a bool or None."""
    error = exception_in(value)
    if error is None:
        return value if type(value) is bool else None
    return value if type(value) is tuple else (type(error), error, traceback_of(error))


_USUAL: dict[str, Callable[[Any], object]] = {
    "name": _name,
    "msg": _message,
    "levelname": _name,
    "levelno": _level,
    "pathname": _name,
    "filename": _name,
    "module": _name,
    "exc_info": _exception,
    "exc_text": _text_or_none,
    "stack_info": _text_or_none,
    "lineno": _number,
    "funcName": _name_or_none,
    "msecs": _span,
    "relativeCreated": _span,
    "thread": _number_or_none,
    "threadName": _name_or_none,
    "processName": _name_or_none,
    "process": _number_or_none,
    "taskName": _name_or_none,
}
"""The conversion of each field. A value of the usual type is returned as it is."""
