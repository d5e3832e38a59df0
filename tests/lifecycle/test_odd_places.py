"""Logging from where nobody should log, and with standard error or the folder taken away."""

from __future__ import annotations

import logging
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from lives import FILE, STORES, Stage

from tocsin import AlertHandler, TestEmailHandler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 20


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.open(tmp_path_factory) as one:
        yield one


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("odd")
    logger.propagate = False
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def alerts(log: logging.Logger, **options: Any) -> AlertHandler:
    given = {"to": "o@x.example", "from_addr": "a@x.example", "email": TestEmailHandler()}
    handler = AlertHandler(**{**given, **options})
    log.addHandler(handler)
    return handler


# What the handler calls may log, too


class Logging(logging.Formatter):
    """A formatter that logs whenever it is called."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__()
        self.log = log

    def format(self, record: logging.LogRecord) -> str:
        self.log.error("from a formatter")
        return super().format(record)


@pytest.mark.parametrize("noisy", [True, False])
def test_a_formatter_that_logs_costs_no_more_than_what_it_logs(
    noisy: bool,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It calls itself, until Python stops that; with logging's own handlers that is an error."""
    monkeypatch.setattr(logging, "raiseExceptions", noisy)
    handler = alerts(log)
    handler.setFormatter(Logging(log))
    log.error("boom")
    stats = handler.stats
    assert stats.dropped <= 1
    assert handler.send_now(SECONDS)
    assert ("--- Logging error ---" in capsys.readouterr().err) == (noisy and stats.dropped == 1)


