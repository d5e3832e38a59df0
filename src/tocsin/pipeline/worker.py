"""The keeping thread: when a round runs, and which calls wait for it.

It is a daemon that starts when there is something to do, and ends when there has been nothing for a
while. Where no thread can be started any more, as the interpreter ends, a round runs in the thread
that asks for it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, TypeVar

from tocsin.alerts.policy import Urgency
from tocsin.pipeline.sending import sending_here

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tocsin.pipeline.round import Round

T = TypeVar("T")
_HAND_OVER = 1.0  # seconds between two, unless something urgent comes
_IDLE = 30.0
_AFTER = 5  # mails a handler may send of what is logged after the end has been seen to
_MOMENT = 1.0  # seconds that a thread of the application waits to note something
_LOOK = 0.2  # between two looks whether the thread that has forked this process is over


class Worker:
    """Run rounds in a thread of its own.

    Args:
        round_: what a round does.
        name: the thread's name.
        exit_timeout: seconds that a round may take when somebody waits for it.
        idle: seconds without anything to do after which the thread ends.
    """

    def __init__(
        self, round_: Round, *, name: str, exit_timeout: float, idle: float = _IDLE
    ) -> None:
        self.round = round_
        self._name = name
        self.exit_timeout = exit_timeout
        self._idle = idle
        self._round_lock = threading.RLock()  # held during a round
        # Guards what follows: held to look and to note, never during a round. Re-entrant, as a
        # signal handler may log while its thread is in here. The application's threads take it
        # by `_noting`, as they may hold the lock of logging.
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False  # a round runs
        self._end = float("inf")  # when the last one has to be over, as the program ends
        self.retired: bool = False
        self._after = 0  # last rounds that were run once the end had been seen to
        self._heir: Worker | None = None
        self._left_over = False  # the last round of a process without other threads is asked for
        self._work = False
        self._urgent = False
        self._haste = Urgency.NONE
        self._until = float("inf")  # by when who is in that urgency wants the result
        self._asked = 0
        self._answered = 0
        _workers.add(self)

    @property
    def working(self) -> bool:
        """Whether the calling thread runs a round or sends, for this handler or another one."""
        return threading.get_ident() in _working or sending_here()

    @property
    def started(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    @property
    def settled(self) -> bool:
        """Whether there is nothing to do, nor to wait for."""
        return not (self._work or self._busy) and self.round.settled

    @contextlib.contextmanager
    def _noting(self) -> Generator[None]:
        """Hold the condition, and wake the worker at the end.

        A finalizer that runs while the worker holds it may wait for a lock of this thread: what is
        noted is noted without it then, and seen as the worker looks next.
        """
        held = self._condition.acquire(timeout=_MOMENT)
        try:
            yield
            if held:
                self._condition.notify_all()
        finally:
            if held:
                self._condition.release()

    def wake(self, *, urgent: bool) -> None:
        """Say that there is something to hand over: within a second, or at once."""
        with self._noting():
            self._work = True
            self._urgent = self._urgent or urgent
        if urgent:
            self.round.hurry()
        started = self._start()
        _finish_in_child()
        if started:
            return
        if sys.is_finalizing():
            self.complain_late()
        elif _ended and self.retired:  # a hook that is older than logging's: nobody will ask
            self._after += 1
            if self._after > _AFTER:
                self._abandon()
            else:
                self.leave(self.ask(Urgency.EXIT), time.monotonic() + self.exit_timeout)

    def complain_late(self) -> None:
        """Tell that the program ends without what was logged now."""
        self.round.complain("late", "an error was logged too late to be mailed")

    def retire(self) -> None:
        """Don't wait for more once all is done."""
        with self._noting():
            self.retired = True
            self._idle = 0

    def give_way(self, heir: Worker) -> None:
        """Leave to another one, of the same store, what isn't due yet, if this one is retired."""
        with self._noting():
            if self.retired:
                self._heir = heir

    def ask(self, urgency: Urgency, timeout: float | None = None) -> int:
        """Ask for a round in a hurry, without waiting for it.

        Args:
            urgency: how much of a hurry.
            timeout: seconds that the round may take; by default `exit_timeout`.

        Returns:
            A number to wait for.
        """
        with self._noting():
            self._asked += 1
            self._haste = max(self._haste, urgency)
            until = time.monotonic() + (self.exit_timeout if timeout is None else timeout)
            until = self._in_time(until)
            self._until = until if self._until == float("inf") else max(self._until, until)
            asked = self._asked
        self.round.hurry()
        self._start()
        return asked

    def wait(self, asked: int, until: float) -> bool:
        """Wait for a round that was asked for.

        Args:
            asked: the number that `ask` returned.
            until: the point of `time.monotonic` at which waiting ends.

        Returns:
            Whether it is over.
        """
        if self.working:  # an email handler that flushes would wait for itself
            return True
        until = self._in_time(until)
        if self._start():
            with self._condition:
                return self._condition.wait_for(lambda: self._answered >= asked, _left(until))
        if not self._round_lock.acquire(timeout=max(0, _left(until))):
            return False
        try:
            self._run_round()
        finally:
            self._round_lock.release()
        return True

    def leave(self, asked: int, until: float) -> None:
        """Wait for the last round; if it isn't over by then, say what is lost with it.

        Args:
            asked: the number that `ask` returned.
            until: the point of `time.monotonic` at which waiting ends.
        """
        try:
            if not self.wait(asked, until):
                self._abandon()
        except Exception as error:  # noqa: BLE001 - the application ends in its own way
            self.round.complain_of_unexpected(error)

    def _abandon(self) -> None:
        with _at_work():
            self.round.abandon()

    def dismiss(self) -> None:
        """End the thread, unless it is busy: another interpreter must not end before it does."""
        thread = self._thread
        with self._noting():
            pass
        if thread is not None and not self._busy:
            thread.join(_LOOK)

    def _in_time(self, until: float) -> float:
        """Return until when there is time: at the program's end all share that of who was first."""
        if _ending:
            until = self._end = min(until, self._end)
        return until

    def _start(self) -> bool:
        """Start the thread if there is none; whether there is one. Nothing may be held.

        A finalizer may run in a thread that is about to start, and log.
        """
        if sys.is_finalizing() or _ended:
            return False  # it would never run: its start would wait for ever
        # Since 3.12 none starts as the interpreter ends, and some others have no daemons.
        try:
            with self._noting():
                thread = self._thread
                if thread is not None and (thread.ident is None or thread.is_alive()):
                    return True
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread = thread
            thread.start()
        except RuntimeError:
            self._thread = None
            return False
        return True

    def _run(self) -> None:
        taken = self.round.taken
        self._attempt(self._load)
        while True:
            started = time.monotonic()
            pause = self._attempt(self._run_round)
            before, taken = taken, self.round.taken
            quiet = taken == before  # what comes then is handed over at once
            if not self._pause(started if quiet else started + _HAND_OVER, pause):
                return

    def _load(self) -> None:
        with self._round_lock:
            self.round.load()

    def _attempt(self, part: Callable[[], float | None]) -> float | None:
        try:
            return part()
        except BaseException as error:  # noqa: BLE001 - an email handler may even exit
            self.round.complain_of_unexpected(error)
            return _HAND_OVER

    def _pause(self, next_hand_over: float, pause: float | None) -> bool:
        """Wait until there is something to do; False if the thread is to end."""
        now = time.monotonic()
        due = None if pause is None else now + pause
        with self._condition:
            while not self._urgent and self._asked == self._answered:
                if _ended:
                    self._thread = None
                    return False
                if _is_left_over():
                    return self._end_process()
                heir = self._heir if self.round.may_give_way else None
                ends = [] if due is None or heir else [due]
                if self._work:
                    ends.append(next_hand_over)
                left = min(ends, default=now + self._idle) - time.monotonic()
                if left > 0:
                    self._condition.wait(min(left, _longest_wait()))
                elif ends:
                    break
                else:
                    self._thread = None
                    if heir and due is not None:
                        heir.wake(urgent=False)
                    return False
        return True

    def _end_process(self) -> bool:
        """Run the last round, once, and let the process end with the thread."""
        if self._left_over:
            self._thread = None
            return False
        self._left_over = True
        self.ask(Urgency.EXIT)
        return True

    def _run_round(self) -> float | None:
        with self._round_lock:
            with self._condition:
                asked, urgency, until = self._asked, self._haste, self._until
                self._busy, self._work = True, False
                self._urgent = False
                self._haste, self._until = Urgency.NONE, float("inf")
            try:
                with _at_work():
                    return self.round.run(urgency, until)
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it meets
                self.round.complain_of_unexpected(error)
                if urgency is Urgency.EXIT:  # there is no later
                    self._abandon()
                return _HAND_OVER
            finally:
                with self._condition:
                    self._busy = False
                    self._answered = asked
                    self._condition.notify_all()


