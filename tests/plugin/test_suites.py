"""Suites of users, run by pytest as a command: what they see, and that nothing leaves."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from suites import own_words, suite

from tocsin import pytest_plugin

if TYPE_CHECKING:
    from suites import Suite

__all__ = ["suite"]

ROOT = Path(__file__).parents[2]

SUBJECT = """
    import shop

    def test_tells_once(alerts):
        for order in range(100):
            shop.charge(order)
        (mail,) = alerts.mails
        assert mail.subject == "[100x, 1 new] shop: ERROR ConnectionError in shop.charge"
        assert "oncall@example.com" in mail.to
        assert "Could not charge order 0" in mail.text
        (group,) = alerts.groups
        assert (group.level, group.logger, group.count) == ("ERROR", "shop.payments", 100)
        assert group.exception == "ConnectionError: no answer"

    def test_begins_without_alerts(alerts):
        assert alerts.mails == alerts.groups == []
        shop.charge(7)
        assert alerts.mails[0].subject.startswith("[1x, 1 new] ")
"""

FORGETFUL = """
    import logging.config
    import shop

    def test_forgets_that_alerts_are_mails():
        shop.charge(1, logging.CRITICAL)

    def test_flushes():
        shop.charge(2)
        for handler in logging.root.handlers:
            handler.flush()

    def test_configures_anew():
        shop.charge(3)
        logging.config.dictConfig(shop.LOGGING)
        shop.charge(4)

    def test_closes():
        shop.charge(5)
        for handler in logging.root.handlers:
            handler.close()
"""


def test_a_module_level_configuration_collects_and_each_test_begins_empty(suite: Suite) -> None:
    """The password isn't set, and the folder of the store isn't there."""
    result = suite.run(test=SUBJECT)
    result.assert_outcomes(passed=2)
    assert not suite.server.connections
    assert not suite.folder.exists()


def test_nothing_leaves_where_a_test_forgets_about_alerts(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "secret")
    suite.folder.mkdir()
    result = suite.run(test=FORGETFUL)
    result.assert_outcomes(passed=4)
    assert not suite.server.connections
    assert not list(suite.folder.iterdir())
    assert not own_words(result)
    suite.run("-p", "no:tocsin.pytest_plugin").assert_outcomes(passed=4)
    assert suite.server.messages, "without the plugin, this suite sends"


def test_a_test_fails_as_ever_and_shows_the_mail(suite: Suite) -> None:
    result = suite.run(
        test="""
        import shop

        def test_wrong(alerts):
            shop.charge(1)
            assert alerts.mails[0].subject == "something else"
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*shop: ERROR ConnectionError in shop.charge*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_it_works_with_xdist(suite: Suite) -> None:
    result = suite.run("-n", "2", test=SUBJECT + FORGETFUL, plugins=("xdist",))
    result.assert_outcomes(passed=6)
    assert not suite.server.connections


COROUTINES = """
    import asyncio
    import inspect
    import pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(pyfuncitem):
        if inspect.iscoroutinefunction(pyfuncitem.obj):
            wanted = pyfuncitem._fixtureinfo.argnames
            asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
            return True
"""


def test_it_works_with_unittest_caplog_and_coroutines(suite: Suite) -> None:
    """The tests of coroutines run as plugins such as pytest-asyncio run them."""
    suite.write("conftest", COROUTINES)
    result = suite.run(
        test="""
        import asyncio
        import logging
        import threading
        import unittest
        import pytest
        import shop

        class TestCharge(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _alerts(self, alerts):
                self.alerts = alerts

            def test_is_told(self):
                shop.charge(1)
                self.assertEqual(len(self.alerts.mails), 1)

            def test_begins_empty(self):
                self.assertEqual(self.alerts.mails, [])

        def test_caplog_sees_the_same_records(alerts, caplog):
            shop.charge(1)
            assert [record.levelname for record in caplog.records] == ["ERROR"]
            assert [group.level for group in alerts.groups] == ["ERROR"]

        async def test_coroutine(alerts):
            async def task():
                shop.charge(1)

            await asyncio.gather(task(), task(), asyncio.to_thread(shop.charge, 2))
            assert alerts.mails[0].subject.startswith("[3x, 1 new]")
            names = {one.name for one in threading.enumerate()}
            assert names.isdisjoint({"tocsin-worker", "tocsin-sender"})
        """
    )
    result.assert_outcomes(passed=4)


def test_handlers_of_a_conftest_and_of_another_plugin_collect(suite: Suite) -> None:
    """Such as pytest-django, which sets logging up before the first conftest.py is loaded."""
    early = """
    import pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests():
        import shop
    """
    suite.write("early", early)
    suite.write("conftest", "import shop")
    suite.run("-p", "early", test=SUBJECT).assert_outcomes(passed=2)
    suite.run(test=SUBJECT).assert_outcomes(passed=2)


def test_a_process_that_a_test_starts_sends_nothing(suite: Suite) -> None:
    suite.write("program", "import shop; shop.charge(1, 50)")
    result = suite.run(
        test="""
        import multiprocessing
        import subprocess
        import sys
        import shop

        def test_starts_a_program():
            subprocess.run([sys.executable, "program.py"], check=True)

        def test_forks():
            process = multiprocessing.get_context("fork").Process(target=shop.charge, args=(1, 50))
            process.start()
            process.join()
            assert process.exitcode == 0
        """
    )
    result.assert_outcomes(passed=2)
    assert not suite.server.connections
    assert not own_words(result)


