"""JSON lines: the records that python-json-logger, structlog and loguru write.

A mapping that structlog has not rendered is in a log as Python prints it: `{'event': ...}`.
"""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Mapping
from typing import Any

from tocsin.cli.logs.entry import Entry, level_names, level_of
from tocsin.events.traceback_text import HEADER, split

_LEVEL = ("levelname", "level", "severity", "levelno", "log.level", "loglevel")
_TIME = ("timestamp", "@timestamp", "created", "time", "ts", "asctime", "datetime", "date")
_LOGGER = ("logger", "name", "logger_name", "loggerName", "log.logger", "channel")
_MESSAGE = ("message", "msg", "event")
_TRACE = ("exc_info", "exc_text", "exception", "traceback", "stack_trace", "error.stack_trace")
# Key → attribute of a record.
_ATTRIBUTES = {
    "pathname": "pathname",
    "lineno": "lineno",
    "funcName": "funcName",
    "func_name": "funcName",
    "function": "funcName",
    "process": "process",
    "pid": "process",
    "threadName": "threadName",
    "thread_name": "threadName",
    "taskName": "taskName",
    "stack_info": "stack_info",
}
_TYPES: dict[str, type] = {"lineno": int, "process": int}
_USED = frozenset((*_LEVEL, *_TIME, *_LOGGER, *_MESSAGE, *_TRACE, *_ATTRIBUTES))
# An extra field of one of these names would replace an attribute.
_RESERVED = frozenset(logging.makeLogRecord({}).__dict__) | {
    *("message", "asctime", "taskName", "process_name", "qual_name", "qual_module")
}
_MAX_FRAMES = 60
_MAX_PRINTED = 20_000  # characters of a mapping that is read as Python prints it
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n"


class JSONLines:
    """Read lines with a JSON object each."""

    def __init__(self) -> None:
        self._levels = level_names()

    def entry(self, found: Mapping[str, Any], least: int) -> Entry | None:
        """Return the entry of a line; None if it is no record's.

        A record without a level is an error if it has a traceback.

        Args:
            found: the line's object.
            least: the level below which only the time of a record is needed.
        """
        record = found.get("record")
        if isinstance(record, Mapping) and "text" in found:
            found = _of_loguru(record, found["text"])
        level = None
        for key in _LEVEL:
            if key in found and (level := level_of(found[key], self._levels)) is not None:
                break
        time = _first(found, _TIME)
        if level is not None and level < least:
            return Entry(level, time, "", "", whole=True)
        message = _first(found, _MESSAGE)
        trace = _traceback(_first(found, _TRACE))
        if level is None:
            level = logging.ERROR if trace else None
        if level is None or (message is None and not trace):
            return None
        fields = _fields(found)
        if trace:
            fields["exc_text"] = trace
        logger = _first(found, _LOGGER)
        name = logger if isinstance(logger, str) else ""
        return Entry(level, time, name, _text(message), fields, whole=True)


def read_object(line: str) -> dict[str, Any] | None:
    """Return the JSON object of a line; None if the line is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_printed(line: str) -> dict[str, Any] | None:
    """Return the mapping with an event that a line has as Python prints it; None if it has none."""
    if line[:2] != "{'" or len(line) > _MAX_PRINTED:
        return None
    try:
        found = ast.literal_eval(line)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("event"), str):
        return None
    return {str(key): found[key] for key in found if key != "exc_info"}


def _first(found: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = found.get(key)
        if value is not None and value != "":
            return value
    return None


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fields(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a record, its extra fields included."""
    fields: dict[str, Any] = {}
    for key, value in found.items():
        name = _ATTRIBUTES.get(key)
        if name is None:
            if key not in _USED and key not in _RESERVED:
                fields[key] = value
        elif isinstance(value, _TYPES.get(name, str)):
            fields[name] = value
    return fields


def _of_loguru(record: Mapping[str, Any], text: object) -> dict[str, Any]:
    """Return a record that loguru has serialized, in the form of the others.

    Args:
        record: the record. Its exception is the type and the value.
        text: the formatted line, with the traceback.
    """
    level, time = record.get("level"), record.get("time")
    extra = record.get("extra")
    raised = record.get("exception")
    return {
        **(extra if isinstance(extra, Mapping) else {}),
        "level": level.get("no") if isinstance(level, Mapping) else level,
        "time": time.get("timestamp") if isinstance(time, Mapping) else time,
        "logger": record.get("name"),
        "message": record.get("message"),
        "function": record.get("function"),
        "lineno": record.get("line"),
        "exception": _raised(raised, text) if isinstance(raised, Mapping) else None,
    }


def _raised(raised: Mapping[str, Any], text: object) -> str:
    """Return an exception of loguru as Python prints it; without frames if the text has none."""
    parts = split(text) if isinstance(text, str) else None
    return f"{raised.get('type')}: {raised.get('value')}" if parts is None else parts[1].rstrip()


def _traceback(value: object) -> str:
    """Return a traceback as Python prints it; "" if there is none."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):  # such as `true`, where the formatter had none
        return ""
    # As structlog's `dict_tracebacks` writes it: the exception first, then its causes.
    parts: list[str] = []
    for one in reversed([one for one in value if isinstance(one, Mapping)]):
        parts.append(_printed(one))
        parts.append(_CAUSE if one.get("is_cause") else _CONTEXT)
    return "\n".join(parts[:-1])


def _printed(one: Mapping[str, Any]) -> str:
    frames = one.get("frames")
    lines = [HEADER]
    for frame in (frames if isinstance(frames, list) else [])[-_MAX_FRAMES:]:
        if isinstance(frame, Mapping):
            place = f'"{frame.get("filename")}", line {frame.get("lineno")}'
            lines.append(f"  File {place}, in {frame.get('name')}")
    lines.append(f"{one.get('exc_type')}: {one.get('exc_value')}")
    return "\n".join(lines)
