"""A task of a queue, or a job of a scheduler, as an alert tells it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.events.capture import Origin
from tocsin.text import attempt, type_name

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

_MAX_ARGUMENTS = 200  # characters
_MAX_FRAMES = 500
_MAX_ITEMS = 20
_MAX_DEPTH = 4
_MAX_TEXT = 100
_MOST_RETRIES = 8
_NO_ARGUMENTS = ("", "()", "[]", "{}", "None")
_PLAIN = (int, float, bool, type(None), complex)


class Task(NamedTuple):
    """A task.

    Attributes:
        name: the name of its function.
        number: its id.
        queue: its queue, or "".
        retries: how many attempts there were before this one.
        max_retries: how many further attempts there may be after the first; None without a limit.
        arguments: the arguments as text, or "".
        kind: what its framework calls it.
    """

    name: str
    number: str
    queue: str = ""
    retries: int = 0
    max_retries: int | None = None
    arguments: str = ""
    kind: str = "task"

    def origin(self, used: Iterable[str] = ()) -> Origin:
        """Return what an alert tells of it.

        Args:
            used: the record's extra fields that need not be shown too.
        """
        retries = ""
        if self.retries:
            limit = "" if self.max_retries is None else f" of {self.max_retries}"
            retries = f"{self.retries}{limit}"
        values = [
            (self.kind, self.name),
            ("id", self.number),
            ("queue", self.queue),
            ("retries", retries),
            ("arguments", self.arguments),
        ]
        return Origin(tuple((name, value) for name, value in values if value), frozenset(used))


def is_tried_again(left: int | None) -> bool:
    """Return whether a failed attempt is no alert yet, as another attempt follows.

    Attempts are made after longer and longer pauses. So with many retries left, the last attempt
    may be weeks away (46 days with Dramatiq's 20 retries), and each attempt is an alert.

    Args:
        left: how many attempts are left; None if that is not known.
    """
    return left is not None and 0 < left <= _MOST_RETRIES


def lowered(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a record that is no alert yet."""
    return {"levelno": min(record.levelno, 30), "levelname": "WARNING"}


def shown_arguments(*texts: object) -> str:
    """Return arguments as text: of each list or mapping the first items, up to 200 characters.

    Args:
        texts: the representation of positional arguments, and that of keyword arguments.
    """
    shown = (_first_items(text) for text in texts if isinstance(text, str))
    return " ".join(text for text in shown if text not in _NO_ARGUMENTS)


def shown_values(*values: object) -> str:
    """Return arguments as text. Objects of an application are shown by the names of their types.

    The text of such an object may take long, or ask a database.

    Args:
        values: the positional arguments, and the keyword arguments.
    """
    return shown_arguments(*(_shown(value, _MAX_DEPTH) for value in values))


def local(module: str, name: str) -> Any:
    """Return a local variable of a function that called this one; None if there is none.

    Args:
        module: the start of the name of the function's module.
        name: the variable's name. The nearest function counts that has it.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to the callers
    for _ in range(_MAX_FRAMES):
        if name in frame.f_code.co_varnames:
            where = frame.f_globals.get("__name__")
            if isinstance(where, str) and where.startswith(module):
                found = frame.f_locals.get(name)
                if found is not None:
                    return found
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _first_items(text: str) -> str:
    """Return the first items of a list or mapping: a cut within one might hide a secret's name."""
    if len(text) <= _MAX_ARGUMENTS:
        return text
    end, quote, position = 0, "", 0
    while position < _MAX_ARGUMENTS:
        char = text[position]
        if char == "\\":
            position += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == ",":
            end = position
        position += 1
    return f"{text[:end]}, ..." if end else f"[{len(text):,} characters]"


def _shown(value: Any, depth: int) -> str:
    kind = type(value)
    if kind is str or kind is bytes:
        return repr(value[:_MAX_TEXT]) + ("..." if len(value) > _MAX_TEXT else "")
    if kind in _PLAIN:
        return attempt(value)[:_MAX_TEXT]
    if kind not in {dict, list, tuple}:
        return f"<{type_name(kind)}>"
    return _shown_items(value, depth - 1) if depth else "..."


def _shown_items(value: dict[Any, Any] | list[Any] | tuple[Any, ...], depth: int) -> str:
    some = list(value)[:_MAX_ITEMS]
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_shown(one, 0)}: {_shown(value[one], depth)}' for one in some)}}}"
    items = ", ".join(_shown(one, depth) for one in some)
    if isinstance(value, list):
        return f"[{items}]"
    return f"({items},)" if len(value) == 1 else f"({items})"
