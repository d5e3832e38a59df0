"""The thread: when a round runs, who waits for it, and that it outlives what it meets."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from parts import Clock, Moody, Rounds, record, worker_of

from tocsin import AlertHandler, StoreError, TestEmailHandler
from tocsin.alerts.policy import Urgency
from tocsin.pipeline.worker import Worker
from tocsin.stores.memory import MemoryLease, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable


def soon() -> float:
    return time.monotonic() + 20


def short_lived(rounds: Rounds) -> Worker:
    return Worker(rounds.round, exit_timeout=5, idle=0)


def test_asking_starts_the_thread_and_waiting_ends_with_the_round() -> None:
    outbox = TestEmailHandler()
    rounds = Rounds(outbox)
    rounds.log()
    worker = short_lived(rounds)
    assert worker.wait(worker.ask(Urgency.FLUSH), soon())
    assert len(outbox.outbox) == 1


def test_a_round_answers_everybody_who_asked_before_it_began() -> None:
    rounds = Rounds(TestEmailHandler())
    worker = short_lived(rounds)
    numbers = [worker.ask(Urgency.FLUSH) for _ in range(20)]
    assert all(worker.wait(number, soon()) for number in numbers)


def test_waiting_ends_in_time_while_a_round_hangs() -> None:
    release = threading.Event()
    hanging = threading.Event()

    def mood(_: list[str]) -> None:
        hanging.set()
        release.wait(20)

    rounds = Rounds(Moody(mood))
    rounds.log()
    worker = short_lived(rounds)
    first = worker.ask(Urgency.FLUSH)
    assert hanging.wait(20)
    assert not worker.wait(worker.ask(Urgency.FLUSH), time.monotonic() + 0.05)
    release.set()
    assert worker.wait(first, soon())


def test_leaving_a_round_that_hangs_tells_what_is_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    release = threading.Event()
    hanging = threading.Event()

    def mood(_: list[str]) -> None:
        hanging.set()
        release.wait(20)

    rounds = Rounds(Moody(mood))
    rounds.log("hanging")
    worker = short_lived(rounds)
    asked = worker.ask(Urgency.FLUSH)
    assert hanging.wait(20)
    rounds.log("never tried")
    worker.leave(worker.ask(Urgency.EXIT), time.monotonic())
    error = capsys.readouterr().err
    assert "hanging" in error
    assert "never tried" in error
    assert rounds.round.ledger.settled
    release.set()
    assert worker.wait(asked, soon())
    store = rounds.check()
    assert store is not None
    assert (store.mailed, store.undelivered) == (0, 2)  # what comes too late counts for nothing


class Failing(MemoryStore):
    """A store that nobody can lead while it is broken."""

    broken = True

    def lead(self, owner: str, ttl: float) -> MemoryLease | None:
        if self.broken:
            raise StoreError("the disk is full")
        return super().lead(owner, ttl)


def test_the_thread_outlives_a_store_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    outbox = TestEmailHandler()
    store = Failing(Clock())
    rounds = Rounds(outbox, store=store)
    worker = short_lived(rounds)
    rounds.log()
    assert worker.wait(worker.ask(Urgency.FLUSH), soon())
    assert "the store can't be used, each process works alone: the disk is full" in (
        capsys.readouterr().err
    )
    assert len(outbox.outbox) == 0  # the store has it, and nobody can lead there
    store.broken = False
    rounds.clock.now += 61
    assert worker.wait(worker.ask(Urgency.FLUSH), soon())
    assert len(outbox.outbox) == 1


def rejoin(call: Callable[[], object]) -> None:
    """Call in another thread, and fail if it doesn't come back."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_flush_and_close_may_come_from_many_threads_at_once() -> None:
    email = TestEmailHandler()
    handler = AlertHandler(to="a@x.example", from_addr="b@x.example", email=email)
    for number in range(200):
        handler.handle(record(f"kind {chr(0x4E00 + number)}"))
    threads = [
        threading.Thread(target=call, daemon=True) for call in (handler.flush, handler.close) * 8
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    rejoin(handler.close)
    assert handler.stats.store is not None
    assert (handler.stats.store.mailed, handler.stats.store.pending) == (200, 0)


def test_a_thread_that_holds_the_handlers_lock_keeps_nobody_from_logging() -> None:
    """`logging.shutdown` holds it while it waits for `flush`."""
    handler = AlertHandler(to="a@x.example", from_addr="b@x.example", email=TestEmailHandler())
    handler.acquire()
    try:
        rejoin(lambda: handler.handle(record()))
    finally:
        handler.release()
    assert handler.stats.seen == 1
    handler.close()


def test_a_finalizer_may_log_in_a_thread_that_is_just_started() -> None:
    """Who starts it waits for it, and must not keep it waiting; since 3.12 finalizers run there."""
    handler = AlertHandler(to="o@x.example", from_addr="a@x.example", email=TestEmailHandler())
    bootstrap = threading.Thread._bootstrap  # type: ignore[attr-defined]

    def finalizing(thread: threading.Thread) -> None:
        handler.handle(record("finalized"))
        bootstrap(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "_bootstrap", finalizing)
        handler.handle(record("boom"))
    assert handler.send_now()
    assert handler.stats.seen >= 2
    handler.close()


def test_what_comes_after_a_round_without_anything_is_handed_over_at_once() -> None:
    """As at a start that found something left: who crashes then may have a few milliseconds."""
    handler = AlertHandler(to="o@x.example", from_addr="a@x.example", email=TestEmailHandler())
    worker = worker_of(handler)
    worker.wait(worker.ask(Urgency.FLUSH), soon())
    started = time.monotonic()
    handler.handle(record())
    while not handler.stats.handed_over and time.monotonic() < started + 20:
        threading.Event().wait(0.001)
    assert time.monotonic() - started < 0.7
    handler.close()


def test_a_thread_that_notes_something_does_not_wait_for_the_worker_for_ever() -> None:
    """A finalizer that runs in the worker may wait for a lock of that thread, as logging's."""
    outbox = TestEmailHandler()
    rounds = Rounds(outbox)
    worker = short_lived(rounds)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with worker._requests.lock:
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    rounds.log()
    started = time.monotonic()
    worker.wake(urgent=True)
    number = worker.ask(Urgency.FLUSH)
    waited = time.monotonic() - started
    release.set()
    thread.join()
    assert waited < 10
    assert worker.wait(number, soon())
    assert len(outbox.outbox) == 1
