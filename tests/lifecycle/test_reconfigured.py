"""Configured again, closed, flushed by many: nothing is lost, repeated or left behind."""

from __future__ import annotations

import contextlib
import gc
import logging
import logging.config
import threading
from typing import TYPE_CHECKING, Any

import pytest
from lives import FILE, STORES, Stage

from tocsin import AlertHandler, Message, StoreError, TestEmailHandler
from tocsin.stores.memory import MemoryLease, MemoryStore
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECONDS = 20


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.open(tmp_path_factory) as one:
        yield one


@pytest.fixture
def handler() -> Iterator[AlertHandler]:
    made = make()
    yield made
    made.close()


def make(**options: Any) -> AlertHandler:
    return AlertHandler(
        **{"to": "o@x.example", "from_addr": "a@x.example", "email": TestEmailHandler(), **options}
    )


def record(msg: str = "boom") -> logging.LogRecord:
    return logging.LogRecord("app", logging.ERROR, "/srv/app.py", 7, msg, (), None, "main")


def told(handler: AlertHandler) -> int:
    """Return how many events are in mails."""
    outbox = handler._engine.parts.email.outbox  # type: ignore[attr-defined]
    return sum(int(mail.headers["X-Tocsin-Count"]) for mail in outbox if isinstance(mail, Message))


def together(*calls: Callable[[], object]) -> None:
    """Do all at once, each in a thread; one that doesn't come back is an error."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        start.wait(SECONDS)
        call()

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()


# Configured again

FIFTY_TIMES = """
def files():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

from tocsin.pipeline import exits

late()
alerts().flush()
before = files()
for number in range(50):
    log.error("mark-again " + "abcdefghij"[number % 10] * (number // 10 + 1))
    logging.config.dictConfig(CONFIG)
until(lambda: threading.active_count() <= 2)  # the last one's thread waits for what is due
until(lambda: gc.collect() >= 0 and len(exits.members()) == 1)
until(lambda: files() == before)  # the last one may be looking into its file
"""


@pytest.mark.parametrize("store", STORES)
def test_configured_fifty_times_with_something_pending(store: str, stage: Stage) -> None:
    result = stage.run(f"fifty{store}", FIFTY_TIMES, store)
    assert result.code == 0, result.error
    assert "late" in result.mailed
    counted = stage.counted(f"fifty{store}")
    assert counted == 51


def test_levels_alone_may_change(stage: Stage) -> None:
    result = stage.run(
        "incremental",
        """
        log.error("mark-one")
        for level in ("CRITICAL", "ERROR"):
            change = {"version": 1, "incremental": True, "handlers": {"alerts": {"level": level}}}
            logging.config.dictConfig(change)
            log.error("mark-" + level)
        """,
    )
    assert sorted(result.mailed) == ["ERROR", "one"]


def test_while_it_is_configured_again_nobody_waits_for_a_mail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Who holds the logging module's lock keeps all threads from `getLogger`."""
    with ScriptedSMTPServer({"connect": Act.SILENCE}) as server:
        email = {"host": "127.0.0.1", "port": server.port, "timeout": 1}
        handler = make(email=email, policy={"group_wait": 0}, exit_timeout=SECONDS)
        handler.handle(record())
        asked = threading.Event()

        def close() -> None:
            with logging._lock:  # type: ignore[attr-defined]
                handler.flush()
                handler.close()
                asked.set()

        threading.Thread(target=close, daemon=True).start()
        assert asked.wait(SECONDS / 2)
        together(lambda: logging.getLogger("app.of.somebody.else"))
    handler.close()


def test_handlers_of_two_names_share_a_file_and_nothing_else(tmp_path: Path) -> None:
    """The name that dictConfig sets keeps them apart: else one would send to the other's people."""
    names = ("a", "b")
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                name: {
                    "class": "tocsin.AlertHandler",
                    "to": f"{name}@x.example",
                    "from_addr": "a@x.example",
                    "app": "shop",
                    "email": {"handler": "test"},
                    "store": f"sqlite:///{tmp_path}/alerts.db",
                }
                for name in names
            },
        }
    )
    handlers = [logging._handlers[name] for name in names]  # type: ignore[attr-defined]
    try:
        for handler in handlers:
            handler.handle(record())
            handler.flush()
        assert [told(handler) for handler in handlers] == [1, 1]
    finally:
        for handler in handlers:
            handler.close()


