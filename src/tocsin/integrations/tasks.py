"""A task of a queue, or a job of a scheduler, as an alert tells it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.events.capture import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_ARGUMENTS = 200  # characters
_MAX_FRAMES = 40
_NO_ARGUMENTS = ("", "()", "[]", "{}", "None")


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


def shown_arguments(*texts: object) -> str:
    """Return arguments as text: of each list or mapping the first items, up to 200 characters.

    Args:
        texts: the representation of positional arguments, and that of keyword arguments.
    """
    shown = (_first_items(text) for text in texts if isinstance(text, str))
    return " ".join(text for text in shown if text not in _NO_ARGUMENTS)


def caller(kind: type) -> Any:
    """Return the object of a class whose method called this function, the nearest; None without.

    Args:
        kind: the class.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to the callers
    for _ in range(_MAX_FRAMES):
        if "self" in frame.f_code.co_varnames:
            found = frame.f_locals.get("self")
            if issubclass(type(found), kind):
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