# Sending, where it is asked for

SENDS = """
    import logging.config
    import shop

    def test_sends(monkeypatch, tmp_path):
        monkeypatch.setenv("SHOP_PASSWORD", "secret")
        handler = {**shop.LOGGING["handlers"]["alerts"], "store": "memory:"}
        logging.config.dictConfig({**shop.LOGGING, "handlers": {"alerts": handler}})
        shop.charge(1)
        assert logging.root.handlers[0].send_now()
"""


def test_a_marked_test_sends_and_the_next_one_does_not(suite: Suite) -> None:
    marked = SENDS.replace("    def test_sends", "    @pytest.mark.tocsin_send\n    def test_sends")
    result = suite.run("--strict-markers", test="    import pytest\n" + marked + FORGETFUL)
    result.assert_outcomes(passed=5)
    (message,) = suite.server.outbox
    assert message["Subject"] == "[1x, 1 new] shop: ERROR ConnectionError in shop.charge"


@pytest.mark.parametrize("by", ["configuration", "environment"])
def test_the_whole_suite_sends(suite: Suite, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "secret")
    suite.folder.mkdir()
    options = ["-o", "tocsin_send=true"] if by == "configuration" else []
    if by == "environment":
        monkeypatch.setenv("TOCSIN_ENABLED", "1")
    suite.run(*options, test=SENDS).assert_outcomes(passed=1)
    assert len(suite.server.outbox) == 1


@pytest.mark.parametrize("by", ["configuration", "environment"])
def test_the_fixture_says_why_nothing_is_collected(
    suite: Suite, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["-o", "tocsin_send=true"] if by == "configuration" else []
    if by == "environment":
        monkeypatch.setenv("TOCSIN_ENABLED", "1")
    result = suite.run(*options, test="def test_one(alerts): pass")
    result.assert_outcomes(errors=1)
    reason = "tocsin_send = true" if by == "configuration" else "TOCSIN_ENABLED=1"
    result.stdout.fnmatch_lines([f"*AlertHandlers don't collect, because of {reason}"])


def test_the_mail_server_of_a_test_has_parsed_mails(suite: Suite) -> None:
    result = suite.run(
        test="""
        import socket
        import pytest
        from tocsin import Message, SMTPEmailHandler

        ports = []

        def test_arrives(smtp_server):
            email = SMTPEmailHandler(host="127.0.0.1", port=smtp_server.port)
            email.send(Message(
                subject="Grüße", text="Hallo", from_addr="a@example.com", to="b@example.com"
            ))
            (mail,) = smtp_server.outbox
            assert mail["Subject"] == "Grüße"
            assert mail.get_content().strip() == "Hallo"
            ports.append(smtp_server.port)

        def test_is_stopped():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", ports[0]), timeout=5)

        @pytest.mark.tocsin_send
        def test_an_alert_arrives(smtp_server):
            import logging
            from tocsin import AlertHandler

            handler = AlertHandler(
                to="oncall@example.com", from_addr="alerts@example.com", app="shop",
                email={"host": "127.0.0.1", "port": smtp_server.port},
            )
            handler.handle(logging.makeLogRecord({"msg": "Oh", "levelno": 40}))
            handler.close()
            assert smtp_server.outbox[0]["To"] == "oncall@example.com"
        """
    )
    result.assert_outcomes(passed=3)


# Where it isn't used

LOADED = """
    import sys

    def pytest_unconfigure():
        heavy = {"ssl", "smtplib", "sqlite3", "tocsin.handler", "tocsin.testing", "tocsin.config"}
        print("loaded:", sorted(heavy.intersection(sys.modules)))
"""


def test_a_suite_without_alerts_loads_nothing_and_looks_as_ever(suite: Suite) -> None:
    suite.write("conftest", LOADED)
    suite.write("test_shop", "def test_one(): pass")
    with_plugin = suite.run("-q", "-s")
    without = suite.run("-q", "-s", "-p", "no:tocsin.pytest_plugin")
    with_plugin.assert_outcomes(passed=1)
    assert "loaded: []" in with_plugin.outlines
    assert with_plugin.outlines[:1] == without.outlines[:1] == ["."]
    assert with_plugin.errlines == without.errlines


def test_the_exit_code_of_no_tests_stays(suite: Suite) -> None:
    assert suite.run("--co", "-q").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_the_environment_and_the_switch_are_restored(suite: Suite) -> None:
    """A program may run pytest, and go on."""
    suite.write("test_nothing", "def test_one(): pass")
    suite.write(
        "program",
        """
        import os
        import pytest
        from tocsin import switches

        assert pytest.main(["-q", "-p", "tocsin.pytest_plugin", "test_nothing.py"]) == 0
        assert "TOCSIN_ENABLED" not in os.environ
        assert switches.read(enabled=True) == (True, None)
        """,
    )
    assert suite.python("program.py").ret == 0


def test_the_package_registers_the_plugin() -> None:
    """`pip install` makes pytest load it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (target,) = project["entry-points"]["pytest11"].values()
    assert metadata.EntryPoint("tocsin", target, "pytest11").load() is pytest_plugin
