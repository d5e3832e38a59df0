"""The handler as logging uses it: nothing lost, nothing raised, nobody waits."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from parts import (
    Clock,
    Moody,
    bare_server,
    free_port,
    logger_with,
    record,
    set_clock,
    smtp_server,
    worker_of,
)

from tocsin import AlertHandler, Message, SMTPEmailHandler, Stats, StoreStats, TestEmailHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin import EmailHandler


def make(email: EmailHandler | None = None, **options: Any) -> AlertHandler:
    given = {"to": "ops@example.com", "from_addr": "alerts@example.com", "app": "shop"}
    return AlertHandler(email=email or TestEmailHandler(), **{**given, **options})


def counts(email: TestEmailHandler) -> list[int]:
    mails: list[Any] = email.outbox
    return [int(mail.headers["X-Tocsin-Count"]) for mail in mails]


def test_10000_equal_errors_of_8_threads_are_one_group() -> None:
    email = TestEmailHandler()
    handler = make(email)
    with logger_with(handler) as logger:
        start = threading.Barrier(8)

        def work() -> None:
            start.wait()
            for number in range(1_250):
                logger.error("order %d failed", number)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        handler.close()
    assert sum(counts(email)) == 10_000
    mails: list[Any] = email.outbox
    assert {mail.headers["X-Tocsin-Groups"] for mail in mails} == {"1"}
    stats = handler.stats
    assert (stats.seen, stats.handed_over, stats.pending, stats.dropped) == (10_000, 10_000, 0, 0)
    assert stats.store == StoreStats(received=10_000, mailed=10_000, pending=0, undelivered=0)


def test_a_flush_sends_what_is_new_and_nothing_when_nothing_is() -> None:
    email = TestEmailHandler()
    handler = make(email)
    handler.flush()
    assert email.outbox == []
    with logger_with(handler) as logger:
        logger.error("boom")
        handler.flush()
        handler.flush()
        assert counts(email) == [1]
        logger.error("boom")  # known by now: its interval holds
        handler.flush()
        assert counts(email) == [1]
    handler.close()
    handler.close()
    assert counts(email) == [1, 1]


def test_what_a_closed_handler_gets_is_sent_by_its_next_flush() -> None:
    email = TestEmailHandler()
    handler = make(email)
    handler.close()
    with logger_with(handler) as logger:
        logger.error("late")
        handler.flush()
    assert counts(email) == [1]


def test_the_level_is_error_by_default_and_can_be_set() -> None:
    email = TestEmailHandler()
    handler = make(email)
    assert handler.level == logging.ERROR
    assert make(level="WARNING").level == logging.WARNING
    assert make(level=logging.CRITICAL).level == logging.CRITICAL
    with logger_with(handler) as logger:
        logger.warning("not this")
        logger.error("this")
        handler.flush()
    assert counts(email) == [1]


def test_the_name_can_be_set_as_dictconfig_does() -> None:
    assert make(name="alerts").name == "alerts"
    assert make().name is None


def test_a_filter_decides_and_may_give_another_record() -> None:
    email = TestEmailHandler()
    handler = make(email)
    handler.addFilter(lambda made: "skip" not in str(made.msg))
    assert handler.handle(record("skip me")) is False
    if sys.version_info >= (3, 12):

        def replace(made: logging.LogRecord) -> logging.LogRecord:
            other = logging.makeLogRecord(made.__dict__)
            other.msg = "replaced"
            return other

        handler.addFilter(replace)
    assert handler.handle(record("take me"))
    handler.close()
    mails: list[Any] = email.outbox
    expected = "replaced" if sys.version_info >= (3, 12) else "take me"
    assert [mail.text.splitlines()[0] for mail in mails] == [f"NEW   {expected}"]


def test_a_formatter_makes_the_text_of_the_sample_only() -> None:
    email = TestEmailHandler()
    handler = make(email)
    handler.setFormatter(logging.Formatter("<%(levelname)s> %(message)s"))
    handler.handle(record("a 1"))
    handler.setFormatter(None)
    handler.handle(record("a 2"))
    handler.close()
    mails: list[Any] = email.outbox
    assert counts(email) == [2]
    assert "<ERROR> a 1" in mails[0].text


def test_a_formatter_that_raises_loses_nothing() -> None:
    class Broken(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise KeyError("request_id")

    email = TestEmailHandler()
    handler = make(email)
    handler.setFormatter(Broken())
    handler.handle(record("still told"))
    handler.close()
    mails: list[Any] = email.outbox
    assert "still told [its formatter raises KeyError]" in mails[0].text


@pytest.mark.parametrize("told", [True, False])
def test_a_record_that_cannot_be_taken_is_handled_as_logging_says(
    told: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", told)  # the standard library's own switch
    handler = make()
    monkeypatch.delattr(worker_of(handler).round.intake, "_fingerprints")
    handler.handle(record())
    assert ("--- Logging error ---" in capsys.readouterr().err) is told
    assert (handler.stats.seen, handler.stats.dropped, handler.stats.pending) == (1, 1, 0)


@pytest.mark.parametrize("name", ["tocsin", "tocsin.mail", "tocsin.pipeline.worker.x"])
def test_records_of_the_package_itself_are_left_out(name: str) -> None:
    handler = make()
    made = record()
    made.name = name
    handler.handle(made)
    assert handler.stats.seen == 0


def test_records_of_a_package_with_a_longer_name_are_not_left_out() -> None:
    handler = make()
    made = record()
    made.name = "tocsinette"
    handler.handle(made)
    assert handler.stats.seen == 1
    handler.close()


def test_what_is_logged_while_a_mail_is_sent_causes_no_mail() -> None:
    """Neither here nor in another handler, whose mail would be logged here: that never ends."""
    logger = logging.getLogger("app.mail.echo")
    logger.propagate = False

    def mood(_: list[str]) -> None:
        logger.error("sending")

    email = Moody(mood)
    handlers = [make(email, app=app) for app in ("one", "two")]
    for handler in handlers:
        logger.addHandler(handler)
    try:
        logger.error("the first")
        for handler in handlers:
            handler.close()
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
    assert len(email.attempts) == 2
    assert [handler.stats.seen for handler in handlers] == [1, 1]


def test_an_email_handler_that_flushes_does_not_wait_for_itself() -> None:
    found: list[AlertHandler] = []

    def mood(_: list[str]) -> None:
        found[0].flush()

    email = Moody(mood)
    handler = make(email)
    found.append(handler)
    handler.handle(record())
    handler.close()
    assert len(email.attempts) == 1


def test_an_urgent_error_is_sent_without_a_flush() -> None:
    sent = threading.Event()

    def mood(_: list[str]) -> None:
        sent.set()

    handler = make(Moody(mood))
    handler.handle(record(level=logging.CRITICAL))
    assert sent.wait(20)
    handler.close()


def test_stats_and_repr_show_the_live_state() -> None:
    handler = make(environment="test")
    handler.handle(record())
    stats = handler.stats
    assert isinstance(stats, Stats)
    assert (stats.seen, stats.mails_sent) == (1, 0)
    assert repr(handler) == "<AlertHandler shop test (ERROR), 1 seen, 1 pending, 0 mails sent>"
    handler.close()
    assert repr(handler).endswith("1 seen, 0 pending, 1 mail sent>")


def test_a_hostile_name_is_made_harmless_in_every_part() -> None:
    email = TestEmailHandler()
    handler = make(email, app="sh\x1b[31mop\r\nBcc: x@y", environment="<b>\ud800")
    handler.handle(record())
    handler.close()
    (mail,) = email.outbox
    assert isinstance(mail, Message)
    assert mail.text is not None
    assert mail.html is not None
    assert "\x1b" not in mail.text + mail.html + mail.subject
    assert "<b>\\ud800" not in mail.html
    assert mail.to_mime()["Bcc"] is None


def test_exit_timeout_may_be_longer_than_a_thread_can_wait() -> None:
    email = TestEmailHandler()
    handler = make(
        email,
        exit_timeout=1e300,
        policy={"repeat_after": 1e200, "repeat_max": 1e200, "group_wait": 1e100},
    )
    handler.handle(record())
    handler.flush()
    assert counts(email) == [1]


def test_a_thread_that_could_not_start_is_started_by_the_next_record() -> None:
    """The process is at its limit of threads when the first error comes, as in an incident."""
    email = TestEmailHandler()
    handler = make(email, policy={"group_wait": 0})
    worker_of(handler).round.intake.add(
        record("first"), None
    )  # as if `start` had failed after this one
    found = [(worker_of(handler).thread.current is not None)]
    handler.handle(record("second"))
    found.append(worker_of(handler).thread.current is not None)
    assert found == [False, True]
    handler.close()
    assert sum(counts(email)) == 2


HOSTILE = [
    "\x1b[31m\x07\0",
    "x\r\nBcc: victim@example.com\r\n\r\nbody\r\n.\r\nMAIL FROM:<x@y>\r\n",
    "<script>alert(1)</script></pre></html>",
    "{{ 7*7 }}{% raw %}",
    "\ud800\udfff",
    "x" * 10_000_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_records_arrive_through_a_real_server(text: str) -> None:
    class Odd(Exception):  # noqa: N818 - a name
        def __str__(self) -> str:
            return text

    with smtp_server() as (mailbox, port):
        email = SMTPEmailHandler(host="127.0.0.1", port=port)
        handler = make(email, app=text[:1_000], environment=text[:1_000])
        try:
            raise Odd
        except Odd as error:
            made = logging.LogRecord(
                text[:100_000], 40, text, 7, text, (), (Odd, error, error.__traceback__), text
            )
        made.threadName = text
        made.__dict__[text] = text
        handler.handle(made)
        handler.handle(record(text))
        handler.close()
    (mail,) = mailbox.mails
    assert mail["X-Tocsin-Count"] == "2"
    assert mail["Bcc"] is None
    assert mail["To"] == "ops@example.com"
    assert handler.stats.mails_failed == 0
    body = mail.get_body(("plain",))
    assert body is not None
    assert "\x1b" not in body.get_content()


def percentiles(emit: Callable[[], None], times: int = 1_500) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the maximum of a call, in seconds."""
    clock = __import__("time").perf_counter
    taken = []
    for _ in range(times):
        started = clock()
        emit()
        taken.append(clock() - started)
    taken.sort()
    return taken[times // 2], taken[times * 99 // 100], taken[-1]


def test_logging_takes_no_longer_while_the_mail_server_is_ill() -> None:
    """Down, silent, or refusing: `logger.error` neither waits nor raises."""

    def measured(port: int) -> tuple[float, float, float]:
        email = SMTPEmailHandler(host="127.0.0.1", port=port, timeout=5)
        handler = make(email, policy={"group_wait": 0, "repeat_after": 0}, exit_timeout=0.1)
        kinds = ["one", "two", "three"]
        with logger_with(handler) as logger:
            found = percentiles(lambda: logger.error("%s failed", kinds[0]))
            assert handler.stats.seen == 1_500
        handler.close()
        return found

    with smtp_server() as (_, healthy), bare_server() as silent, bare_server(b"554 no\r\n") as no:
        median, p99, _ = measured(healthy)
        for port in (free_port(), silent, no):
            ill_median, ill_p99, worst = measured(port)
            assert ill_median <= 5 * median
            assert ill_p99 <= max(5 * p99, 0.001)
            assert worst < 0.25  # the machine may be busy; a wait for the server is seconds


def test_after_an_outage_one_mail_tells_everything() -> None:
    port = free_port()
    clock = Clock()
    handler = make(SMTPEmailHandler(host="127.0.0.1", port=port))
    set_clock(handler, clock)
    for number in range(4):
        for _ in range(25):
            handler.handle(record(f"order {number} failed"))
            handler.handle(record("another"))
        handler.flush()
        clock.now += 400
    assert handler.stats.mails_failed > 0
    assert handler.stats.store is not None
    assert (handler.stats.store.mailed, handler.stats.store.pending) == (0, 200)
    with smtp_server(port) as (mailbox, _):
        handler.flush()
        assert [mail["X-Tocsin-Count"] for mail in mailbox.mails] == ["200"]
    assert handler.stats.store == StoreStats(received=200, mailed=200, pending=0, undelivered=0)


def test_close_tells_what_hangs_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A send that was under way has its own time; who closes doesn't wait for it."""
    with bare_server() as port:
        handler = make(
            SMTPEmailHandler(host="127.0.0.1", port=port, timeout=30),
            exit_timeout=0.3,
            policy={"group_wait": 0},
        )
        handler.handle(record("hanging"))
        handler.flush()
        handler.close()
    assert "hanging" in capsys.readouterr().err
    assert handler.stats.store is not None
    assert handler.stats.store.undelivered == 1


def test_an_idle_worker_ends_and_starts_again() -> None:
    email = TestEmailHandler()
    handler = make(email, policy={"group_wait": 0, "repeat_after": 0})
    worker_of(handler).thread.idle = 0
    for number in range(3):
        handler.handle(record("again"))
        thread = next(
            (one for one in threading.enumerate() if one is worker_of(handler).thread.current), None
        )
        if thread is not None:
            assert thread.daemon
            thread.join(20)
            assert not thread.is_alive()
        assert worker_of(handler).thread.current is None
        assert len(email.outbox) == number + 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_its_own_worker_and_sends_nothing_twice() -> None:
    with smtp_server() as (mailbox, port):
        handler = make(SMTPEmailHandler(host="127.0.0.1", port=port))
        handler.handle(record("of the parent"))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert handler.stats.seen == 0
                handler.handle(record("of the child"))
                handler.close()
                code = 0 if handler.stats.mails_sent == 1 else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        handler.close()
    texts = [str(mail.get_body(("plain",))) for mail in mailbox.mails]
    assert len(texts) == 2
    assert sum("of the parent" in text for text in texts) == 1
    assert sum("of the child" in text for text in texts) == 1
