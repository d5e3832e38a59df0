"""Structured messages: a text, and values with names.

They arrive as a mapping, or rendered as text: JSON, `key=value`, or the lines that structlog and
loguru write on a terminal.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.events import traceback_forms
from tocsin.events.traceback_text import STACK
from tocsin.text import attempt, exact, uncoloured

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXT_KEYS = ("event", "message", "msg")  # the first is structlog's
_NESTED = ("jsonPayload", "record")  # Google Cloud; `serialize=True` of loguru
_NOT_VALUES = frozenset({"exc_info", "_from_structlog", "_record"})
# What the Elastic Common Schema and Google Cloud add, and every event has.
_LEVELS = frozenset({"level", "levelname", "log_level", "severity", "log.level"})
_LOGGERS = frozenset({"logger", "logger_name", "log.logger", "name"})
_TIMES = frozenset({"timestamp", "@timestamp", "asctime", "time", "ts"})
_TIME = re.compile(r"\d{4}-\d\d-\d\d.\d\d:\d\d|\d\d:\d\d:\d\d|1\d{9}(?:\.|\Z)")
_ECS = frozenset({"ecs", "ecs.version"})
_TECHNICAL = frozenset({"ecs", "ecs.version", "log", "process", "log.logger", "service"})
_SOURCE = "logging.googleapis.com/sourceLocation"
# Of loguru's serialized record. The other values are those of every record.
_LOGURU = frozenset({"message", "extra"})
_MAX_JSON = 200_000  # characters
_MAX_SEARCHED = 20_000
_JSON_TEXT = re.compile(r'"(?:event|message|msg)": ?"((?:[^"\\]|\\.)*)"')
_PAIRS = re.compile(r"[\w.@-]+=")
_PAIR = re.compile(
    r"""([\w.@-]{1,100}+)=(?:"((?:[^"\\]|\\.)*+)"|'((?:[^'\\]|\\.)*+)'|(.*?))
    (?=\s[\w.@-]{1,100}+=|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
# `2026-01-31T12:00:00Z [error    ] no ink    [shop.orders] order=5`: structlog.
_CONSOLE = re.compile(
    r"(?:[\dTZ:.,+ -]{8,40} )?\[(?:debug|info|warn|warning|error|exception|critical) *\] "
)
_FIRST_PAIR = re.compile(r" [\w.]{1,100}+=")
_LOGGER = re.compile(r"[\w.]+\]")
# `2026-01-31 12:00:00.000 | ERROR    | shop.orders:pay:5 - no ink`: loguru.
_LOGURU_HEAD = re.compile(r"\d{4}-\d\d-\d\d [\d:.]{8,15} \| [A-Z]+ *\| [\w.]+:[\w.<>]+:\d+ - ")


class Structured(NamedTuple):
    """A structured message.

    Attributes:
        text: its text; all messages of a group have it in common.
        values: names and values.
        traceback: a traceback that is one of the values, as Python prints it; or "".
        stack: a stack that is one of the values, or "".
    """

    text: str
    values: tuple[tuple[Any, Any], ...] = ()
    traceback: str = ""
    stack: str = ""

    def line(self, level: str, logger: str) -> str:
        """Return its text and its values as one text."""
        shown = [
            f"{attempt(name)}={attempt(value)}"
            for name, value in self.values
            if not is_known(name, value, level, logger)
        ]
        return " ".join([self.text, *shown])


def read(message: str) -> Structured | None:
    """Return a message that was rendered as text; None if it has no structure."""
    first = message[:1]
    if first == "{":
        return _of_json(message)
    if first.isdigit() and (found := _LOGURU_HEAD.match(message)):
        return _with_traceback(message[found.end() :])
    if (first == "[" or first.isdigit()) and (console := _of_console(message)):
        return console
    return _of_values(_pairs(message)) if _PAIRS.match(message) else None


def of_mapping(mapping: dict[Any, Any]) -> Structured | None:
    """Return a message that is a mapping; None if it has no text."""
    for name in _NESTED:
        inner = mapping.get(name)
        if isinstance(inner, dict):
            found = _of_loguru(mapping, inner) if name == "record" else of_mapping(inner)
            if found is not None:
                return found
    return _of_values(mapping.items())


def _of_json(message: str) -> Structured | None:
    try:
        value = json.loads(message) if len(message) <= _MAX_JSON else None
    except (ValueError, RecursionError):  # it was cut, or it only looks like JSON
        value = None
    if isinstance(value, dict):
        return of_mapping(value)
    found = _JSON_TEXT.search(message, 0, _MAX_SEARCHED)
    return Structured(_of_literal(found[1])) if found else None


def _of_literal(text: str) -> str:
    try:
        found: str = json.loads(f'"{text}"')
    except ValueError:
        return text
    return found


def _of_console(message: str) -> Structured | None:
    line, _, rest = message[:_MAX_SEARCHED].partition("\n")
    found = _CONSOLE.match(line)
    if found is None:
        return None
    pair = _FIRST_PAIR.search(line, found.end() - 1)
    end = pair.start() if pair else len(line)
    head, _, logger = line[found.end() : end].rstrip().rpartition(" [")
    text = head.rstrip() if _LOGGER.fullmatch(logger) else line[found.end() : end].rstrip()
    tail = _with_traceback(rest)
    text = "\n".join(filter(None, (text, tail.text)))
    return tail._replace(text=text, values=tuple(_pairs(line[end:])))


def _of_values(pairs: Iterable[tuple[Any, Any]]) -> Structured | None:
    """Return the message of names and values; None if there is no text among them."""
    values = list(pairs)
    named = {name: value for name, value in values if type(name) is str}
    for key in _TEXT_KEYS:
        text: Any = named.get(key)
        others = [(name, value) for name, value in values if type(name) is not str or name != key]
        if issubclass(type(text), str):
            return arranged(exact(text), others, technical=not _ECS.isdisjoint(named))
        if key == _TEXT_KEYS[0] and issubclass(
            type(text), BaseException
        ):  # structlog takes any object
            return arranged(attempt(text), others)
        if type(text) is dict and (inner := _of_values(text.items())) is not None:
            outer = arranged(inner.text, others)
            return inner._replace(
                values=inner.values + outer.values,
                traceback=inner.traceback or outer.traceback,
                stack=inner.stack or outer.stack,
            )
    return None


def arranged(
    text: str, others: Iterable[tuple[Any, Any]], *, technical: bool = False
) -> Structured:
    """Return a message, with tracebacks and stacks apart from other values.

    Args:
        text: the message's text.
        others: its values.
        technical: whether the values that the Elastic Common Schema adds are left out.
    """
    values: list[tuple[Any, Any]] = []
    traceback = stack = ""
    for name, value in others:
        if type(name) is not str:
            values.append((name, value))
            continue
        inner = value.get("stack_trace") if name == "error" and type(value) is dict else value
        if printed := traceback_forms.printed(inner):
            if printed.startswith(STACK):
                stack = stack or printed
            else:
                traceback = traceback or printed
        elif not (name in _NOT_VALUES or name == _SOURCE or (technical and name in _TECHNICAL)):
            values.append((name, value))
    return Structured(text, tuple(values), traceback, stack)


def _of_loguru(mapping: dict[Any, Any], record: dict[Any, Any]) -> Structured | None:
    """Return the message of a record that loguru has serialized."""
    text, extra = record.get("message"), record.get("extra")
    if type(text) is not str or not _LOGURU.issubset(record):
        return None
    shown = mapping.get("text")
    tail = _with_traceback(uncoloured(shown)) if type(shown) is str else Structured(text)
    values = tuple(extra.items()) if type(extra) is dict else ()
    return tail._replace(text=text, values=values)


def _with_traceback(text: str) -> Structured:
    """Return a text, and the traceback or the stack at its end."""
    start = traceback_forms.start_of(text)
    if start < 0:
        return Structured(text)
    head, printed = text[:start].rstrip(" =\n"), traceback_forms.printed(text[start:])
    if not printed.startswith(STACK):
        return Structured(head, traceback=printed)
    start = traceback_forms.start_of(printed[1:]) + 1
    if start == 0:
        return Structured(head, stack=printed)
    tail = traceback_forms.printed(printed[start:])
    return Structured(head, traceback=tail, stack=printed[:start].rstrip(" =\n"))


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return the pairs of a text `key=value key="a value"`."""
    pairs: list[tuple[str, str]] = []
    for found in _PAIR.finditer(text[:_MAX_SEARCHED].rstrip()):
        name, double, single, bare = found.groups()
        quoted = single if double is None else double
        pairs.append((name, bare if quoted is None else _unescaped(quoted)))
    return pairs


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)


def is_known(name: object, value: object, level: str, logger: str) -> bool:
    """Return whether a value repeats a property of its record: the level, the logger, the time."""
    if type(name) is not str:
        return False
    if name in _TEXT_KEYS:
        return (
            type(value) is str and not value
        )  # a formatter of JSON, for a message that is a mapping
    if name in _LEVELS:
        return attempt(value).strip().lower() in {level.lower(), "exception"}
    if name in _LOGGERS:
        return attempt(value) == logger
    return name in _TIMES and _TIME.match(attempt(value)) is not None


def brief(message: str, level: str, logger: str) -> str:
    """Return a message that was rendered as text, for the context: its text and its values."""
    found = read(uncoloured(message))
    return message if found is None else found.line(level, logger)