def snapshot(members: weakref.WeakSet[T]) -> list[T]:
    """Return the members of a set that other threads add to meanwhile."""
    while True:
        try:
            return list(members)
        except RuntimeError:  # it has changed its size
            continue


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
_working: set[int] = set()
"""The threads in which a round runs."""
_finishing: set[int] = set()
"""The processes of `multiprocessing` whose end is seen to."""
_ending = False
"""Whether the program's end has begun."""
_ended = False
"""Whether it has been seen to: what comes now is sent by who asks for it."""


def _is_left_over() -> bool:
    """Whether only daemons are left of a process: a thread has forked it, and is over.

    It then ends with its last thread, whichever that is.
    """
    return (
        _forked_by_a_thread()
        and not threading.main_thread().is_alive()
        and all(thread.daemon for thread in threading.enumerate())
    )


def _forked_by_a_thread() -> bool:
    return type(threading.main_thread()).__name__ != "_MainThread"


def _longest_wait() -> float:
    """Return how many seconds a worker may sleep: a thread that is over wakes nobody."""
    return _LOOK if _forked_by_a_thread() else threading.TIMEOUT_MAX


def _left(until: float) -> float:
    return min(until - time.monotonic(), threading.TIMEOUT_MAX)


@contextlib.contextmanager
def _at_work() -> Generator[None]:
    ident = threading.get_ident()
    _working.add(ident)
    try:
        yield
    finally:
        _working.discard(ident)


