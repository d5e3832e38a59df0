"""Handlers that collect: their mails and groups, the clock, and which errors they still report."""

from __future__ import annotations

import logging
import logging.config
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
from typing_extensions import override

from tocsin import (
    AlertHandler,
    ConfigError,
    EmailHandler,
    SMTPEmailHandler,
    TestEmailHandler,
    switches,
)
from tocsin.testing import Alerts, ScriptedSMTPServer
from tocsin.testing.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from tocsin import Receipt
    from tocsin.mail.base import AnyMessage

LOG = logging.getLogger("shop.payments")
ADDRESSES = {"to": "oncall@example.com", "from_addr": "alerts@example.com", "app": "shop"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Generator[Collector]:
    monkeypatch.delenv("TOCSIN_ENABLED")
    collector = Collector()
    earlier = switches.collect_with(lambda: collector)
    handlers = list(LOG.handlers)
    yield collector
    switches.collect_with(earlier)
    LOG.handlers = handlers
    collector.on = False


@pytest.fixture
def found(collector: Collector) -> Alerts:
    return Alerts(collector)


def attach(**options: Any) -> AlertHandler:
    handler = AlertHandler(**{**ADDRESSES, **options})
    LOG.addHandler(handler)
    return handler


# Mails


def test_new_groups_are_in_a_mail_at_once(found: Alerts) -> None:
    attach()
    LOG.error("Could not charge order %s", 1)
    LOG.error("Could not charge order %s", 2)
    LOG.error("No stock")
    (mail,) = found.mails
    assert mail.subject.startswith("[2x, 2 new, 2 kinds] shop: ERROR ")
    assert [group.count for group in found.groups] == [2, 1]
    assert found.mails == [mail], "looking sends nothing"


def test_a_repeat_comes_when_the_clock_says_so_and_then_the_group_is_quiet(found: Alerts) -> None:
    attach()
    LOG.error("boom")
    assert reasons(found) == ["new"]
    LOG.error("boom")
    assert reasons(found) == ["new"]
    found.clock.advance(minutes=14, seconds=59)
    assert reasons(found) == ["new"]
    found.clock.advance(seconds=1)
    assert reasons(found) == ["new", "still"]
    LOG.error("boom")
    found.clock.advance(days=1)
    assert reasons(found) == ["new", "still", "still"]


def test_mails_are_sent_at_their_times_while_the_clock_advances(found: Alerts) -> None:
    """The second event is a repeat, although the test did not look between."""
    attach()
    LOG.error("boom")
    found.clock.advance(minutes=1)
    LOG.error("boom")
    found.clock.advance(hours=1)
    dates = [mail.headers["Date"] for mail in found.mails]
    assert reasons(found) == ["new", "still"]
    assert minutes_between(*dates) == pytest.approx(15, abs=0.1)


def test_records_have_the_time_of_the_clock(found: Alerts) -> None:
    attach()
    LOG.error("boom")
    found.clock.advance(hours=3)
    LOG.error("boom")
    (mail,) = [mail for mail in found.mails if mail.headers["X-Tocsin-Reason"] == "still"]
    assert f"{found.clock.now:%H:}" in (mail.text or "").splitlines()[1]


def test_a_record_is_not_changed_for_other_handlers(found: Alerts, caplog: Any) -> None:
    attach()
    before = found.clock.now.timestamp()
    found.clock.advance(hours=1)
    LOG.error("boom")
    assert found.groups
    assert caplog.records[0].created < before + 600


def test_the_clock_does_not_go_back(found: Alerts) -> None:
    with pytest.raises(ValueError, match="back"):
        found.clock.advance(minutes=-1)


def test_the_budget_of_mails_counts(found: Alerts) -> None:
    attach(policy={"burst": 2, "refill": 600})
    for name in ("one", "two", "three"):
        LOG.error(name)
        seen = len(found.mails)
    assert seen == 2
    found.clock.advance(minutes=10)
    assert len(found.mails) == 3


def test_a_job_s_mail_is_there_as_if_it_ended_now(found: Alerts) -> None:
    attach(policy={"at_exit": True})
    LOG.error("boom")
    assert found.groups[0].count == 1
    assert reasons(found) == ["exit"]


def test_without_recipients_there_is_no_mail(found: Alerts, capsys: Any) -> None:
    attach(to=list)
    LOG.error("boom")
    assert found.mails == []
    assert "no recipient" in capsys.readouterr().err


def reasons(found: Alerts) -> list[str]:
    return [mail.headers["X-Tocsin-Reason"] for mail in found.mails]


def minutes_between(first: str, second: str) -> float:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - for this alone

    return (parsedate_to_datetime(second) - parsedate_to_datetime(first)).total_seconds() / 60


# Groups and several handlers


def test_a_group_shows_what_was_logged(found: Alerts) -> None:
    attach(name="alerts")
    try:
        int("seven")
    except ValueError:
        LOG.exception("Could not read order %s", 7)
    LOG.critical("Out of paper")
    error, message = found.groups
    assert (error.level, error.logger, error.handler) == ("ERROR", "shop.payments", "alerts")
    assert error.title.startswith("ERROR ValueError in ")
    assert error.message == "Could not read order 7"
    assert error.exception == "ValueError: invalid literal for int() with base 10: 'seven'"
    assert (message.level, message.message, message.exception) == ("CRITICAL", "Out of paper", "")
    assert "2 groups" in repr(found)


def test_each_handler_has_its_mails_and_groups(found: Alerts) -> None:
    attach(name="mail")
    attach(name="pager", level="CRITICAL", to="pager@example.com")
    LOG.error("boom")
    LOG.critical("fire")
    assert [group.message for group in found.of("mail").groups] == ["boom", "fire"]
    assert [group.message for group in found.of("pager").groups] == ["fire"]
    (mail,) = found.of("pager").mails
    assert "pager@example.com" in mail.to
    assert len(found.mails) == 2
    assert found.of("nobody").mails == []


def test_clear_forgets_everything_but_the_clock(found: Alerts) -> None:
    handler = attach()
    LOG.error("boom")
    found.clock.advance(minutes=1)
    before = found.clock.now
    assert found.mails
    found.clear()
    assert found.mails == []
    assert found.groups == []
    assert found.clock.now >= before
    assert handler.stats.seen == 0
    LOG.error("boom")
    assert reasons(found) == ["new"], "the group is new again"


def test_clear_forgets_the_records_before_an_error(
    found: Alerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOG, "level", logging.DEBUG)
    attach(context=5, level="DEBUG")
    LOG.info("of the test before")
    found.clear()
    LOG.info("of this test")
    LOG.error("boom")
    (mail,) = found.mails
    assert "of this test" in (mail.text or "")
    assert "of the test before" not in (mail.text or "")


def test_a_new_configuration_loses_nothing_and_repeats_nothing(found: Alerts) -> None:
    options = {"class": "tocsin.AlertHandler", **ADDRESSES}
    configuration = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"alerts": options},
        "loggers": {LOG.name: {"handlers": ["alerts"]}},
    }
    logging.config.dictConfig(configuration)
    LOG.error("boom")
    logging.config.dictConfig(configuration)
    LOG.error("boom")
    assert reasons(found) == ["new"]
    assert found.groups[0].count == 2
    found.clear()
    LOG.error("boom")
    assert reasons(found) == ["new"]


