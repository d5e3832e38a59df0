"""Work that a fork must not cut in two: a fork waits a moment for it, and a child knows if it was.

A thread in such work may need any lock, as a finalizer may run in it and log. So there is no lock
here, and a fork waits while it holds none. Only when no such work is going on, it takes the lock of
the logging module, as logging itself does next, so that none is begun by a thread that has it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_PATIENCE = 1.0  # seconds that a fork waits for such work in all
_MOMENT = 0.1  # seconds that new work waits for a fork
_TURN = 0.001  # seconds between two looks
_logging: Any = getattr(logging, "_lock", None) or threading.RLock()
_fork = threading.local()
_forking: list[int] = []
"""The threads that fork."""


class Undivided:
    """A kind of work that a fork lets end; a context manager, for any thread and re-entrant.

    Args:
        waits: whether a fork waits for it. If not, a child can make up for it.

    Attributes:
        cut: whether this process was forked while another thread of its parent was in it.
    """

    def __init__(self, *, waits: bool = True) -> None:
        self.cut: bool = False
        self._waits = waits
        self._threads: list[int] = []  # one operation of a list is whole in itself
        _kinds.append(self)

    def __enter__(self) -> None:
        """Begin; if a fork is about to happen, after it."""
        ident = threading.get_ident()
        # A fork waits for a thread that has the lock of logging.
        if _forking and self._waits and ident not in self._threads and not holds_logging_lock():
            until = time.monotonic() + _MOMENT
            while _forking and time.monotonic() < until:
                time.sleep(_TURN)
        self._threads.append(ident)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._threads.remove(threading.get_ident())

    @property
    def holds_up(self) -> bool:
        """Whether a fork in this thread has to wait for another one."""
        return self._waits and self._is_elsewhere()

    def begin_in_child(self) -> None:
        """Forget the parent's threads."""
        self.cut = self.cut or self._is_elsewhere()
        self._threads = [one for one in self._threads if one == threading.get_ident()]

    def _is_elsewhere(self) -> bool:
        ident = threading.get_ident()
        return any(one != ident for one in self._threads)


_kinds: list[Undivided] = []
imports: Undivided = Undivided()
"""Imports: a child would wait for ever for a module that a thread of its parent was loading."""
files: Undivided = Undivided()
"""Uses of an SQLite file: a child would have locks of a thread that it hasn't got."""
rendering: Undivided = Undivided(waits=False)
"""Rendering: the cache of templates has a lock, and a child loads them anew."""


def holds_logging_lock() -> bool:
    """Whether this thread holds the lock of the logging module, as `dictConfig` does."""
    owned = getattr(_logging, "_is_owned", None)
    return owned is None or bool(owned())


def _before() -> None:
    _fork.holds_lock = False  # should a signal end the wait
    _forking.append(threading.get_ident())
    until = time.monotonic() + _PATIENCE
    while True:
        while any(kind.holds_up for kind in _kinds) and time.monotonic() < until:
            time.sleep(_TURN)
        left = until - time.monotonic()
        _fork.holds_lock = _logging.acquire(timeout=max(0, left))
        if left <= 0 or not any(kind.holds_up for kind in _kinds):
            return
        if _fork.holds_lock:
            _logging.release()


def _in_parent() -> None:
    _forking.remove(threading.get_ident())
    if _fork.holds_lock:
        _logging.release()


def _in_child() -> None:
    _forking.clear()  # the lock of logging has been made anew by logging
    for kind in _kinds:
        kind.begin_in_child()
    for callback in _callbacks:
        callback()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


_callbacks: list[Callable[[], None]] = []


def on_fork(in_child: Callable[[], None]) -> None:
    """Register a function to be called in the child after each fork, in the order of registration.

    Args:
        in_child: the function; it must not raise, and is never removed.
    """
    _callbacks.append(in_child)
