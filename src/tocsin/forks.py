"""What a fork waits for: a child has no use for locks whose holder it doesn't have.

A fork takes them in the order in which threads do, one after the other: what is done undivided may
need the logging module's lock, as imports do, and who has that, as `dictConfig` does, a file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

_PATIENCE = 5.0  # seconds that a fork waits at most, and threads for each other
_SOON = 0.2  # seconds that the main thread waits: who hangs in there must not keep the program
_whole = threading.RLock()
_logging: Any = getattr(logging, "_lock", None) or threading.RLock()
_file = threading.RLock()  # re-entrant, as other hooks may open one in the child before it is free
_fork = threading.local()


@contextlib.contextmanager
def undivided() -> Generator[None]:
    """Let forks wait for what is done now: it imports, or calls what has locks of its own."""
    whole = _whole  # a child has another one
    main = threading.current_thread() is threading.main_thread()
    held = whole.acquire(timeout=_SOON if main else _PATIENCE)
    try:
        yield
    finally:
        if held:
            whole.release()


@contextlib.contextmanager
def file_open() -> Generator[None]:
    """Let forks wait while a file is open, and one thread at a time have one.

    A child would have locks on it that belong to a thread which it hasn't got.
    """
    with _file:
        yield


def _before() -> None:
    _fork.waited = _whole.acquire(timeout=_PATIENCE)
    _logging.acquire()
    _file.acquire()


def _in_parent() -> None:
    _file.release()
    _logging.release()
    if _fork.waited:
        _whole.release()


def _in_child() -> None:
    global _whole  # noqa: PLW0603 - the lock is the parent's too
    _file.release()
    _whole = threading.RLock()  # logging makes its own anew


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