def test_eight_threads_lose_nothing(found: Alerts) -> None:
    attach()

    def work() -> None:
        for number in range(200):
            LOG.error("Number %s", number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(found.mails) <= 1
    assert sum(group.count for group in found.groups) == 1600


def test_a_thread_that_flushes_and_a_test_that_looks_do_not_wait_for_each_other(
    found: Alerts,
) -> None:
    handler = attach()

    def work() -> None:
        for number in range(300):
            LOG.error("boom %s", number)
            handler.flush()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        assert len(found.mails) <= 1
        thread.join(0.001)
    assert found.groups[0].count == 300


def test_an_uncaught_exception_of_a_thread_is_an_alert(
    found: Alerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    handler = attach(uncaught=True)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    handler.close()
    assert found.groups[0].exception == "ZeroDivisionError: division by zero"


# What the program calls


@pytest.mark.parametrize("call", ["flush", "send_now", "close"])
def test_the_program_s_own_calls_send_to_the_outbox(found: Alerts, call: str) -> None:
    email = TestEmailHandler()
    handler = attach(email=email)
    LOG.error("boom")
    getattr(handler, call)()
    assert len(email.outbox) == 1
    assert found.mails == email.outbox
    assert handler.email is email
    assert handler.stats.mails_sent == 1


def test_no_thread_runs(found: Alerts) -> None:
    handler = attach()
    LOG.critical("boom")
    handler.flush()
    assert found.mails
    worker = handler._engine.worker
    assert worker.thread.current is None


def test_after_the_tests_nothing_more_is_done(collector: Collector, found: Alerts) -> None:
    handler = attach()
    LOG.error("boom")
    collector.on = False
    handler.flush()
    handler.close()
    assert not collector.mails


def test_a_disabled_handler_stays_disabled(found: Alerts) -> None:
    attach(enabled=False)
    LOG.error("boom")
    assert found.groups == []


# Which options are checked


class Foreign(EmailHandler):
    """An email handler that needs the world."""

    @override
    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        raise AssertionError("it is not built")

    @override
    def send(
        self,
        messages: object,
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        raise AssertionError("it is not called")


@pytest.mark.parametrize(
    "email",
    [
        {"username": "alerts@example.com", "password_env": "NOT_SET_ANYWHERE"},
        {"username": "alerts@example.com", "password_file": "/nowhere/password"},
        {"username": "alerts@example.com", "password_keyring": "nowhere"},
        {"username": "alerts@example.com", "password": None},
        {"username": "alerts@example.com", "password": ""},
        {"username": None, "password": "known"},
        {"username": "", "password": None, "login_mechanism": "PLAIN"},
        {"username": "a@example.com", "access_token": None, "login_mechanism": "XOAUTH2"},
        {"url": "smtps://alerts%40example.com@mail.example.com"},
        {"provider": "gmail", "username": "alerts@example.com", "password_env": "NOT_SET"},
        {"use_tls": True, "tls_ca_file": "/nowhere/ca.pem", "tls_cert_file": "/nowhere/c.pem"},
        {"handler": f"{__name__}:Foreign", "key": "secret"},
        {"handler": "test"},
        SMTPEmailHandler(host="mail.example.com"),
        Foreign(),
        None,
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, EmailHandler) else str(one),
)
def test_secrets_and_their_files_may_be_missing(found: Alerts, email: Any) -> None:
    attach(email=email)
    LOG.error("boom")
    (mail,) = found.mails
    assert "alerts@example.com" in str(mail.from_addr)


def test_the_sender_is_found_without_its_secret(found: Alerts) -> None:
    attach(from_addr=None, email={"username": "shop@example.com", "password_env": "NOT_SET"})
    attach(from_addr=None, email={"username": None, "password_env": "NOT_SET"})
    attach(from_addr=None, email={"handler": f"{__name__}:Foreign"})
    attach(from_addr=None, email={"handler": f"{__name__}:Foreign", "default_from": "f@x.example"})
    LOG.error("boom")
    senders = [str(mail.from_addr) for mail in found.mails]
    assert senders == ["shop@example.com", "alerts@localhost", "alerts@localhost", "f@x.example"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"too": "a@example.com"}, "too"),
        ({"to": "nobody"}, "to: "),
        ({"from_addr": None}, "from_addr: missing"),
        ({"policy": {"burst": 0}}, "policy.burst"),
        ({"store": "postgres://db"}, "store: "),
        ({"store": 7}, "store: "),
        ({"email": 7}, "email: "),
        ({"email": {"hosts": "mail.example.com"}}, "email.*hosts"),
        ({"email": {"port": "many"}}, "email.port"),
        ({"email": {"port": 0, "username": "a@example.com"}}, "email.port"),
        ({"email": {"handler": "pigeon"}}, "email.handler"),
        ({"email": {"handler": "test", "host": "mail.example.com"}}, "email.*host"),
        ({"email": {"provider": "nobody"}}, "email.provider"),
        ({"email": {"host": "h.example", "port": 587, "username": "a"}}, "email.use_starttls"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("found")
def test_other_errors_are_reported_as_ever(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        attach(**options)


def test_stores_are_not_opened(found: Alerts, tmp_path: Path) -> None:
    def opened(scope: str) -> Any:
        raise AssertionError("it is not called")

    attach(store=f"sqlite:///{tmp_path}/alerts.db")
    attach(store=opened)
    LOG.error("boom")
    assert len(found.mails) == 2
    assert not list(tmp_path.iterdir())
    assert "Counts are those of one process" not in (found.mails[0].text or "")


def test_nothing_connects(found: Alerts) -> None:
    with ScriptedSMTPServer() as server:
        attach(email={"host": "127.0.0.1", "port": server.port})
        LOG.critical("boom")
        assert len(found.mails) == 1
    assert not server.connections


def test_a_test_s_own_email_handler_may_refuse(found: Alerts, capsys: Any) -> None:
    class Refusing(TestEmailHandler):
        @override
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            raise OSError("no network")

    attach(email=Refusing())
    LOG.error("boom")
    assert found.mails == []
    assert "no network" in capsys.readouterr().err


def test_a_handler_of_type_test_starts_empty(found: Alerts) -> None:
    handler = attach(email={"handler": "test"})
    assert isinstance(handler.email, TestEmailHandler)
    outbox: list[AnyMessage] = handler.email.outbox
    LOG.error("boom")
    assert found.mails == outbox
    found.clear()
    assert outbox == []
