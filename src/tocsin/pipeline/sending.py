"""The sending thread: a call that may take long runs in it, while the worker continues.

Each call has a thread of its own, which ends with the call. If the interpreter is ending, no thread
can start: then the call runs in the thread that makes it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tocsin.forks import on_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")
_PAUSE = 1.0  # seconds between two calls of `meanwhile`
_sending: set[int] = set()
"""The threads that send a mail."""


def sending_here() -> bool:
    """Return whether this thread sends a mail: its records meanwhile must not cause another one.

    It is asked by thread, not by handler: two handlers that mail each other's errors would not end.
    """
    return bool(_sending) and threading.get_ident() in _sending


@contextlib.contextmanager
def silent() -> Generator[None]:
    """Treat the records of this thread meanwhile as a part of sending a mail."""
    ident = threading.get_ident()
    new = ident not in _sending
    _sending.add(ident)
    try:
        yield
    finally:
        if new:
            _sending.discard(ident)


def _after_fork() -> None:
    """Forget the parent's threads: a thread here may have the number of one of them."""
    _sending.intersection_update({threading.get_ident()})


on_fork(_after_fork)


class SendingThread:
    """Make calls that may take long, in a thread of their own.

    Attributes:
        meanwhile: called each second until a call is over, and at once after `hurry`.
    """

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self._call: _Call[Any] | None = None

    def run(self, call: Callable[[], T]) -> T:
        """Make a call, and return its value, or raise its error."""
        self._call = made = _Call(call)
        try:
            return made.run(self.meanwhile)
        finally:
            self._call = None

    def hurry(self) -> None:
        """Let `meanwhile` be called at once, if a call is being made."""
        if (call := self._call) is not None:
            call.signals.put(None)


class _Call(Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._over: list[T] | BaseException | None = None
        # A signal handler or a finalizer may put a signal while this thread puts one.
        self.signals: queue.SimpleQueue[None] = queue.SimpleQueue()

    def run(self, meanwhile: Callable[[], None]) -> T:
        try:
            threading.Thread(target=self._make, name="tocsin-sender", daemon=True).start()
        except RuntimeError:  # since 3.12 none starts as the interpreter ends
            self._make()
        while self._over is None:
            with contextlib.suppress(queue.Empty):
                self.signals.get(timeout=_PAUSE)
            if self._over is None:
                meanwhile()
        if isinstance(self._over, BaseException):
            raise self._over
        return self._over[0]

    def _make(self) -> None:
        try:
            self._over = [self._call()]
        except BaseException as error:  # noqa: BLE001 - it is for the thread that waits
            self._over = error
        self.signals.put(None)