def forget_all() -> None:
    """Leave all workers to the process that this one was forked from."""
    _workers.clear()
    _working.clear()


def _finish_in_child() -> None:
    """See to the end of a process that is another one's child: there may be no `atexit` in it."""
    pid = os.getpid()
    if (celery := sys.modules.get("celery.signals")) is not None and -pid not in _finishing:
        _finishing.add(-pid)
        celery.worker_process_shutdown.connect(_at_shutdown, weak=False, dispatch_uid=__name__)
    process = sys.modules.get("multiprocessing.process")
    if process is None or pid in _finishing:
        return
    begins = getattr(process.current_process(), "_inheriting", False)
    if not begins and "multiprocessing.util" not in sys.modules:
        return
    from multiprocessing import util  # noqa: PLC0415 - only where it is loaded, or about to be

    if begins or process.parent_process() is not None:
        _finishing.add(pid)
        util.Finalize(None, finish_all, exitpriority=0)
    # A parent; or a child of the fork server, which forgets that when it begins.
    if 0 not in _finishing:
        _finishing.add(0)
        util.register_after_fork(_workers, _finish_again)


def _finish_again(_: object) -> None:
    _finishing.discard(os.getpid())
    _finish_in_child()


def _at_shutdown(**_: object) -> None:
    finish_all()


@atexit.register  # logging registers its own hook before, so this one runs first
def _at_exit() -> None:
    global _ending, _ended  # noqa: PLW0603 - it is said once
    _ending = True
    try:
        finish_all()
    finally:
        _ended = True
        for worker in snapshot(_workers):
            worker.dismiss()


def finish_all() -> None:
    """Send all that is unmailed, as the program ends; who is told to hurry twice gives it up.

    Raises:
        BaseException: what a signal handler has raised meanwhile, such as SystemExit.
    """
    now = time.monotonic()
    unsettled = [worker for worker in snapshot(_workers) if not worker.settled]
    asked = [(worker, worker.ask(Urgency.EXIT)) for worker in unsettled]
    interrupted: BaseException | None = None
    for worker, first in asked:
        number, in_time = first, now + worker.exit_timeout
        for until in (in_time, in_time, now):
            try:
                worker.leave(number, until)
                break
            except BaseException as error:  # noqa: BLE001 - it is raised when the others are done
                interrupted = error
                number = worker.ask(Urgency.EXIT)  # a round that ran in this thread is over
    if interrupted is not None:
        raise interrupted
