"""The integrations of one handler."""

from __future__ import annotations

import logging
import sys
import types
from typing import NoReturn

import pytest

import tocsin
from tocsin.integrations.base import Integration
from tocsin.integrations.frameworks import Frameworks


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


@pytest.mark.parametrize("personal_data", [False, True])
def test_lines_with_the_address_of_a_client_are_no_context(personal_data: bool) -> None:
    """A request of an earlier mail, and its client, do not belong to the error either."""
    handler = tocsin.AlertHandler(
        to="a@example.com",
        email=(email := tocsin.TestEmailHandler(default_from="alerts@example.com")),
        context=20,
        level="INFO",
        personal_data=personal_data,
    )
    lines = [
        ("uvicorn.access", '%s - "%s %s HTTP/%s" %d', ("192.0.2.7:5", "GET", "/", "1.1", 500)),
        ("uvicorn.error", '%s - "WebSocket %s" [accepted]', ("192.0.2.7:5", "/")),
        ("uvicorn.error", "Application startup complete.", ()),
        ("gunicorn.error", "Invalid request from ip=192.0.2.7: ", ()),
        ("werkzeug", '192.0.2.7 - - [01/Jan/2026 00:00:00] "GET / HTTP/1.1" 200 -', ()),
        ("aiohttp.access", '192.0.2.7 "GET / HTTP/1.1" 200', ()),
        ("hypercorn.access", "%(h)s", ({"h": "192.0.2.7"},)),
        ("tornado.access", "404 GET / (192.0.2.7) 0.52ms", ()),
    ]
    for name, message, args in lines:
        handler.handle(logging.LogRecord(name, logging.INFO, "", 1, message, args, None))
    handler.handle(logging.LogRecord("shop", logging.ERROR, "", 1, "boom", (), None))
    handler.send_now()
    handler.close()
    (mail,) = email.outbox
    assert isinstance(mail, tocsin.Message)
    text = str(mail.text)
    assert "Application startup complete." in text
    assert text.count("192.0.2.7") == (7 if personal_data else 0)
