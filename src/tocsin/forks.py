"""Forks: work that a fork must not cut in two, and callbacks for the child.

A process may fork while another of its threads works. In the child that thread does not exist, and
the locks that it held stay taken. So a fork waits a moment until guarded work ends, and the child
calls each registered callback first.

A thread in guarded work may need any lock, as a finalizer may run in it and log. So a guard has no
lock, and a fork holds no lock while it waits. Only when there is no guarded work, the fork takes
the lock of the logging module, which logging itself takes next at a fork. A thread that has that
lock begins no guarded work then.
"""

from __future__ import annotations

import _thread
import inspect
import itertools
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_PATIENCE = 1.0  # seconds that a fork waits for guarded work in all
_MOMENT = 0.1  # seconds that new guarded work waits for a fork
_TURN = 0.001  # seconds between two looks
_logging: Any = getattr(logging, "_lock", None) or threading.RLock()
_fork = threading.local()
_forking: list[int] = []
"""The threads that fork."""


class ForkGuard:
    """Work that a fork lets end; a context manager for any thread, and re-entrant.

    Args:
        waits: whether a fork waits for it. If not, a child can make up for it.

    Attributes:
        was_cut: whether this process was forked while another thread of its parent was inside.
    """

    def __init__(self, *, waits: bool = True) -> None:
        self.was_cut: bool = False
        self._waits = waits
        self._threads: list[int] = []  # a single operation of a list is atomic
        _guards.append(self)

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
    def delays_fork(self) -> bool:
        """Whether a fork in this thread has to wait for another thread."""
        return self._waits and self._is_elsewhere()

    def begin_in_child(self) -> None:
        """Forget the parent's threads."""
        self.was_cut = self.was_cut or self._is_elsewhere()
        self._threads = [one for one in self._threads if one == threading.get_ident()]

    def _is_elsewhere(self) -> bool:
        ident = threading.get_ident()
        return any(one != ident for one in self._threads)


class Guards(Protocol):
    """What may delay a fork for a moment."""

    @property
    def delays_fork(self) -> bool:
        """Whether a fork in this thread has to wait for another thread."""
        ...

    def begin_in_child(self) -> None:
        """Forget the parent's threads."""
        ...


_guards: list[Guards] = []
_callbacks: dict[int, Callable[[], object]] = {}
_keys = itertools.count()
_process = os.getpid()

imports: ForkGuard = ForkGuard()
"""Imports: a child would wait for ever for a module that a thread of its parent was loading."""


def on_fork(in_child: Callable[[], object]) -> None:
    """Call a function in each child after a fork, in the order of registration.

    Each function is called, even if another one raises.

    Args:
        in_child: the function, or a method, whose object is held weakly.
    """
    key = next(_keys)
    if not inspect.ismethod(in_child):
        _callbacks[key] = in_child
        return
    function, drop = in_child.__func__, _callbacks.pop
    found = weakref.ref(in_child.__self__, lambda _: drop(key, None))
    _callbacks[key] = lambda: None if (owner := found()) is None else function(owner)


def guard_forks(guard: Guards) -> None:
    """Let a fork wait for something that ends by itself, for a second at most."""
    _guards.append(guard)


def notice_fork() -> bool:
    """Begin anew if this is the child of a fork that Python was not told of, as uWSGI's.

    Returns:
        Whether it is.
    """
    if os.getpid() == _process:
        return False
    _in_child()
    return True


def holds_logging_lock() -> bool:
    """Return whether this thread holds the lock of the logging module, as in `dictConfig`."""
    owned = getattr(_logging, "_is_owned", None)
    return owned is None or bool(owned())


def logging_lock() -> Any:
    """Return the lock of the logging module: while a thread has it, no logger is configured."""
    return _logging


def start_thread(thread: threading.Thread, failed: Callable[[], object]) -> None:
    """Start a thread; a caller that has the lock of logging doesn't wait until it runs.

    Before `Thread.start` returns, the new thread has run some Python. There, the garbage collector
    may remove a logging handler, for which it needs the lock of logging: with the usual start, both
    threads would wait for ever.

    Args:
        thread: the thread.
        failed: called if no thread can be started: the interpreter is ending, or has too many.
    """
    try:
        if holds_logging_lock():
            _thread.start_new_thread(_start_elsewhere, (thread, failed))
        else:
            thread.start()
    except RuntimeError:
        failed()


def _start_elsewhere(thread: threading.Thread, failed: Callable[[], object]) -> None:
    try:
        thread.start()
    except RuntimeError:
        failed()


def _before() -> None:
    _fork.holds_lock = False  # should a signal end the wait
    _forking.append(threading.get_ident())
    until = time.monotonic() + _PATIENCE
    while True:
        while any(guard.delays_fork for guard in _guards) and time.monotonic() < until:
            time.sleep(_TURN)
        left = until - time.monotonic()
        _fork.holds_lock = _logging.acquire(timeout=max(0, left))
        if left <= 0 or not any(guard.delays_fork for guard in _guards):
            return
        if _fork.holds_lock:
            _logging.release()


def _in_parent() -> None:
    _forking.remove(threading.get_ident())
    if _fork.holds_lock:
        _logging.release()


def _in_child() -> None:
    global _process  # noqa: PLW0603 - it is another process from now on
    _process = os.getpid()
    _forking.clear()  # the lock of logging has been made anew by logging
    for guard in _guards:
        guard.begin_in_child()
    failed: BaseException | None = None
    for callback in tuple(_callbacks.values()):
        try:
            callback()
        except BaseException as error:  # noqa: BLE001 - it is raised when all were called
            failed = error
    if failed is not None:
        raise failed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