def test_the_thread_of_a_closed_handler_ends_at_once() -> None:
    handler = make()
    handler.handle(record())
    handler.flush()
    (thread,) = [
        one for one in threading.enumerate() if one is handler._engine.worker.thread.current
    ]
    assert thread.is_alive()  # it would be idle for half a minute
    handler.close()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_closed_handler_is_forgotten_with_all_it_has() -> None:
    handler = make(uncaught=True)
    handler.handle(record())
    handler.close()
    thread, worker = handler._engine.worker.thread.current, handler._engine.worker
    if thread is not None:
        thread.join(SECONDS)
    del thread, handler
    gc.collect()
    assert len(gc.get_referrers(worker)) <= 1


# Closed, flushed and asked by many


def test_closed_twice_and_used_again(handler: AlertHandler) -> None:
    for number in range(3):
        handler.handle(record())
        handler.close()
        handler.close()
        assert told(handler) == number + 1
    assert handler.stats.store is not None
    assert handler.stats.store.pending == 0


def test_many_flush_close_and_send_at_once(handler: AlertHandler) -> None:
    answers: list[bool] = []
    for number in range(100):
        handler.handle(record(f"kind {chr(0x4E00 + number)}"))
    calls = (handler.flush, handler.close, lambda: answers.append(handler.send_now(SECONDS)))
    together(*calls * 5)
    assert answers == [True] * 5
    assert told(handler) == 100


def test_closed_while_a_flush_waits() -> None:
    """Both wait for the same mail; the text is told once where it doesn't go in time."""
    answer = threading.Event()
    with ScriptedSMTPServer({".": (answer, "250 ok")}) as server:
        handler = make(email={"host": "127.0.0.1", "port": server.port}, exit_timeout=SECONDS)
        handler.handle(record())
        flush = threading.Thread(target=handler.flush, daemon=True)
        flush.start()
        until(lambda: any("DATA" in one.commands for one in server.connections))
        close = threading.Thread(target=handler.close, daemon=True)
        close.start()
        answer.set()
        for thread in (flush, close):
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert len(server.messages) == 1
    assert handler.stats.mails_sent == 1


def test_send_now_waits_for_who_leads_meanwhile(tmp_path: Path) -> None:
    handler = make(store=f"sqlite:///{tmp_path}/alerts.db", name="alerts")
    lease = handler._engine.worker.round.journal.store.usual.lead("another process", 60)
    assert lease is not None
    handler.handle(record())
    answers: list[bool] = []
    asking = threading.Thread(target=lambda: answers.append(handler.send_now(SECONDS)), daemon=True)
    asking.start()
    until(lambda: handler.stats.handed_over == 1)
    asking.join(0.3)
    assert asking.is_alive()
    lease.release()
    asking.join(SECONDS)
    assert answers == [True]
    handler.close()


def until(condition: Callable[[], object]) -> None:
    """Wait for what has no event."""
    for _ in range(SECONDS * 200):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("in vain")


# Never used, idle, and used again


@pytest.mark.parametrize("store", STORES)
def test_a_handler_that_is_never_used_has_no_thread_and_no_file_but_the_store(
    store: str, stage: Stage
) -> None:
    program = """
    log.warning('fine')
    until = time.monotonic() + 20  # the thread that looks at the loggers ends by itself
    while threading.active_count() > 1 and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == 1
    print(sorted(os.listdir()))
    """
    result = stage.run(
        f"unused{store}",
        program,
        store,
    )
    assert (result.code, result.mailed, result.next) == (0, (), ())
    files = ["program.py"]
    if store == FILE:
        files = ["alerts.db", "alerts.db-shm", "alerts.db-wal", "program.py"]
    assert result.out.strip() == str(files)


