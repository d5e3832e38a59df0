"""The arrival: handlers on the root logger are added to loggers of servers that are cut off.

A server cuts its loggers off from the root logger, or replaces the root's handlers, before or after
the application sets up logging. So the loggers are looked at after each configuration: a thread
waits until it is over, and adds the handlers where they are missing. To notice configurations,
there is a handler that does nothing: each configuration closes it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from typing_extensions import override

from tocsin.forks import guard_forks, logging_lock, on_fork, start_thread
from tocsin.integrations.guest import guests
from tocsin.pipeline import exits

if TYPE_CHECKING:
    from tocsin.integrations.guest import Guest
    from tocsin.integrations.silent import Silent

_THREAD = "tocsin-arrival"
_LOOKS = 20  # for the logger of a handler that was built by hand
_PATIENCE = 2.0  # seconds that the end of the process waits for a thread
_PAUSE = 0.05  # seconds between two of them


def settle() -> None:
    """Add all handlers where they are missing."""
    if not _watch.ended.is_set():
        with logging_lock():
            settled = _settle()
        _follow(settled)


def settle_due() -> None:
    """Add all handlers where they are missing, if no thread was started to do so.

    While a configuration goes on, nothing is done: an error that is logged does not wait.
    """
    if not _watch.due or _watch.ended.is_set() or not (lock := logging_lock()).acquire(False):
        return
    try:
        settled = _settle()
    finally:
        lock.release()
    _follow(settled)


def _settle() -> list[tuple[Guest, Silent | None]]:
    _watch.renew()
    return [(guest, guest.settle()) for guest in guests]


def _follow(settled: list[tuple[Guest, Silent | None]]) -> None:
    """Do what needs no lock."""
    for guest, names in settled:
        if names is not None:
            guest.connect(settle)
            guest.tell()
            guest.warn(names)


def settle_soon(*, patient: bool = False) -> None:
    """Add all handlers where they are missing, as soon as no configuration goes on.

    A thread is started only if a server is loaded. A process may be forked without Python's
    knowledge, as by uWSGI, which has none: a thread that then has the lock of logging, or that of
    the interpreter, keeps it in the child for ever. Without a thread, the first error that is
    logged is the occasion.

    Args:
        patient: whether to look again, for a second at most, until each handler is on a logger.
    """
    if exits.began() or _watch.ended.is_set():
        return
    if "uwsgi" in sys.modules or not _has_servers():
        _watch.postpone()
        return
    if not patient:
        if not _watch.pending:
            _watch.start(threading.Thread(target=settle, name=_THREAD, daemon=True))
        return
    with logging_lock():
        looks, _watch.looks = _watch.looks, _LOOKS
    if not looks:  # else a thread that looks is there
        _watch.start(
            threading.Thread(target=_settle_patiently, name=_THREAD, daemon=True), brief=False
        )


def _settle_patiently() -> None:
    while _watch.looks:
        settle()
        with logging_lock():
            left = _watch.looks - 1
            _watch.looks = left if any(guest.is_new for guest in guests) else 0
        if _watch.looks and _watch.ended.wait(_PAUSE):
            return


def _has_servers() -> bool:
    """Return whether a server is loaded, whose loggers may be cut off."""
    with logging_lock():
        return any(guest.has_servers for guest in guests)


class _Watch:
    """Notice configurations of logging. A fork waits for the thread that looks at the loggers.

    Attributes:
        due: whether the loggers are to be looked at when the next error is logged.
        pending: whether a thread is about to look at the loggers.
        looks: how often a thread will look again, until each handler is on a logger.
        ended: set as the process ends.
    """

    def __init__(self) -> None:
        self.due: bool = False
        self.pending: bool = False
        self.looks: int = 0
        self.ended: threading.Event = threading.Event()
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._canary: logging.Handler | None = None
        guard_forks(self)
        on_fork(self._in_child)
        atexit.register(self._end)

    def start(self, thread: threading.Thread, *, brief: bool = True) -> None:
        """Start a thread that looks at the loggers.

        Args:
            thread: the thread.
            brief: whether it ends after the first look.
        """
        self.pending, self._thread = True, thread if brief else self._thread
        self._threads.add(thread)
        start_thread(thread, self._not_started)

    def _not_started(self) -> None:
        self.pending, self.looks = False, 0

    @property
    def delays_fork(self) -> bool:
        """Whether the thread is about to look, or to end."""
        thread = self._thread
        return self.pending or (
            thread is not None and thread is not threading.current_thread() and thread.is_alive()
        )

    def begin_in_child(self) -> None:
        """Forget the parent's thread."""
        self._thread = None

    def postpone(self) -> None:
        """Look at the loggers when the next error is logged."""
        self.due = True
        self._canary = _Canary()

    def renew(self) -> None:
        """Notice the next configuration. The calling thread has the lock of logging."""
        self.pending = self.due = False
        self._canary = _Canary()

    def closed(self, canary: logging.Handler) -> None:
        """Look at the loggers after the configuration that closes a handler."""
        if canary is self._canary:
            settle_soon()

    def _end(self) -> None:
        """Wait for the threads. One that has the lock of logging must not stop with Python.

        As Python ends, daemon threads stop where they are, and what it then deletes may need that
        lock.
        """
        self.ended.set()
        for thread in list(self._threads):
            with contextlib.suppress(RuntimeError):  # it has not started yet, and will do nothing
                thread.join(_PATIENCE)

    def _in_child(self) -> None:
        self._threads.clear()
        looks, self.looks = self.looks, 0
        if self.pending or looks:  # the thread is in the parent
            self.pending = False
            settle_soon(patient=looks > 0)


class _Canary(logging.Handler):
    """A handler that gets no records. A configuration of logging closes it."""

    @override
    def close(self) -> None:
        super().close()
        _watch.closed(self)


_watch = _Watch()
