"""The plugin for pytest: while tests run, alert handlers collect mails instead of sending them.

It loads nothing of Tocsin but two small modules, until the program builds an alert handler.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tocsin import switches

if TYPE_CHECKING:
    from collections.abc import Generator

    from tocsin.testing import Alerts, ScriptedSMTPServer
    from tocsin.testing.collector import Collector

_MARK = "tocsin_send"
_SEND = f"{_MARK}: let the AlertHandlers that this test builds send real mails"
_INI = "let AlertHandlers send real mails while pytest runs (default: they collect)"


class Collecting:
    """The time in which alert handlers collect: from the first conftest.py to pytest's end."""

    def __init__(self) -> None:
        self.collector: Collector | None = None
        self._patch = pytest.MonkeyPatch()
        if not os.environ.get(switches.VARIABLE):
            self._patch.setenv(switches.VARIABLE, "0")  # for the processes that tests start
        self._earlier = switches.collect_with(self.get)

    def get(self) -> Collector:
        """Return the collector; it is loaded with the first alert handler."""
        if self.collector is None:
            from tocsin.testing.collector import Collector  # noqa: PLC0415 - see above

            self.collector = Collector()
        return self.collector

    def begin_test(self) -> None:
        """Forget what earlier tests have logged."""
        if self.collector is not None:
            self.collector.clear()
            self.collector.clock.offset = 0

    def end(self) -> None:
        """Let the handlers that are built from now on do as configured; the others stay silent."""
        switches.collect_with(self._earlier)
        self._patch.undo()
        if self.collector is not None:
            self.collector.on = False


_COLLECTING = pytest.StashKey[Collecting]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the configuration file."""
    parser.addini(_MARK, _INI, type="bool", default=False)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Begin before a conftest.py, or another plugin such as pytest-django, loads the program."""
    _begin(early_config)
    yield


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark; and begin, if the plugin was loaded by a conftest.py."""
    config.addinivalue_line("markers", _SEND)
    _begin(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End."""
    if (collecting := config.stash.get(_COLLECTING, None)) is not None:
        collecting.end()
        del config.stash[_COLLECTING]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None]:
    """Let the handlers that a marked test builds send."""
    if item.get_closest_marker(_MARK) is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(switches.VARIABLE, "1")
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let each test begin without alerts."""
    if (collecting := item.config.stash.get(_COLLECTING, None)) is not None:
        collecting.begin_test()


@pytest.fixture
def alerts(request: pytest.FixtureRequest) -> Alerts:
    """The alerts of the test: `mails`, `groups`, and a `clock` to advance."""
    collecting = request.config.stash.get(_COLLECTING, None)
    sends = os.environ.get(switches.VARIABLE) == "1"
    if collecting is None or (sends and request.node.get_closest_marker(_MARK) is None):
        reason = f"{switches.VARIABLE}=1" if collecting is not None else f"{_MARK} = true"
        pytest.fail(f"alerts: AlertHandlers don't collect, because of {reason}", pytrace=False)
    from tocsin.testing import Alerts  # noqa: PLC0415 - see above

    return Alerts(collecting.get())


@pytest.fixture
def smtp_server() -> Generator[ScriptedSMTPServer]:
    """A mail server on a free port of the loopback interface, with an `outbox` of parsed mails."""
    from tocsin.testing import ScriptedSMTPServer  # noqa: PLC0415 - see above

    with ScriptedSMTPServer() as server:
        yield server


def _begin(config: pytest.Config) -> None:
    if _COLLECTING not in config.stash and not config.getini(_MARK):
        config.stash[_COLLECTING] = Collecting()