@pytest.mark.parametrize("noisy", [True, False])
def test_a_formatter_that_fails_loses_no_error(
    noisy: bool,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise RuntimeError("broken")

    monkeypatch.setattr(logging, "raiseExceptions", noisy)
    handler = alerts(log)
    handler.setFormatter(Broken())
    log.error("boom")
    assert handler.send_now(SECONDS)
    assert (handler.stats.seen, handler.stats.dropped) == (1, 0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("noisy", [True, False])
def test_a_record_that_cannot_be_taken_is_told_as_logging_does(
    noisy: bool,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", noisy)
    handler = alerts(log)
    monkeypatch.setattr(handler._engine.worker.round.intake, "_fingerprints", None)
    log.error("boom")
    assert (handler.stats.seen, handler.stats.dropped) == (1, 1)
    assert ("--- Logging error ---" in capsys.readouterr().err) == noisy


def test_a_filter_may_log(log: logging.Logger) -> None:
    def once(record: logging.LogRecord) -> bool:
        if record.msg != "from a filter":
            log.error("from a filter")
        return True

    handler = alerts(log)
    handler.addFilter(once)
    log.error("boom")
    assert handler.stats.seen == 2


def test_who_is_asked_for_recipients_may_log_and_that_is_no_alert(log: logging.Logger) -> None:
    def rota() -> list[str]:
        log.error("from the rota")
        return ["o@x.example"]

    handler = alerts(log, to=rota)
    log.error("boom")
    assert handler.send_now(SECONDS)
    assert handler.stats.seen == 1


def test_what_is_logged_in_a_send_is_no_alert_and_elsewhere_at_that_time_it_is(
    log: logging.Logger,
) -> None:
    class Talkative(TestEmailHandler):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            log.error("from a send")
            other = threading.Thread(target=log.error, args=("elsewhere",))
            other.start()
            other.join(SECONDS)
            return super().send(*args, **kwargs)

    handler = alerts(log, email=Talkative())
    log.error("boom")
    handler.flush()
    assert handler.stats.seen == 2


def test_a_finalizer_that_runs_while_a_mail_is_made_is_heard(log: logging.Logger) -> None:
    """Python collects where much is allocated, which is there; it says nothing of the mail."""
    handler = alerts(log)
    make = handler._engine.worker.round._attempts._messages.of

    def collecting(*args: Any) -> Any:
        log.error("from a finalizer")
        return make(*args)

    handler._engine.worker.round._attempts._messages.of = collecting  # type: ignore[method-assign, assignment]
    log.error("boom")
    handler.flush()
    assert handler.stats.seen == 2


def test_a_store_in_a_file_has_the_first_error_before_anything_is_loaded(
    log: logging.Logger, tmp_path: Path
) -> None:
    """Loading takes a tenth of a second, in which a process that crashes is gone."""
    go_on = threading.Event()

    class Loading(TestEmailHandler):
        def prepare(self) -> None:
            assert go_on.wait(4 * SECONDS)

    handler = alerts(log, email=Loading(), store=f"sqlite:///{tmp_path}/alerts.db")
    log.error("boom")
    for _ in range(SECONDS * 200):
        if handler.stats.handed_over:
            break
        threading.Event().wait(0.005)
    assert handler.stats.handed_over == 1
    go_on.set()


def test_an_email_handler_may_flush_and_close_what_waits_for_it(log: logging.Logger) -> None:
    class Impatient(TestEmailHandler):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            handler.flush()
            handler.send_now(SECONDS)
            return super().send(*args, **kwargs)

    handler = alerts(log, email=Impatient())
    log.error("boom")
    assert handler.send_now(SECONDS)


def test_standard_error_may_be_a_logger(
    log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Celery: what a failure says there must not be the next alert."""

    class Redirected:
        def write(self, text: str) -> None:
            if text.strip():
                log.error("on standard error: %s", text)

        def flush(self) -> None:
            pass

    monkeypatch.setattr(sys, "stderr", Redirected())
    handler = alerts(log, email={"host": "127.0.0.1", "port": 1})
    log.error("boom")
    handler.flush()
    assert handler.stats.mails_failed == 1
    assert handler.stats.seen == 1


# Signals

SIGNALS = """
class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        global count
        count += 1
        log.error("mark-finalizer")

def handle(*_):
    global count
    count += 2
    log.error("mark-signal")
    log.critical("mark-urgent")

count = 0
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
gc.set_threshold(50)
for number in range(2000):
    Cycle()
    log.error("mark-loop " + "abcdefgh"[number % 8])
    count += 1
    if number % 200 == 0:
        alerts().flush()
signal.setitimer(signal.ITIMER_REAL, 0)
gc.collect()
print(count - alerts().stats.seen)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no timers")
@pytest.mark.parametrize("store", STORES)
def test_signal_handlers_and_finalizers_may_log_at_any_point(store: str, stage: Stage) -> None:
    """Those that run while the worker sends are the mail's: they alone aren't counted."""
    result = stage.run(f"signals{store}", SIGNALS, store)
    assert result.code == 0, result.error
    assert "signal" in result.mailed
    assert 0 <= int(result.out) < 200


def test_a_signal_handler_may_end_the_program_in_a_flush(stage: Stage) -> None:
    result = stage.run(
        "interrupted",
        """
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(5))
        sending, go_on = threading.Event(), threading.Event()
        send = alerts()._engine.parts.email.send

        def slowly(*args, **kwargs):
            sending.set()
            assert go_on.wait(20)
            return send(*args, **kwargs)

        alerts()._engine.parts.email.send = slowly
        log.error("mark-one")
        kill = lambda: sending.wait(20) and os.kill(os.getpid(), signal.SIGALRM)
        threading.Thread(target=kill).start()
        try:
            alerts().flush()
        finally:
            go_on.set()
        """,
    )
    assert result.code == 5, result.error
    assert result.mailed == ("one",)


# Without standard error, or a folder


@pytest.mark.parametrize("gone", ["sys.stderr = sys.__stderr__ = None", "sys.stderr.close()"])
@pytest.mark.parametrize("up", [True, False])
def test_without_standard_error_nothing_changes(gone: str, up: bool, stage: Stage) -> None:
    options = {} if up else {"email": {"host": "127.0.0.1", "port": 1}, "exit_timeout": 1}
    app = f"stderr{len(gone)}{up}"
    result = stage.run(
        app, f"{gone}\nlog.error('mark-one %d', 'x'); log.error('mark-two')", options=options
    )
    assert (result.code, result.error) == (0, "")
    assert sorted(result.mailed) == (["one", "two"] if up else [])


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("removed", [True, False])
def test_the_folder_may_change_or_be_removed(removed: bool, store: str, stage: Stage) -> None:
    """A daemon goes to `/`; what the options name is where it was."""
    app = f"folder{removed}{store}"
    move = (
        """
        import tempfile
        os.chdir(folder := tempfile.mkdtemp())
        os.rmdir(folder)
        """
        if removed
        else "os.chdir('/')"
    )
    program = f"""
        CONFIG["handlers"]["alerts"].update(to={{"file": "people"}}, fallback=".", templates=".")
        if {store!r} == {FILE!r}:
            CONFIG["handlers"]["alerts"]["store"] = "sqlite:alerts.db"
        logging.config.dictConfig(CONFIG)
        {move.strip()}
        log.error("mark-one")
        """
    folder, _ = stage.place(app, store)
    (folder / "people").write_text("o@x.example\n", encoding="utf-8")
    (folder / "foot.txt.j2").write_text("the foot\n", encoding="utf-8")
    result = stage.run(app, program, store)
    assert (result.code, result.error) == (0, "")
    assert result.mailed == ("one",)
    assert b"the foot" in stage.server.messages[-1].data


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
@pytest.mark.parametrize("end", ["logging.shutdown()", "alerts().close()"])
@pytest.mark.parametrize("store", STORES)
def test_a_signal_handler_may_see_to_the_end_while_its_thread_counts(
    end: str, store: str, stage: Stage
) -> None:
    """The worker needs what that thread holds: what can't be mailed so is told, or in the file."""
    result = stage.run(
        f"counts {len(end)} {store}",
        f"""
        import faulthandler
        from tocsin.pipeline.intake import Slot

        def term(*_):
            log.error("mark-signal")
            {end}
            os._exit(7)

        def adding(self, time):
            os.kill(os.getpid(), signal.SIGTERM)
            add(self, time)

        faulthandler.dump_traceback_later(15, exit=True)
        signal.signal(signal.SIGTERM, term)
        log.error("mark-other")
        add, Slot.add = Slot.add, adding
        for _ in range(2):
            log.error("mark-same")
        """,
        store,
        options={"exit_timeout": 1},
    )
    assert result.code == 7, result.error
    heard = {*result.mailed, *result.next, *re.findall(r"mark-(\w+)", result.error)}
    assert {"signal", "other"} <= heard


# Interpreters beside the main one

BESIDE = """
try:
    import _interpreters
except ImportError:
    import _xxsubinterpreters as beside
    one, run = beside.create(isolated={isolated}), beside.run_string
else:
    beside = _interpreters
    one = beside.create("isolated" if {isolated} else "legacy")
    run = lambda one, text: print(beside.exec(one, text) or "")
run(one, '''
import atexit, logging, logging.config
logging.config.dictConfig({config!r})
logging.getLogger("shop").error("mark-beside")
atexit._run_exitfuncs()  # before 3.13 `destroy` looks for threads first
''')
beside.destroy(one)
"""


# Python 3.12.1 itself aborts where an isolated one imports `ssl`.
@pytest.mark.parametrize("isolated", [False, True][: 1 + (sys.version_info[:2] != (3, 12))])
def test_another_interpreter_of_the_process_ends_well(
    isolated: bool, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of mod_wsgi do; in an isolated one there are no daemons, since Python 3.12."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # it can't be measured in there
    app = f"beside{isolated}"
    email = {"host": "127.0.0.1", "port": stage.server.port}
    alerts = {"class": "tocsin.AlertHandler", "app": app, "to": "o@x.example", "email": email}
    config = {
        "version": 1,
        "handlers": {"alerts": {**alerts, "from_addr": "a@x.example"}},
        "root": {"handlers": ["alerts"]},
    }
    result = stage.run(app, BESIDE.format(isolated=isolated, config=config))
    assert (result.code, result.error) == (0, "")
    assert result.mailed == ("beside",)


# Without files


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_program_that_runs_out_of_files_is_told_so(stage: Stage) -> None:
    """It is its first error: what a mail needs can't be loaded until some are closed."""
    result = stage.run(
        "files",
        """
        import resource

        files = []
        limit = len(os.listdir("/proc/self/fd")) + 5
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        try:
            while True:
                files.append(open("/dev/null"))
        except OSError:
            log.exception("mark-files")
        until(lambda: alerts().stats.last_error)
        files.clear()
        """,
    )
    assert result.code == 0, result.error
    assert result.mailed == ("files",)


def test_an_alert_that_cannot_be_shown_is_told_in_short(stage: Stage) -> None:
    """As after `chroot`: the program's modules are out of reach."""
    result = stage.run(
        "root",
        """
        sys.modules["tocsin.render.page"] = None
        log.error("mark-root %d", 1)
        log.error("mark-root %d", 2)
        """,
        options={"exit_timeout": 1},
    )
    assert result.code == 0
    assert "this alert could not be mailed, nor be shown (ModuleNotFoundError(" in result.error
    assert "2 x mark-root" in result.error
