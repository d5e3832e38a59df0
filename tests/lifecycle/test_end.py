"""The end takes the time it is given, whatever hangs; what comes after it is still looked at."""

from __future__ import annotations

import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from lives import FILE, MEMORY, STORES, Stage

from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.open(tmp_path_factory) as one:
        yield one


@pytest.mark.parametrize("store", STORES)
def test_a_server_that_never_answers_holds_the_end_up_once(store: str, stage: Stage) -> None:
    """A send has begun; `logging.shutdown` flushes and closes again after our own hook."""
    program = """
    import tocsin.pipeline.sending

    late()
    log.critical("mark-urgent")
    until(lambda: tocsin.pipeline.sending._sending)
    started = time.monotonic()
    @atexit.register
    def begin():
        global started
        started = time.monotonic()
    class Ended:
        def __del__(self, now=time.monotonic, write=os.write):
            write(1, str(now() - started).encode())
    sys.ended = Ended()
    """
    with ScriptedSMTPServer({"connect": Act.SILENCE}) as silent:
        options = {"exit_timeout": 1, "email": {"host": "127.0.0.1", "port": silent.port}}
        result = stage.run(f"silent{store}", program, store, options=options)
    assert result.code == 0, result.error
    assert 0.9 < float(result.out) < 2
    assert ("mark-late" in result.error) == (store == MEMORY)
    # In the file it stays claimed, as long as it may be on its way.
    assert (result.mailed, result.next) == ((), ())


def test_a_store_that_is_locked_holds_the_end_up_for_seconds_and_the_text_is_told(
    stage: Stage,
) -> None:
    result = stage.run(
        "locked",
        """
        import sqlite3

        early()
        path = CONFIG["handlers"]["alerts"]["store"].removeprefix("sqlite:///")
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        late()
        """,
        FILE,
        options={"exit_timeout": 1},
    )
    assert result.code == 0
    assert "early" in result.next  # that one is in the file
    assert "mark-late" in result.error or "late" in result.mailed
    assert result.seconds < 20


@pytest.mark.parametrize("named", [True, False])
def test_what_an_earlier_process_has_left_is_sent_by_one_that_logs_nothing(
    named: bool, stage: Stage
) -> None:
    """Before it ends. dictConfig names a handler that has been built; another one has no name."""
    build = """
    options = dict(CONFIG["handlers"]["alerts"])
    del options["class"], CONFIG
    logging.getLogger().handlers[0] = handler = tocsin.AlertHandler(**options)
    """
    program = "import tocsin\n" + ("" if named else textwrap.dedent(build))
    leave = "log.error('mark-left'); until(lambda: log.root.handlers[0].stats.handed_over)"
    left = stage.run(f"left{named}", f"{program}\n{leave}\nos._exit(0)", FILE, again=False)
    assert left.mailed == ()
    again = stage.run(f"left{named}", program, FILE, again=False)
    assert again.code == 0, again.error
    assert again.mailed == ("left",)
    assert stage.run(f"left{named}", program, FILE).mailed == ("left",)  # no more than that


def test_what_is_logged_when_nothing_can_be_sent_any_more_is_told_so(stage: Stage) -> None:
    """In one line, whatever Python has taken away already."""
    result = stage.run(
        "torn",
        """
        class Last:
            def __del__(self):
                log.error("mark-last %s", 1)

        last = Last()
        """,
    )
    assert (result.code, result.mailed) == (0, ())
    assert result.error == "tocsin: an error was logged too late to be mailed\n"


def test_daemons_that_log_all_the_time_keep_nobody_from_ending(stage: Stage) -> None:
    def run(store: str) -> None:
        result = stage.run(
            f"daemons{store}",
            """
            class Last:
                def __del__(self):
                    log.error("mark-last")

            def forever():
                while True:
                    log.error("mark-loop")

            last = Last()
            threading.Thread(target=forever, daemon=True).start()
            until(lambda: alerts().stats.seen)
            """,
            store,
        )
        assert result.code == 0, result.error
        assert "loop" in result.mailed
        assert result.seconds < 20

    with ThreadPoolExecutor() as threads:
        list(threads.map(run, STORES))


def test_all_kinds_of_last_hooks_are_heard(stage: Stage) -> None:
    result = stage.run(
        "hooks",
        """
        threading._register_atexit(log.error, "mark-threading")
        atexit.register(log.error, "mark-hook")
        log.error("mark-script")
        """,
        before="import atexit; atexit.register(lambda: log.error('mark-first'))",
    )
    assert sorted(result.mailed) == ["first", "hook", "script", "threading"]


def test_an_email_handler_that_cannot_be_prepared_holds_the_end_up_once(stage: Stage) -> None:
    result = stage.run(
        "unprepared",
        """
        alerts()._engine.parts.email.prepare = threading.Event().wait
        late()
        """,
        options={"exit_timeout": 1},
    )
    assert result.code == 0, result.error
    assert "mark-late" in result.error
    assert result.end < 5


INTERRUPTED = """
send = tocsin.SMTPEmailHandler.send

def slowly(self, message, **options):
    sending.set()
    assert go_on.wait(20)
    return send(self, message, **options)

def interrupt():
    assert sending.wait(20)
    assert begun.wait(20)
    threading.Event().wait(0.2)
    for _ in range(times):
        seen.clear()
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen.wait(20)
    go_on.set()

def stop(*_):
    seen.set()
    sys.exit(143)

begun, sending, seen, go_on = (threading.Event() for _ in range(4))
atexit.register(begun.set)
signal.signal(signal.SIGTERM, stop)
tocsin.SMTPEmailHandler.send = slowly
log.error("mark-old")
logging.config.dictConfig(CONFIG)
log.error("mark-new")
threading.Thread(target=interrupt, daemon=True).start()
"""


@pytest.mark.parametrize("times", [1, 3])
def test_signals_that_come_while_the_end_waits_lose_nothing(times: int, stage: Stage) -> None:
    """Also of a handler that logging has forgotten. Who insists isn't kept: the text is told."""
    program = f"import tocsin\ntimes = {times}\n{INTERRUPTED}"
    result = stage.run(f"interrupted{times}", program, options={"exit_timeout": 10})
    told = {name for name in ("old", "new") if f"mark-{name}" in result.error}
    assert {*result.mailed} | told == {"old", "new"}
    if times == 1:
        assert sorted(result.mailed) == ["new", "old"]


@pytest.mark.parametrize("store", STORES)
def test_what_is_logged_after_the_end_was_seen_to_is_no_flood_of_mails(
    store: str, stage: Stage
) -> None:
    result = stage.run(
        f"flood{store}",
        """
        def old():
            for number in range(98):
                log.error("mark-x %d", number)

        log.error("mark-first")
        """,
        store,
        before="import atexit; atexit.register(lambda: old())",
    )
    assert result.code == 0, result.error
    assert len(result.mailed) < 9
    told = result.error.count("this alert could not be mailed")
    assert stage.counted(f"flood{store}") + told == 99
