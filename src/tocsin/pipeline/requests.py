"""Requests to a worker: any thread may make one, also a signal handler or a finalizer."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from tocsin.alerts.policy import Urgency

if TYPE_CHECKING:
    from collections.abc import Generator

_MOMENT = 1.0  # seconds that a thread of the application waits to note something
_NEVER = float("inf")


class Request(NamedTuple):
    """What is asked of a round.

    Attributes:
        number: the latest request that it answers.
        urgency: how urgent it is.
        until: when the round has to be over, as a point of `time.monotonic`.
    """

    number: int
    urgency: Urgency
    until: float


class Requests:
    """What a worker is asked for.

    The lock is held to look and to note, never during a round. It is re-entrant, as a signal
    handler may log while its thread holds it. Threads of the application take it by `noting`, as
    they may hold the lock of logging.
    """

    def __init__(self) -> None:
        self.lock: threading.Condition = threading.Condition()
        self.work: bool = False  # events wait
        self._urgent = False
        self._busy = False  # a round runs
        self._urgency = Urgency.NONE
        self._until = _NEVER
        self._asked = 0
        self._answered = 0

    @property
    def pressing(self) -> bool:
        """Whether a round is to run at once."""
        return self._urgent or self._asked != self._answered

    @property
    def busy(self) -> bool:
        """Whether a round runs."""
        return self._busy

    @contextlib.contextmanager
    def noting(self) -> Generator[None]:
        """Hold the lock, and wake the worker at the end.

        A finalizer that runs while the worker holds the lock may wait for another lock of this
        thread. After a moment this thread goes on without the lock: the worker sees what was noted
        the next time that it looks.
        """
        held = self.lock.acquire(timeout=_MOMENT)
        try:
            yield
            if held:
                self.lock.notify_all()
        finally:
            if held:
                self.lock.release()

    def note_work(self, *, urgent: bool) -> None:
        """Wake the worker: events wait to be handed over, within a second or at once."""
        with self.noting():
            self.work = True
            self._urgent = self._urgent or urgent

    def ask(self, urgency: Urgency, until: float) -> int:
        """Ask for a round, and return the request's number.

        Args:
            urgency: how urgent it is.
            until: when the round has to be over, as a point of `time.monotonic`.
        """
        with self.noting():
            self._asked += 1
            self._urgency = max(self._urgency, urgency)
            self._until = until if self._until == _NEVER else max(self._until, until)
            return self._asked

    def begin(self) -> Request:
        """Begin a round: return what it is asked for."""
        with self.lock:
            request = Request(self._asked, self._urgency, self._until)
            self._busy, self.work, self._urgent = True, False, False
            self._urgency, self._until = Urgency.NONE, _NEVER
            return request

    def end(self, request: Request) -> None:
        """End the round that answers a request."""
        with self.lock:
            self._busy = False
            self._answered = request.number
            self.lock.notify_all()

    def wait_for(self, number: int, until: float) -> bool:
        """Wait until a request is answered, at most until then; return whether it is."""
        with self.lock:
            return self.lock.wait_for(lambda: self._answered >= number, seconds_to(until))


def seconds_to(until: float) -> float:
    """Return the seconds to a point of `time.monotonic`, as a lock takes them."""
    return min(until - time.monotonic(), threading.TIMEOUT_MAX)
