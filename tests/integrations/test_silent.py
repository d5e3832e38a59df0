"""Loggers of the application that reach no alert handler are told; those of libraries are not."""

from __future__ import annotations

import logging
import sys
import types
from typing import TYPE_CHECKING

import pytest

from tocsin import AlertHandler, TestEmailHandler
from tocsin.integrations import arrival, silent

if TYPE_CHECKING:
    from collections.abc import Iterator


def alerts() -> AlertHandler:
    return AlertHandler(
        to="o@example.com", from_addr="a@example.com", email=TestEmailHandler(), app="silent"
    )


@pytest.fixture
def shop() -> Iterator[logging.Logger]:
    """Return a logger with an alert handler; the loggers below it are as new at the end."""
    logger = logging.getLogger("shoptest")
    handler = alerts()
    logger.addHandler(handler)
    yield logger
    handler.close()
    logger.removeHandler(handler)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("shoptest", "Shoptest", "otherstest")):
            del logging.root.manager.loggerDict[name]


def found(logger: logging.Logger) -> silent.Silent:
    return silent.find(logger.handlers[0])


def cut(name: str, *handlers: logging.Handler) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    return logger


def test_a_logger_that_does_not_propagate_is_cut_off(shop: logging.Logger) -> None:
    logging.getLogger("shoptest.fine")
    cut("shoptest.db", logging.StreamHandler())
    cut("shoptest.cache")
    cut("otherstest")  # its records would not reach the handler anyway
    assert found(shop) == silent.Silent(("shoptest.db", "shoptest.cache"))


def test_a_logger_that_is_meant_to_be_silent_is_not_told(shop: logging.Logger) -> None:
    cut("shoptest.access", logging.StreamHandler())
    cut("shoptest.quiet", logging.NullHandler())
    cut("shoptest.off").setLevel(logging.CRITICAL + 1)
    cut("shoptest.own", *shop.handlers)
    other = alerts()
    cut("shoptest.other", other)
    cut("shoptest.other.below")  # the other handler's
    assert not any(found(shop))
    assert silent.find(other) == silent.Silent(("shoptest.other.below",))
    other.close()


def test_a_disabled_logger_is_told(shop: logging.Logger) -> None:
    logging.getLogger("shoptest.old").disabled = True
    cut("shoptest.cut").disabled = True
    logging.getLogger("otherstest").disabled = True
    assert found(shop) == silent.Silent((), ("shoptest.old", "shoptest.cut"))


@pytest.mark.parametrize(
    ("attributes", "is_own"),
    [
        ({"__file__": "/srv/shoptest.py"}, True),
        ({"__file__": logging.__file__}, False),
        ({"__file__": "/usr/lib/python3/site-packages/shoptest/__init__.py"}, False),
        ({"__path__": ["/srv/shoptest"]}, True),
        ({"__path__": ["/usr/lib/python3/site-packages/shoptest"]}, False),
        ({}, False),
    ],
)
def test_a_logger_of_a_library_is_not_told(
    attributes: dict[str, object],
    is_own: bool,
    shop: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("shoptest")
    module.__dict__.update(attributes)
    monkeypatch.setitem(sys.modules, "shoptest", module)
    cut("shoptest.db")
    assert any(found(shop)) is is_own


def test_classes_of_jupyter_have_loggers(
    shop: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.root.addHandler(shop.handlers[0])
    cut("ShoptestApp")
    monkeypatch.delitem(sys.modules, "traitlets", raising=False)
    assert "ShoptestApp" in found(shop).cut_off
    monkeypatch.setitem(sys.modules, "traitlets", types.ModuleType("traitlets"))
    assert "ShoptestApp" not in found(shop).cut_off
    logging.root.removeHandler(shop.handlers[0])


def test_a_handler_that_is_off_tells_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    handler = AlertHandler(to="o@example.com", enabled=False)
    logger = logging.getLogger("otherstest")
    logger.addHandler(handler)
    cut("otherstest.db")
    handler.close()
    logger.removeHandler(handler)
    assert capsys.readouterr().err == ""


def test_each_logger_is_told_once(shop: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    cut("shoptest.one")
    arrival.settle()
    arrival.settle()
    cut("shoptest.two")
    for number in range(5):
        logging.getLogger(f"shoptest.part{number}").disabled = True
    shop.handlers[0].close()
    shop.handlers[0].close()
    lines = [line for line in capsys.readouterr().err.splitlines() if "shoptest" in line]
    cut_off = (
        "tocsin: warning: errors of the logger 'shoptest.{}' don't reach the alert handler, "
        "because propagate is False: add the handler to such a logger, or a logging.NullHandler "
        "if that is meant"
    )
    disabled = (
        "tocsin: warning: errors of the loggers 'shoptest.part0', 'shoptest.part1', "
        "'shoptest.part2' and 2 more are not logged, because a configuration has disabled such "
        "loggers: set disable_existing_loggers to false in it"
    )
    assert lines == [cut_off.format("one"), cut_off.format("two"), disabled]
