"""Tracebacks in other forms than Python's: each is rewritten as Python prints it.

`structlog` has a structure (`dict_tracebacks`), and `rich` draws a frame around each exception.
"""

from __future__ import annotations

import re
from typing import Any, TypeGuard

from tocsin.events.traceback_text import HEADER, STACK
from tocsin.text import attempt, exact, uncoloured

_MAX_TEXT = 100_000  # characters of a text that are read
_MAX_LINES = 1_000  # of a traceback
_MAX_WIDTH = 500  # of a line in a frame
_MAX_DEPTH = 5  # of groups within groups
_CAUSE = "\n\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
_FRAME = ("filename", "lineno", "name")
_MARGINS = frozenset({"", "Exception Group"})
_MARGIN = re.compile(r" +[+|]")
_TOP = re.compile(r"^╭─+ Traceback \(most recent call last\) ─+╮$", re.MULTILINE)
_RICH_FRAME = re.compile(r"│ ([^\s│❱][^│]*?):(\d{1,9}) in (\S+) *│")
_RICH_SOURCE = re.compile(r"│ ❱ *\d+ (?:│ )? *(.*?) *│")


def start_of(text: str) -> int:
    """Return where the first traceback or stack in a text begins; -1 if there is none."""
    found = [text.find(one, 0, _MAX_TEXT) for one in (HEADER, STACK)]
    if (box := _TOP.search(text, 0, _MAX_TEXT)) is not None:
        found.append(box.start())
    begin = min((one for one in found if one >= 0), default=-1)
    line = text.rfind("\n", 0, begin) + 1
    # A traceback begins a line, behind the margin of a group.
    return line if begin >= 0 and text[line:begin].strip(" +|") in _MARGINS else -1


def printed(value: Any) -> str:
    """Return a traceback as Python prints it; "" if the value is none.

    Args:
        value: a text that begins with a traceback; or the structure of `dict_tracebacks`.
    """
    if issubclass(type(value), str):  # `isinstance` asks the object, which may lie or raise
        text = uncoloured(exact(value)[:_MAX_TEXT]).lstrip("\n")
        if start_of(text) != 0:
            return ""
        return _of_rich(text) if _TOP.match(text) else text
    return _of_structure(value, 0) if _is_chain(value) else ""


def _is_chain(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return type(value) is list and value != [] and all(map(_is_exception, value))


def _is_exception(value: object) -> bool:
    return type(value) is dict and "exc_type" in value and type(value.get("frames")) is list


def _of_structure(stacks: list[dict[str, Any]], depth: int) -> str:
    """Return the text of a chain: structlog begins it with the exception that Python prints last.

    `is_cause` of an exception says how it belongs to the one before it.
    """
    text = ""
    for number, one in enumerate(stacks):
        link = _CAUSE if one.get("is_cause") is True else _CONTEXT
        text = _of_one(one, depth) + (link + text if number and text else text)
    return text


def _of_one(one: dict[str, Any], depth: int) -> str:
    members = one.get("exceptions")
    is_group = type(members) is list and members != [] and depth < _MAX_DEPTH
    lines = [f"  + Exception Group {HEADER}" if is_group else HEADER]
    for frame in one["frames"][-_MAX_LINES:]:
        if type(frame) is dict:
            file, line, name = (attempt(frame.get(key, "")) for key in _FRAME)
            lines.append(f'  File "{file}", line {line}, in {name}')
    kind, text = attempt(one["exc_type"]), attempt(one.get("exc_value", ""))
    lines.append(f"{kind}: {text}" if text else kind)
    if is_group:
        lines += _of_members(members, depth)
    return "\n".join(lines)


def _of_members(members: Any, depth: int) -> list[str]:
    lines: list[str] = []
    for number, member in enumerate(members[:_MAX_LINES], 1):
        if _is_chain(member):
            lines.append(f"  {'+-' if number == 1 else '  '}+---------------- {number} -----------")
            inner = _of_structure(member, depth + 1).splitlines()
            lines += [line if _MARGIN.match(line) else f"    | {line}" for line in inner]
    return lines


def _of_rich(text: str) -> str:
    """Return what a traceback of `rich` tells: without its margins, lines around, and variables."""
    lines: list[str] = []
    for whole in text.splitlines()[: 10 * _MAX_LINES]:
        line = whole[:_MAX_WIDTH]
        if line.startswith("╭"):
            lines.append(HEADER)
        elif found := _RICH_FRAME.match(line):
            lines.append(f'  File "{found[1]}", line {found[2]}, in {found[3]}')
        elif found := _RICH_SOURCE.match(line):
            lines.append(f"    {found[1]}")
        elif not line.startswith(("│", "╰")):
            lines.append(whole)
    return "\n".join(lines)
