"""The integrations of one handler."""

from __future__ import annotations

import logging
import sys
import types
from typing import TYPE_CHECKING, NoReturn

from tocsin.integrations.base import Integration
from tocsin.integrations.frameworks import Frameworks

if TYPE_CHECKING:
    import pytest


class Late(Integration):
    name = "late"
    modules = ("late_framework",)

    def owner(self, record: logging.LogRecord) -> object:
        return "the request"


def test_a_framework_that_is_loaded_after_logging_is_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first records already belong to their request."""
    frameworks = Frameworks([Late()], personal_data=False)
    record = logging.makeLogRecord({})
    assert frameworks.owner(record) is None
    assert frameworks.owner(record) is None
    monkeypatch.setitem(sys.modules, "late_framework", types.ModuleType("late_framework"))
    assert frameworks.owner(record) == "the request"
    assert frameworks.on


class Broken(Integration):
    name = "broken"
    modules = ("logging",)
    loggers = ("server",)

    def adapt(self, record: logging.LogRecord) -> NoReturn:
        raise RuntimeError

    def told(self, record: logging.LogRecord) -> NoReturn:
        raise RuntimeError


def test_a_record_counts_even_if_its_framework_fails() -> None:
    frameworks = Frameworks([Broken()], personal_data=False)
    for name in ("server", "shop"):
        record = logging.makeLogRecord({"name": name})
        assert frameworks.adapt(record) is record
