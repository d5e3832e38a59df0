"""The worker's thread: rounds run in it, one after the other.

It is a daemon. It starts when there is something to do, and ends when it was idle for a while.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from tocsin.alerts.policy import Urgency
from tocsin.forks import on_fork, start_thread
from tocsin.pipeline import exits
from tocsin.pipeline.sending import sending_here

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tocsin.pipeline.requests import Requests
    from tocsin.pipeline.round import Round

_HAND_OVER = 1.0  # seconds between two rounds, unless an urgent event comes
_JOIN = 0.2  # seconds that an interpreter waits for the thread to end
_working: set[int] = set()
"""The threads in which a round runs."""


class WorkerThread:
    """Run rounds in a thread of its own.

    Args:
        round_: a round.
        requests: what is asked of it.
        idle: seconds without anything to do after which the thread ends.
        exit_timeout: seconds that the last round of the process may take.

    Attributes:
        current: the thread; None if there is none.
        idle: the same.
        heir: called instead of waiting for what is not due yet, if set.
        owner: an object that lives as long as the thread does.
    """

    def __init__(
        self, round_: Round, requests: Requests, *, idle: float, exit_timeout: float
    ) -> None:
        self.idle: float = idle
        self.heir: Callable[[], None] | None = None
        self.owner: object = None
        self._round = round_
        self._requests = requests
        self._running = threading.RLock()  # held during a round
        self.current: threading.Thread | None = None
        self._exit_timeout = exit_timeout
        self._ends_process = False  # the last round was asked for, as only daemons are left

    def start(self) -> bool:
        """Start the thread unless there is one; return whether there is one. Hold no lock here.

        A finalizer may run in a thread that is about to start, and log.
        """
        if exits.ended():
            return False  # it would never run: its start would wait for ever
        # Since 3.12 none starts as the interpreter ends, and some interpreters have no daemons.
        try:
            with self._requests.noting():
                thread = self.current
                if thread is not None and (thread.ident is None or thread.is_alive()):
                    return True
                thread = threading.Thread(target=self._run, name="tocsin-worker", daemon=True)
                self.current = thread
        except RuntimeError:
            return False
        started = True

        def failed() -> None:
            nonlocal started
            started, self.current = False, None

        start_thread(thread, failed)
        return started

    def run_here(self, timeout: float) -> bool:
        """Run a round in the calling thread; return False if another round does not end in time."""
        if not self._running.acquire(timeout=timeout):
            return False
        try:
            self._run_round()
        finally:
            self._running.release()
        return True

    def dismiss(self) -> None:
        """End the thread, unless it is busy: another interpreter must not end before it does."""
        thread = self.current
        with self._requests.noting():
            pass
        if thread is not None and not self._requests.busy:
            thread.join(_JOIN)

    def abandon(self) -> None:
        """Give up what is unmailed."""
        with _at_work():
            self._round.abandon()

    def _run(self) -> None:
        taken = self._round.journal.taken
        self._attempt(self._load)
        while True:
            started = time.monotonic()
            pause = self._attempt(self._run_round)
            before, taken = taken, self._round.journal.taken
            quiet = taken == before  # the next event is handed over at once
            if not self._pause(started if quiet else started + _HAND_OVER, pause):
                return

    def _load(self) -> None:
        with self._running:
            self._round.load()

    def _attempt(self, part: Callable[[], float | None]) -> float | None:
        try:
            return part()
        except BaseException as error:  # noqa: BLE001 - an email handler may even exit
            self._round.complaints.unexpected(error)
            return _HAND_OVER

    def _run_round(self) -> float | None:
        with self._running:
            request = self._requests.begin()
            try:
                with _at_work():
                    return self._round.run(request.urgency, request.until)
            except Exception as error:  # noqa: BLE001 - the thread must outlive any error
                self._round.complaints.unexpected(error)
                if request.urgency is Urgency.EXIT:  # there is no later round
                    self.abandon()
                return _HAND_OVER
            finally:
                self._requests.end(request)

    def _pause(self, next_hand_over: float, pause: float | None) -> bool:
        """Wait until a round is to run; return False if the thread is to end."""
        now = time.monotonic()
        due = None if pause is None else now + pause
        with self._requests.lock:
            while not self._requests.pressing:
                if exits.ended():
                    return self._end()
                if exits.only_daemons_left():
                    return self._end_process()
                heir = self.heir if self._round.journal.may_give_way else None
                ends = [] if due is None or heir else [due]
                if self._requests.work:
                    ends.append(next_hand_over)
                left = min(ends, default=now + self.idle) - time.monotonic()
                if left > 0:
                    self._requests.lock.wait(min(left, exits.longest_wait()))
                elif ends:
                    break
                else:
                    return self._end(heir if due is not None else None)
        return True

    def _end(self, heir: Callable[[], None] | None = None) -> bool:
        self.current = None
        if heir is not None:
            heir()
        return False

    def _end_process(self) -> bool:
        """Run the last round, once; the process ends with the thread."""
        if self._ends_process:
            return self._end()
        self._ends_process = True
        self._requests.ask(Urgency.EXIT, time.monotonic() + self._exit_timeout)
        return True


def working_here() -> bool:
    """Return whether the calling thread runs a round or sends a mail, for any handler."""
    return threading.get_ident() in _working or sending_here()


@contextlib.contextmanager
def _at_work() -> Generator[None]:
    ident = threading.get_ident()
    _working.add(ident)
    try:
        yield
    finally:
        _working.discard(ident)


on_fork(_working.clear)
