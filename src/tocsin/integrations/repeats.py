"""Repeats: an exception that the application has logged, and that its server logs again.

A mark in the exception tells that it was counted. The exception's `id` would not do, as a later
exception may have the same one; and built-in exceptions have no weak references.

An exception object may be raised again later: a constant of a module, or the result of a future.
That is another failure, which counts. Its traceback shows it: that of the same failure has grown
from the place where it was logged.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tocsin.events.exceptions import traceback_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_VALID = 60.0  # seconds in which the server must log it
_MAX_LEAVES = 100
_MAX_ENTRIES = 500  # of a traceback, the outer ones
_GENERATOR = 0x20 | 0x200  # flags of code: of a generator, and of an asynchronous one
_numbers = itertools.count()
_members = BaseExceptionGroup.__dict__["exceptions"].__get__
_attributes: Callable[[BaseException], dict[str, Any]] = BaseException.__dict__["__dict__"].__get__


class _Mark(tuple[Any, ...]):
    """What is known of a record that has counted. A named tuple would take more time to make."""

    __slots__ = ()

    @override
    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # another process has not counted the exception


class Repeats:
    """Tell exceptions that a handler has counted from others."""

    def __init__(self) -> None:
        self._name = f"__tocsin_{next(_numbers)}__"  # each handler counts for itself

    def note(self, record: logging.LogRecord, error: BaseException, call: object = None) -> None:
        """Mark the exception of a record that counts. Each record needs these lines.

        A warning makes no mark: what a server logs of the exception afterwards is an error.

        Args:
            record: the record.
            error: its exception.
            call: the call of a server that has logged it; None if the application has.
        """
        if record.levelno < logging.ERROR:
            return
        name = self._name
        for one in _leaves(error) if isinstance(error, BaseExceptionGroup) else (error,):
            mark = traceback_of(one), record.created, record.pathname, record.funcName, call
            _attributes(one)[name] = _Mark(mark)

    def is_repeat(self, record: logging.LogRecord, error: BaseException) -> bool:
        """Return whether the exception of a server's record was counted before, and mark it.

        A group of exceptions was counted if all its members were.
        """
        call = record.name, record.msg
        name = self._name
        known = all(
            _covers(_attributes(leaf).get(name), record, leaf, call) for leaf in _leaves(error)
        )
        self.note(record, error, call)
        return known


def _covers(
    mark: object, record: logging.LogRecord, error: BaseException, call: tuple[str, object]
) -> bool:
    """Return whether a mark was made for the same failure, by another call."""
    if not isinstance(mark, _Mark):
        return False
    trace, time, path, function, marked = mark
    return (
        0 <= record.created - time < _VALID
        and marked != call
        and (trace is None or _goes_on(trace, traceback_of(error), (path, function)))
    )


def _goes_on(old: TracebackType, new: TracebackType | None, place: tuple[str, str]) -> bool:
    """Return whether an exception has not been raised again since it was logged.

    If it was, a `raise` stands right before the earlier traceback, in a function that has neither
    caught nor logged the exception. Or the traceback is another one, as after each `await` of a
    future.

    Args:
        old: the traceback when it was logged.
        new: the traceback now.
        place: the path and the function of the call that logged it.
    """
    entries: list[TracebackType] = []
    while new is not None and len(entries) < _MAX_ENTRIES:
        entries.append(new)
        new = new.tb_next
    at = {id(entry): number for number, entry in enumerate(entries)}
    # `contextlib` takes the entry of a context manager's generator away again.
    while id(old) not in at and old.tb_frame.f_code.co_flags & _GENERATOR and old.tb_next:
        old = old.tb_next
    number = at.get(id(old), -1)
    if number <= 0:
        return number == 0
    outer = entries[:number]
    last, code = outer[-1], outer[-1].tb_frame.f_code
    return (
        code.co_code[last.tb_lasti] != _RAISE
        or place == (code.co_filename, code.co_name)
        or any(entry.tb_frame is old.tb_frame for entry in outer)
    )


def _raise_code() -> int:
    """Return the operation of a `raise`, which differs between versions of Python."""
    try:
        raise KeyError  # noqa: TRY301 - its place is what is looked at
    except KeyError as error:
        trace = traceback_of(error)
    return -1 if trace is None else trace.tb_frame.f_code.co_code[trace.tb_lasti]


_RAISE = _raise_code()


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
