"""The context: the last records before an error, of the same thread or task.

This module takes no lock, because a signal handler or a finalizer may interrupt it and log. Each
step is one atomic operation of a built-in container.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from tocsin.events.capture import MAX_CONTEXT_MESSAGE, CapturedRecord
from tocsin.events.fields import line_of
from tocsin.events.records import seconds
from tocsin.events.structured import brief
from tocsin.text import MARGIN, Excerpt, attempt

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from contextvars import ContextVar

_MAX_RINGS = 64
_MAX_TEXT = MAX_CONTEXT_MESSAGE + MARGIN
_MAX_NAME = 500
_TRIES = 3
_UNSET = object()


class Context:
    """Keep the last records of each owner, in a ring of limited size.

    The owner of a record is the value of `key`, if this context variable is set; else the request
    or task of a framework; else the running asyncio task; else the thread. If a record arrived
    through a queue or a socket, its owner is the thread or task that logged it.

    Args:
        size: how many records are kept for each owner.
        key: a context variable whose value is the owner, for instance the number of a request.
        owner_of: returns the request or task of a record; None without one.
    """

    def __init__(
        self,
        size: int,
        key: ContextVar[Any] | None = None,
        owner_of: Callable[[logging.LogRecord], object] = lambda _record: None,
    ) -> None:
        self._owner_of = owner_of
        self._size = size
        self._key = key
        # A token for each thread: the number of a thread that has ended is used again.
        self._local = threading.local()
        self._rings: OrderedDict[object, deque[tuple[float, str, str, str, int]]] = OrderedDict()

    def note(self, record: logging.LogRecord) -> None:
        """Keep the text of a record, and no reference to its arguments."""
        text = line_of(record)
        length = len(text)
        if length > _MAX_TEXT:
            text = text[:_MAX_TEXT]
        owner = self._owner(record)
        ring = self._rings.get(owner)
        if ring is None:
            ring = self._add_ring(owner)
        else:
            try:
                self._rings.move_to_end(owner)
            except KeyError:  # another thread has just removed it
                self._rings[owner] = ring
        ring.append((record.created, record.levelname, record.name, text, length))

    def before(self, record: logging.LogRecord) -> tuple[CapturedRecord, ...]:
        """Return the kept records of a record's owner, the oldest first."""
        ring = self._rings.get(self._owner(record), ())
        for _ in range(_TRIES):
            try:
                kept = tuple(ring)
            except RuntimeError:  # another thread changed it during the copy
                continue
            return tuple(_captured(*one) for one in kept)
        return ()

    def clear(self) -> None:
        """Forget all records."""
        self._rings.clear()

    def _add_ring(self, owner: object) -> deque[tuple[float, str, str, str, int]]:
        """Return a ring for a new owner; if there are too many, remove the longest unused one."""
        ring = self._rings.setdefault(owner, deque(maxlen=self._size))
        while len(self._rings) > _MAX_RINGS:
            self._rings.popitem(last=False)
        return ring

    def _owner(self, record: logging.LogRecord) -> object:
        """Return the owner of a record: a value that can be a key of a dictionary."""
        ident = record.thread
        if (ident is not None and ident != threading.get_ident()) or (
            record.process is not None and record.process != os.getpid()
        ):
            task = record.__dict__.get("taskName")
            return record.process, ident, record.threadName, task
        if self._key is not None:
            value = self._key.get(_UNSET)
            if value is not _UNSET:
                return _hashable(value)
        try:
            value = self._owner_of(record)
        except Exception:  # noqa: BLE001 - an object of a framework may raise anything
            value = None
        if value is not None:
            return _hashable(value)
        # Without asyncio loaded, there is no task; to import asyncio would take 60 ms.
        running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
        if running is not None and running() is not None:
            task = sys.modules["asyncio"].current_task()
            if task is not None:
                return weakref.ref(task)  # a task that has ended equals no other task
        try:
            return self._local.token
        except AttributeError:
            token = self._local.token = object()
            return token


def _captured(time: object, level: str, logger: str, text: str, length: int) -> CapturedRecord:
    shown = brief(text, _name(level), _name(logger))
    length = length if shown is text else len(shown)
    return CapturedRecord(_seconds(time), _name(level), _name(logger), Excerpt(shown, length))


def _hashable(value: object) -> object:
    """Return a hashable value that is equal for equal values of the context variable."""
    try:
        if type(value).__hash__ is object.__hash__:
            return weakref.ref(value)  # doesn't keep the value alive, and equals no other value
        hash(value)
    except Exception:  # noqa: BLE001 - whatever a class of the application raises
        return "text", attempt(value)[:_MAX_NAME]
    return "value", value


def _seconds(time: object) -> float:
    return seconds(time, 0.0) if isinstance(time, (int, float)) else 0.0


def _name(value: object) -> str:
    return attempt(value)[:_MAX_NAME]
