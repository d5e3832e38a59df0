"""The sending thread: a call that may take long runs in it, while the keeping thread goes on.

Each call has a thread of its own, as mails are rare: there is none while nothing is sent. Where no
thread can be started any more, as the interpreter ends, the call runs in the thread that asks.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")
_PAUSE = 1.0  # seconds between two hand-overs
_sending: set[int] = set()
"""The threads in which a mail is sent."""


def sending_here() -> bool:
    """Whether this thread sends a mail: what it logs meanwhile must not cause another one.

    By thread, not by handler: two handlers that alert of each other's mails would never end.
    """
    return bool(_sending) and threading.get_ident() in _sending


@contextlib.contextmanager
def silent() -> Generator[None]:
    """Take what this thread logs meanwhile for a part of sending a mail."""
    ident = threading.get_ident()
    new = ident not in _sending
    _sending.add(ident)
    try:
        yield
    finally:
        if new:
            _sending.discard(ident)


def after_fork_in_child() -> None:
    """Forget the parent's threads; a thread here may have the number of one of those."""
    _sending.intersection_update({threading.get_ident()})


class Call(Generic[T]):
    """A call in the sending thread.

    Args:
        call: what is called.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._over: list[T] | BaseException | None = None
        # A signal handler or a finalizer may put something in the middle of the same.
        self._signals: queue.SimpleQueue[None] = queue.SimpleQueue()

    def run(self, meanwhile: Callable[[], None]) -> T:
        """Make the call, and return what it returns, or raise what it raises.

        Args:
            meanwhile: is called each second until the call is over, and when it is hurried.
        """
        try:
            threading.Thread(target=self._make, name="tocsin-sender", daemon=True).start()
        except RuntimeError:  # since 3.12 none starts as the interpreter ends
            self._make()
        while self._over is None:
            with contextlib.suppress(queue.Empty):
                self._signals.get(timeout=_PAUSE)
            if self._over is None:
                meanwhile()
        if isinstance(self._over, BaseException):
            raise self._over
        return self._over[0]

    def hurry(self) -> None:
        """Have `meanwhile` called at once."""
        self._signals.put(None)

    def _make(self) -> None:
        try:
            self._over = [self._call()]
        except BaseException as error:  # noqa: BLE001 - it is for the thread that waits
            self._over = error
        self._signals.put(None)
