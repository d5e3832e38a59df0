"""Repeats: an exception that the application has logged, and that its server logs again.

A mark in the exception tells that it was counted. The exception's `id` would not do, as a later
exception may have the same one; and built-in exceptions have no weak references.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

_VALID = 60.0  # seconds in which the server must log it
_MAX_LEAVES = 100
_numbers = itertools.count()
_members = BaseExceptionGroup.__dict__["exceptions"].__get__
_attributes: Callable[[BaseException], dict[str, Any]] = BaseException.__dict__["__dict__"].__get__


class _Time(float):
    """When an exception was counted, in seconds since the epoch."""

    __slots__ = ()

    @override
    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # another process has not counted the exception


class _Call(_Time):
    """The same, with the call that logged the exception."""

    __slots__ = ("call",)
    call: tuple[str, object]


class Repeats:
    """Tell exceptions that a handler has counted from others."""

    def __init__(self) -> None:
        self._name = f"__tocsin_{next(_numbers)}__"  # each handler counts for itself

    def note(self, error: BaseException, time: float) -> None:
        """Mark an exception that the application has logged. Each record needs these lines."""
        mark = _Time(time)
        if isinstance(error, BaseExceptionGroup):
            for leaf in _leaves(error):
                _attributes(leaf)[self._name] = mark
        else:
            _attributes(error)[self._name] = mark

    def is_repeat(self, record: logging.LogRecord, error: BaseException) -> bool:
        """Return whether the exception of a server's record was counted before; else mark it.

        A mark is removed then, so that an exception object that is raised again counts again. A
        group of exceptions was counted if all its members were.
        """
        marks = [(leaf, _attributes(leaf).get(self._name)) for leaf in _leaves(error)]
        call = (record.name, record.msg)
        if all(_covers(mark, record.created, call) for _, mark in marks):
            for leaf, _ in marks:
                del _attributes(leaf)[self._name]
            return True
        mark = _Call(record.created)
        mark.call = call
        for leaf, _ in marks:
            _attributes(leaf)[self._name] = mark
        return False


def _covers(mark: object, time: float, call: tuple[str, object]) -> bool:
    """Return whether a mark was made for an earlier record by another call."""
    if not isinstance(mark, _Time) or not 0 <= time - mark < _VALID:
        return False
    return not isinstance(mark, _Call) or mark.call != call


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group that are not groups themselves; else the exception."""
    todo, left = [error], _MAX_LEAVES
    while todo and left:
        one = todo.pop()
        left -= 1
        if isinstance(one, BaseExceptionGroup):
            todo.extend(_members(one))
        else:
            yield one
