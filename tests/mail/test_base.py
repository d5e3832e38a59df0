"""Email handlers: found by name, and no logging handlers."""

from __future__ import annotations

import asyncio
import logging.config
import threading
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Self

import pytest
from typing_extensions import override

import tocsin.mail
from tocsin.exceptions import ConfigError
from tocsin.mail import (
    EmailHandler,
    Message,
    Receipt,
    SMTPEmailHandler,
    TestEmailHandler,
    get_handler_class,
)
from tocsin.mail.base import ENTRY_POINT_GROUP, address_option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ThreadedHandler(EmailHandler):
    """A handler of a user's own: it notes in which thread it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[threading.Thread, object]] = []

    @override
    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls()

    @override
    def send(self, messages: Any, **options: Any) -> list[Receipt]:
        self.calls.append((threading.current_thread(), (messages, options)))
        return [Receipt(message_id="<a@x>")]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("smtp", SMTPEmailHandler),
        ("test", TestEmailHandler),
        ("tocsin.mail:SMTPEmailHandler", SMTPEmailHandler),
        (TestEmailHandler, TestEmailHandler),
        (ThreadedHandler, ThreadedHandler),
    ],
)
def test_class_is_found(name: str | type[EmailHandler], found: type[EmailHandler]) -> None:
    assert get_handler_class(name) is found


def test_entry_points_name_the_built_in_handlers() -> None:
    names = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
    assert {"smtp", "test"} <= names


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("smpt", r"handler: 'smpt' is unknown; known are .*smtp, test, or 'module:Class'"),
        ("", "handler: '' is unknown"),
        ("tocsin.SMTPEmailHandler", "is unknown; did you mean 'smtp'"),
        ("shop.mail.Handler", "is unknown; did you mean 'shop.mail:Handler'"),
        ("no_such_module:Class", "can't load 'no_such_module:Class': No module named"),
        ("tocsin.mail:Nothing", "can't load .* has no attribute 'Nothing'"),
        ("tocsin.mail:", "can't load"),
        (":Class", "can't load"),
        (".mail:Class", "can't load .*relative import"),
        ("tocsin.mail:Message", "is no subclass of tocsin.mail.EmailHandler"),
        ("os:sep", "is no subclass"),
        (Message, "is no subclass"),
        (None, "None is no subclass"),
        (5, "5 is no subclass"),
    ],
)
def test_what_is_no_email_handler_is_a_config_error(name: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        get_handler_class(name)


def test_broken_entry_point_is_a_config_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that was installed halfway is named, and the traceback leads to it."""
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        f"[{ENTRY_POINT_GROUP}]\nbroken = no_such_module:Class\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="can't load 'broken': No module named") as caught:
        get_handler_class("broken")
    assert isinstance(caught.value.__cause__, ImportError)


@pytest.mark.parametrize("name", ["tocsin.mail.SMTPEmailHandler", "tocsin.mail.TestEmailHandler"])
@pytest.mark.parametrize(
    "options", [{}, {"level": "ERROR"}, {"formatter": "plain"}, {"filters": ["all"]}]
)
def test_email_handler_in_dictconfig_is_refused_there(
    name: str, options: dict[str, object]
) -> None:
    """It would fail at the first record, in production."""
    before = logging.root.handlers[:]
    config = {
        "version": 1,
        "incremental": False,
        "disable_existing_loggers": False,
        "formatters": {"plain": {}},
        "filters": {"all": {}},
        "handlers": {"mail": {"class": name, **options}},
    }
    with pytest.raises(ValueError, match="mail") as caught:
        logging.config.dictConfig(config)
    error: BaseException = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    hint = str(error)
    assert "is no logging handler" in hint
    assert "tocsin.AlertHandler" in hint
    assert "'email'" in hint
    assert logging.root.handlers == before


def test_name_can_not_be_asked_for_either() -> None:
    with pytest.raises(ConfigError, match="no logging handler"):
        _ = TestEmailHandler().name


def test_async_send_leaves_the_event_loop_free() -> None:
    handler = ThreadedHandler()
    message = Message()

    async def main() -> list[Receipt]:
        return await handler.send_async(message, deadline=5)

    (receipt,) = asyncio.run(main())
    assert receipt.message_id == "<a@x>"
    ((thread, said),) = handler.calls
    assert thread is not threading.current_thread()
    assert said == (message, {"deadline": 5, "on_transaction": None})


def test_handler_of_ones_own_has_no_sender_and_nothing_to_close() -> None:
    handler = ThreadedHandler()
    assert handler.sender is None
    assert handler.recipients == ()
    handler.close()
    assert handler.send(Message())


def test_address_option_names_the_key_and_not_more() -> None:
    assert str(address_option("from_addr", "F <f@x>")) == "F <f@x>"
    with pytest.raises(ConfigError, match=r"^from_addr: 'f' is not an address"):
        address_option("from_addr", "f")
    with pytest.raises(ConfigError, match=r"^from_addr: .* it has a line break in it$"):
        address_option("from_addr", "f@x\ng@x")
    with pytest.raises(ConfigError, match=r"^from_addr: expected an address, got None$"):
        address_option("from_addr", None)


def test_public_names_are_there() -> None:
    assert all(hasattr(tocsin.mail, name) for name in tocsin.mail.__all__)
