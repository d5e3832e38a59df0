"""TOCSIN_ENABLED: in scripts and under unittest, without pytest."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from suites import own_words, suite

from tocsin import AlertHandler, ConfigError, TestEmailHandler, switches
from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from pathlib import Path

    from suites import Suite

__all__ = ["suite"]

CASES = """
import logging.config
import unittest
import shop

class TestCharge(unittest.TestCase):
    def test_charge(self):
        shop.charge(1, 50)
        logging.config.dictConfig(shop.LOGGING)
        shop.charge(2)
        for handler in logging.root.handlers:
            handler.flush()
"""


def test_unittest_sends_nothing(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the password nor the folder of the store is there."""
    monkeypatch.setenv("TOCSIN_ENABLED", "0")
    suite.write("test_shop", CASES)
    result = suite.python("-m", "unittest", "-v")
    assert result.ret == 0
    assert not suite.server.connections
    assert not own_words(result)
    assert not suite.folder.exists()


def test_without_the_variable_it_would(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "secret")
    suite.folder.mkdir()
    suite.write("test_shop", CASES)
    assert suite.python("-m", "unittest").ret == 0
    assert suite.server.messages


def test_disabled_means_that_records_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOCSIN_ENABLED", "0")
    monkeypatch.setattr(switches, "_make", None)  # where these tests run with the plugin
    with ScriptedSMTPServer() as server:
        handler = AlertHandler(
            to="oncall@example.com",
            email={
                "host": "127.0.0.1",
                "port": server.port,
                "username": "shop",
                "password_env": "NOT_SET",
            },
            store=f"sqlite:///{tmp_path}/alerts.db",
            uncaught=True,
        )
        handler.handle(logging.makeLogRecord({"msg": "Oh", "levelno": 50}))
        handler.close()
    assert not server.connections
    assert not list(tmp_path.iterdir())
    assert handler.stats.seen == 0


@pytest.mark.parametrize("value", ["1", "", " "])
def test_otherwise_the_configuration_counts(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TOCSIN_ENABLED", value)
    for enabled in (True, False):
        email = TestEmailHandler()
        handler = AlertHandler(
            to="oncall@example.com", from_addr="a@example.com", email=email, enabled=enabled
        )
        handler.handle(logging.makeLogRecord({"msg": "Oh", "levelno": 50}))
        handler.close()
        assert len(email.outbox) == enabled


@pytest.mark.parametrize(("value", "got"), [("yes", "'yes'"), ("2", "'2'"), ("x" * 99, "a longer")])
def test_another_value_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, value: str, got: str
) -> None:
    monkeypatch.setenv("TOCSIN_ENABLED", value)
    with pytest.raises(ConfigError, match=f"^TOCSIN_ENABLED: expected 0 or 1 .*, got {got}"):
        AlertHandler(to="oncall@example.com", from_addr="a@example.com", email={"handler": "test"})