def test_the_thread_ends_when_it_is_idle_and_another_one_starts(
    handler: AlertHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler._engine.worker.thread.idle = 0
    for number in range(1, 4):
        handler.handle(record())
        assert handler.send_now(SECONDS)
        assert told(handler) == number
        until(lambda: handler._engine.worker.thread.current is None)


def test_an_email_handler_that_exits_ends_neither_the_thread_nor_the_alerts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Exits(TestEmailHandler):
        def prepare(self) -> None:
            raise SystemExit("from prepare")

        def send(self, *args: Any, **kwargs: Any) -> Any:
            raise SystemExit("from send")

    handler = make(email=Exits(), exit_timeout=1)
    handler.handle(record())
    handler.flush()
    assert handler._engine.worker.thread.current is not None
    assert handler._engine.worker.thread.current.is_alive()
    handler.close()
    error = capsys.readouterr().err
    assert "unexpected: SystemExit: from prepare" in error
    assert "an alert mail was not sent: from send; it will be tried again" in error
    assert "this alert could not be mailed" in error


def test_a_store_that_is_busy_when_logging_is_configured_delays_nothing_but_that(
    tmp_path: Path,
) -> None:
    """The start waits for a file that is locked, as it does for one that is broken; it goes on."""
    import sqlite3  # noqa: PLC0415 - for this alone

    store = f"sqlite:///{tmp_path}/alerts.db"
    first = make(store=store, name="alerts")
    first.close()
    with contextlib.closing(
        sqlite3.connect(tmp_path / "alerts.db", isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        unlock = threading.Timer(0.5, other.execute, ("ROLLBACK",))
        unlock.start()
        handler = make(store=store, name="alerts")
        unlock.join(SECONDS)
    handler.handle(record())
    assert handler.send_now(SECONDS)
    handler.close()


def test_logging_may_be_shut_down_while_another_thread_configures_it(stage: Stage) -> None:
    """One holds the handler's lock, and one the logging module's: a mail takes its time."""
    result = stage.run(
        "both",
        """
        import faulthandler

        faulthandler.dump_traceback_later(15, exit=True)
        send, sending = alerts()._engine.parts.email.send, threading.Event()

        def slowly(*args, **options):
            sending.set()
            threading.Event().wait(0.5)
            return send(*args, **options)

        def configure():
            sending.wait(20)
            logging.config.dictConfig(CONFIG)

        alerts()._engine.parts.email.send = slowly
        log.error("mark-one")
        thread = threading.Thread(target=configure)
        thread.start()
        logging.shutdown()
        thread.join()
        """,
    )
    assert result.code == 0, result.error
    assert result.mailed == ("one",)


def test_send_now_says_false_while_it_is_not_known_who_gets_it() -> None:
    answer = threading.Event()
    asked: list[None] = []

    def rota() -> list[str]:
        asked.append(None)
        if len(asked) > 1:
            answer.wait(SECONDS)
        return ["o@x.example"]

    handler = make(to=rota)
    handler.handle(record("one"))
    assert handler.send_now(SECONDS)
    handler.handle(record("two"))
    assert not handler.send_now(0.3)
    answer.set()
    assert handler.send_now(SECONDS)
    assert told(handler) == 2
    handler.close()


def test_send_now_says_false_while_another_process_leads(tmp_path: Path) -> None:
    handler = make(store=f"sqlite:///{tmp_path}/alerts.db", name="alerts")
    handler.handle(record("one"))
    assert handler.send_now(SECONDS)
    lease = handler._engine.worker.round.journal.store.usual.lead("another process", 60)
    assert lease is not None
    handler.handle(record("two"))
    assert not handler.send_now(0.3)
    lease.release()
    assert handler.send_now(SECONDS)
    handler.close()


class Failing(MemoryStore):
    """A store that outlives its process, and fails when it is told to."""

    durable = True
    broken = False

    def append(self, batch: bytes) -> None:
        if self.broken:
            raise StoreError("the disk is full")
        super().append(batch)

    def lead(self, owner: str, ttl: float) -> MemoryLease | None:
        if self.broken:
            raise StoreError("the disk is full")
        return super().lead(owner, ttl)


def test_who_is_alone_keeps_what_it_has_when_logging_is_configured_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The next handler doesn't find it in the store."""
    store, email = Failing(), TestEmailHandler()
    options = {"store": lambda _: store, "email": email, "exit_timeout": SECONDS, "name": "alerts"}
    first = make(**options)
    store.broken = True
    for text in ("one", "another one"):  # the second waits for the hour to be over
        first.handle(record(text))
        first.flush()
    with logging._lock:  # type: ignore[attr-defined]
        first.close()
        second = make(**options)
        second.name = "alerts"
    thread = first._engine.worker.thread.current
    assert thread is not None
    thread.join(0.3)
    assert thread.is_alive()
    first.close()
    second.close()
    assert told(first) == 2  # both have the same outbox
