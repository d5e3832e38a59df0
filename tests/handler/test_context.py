"""What came before an error: the same thread's or task's records, and nobody else's."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import queue
import signal
import threading
import weakref
from logging.handlers import QueueHandler, QueueListener  # noqa: TID251 - what users have
from typing import TYPE_CHECKING, Any

import pytest
from parts import record

from tocsin.events.frames import OwnCode
from tocsin.pipeline.context import Context
from tocsin.pipeline.intake import Intake

if TYPE_CHECKING:
    from tocsin.alerts.grouping import Group


def texts(context: Context, made: logging.LogRecord | None = None) -> list[str]:
    return [one.message.text for one in context.before(made or record())]


def note(context: Context, *messages: str) -> None:
    for message in messages:
        context.note(record(message, level=logging.INFO))


class Noting(logging.Handler):
    """Notes what is below ERROR, and counts the rest: as the alert handler does."""

    def __init__(self, size: int = 50, key: contextvars.ContextVar[Any] | None = None) -> None:
        super().__init__()
        self.context = Context(size, key)
        self.intake = Intake(
            own=OwnCode(), host="web-1", limit=500, urgent_level=50, context=self.context
        )

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            self.context.note(record)
        else:
            self.intake.add(record, None)

    def groups(self) -> tuple[Group, ...]:
        return self.intake.drain()

    def told(self) -> dict[str, list[str]]:
        """The context of each error."""
        samples = [group.samples[0] for group in self.groups()]
        return {one.message: [past.message for past in one.context] for one in samples}


def logger_with(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("app", logging.DEBUG)  # noqa: LOG001 - for one test
    logger.addHandler(handler)
    return logger


def test_the_last_records_are_told_the_oldest_first() -> None:
    context = Context(3)
    note(context, "a", "b", "c", "d")
    assert texts(context) == ["b", "c", "d"]
    (_, _, last) = context.before(record())
    assert (last.level, last.logger) == ("INFO", "app")
    assert last.time > 0


def test_without_records_there_is_no_context() -> None:
    assert Context(3).before(record()) == ()
    nothing = Context(0)
    note(nothing, "a")
    assert texts(nothing) == []


def test_a_sample_tells_what_came_before_it_and_its_length() -> None:
    handler = Noting()
    logger = logger_with(handler)
    logger.debug("connected to %s", "db")
    logger.info("x" * 5_000)
    logger.error("failed")
    ((event,),) = [group.samples for group in handler.groups()]
    assert [past.level for past in event.context] == ["DEBUG", "INFO"]
    assert event.context[0].message == "connected to db"
    assert event.context[1].message == f"{'x' * 500} [cut: first 500 of 5,000 characters]"


def test_threads_have_contexts_of_their_own() -> None:
    handler = Noting(size=3)
    logger = logger_with(handler)
    start = threading.Barrier(20)

    def work(name: str) -> None:
        start.wait()
        for step in range(50):
            logger.info("%s step %d", name, step)
        logger.error(f"failed in {name} of many")  # noqa: G004 - each is a kind of its own

    names = [chr(0x4E00 + number) for number in range(20)]
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler.told() == {
        f"failed in {name} of many": [f"{name} step {step}" for step in (47, 48, 49)]
        for name in names
    }


def test_a_thread_does_not_inherit_the_context_of_one_that_has_ended() -> None:
    """Their numbers are used again."""
    context = Context(5)
    found: list[list[str]] = []

    def work() -> None:
        found.append(texts(context))
        note(context, "mine")

    for _ in range(10):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [[]] * 10


@pytest.mark.parametrize("at_once", [50, 100])
def test_a_hundred_tasks_have_contexts_of_their_own(at_once: int) -> None:
    """At most 64 are remembered: of the others nothing is told, but nobody else's either."""
    handler = Noting(size=3)
    logger = logger_with(handler)

    async def work(name: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            for step in range(5):
                logger.info("%s step %d", name, step)
                await asyncio.sleep(0)
            logger.error(f"failed in {name} of many")  # noqa: G004 - each is a kind of its own

    async def main() -> None:
        gate = asyncio.Semaphore(at_once)
        logger.info("by main")
        await asyncio.gather(*(work(chr(0x4E00 + number), gate) for number in range(100)))

    asyncio.run(main())
    told = handler.told()
    assert len(told) == 100
    for message, context in told.items():
        name = message.split()[2]
        if at_once <= 64:
            assert context == [f"{name} step {step}" for step in (2, 3, 4)]
        assert all(text.startswith(f"{name} step") for text in context)


def test_a_task_does_not_inherit_the_context_of_one_that_has_ended() -> None:
    context = Context(5)
    found: list[list[str]] = []

    async def work() -> None:
        found.append(texts(context))
        note(context, "mine")

    async def main() -> None:
        for _ in range(20):
            await asyncio.create_task(work())
            gc.collect()

    asyncio.run(main())
    assert found == [[]] * 20


def test_what_a_loop_calls_outside_tasks_is_the_threads() -> None:
    context = Context(5)
    note(context, "before")

    async def main() -> None:
        done = asyncio.Event()
        asyncio.get_running_loop().call_soon(note, context, "call")
        asyncio.get_running_loop().call_soon(done.set)
        await done.wait()
        note(context, "task")

    asyncio.run(main())
    assert texts(context) == ["before", "call"]


REQUEST: contextvars.ContextVar[Any] = contextvars.ContextVar("REQUEST")


class Unhashable:
    __hash__ = None  # type: ignore[assignment] # that is the case

    def __str__(self) -> str:
        return "unhashable"


class Odd:
    def __hash__(self) -> int:
        raise RuntimeError("no")


class Request:
    pass


@pytest.mark.parametrize("value", ["r1", 5, ("a", 1), None, [1, 2], Unhashable(), Odd(), Request()])
def test_a_key_decides_what_a_record_belongs_to(value: Any) -> None:
    context = Context(5, REQUEST)
    note(context, "of the thread")

    def inside() -> None:
        REQUEST.set(value)
        note(context, "of the request")
        assert texts(context) == ["of the request"]

    contextvars.copy_context().run(inside)
    assert texts(context) == ["of the thread"]


def test_a_key_spans_threads_and_tasks() -> None:
    context = Context(5, REQUEST)

    def request() -> None:
        REQUEST.set("r1")
        note(context, "first")
        copied = contextvars.copy_context()
        thread = threading.Thread(target=copied.run, args=(note, context, "in a thread"))
        thread.start()
        thread.join()
        assert texts(context) == ["first", "in a thread"]

    contextvars.copy_context().run(request)


def test_a_request_is_not_kept_alive_and_not_confused_with_another() -> None:
    context = Context(5, REQUEST)

    def request() -> weakref.ref[Request]:
        one = Request()
        REQUEST.set(one)
        assert texts(context) == []
        note(context, "x")
        return weakref.ref(one)

    refs = [contextvars.copy_context().run(request) for _ in range(20)]
    gc.collect()
    assert [ref() for ref in refs] == [None] * 20


def test_behind_a_queue_a_record_belongs_to_the_thread_that_logged_it() -> None:
    handler = Noting(size=3)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = QueueListener(waiting, handler)
    logger = logger_with(QueueHandler(waiting))
    start = threading.Barrier(5)

    def work(name: str) -> None:
        start.wait()
        for step in range(50):
            logger.info("%s step %d", name, step)
        logger.error(f"failed in {name} of many")  # noqa: G004 - each is a kind of its own

    listener.start()
    threads = [threading.Thread(target=work, args=(name,), name=name) for name in "abcde"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listener.stop()
    assert handler.told() == {
        f"failed in {name} of many": [f"{name} step {step}" for step in (47, 48, 49)]
        for name in "abcde"
    }


def test_another_processs_records_are_its_own() -> None:
    """After a fork the numbers of threads are the same."""
    context = Context(5)
    note(context, "here")
    made = record("there")
    made.process = 1
    context.note(made)
    assert texts(context) == ["here"]
    assert texts(context, made) == ["there"]


def test_a_record_without_thread_and_process_is_of_this_one() -> None:
    """As `logging.logThreads = False` makes it."""
    context = Context(5)
    made = record("x")
    made.thread = made.process = None
    context.note(made)
    assert texts(context) == ["x"]


def test_sixty_four_are_remembered_and_the_longest_unused_is_forgotten() -> None:
    context = Context(5, REQUEST)

    def request(value: int) -> list[str]:
        REQUEST.set(value)
        note(context, f"x{value}")
        return texts(context)

    for value in range(64):
        contextvars.copy_context().run(request, value)
    contextvars.copy_context().run(request, 0)  # it is used again
    contextvars.copy_context().run(request, 64)
    assert len(context._rings) == 64
    assert contextvars.copy_context().run(request, 0) == ["x0", "x0", "x0"]
    assert contextvars.copy_context().run(request, 1) == ["x1"]


def test_nothing_holds_on_to_arguments() -> None:
    class Thing:
        def __str__(self) -> str:
            return "thing"

    context = Context(5)
    thing = Thing()
    context.note(record("it is %s", thing))
    kept = weakref.ref(thing)
    del thing
    assert kept() is None
    assert texts(context) == ["it is thing"]


def test_what_is_kept_of_a_text_is_bounded() -> None:
    context = Context(5)
    note(context, "x" * 1_000_000)
    ((_, _, _, raw),) = context.before(record())
    assert (len(raw.text), raw.length) == (2_500, 1_000_000)


def test_a_message_that_cannot_be_made_is_noted_as_such() -> None:
    class Awkward:
        def __str__(self) -> str:
            raise RuntimeError("no")

    context = Context(5)
    context.note(record("no %d", "paper"))
    context.note(record(Awkward()))
    one, other = texts(context)
    assert one == "no %d [its arguments don't fit: TypeError]"
    assert other.startswith("<Awkward whose text raises RuntimeError>")


def test_odd_attributes_of_a_record_are_survived() -> None:
    context = Context(5)
    made = record("x")
    made.created = made.levelname = made.name = None  # type: ignore[assignment] # anything may be set
    context.note(made)
    (one,) = context.before(record())
    assert (one.time, one.level, one.logger) == (0.0, "None", "None")


def test_a_signal_handler_may_log_in_the_middle() -> None:
    context = Context(1_000)
    left = 50

    def interrupt(*_: object) -> None:
        nonlocal left
        note(context, "signal")
        left -= 1
        if left:
            signal.setitimer(signal.ITIMER_REAL, 0.0002)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002)
        while left:
            note(context, "main")
            context.before(record())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(texts(context)) <= {"main", "signal"}


def test_threads_that_share_a_key_neither_wait_nor_raise() -> None:
    context = Context(20, REQUEST)
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def work() -> None:
        start.wait()
        try:
            for number in range(3_000):
                REQUEST.set(number % 70)
                note(context, "x")
                context.before(record())
        except BaseException as error:  # noqa: BLE001 - any kind fails the test
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(context._rings) <= 64
