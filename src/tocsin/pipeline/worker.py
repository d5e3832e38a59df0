"""The worker of a handler: it wakes the thread in which rounds run, and waits for rounds.

If the interpreter is ending, no thread can start: then a round runs in the thread that asks for it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tocsin.alerts.policy import Urgency
from tocsin.pipeline import exits
from tocsin.pipeline.requests import Requests, seconds_to
from tocsin.pipeline.thread import WorkerThread, working_here

if TYPE_CHECKING:
    from tocsin.pipeline.round import Round

_IDLE = 30.0
_LATE_MAILS = 5  # mails that a handler may send after the process's end was seen to


class Worker:
    """Let rounds run when they are needed.

    Args:
        round_: a round.
        exit_timeout: seconds that a round may take while a caller waits for it.
        idle: seconds without anything to do after which the thread ends.

    Attributes:
        thread: the thread.
        retired: whether its handler is closed.
    """

    def __init__(self, round_: Round, *, exit_timeout: float, idle: float = _IDLE) -> None:
        self.round: Round = round_
        self.exit_timeout: float = exit_timeout
        self.retired: bool = False
        self._requests = Requests()
        self.thread: WorkerThread = WorkerThread(
            round_, self._requests, idle=idle, exit_timeout=exit_timeout
        )
        self.thread.owner = self  # a handler may be deleted while its events wait
        self._end = float("inf")  # by when the last round has to be over, as the process ends
        self._late = 0  # mails after the end was seen to

    @property
    def busy(self) -> bool:
        """Whether a round runs."""
        return self._requests.busy

    @property
    def settled(self) -> bool:
        """Whether there is nothing to do, nor to wait for."""
        return not (self._requests.work or self._requests.busy) and self.round.ledger.settled

    def wake(self, *, urgent: bool) -> None:
        """Wake the worker: events wait to be handed over, within a second or at once."""
        self._requests.note_work(urgent=urgent)
        if urgent:
            self.round.thread.hurry()
        started = self.thread.start()
        exits.watch()
        if started:
            return
        if sys.is_finalizing():
            self.complain_late()
        elif exits.ended() and self.retired:  # by a hook older than logging's: it is the last call
            self._late += 1
            if self._late > _LATE_MAILS:
                self.thread.abandon()
            else:
                self.leave(self.ask(Urgency.EXIT), time.monotonic() + self.exit_timeout)

    def complain_late(self) -> None:
        """Tell that the process ends before the latest event could be mailed."""
        self.round.complaints.tell("late", "an error was logged too late to be mailed")

    def ask(self, urgency: Urgency, timeout: float | None = None) -> int:
        """Ask for a round without waiting for it, and return the request's number.

        Args:
            urgency: how urgent it is.
            timeout: seconds that the round may take; by default `exit_timeout`.
        """
        until = time.monotonic() + (self.exit_timeout if timeout is None else timeout)
        number = self._requests.ask(urgency, self._in_time(until))
        self.round.thread.hurry()
        self.thread.start()
        return number

    def wait(self, number: int, until: float) -> bool:
        """Wait for a round that was asked for, and return whether it is over.

        Args:
            number: the number that `ask` returned.
            until: when to stop waiting, as a point of `time.monotonic`.
        """
        if working_here():  # an email handler that flushes would wait for itself
            return True
        until = self._in_time(until)
        if self.thread.start():
            return self._requests.wait_for(number, until)
        return self.thread.run_here(max(0, seconds_to(until)))

    def leave(self, number: int, until: float) -> None:
        """Wait for the last round; if it is not over by then, give up what is unmailed.

        Args:
            number: the number that `ask` returned.
            until: when to stop waiting, as a point of `time.monotonic`.
        """
        try:
            if not self.wait(number, until):
                self.thread.abandon()
        except Exception as error:  # noqa: BLE001 - the application ends in its own way
            self.round.complaints.unexpected(error)

    def retire(self) -> None:
        """End the thread once everything is sent, as its handler is closed."""
        with self._requests.noting():
            self.retired = True
            self.thread.idle = 0

    def take_over(self) -> None:
        """Let retired workers of the same store leave to this one what is not due yet."""
        for other in exits.members():
            if other is not self and other.round.journal.place == self.round.journal.place:
                other.give_way(self)

    def give_way(self, heir: Worker) -> None:
        """Leave to another worker what is not due yet, if this one is retired."""
        with self._requests.noting():
            if self.retired:
                self.thread.heir = lambda: heir.wake(urgent=False)

    def dismiss(self) -> None:
        """End the thread, unless it is busy."""
        self.thread.dismiss()

    def _in_time(self, until: float) -> float:
        """Return until when there is time: as the process ends, all waits end with the first."""
        if exits.began():
            until = self._end = min(until, self._end)
        return until
