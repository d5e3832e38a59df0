"""The ends of a process: everything unmailed is sent before the process ends.

- An ordinary process: by a hook of `atexit`.
- A child of `multiprocessing`: by a finalizer of that module, as such a child runs no `atexit`.
- A worker process of Celery: by Celery's signal.
- A child that was forked by a thread: when only daemon threads are left.

After the hook has run, a thread that logs an error sends it itself.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from typing import Any, Protocol

from tocsin.alerts.policy import Urgency
from tocsin.forks import on_fork

_LOOK = 0.2  # seconds between two looks whether the thread that forked this process has ended


class Member(Protocol):
    """What has something to send before the process ends: a worker."""

    exit_timeout: float

    @property
    def settled(self) -> bool:
        """Whether there is nothing to send, nor to wait for."""
        ...

    def ask(self, urgency: Urgency) -> int:
        """Ask for a round, and return its number."""
        ...

    def leave(self, number: int, until: float) -> None:
        """Wait for a round until then; if it is not over, give up what is unmailed."""
        ...

    def dismiss(self) -> None:
        """End the thread."""
        ...


_members: weakref.WeakSet[Member] = weakref.WeakSet()
_watched: set[int] = set()
"""The processes whose end a hook of `multiprocessing` or, as negative numbers, Celery sees to."""
_began = False
_ended = False


def join(member: Member) -> None:
    """Let a worker send what is unmailed before the process ends."""
    _members.add(member)


def members() -> list[Any]:
    """Return the workers of this process; other threads may add some meanwhile."""
    while True:
        try:
            return list(_members)
        except RuntimeError:  # the set has changed its size
            continue


def began() -> bool:
    """Return whether the process's end has begun."""
    return _began


def ended() -> bool:
    """Return whether the end was seen to: no thread runs a round any more."""
    return _ended or sys.is_finalizing()


def finish() -> None:
    """Send everything that is unmailed; after a second interruption, give up what is left.

    Raises:
        BaseException: what a signal handler has raised meanwhile, such as SystemExit.
    """
    began_at = time.monotonic()
    interrupted: BaseException | None = None
    for patient in (True, True, False, False):
        # The next signal may come at any point: as little as possible is outside of `try`.
        try:
            for member, number in [(one, one.ask(Urgency.EXIT)) for one in _unsettled()]:
                member.leave(number, began_at + (member.exit_timeout if patient else 0))
            break
        except BaseException as error:  # noqa: BLE001 - it is raised in the end
            interrupted = error
    if interrupted is not None:
        raise interrupted


def _unsettled() -> list[Any]:
    return [member for member in members() if not member.settled]


@atexit.register  # logging registers its own hook before, so this one runs first
def _at_exit() -> None:
    global _began, _ended  # noqa: PLW0603 - it happens once
    _began = True
    try:
        finish()
    finally:
        _ended = True
        for member in members():
            member.dismiss()


# Children of multiprocessing, and Celery's worker processes


def watch() -> None:
    """See to the end of this process where `atexit` does not: call it as events come."""
    pid = os.getpid()
    if (celery := sys.modules.get("celery.signals")) is not None and -pid not in _watched:
        _watched.add(-pid)
        celery.worker_process_shutdown.connect(_at_shutdown, weak=False, dispatch_uid=__name__)
    process = sys.modules.get("multiprocessing.process")
    if process is None or pid in _watched:
        return
    begins = getattr(process.current_process(), "_inheriting", False)
    if not begins and "multiprocessing.util" not in sys.modules:
        return
    from multiprocessing import util  # noqa: PLC0415 - only where it is loaded, or about to be

    if begins or process.parent_process() is not None:
        _watched.add(pid)
        util.Finalize(None, finish, exitpriority=0)
    # A parent; or a child of the fork server, which forgets that when it begins.
    if 0 not in _watched:
        _watched.add(0)
        util.register_after_fork(_members, _watch_again)


def _watch_again(_: object) -> None:
    _watched.discard(os.getpid())
    watch()


def _at_shutdown(**_: object) -> None:
    finish()


# Children that a thread has forked


def only_daemons_left() -> bool:
    """Return whether a thread has forked this process and has ended, and daemons alone are left.

    The process then ends with its last thread, whichever that is.
    """
    return (
        _forked_by_a_thread()
        and not threading.main_thread().is_alive()
        and all(thread.daemon for thread in threading.enumerate())
    )


def longest_wait() -> float:
    """Return the seconds that a worker may sleep: a thread that ends wakes no worker."""
    return _LOOK if _forked_by_a_thread() else threading.TIMEOUT_MAX


def _forked_by_a_thread() -> bool:
    return type(threading.main_thread()).__name__ != "_MainThread"


on_fork(_members.clear)
