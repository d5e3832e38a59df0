"""Suites as a user writes them, run by a pytest of their own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tocsin
from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Generator

SHOP = """
import logging
import logging.config

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "alerts": {
            "class": "tocsin.AlertHandler",
            "to": ["oncall@example.com"],
            "from_addr": "alerts@example.com",
            "app": "shop",
            "store": "sqlite:///FOLDER/alerts.db",
            "email": {"host": "127.0.0.1", "port": PORT, "username": "shop",
                      "password_env": "SHOP_PASSWORD"},
        }
    },
    "root": {"handlers": ["alerts"]},
}
logging.config.dictConfig(LOGGING)
log = logging.getLogger("shop.payments")


def charge(order, level=logging.ERROR):
    try:
        raise ConnectionError("no answer")
    except ConnectionError:
        log.log(level, "Could not charge order %s", order, exc_info=True)
"""


class Suite:
    """A folder with a program, `shop`, and its tests.

    Attributes:
        server: the mail server that the program's configuration names.
        folder: where the program has its store.
    """

    def __init__(self, pytester: pytest.Pytester, server: ScriptedSMTPServer) -> None:
        self.server = server
        self.folder = pytester.path / "data"
        self._pytester = pytester
        self.write("shop", SHOP)

    def write(self, name: str, text: str) -> None:
        text = text.replace("PORT", str(self.server.port)).replace("FOLDER", str(self.folder))
        self._pytester.makepyfile(**{name: text})

    def run(self, *options: str, test: str = "", plugins: tuple[str, ...] = ()) -> Any:
        """Run pytest as a command."""
        if test:
            self.write("test_shop", test)
        named = [word for name in ("tocsin.pytest_plugin", *plugins) for word in ("-p", name)]
        return self._pytester.runpytest_subprocess(*named, *options, timeout=60)

    def python(self, *words: str) -> Any:
        return self._pytester.run(sys.executable, *words, timeout=60)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Generator[Suite]:
    monkeypatch.setenv("PYTHONPATH", str(Path(tocsin.__file__).parents[1]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins take their time
    monkeypatch.delenv("TOCSIN_ENABLED")
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    with ScriptedSMTPServer() as server:
        yield Suite(pytester, server)


def own_words(result: Any) -> list[str]:
    """Return the lines that Tocsin has written to standard error or output."""
    lines = [*result.outlines, *result.errlines]
    return [line for line in lines if re.match("tocsin:", line)]
