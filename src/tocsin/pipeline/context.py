"""The context: the last records before an error, of the same thread or task.

It takes no lock, so that a signal handler or a finalizer may log in the middle of it: each step is
one operation of a built-in container, which is whole in itself.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from tocsin.events.capture import MAX_CONTEXT_MESSAGE, CapturedRecord
from tocsin.events.fields import message_of
from tocsin.events.records import seconds
from tocsin.text import MARGIN, Excerpt, attempt

if TYPE_CHECKING:
    import logging
    from contextvars import ContextVar

_MAX_RINGS = 64
_MAX_TEXT = MAX_CONTEXT_MESSAGE + MARGIN
_MAX_NAME = 500
_TRIES = 3
_UNSET = object()


class Context:
    """The last records before an error, of the same thread or task.

    A record belongs to the value of `key`, if that is given and set; else to the running asyncio
    task; else to the thread. One that another thread or process has logged, and a queue or a
    socket has brought here, belongs to that one.

    Args:
        size: how many records are kept of each.
        key: says what a record belongs to, such as a request.
    """

    def __init__(self, size: int, key: ContextVar[Any] | None = None) -> None:
        self._size = size
        self._key = key
        self._here = threading.local()  # a thread's own token, as its number is used again
        self._rings: OrderedDict[object, deque[tuple[float, str, str, str, int]]] = OrderedDict()

    def note(self, record: logging.LogRecord) -> None:
        """Keep a record's text: nothing holds on to its arguments."""
        text = message_of(record, None)
        length = len(text)
        if length > _MAX_TEXT:
            text = text[:_MAX_TEXT]
        owner = self._owner(record)
        ring = self._rings.get(owner)
        if ring is None:
            ring = self._new(owner)
        else:
            try:
                self._rings.move_to_end(owner)
            except KeyError:  # another thread has needed its place just now
                self._rings[owner] = ring
        ring.append((record.created, record.levelname, record.name, text, length))

    def before(self, record: logging.LogRecord) -> tuple[CapturedRecord, ...]:
        """Return what came before a record, the oldest first."""
        ring = self._rings.get(self._owner(record), ())
        for _ in range(_TRIES):
            try:
                kept = tuple(ring)
            except RuntimeError:  # another thread has changed it meanwhile
                continue
            return tuple(
                CapturedRecord(_seconds(time), _name(level), _name(logger), Excerpt(text, length))
                for time, level, logger, text, length in kept
            )
        return ()

    def _new(self, owner: object) -> deque[tuple[float, str, str, str, int]]:
        """Return a ring for somebody new, in the place of the one that is longest unused."""
        ring = self._rings.setdefault(owner, deque(maxlen=self._size))
        while len(self._rings) > _MAX_RINGS:
            self._rings.popitem(last=False)
        return ring

    def _owner(self, record: logging.LogRecord) -> object:
        """Return what a record belongs to."""
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
        # Where asyncio isn't loaded nothing runs in it; importing it would take 60 ms.
        running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
        if running is not None and running() is not None:
            task = sys.modules["asyncio"].current_task()
            if task is not None:
                return weakref.ref(task)  # one that has ended equals no other one
        try:
            return self._here.token
        except AttributeError:
            token = self._here.token = object()
            return token


def _hashable(value: object) -> object:
    """Return what stands for a key's value in a dictionary."""
    try:
        if type(value).__hash__ is object.__hash__:
            return weakref.ref(value)  # it isn't kept alive, and no other one is taken for it
        hash(value)
    except Exception:  # noqa: BLE001 - whatever a class of the application raises
        return "text", attempt(value)[:_MAX_NAME]
    return "value", value


def _seconds(time: object) -> float:
    return seconds(time, 0.0) if isinstance(time, (int, float)) else 0.0


def _name(value: object) -> str:
    return attempt(value)[:_MAX_NAME]
