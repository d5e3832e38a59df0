"""Repeats: an exception that the application has logged, and that its server logs again.

A mark in the exception tells that it was counted. The exception's `id` would not do, as a later
exception may have the same one; and built-in exceptions have no weak references.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

_VALID = 60.0  # seconds in which the server must log it
_MAX_LEAVES = 100
_numbers = itertools.count()
_attributes: Callable[[BaseException], dict[str, Any]] = BaseException.__dict__["__dict__"].__get__


class _Mark:
    """The record that had the exception: when, and the call that logged it."""

    __slots__ = ("call", "time")

    def __init__(self, record: logging.LogRecord, time: float) -> None:
        self.call: tuple[str, object] = (record.name, record.msg)
        self.time: float = time

    @override
    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # another process has not counted the exception


class Repeats:
    """Tell exceptions that a handler has counted from others.

    Args:
        ticks: returns seconds that pass steadily.
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._name = f"__tocsin_{next(_numbers)}__"  # each handler counts for itself

    def note(self, record: logging.LogRecord, error: BaseException) -> None:
        """Mark the exception of a record that was counted."""
        mark = _Mark(record, self._ticks())
        for leaf in _leaves(error):
            _attributes(leaf)[self._name] = mark

    def is_repeat(self, record: logging.LogRecord, error: BaseException) -> bool:
        """Return whether another call has logged an exception before; it is forgotten then.

        So an exception object that is raised again counts again. A group of exceptions is known if
        all its members are.
        """
        leaves = list(_leaves(error))
        marks = [_attributes(leaf).get(self._name) for leaf in leaves]
        now, call = self._ticks(), (record.name, record.msg)
        if all(
            isinstance(mark, _Mark) and mark.call != call and now - mark.time < _VALID
            for mark in marks
        ):
            for leaf in leaves:
                _attributes(leaf).pop(self._name, None)
            return True
        return False


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group that are not groups themselves; else the exception."""
    todo, left = [error], _MAX_LEAVES
    while todo and left:
        one = todo.pop()
        left -= 1
        if issubclass(type(one), BaseExceptionGroup):
            todo.extend(BaseExceptionGroup.exceptions.__get__(one))
        else:
            yield one
