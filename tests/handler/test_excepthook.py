"""What nobody catches is an alert, and everything goes on as it would."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tocsin import AlertHandler, ConfigError, TestEmailHandler

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Hooks as a program may have set them before."""
    called: list[tuple[str, str]] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: called.append(("main", kind.__name__)))
    monkeypatch.setattr(
        threading, "excepthook", lambda args: called.append(("thread", args.exc_type.__name__))
    )
    return called


def make(email: TestEmailHandler, **options: Any) -> AlertHandler:
    given = {"to": "o@example.com", "from_addr": "a@example.com", "uncaught": True}
    return AlertHandler(email=email, **{**given, **options})


def caught(error: BaseException) -> tuple[Any, Any, Any]:
    try:
        raise error
    except BaseException:  # noqa: BLE001 - whatever is given
        return sys.exc_info()


def test_an_exception_of_the_program_is_told_at_once(hooks: list[tuple[str, str]]) -> None:
    email = TestEmailHandler()
    handler = make(email)
    sys.excepthook(*caught(ValueError("nobody catches this")))
    handler.flush()
    (mail,) = email.outbox
    assert isinstance(mail, object)
    assert mail.headers["X-Tocsin-Level"] == "CRITICAL"  # type: ignore[union-attr]
    assert "nobody catches this" in str(mail.text)  # type: ignore[union-attr]
    assert "Uncaught exception" in str(mail.text)  # type: ignore[union-attr]
    assert hooks == [("main", "ValueError")]
    handler.close()


def test_an_exception_of_a_thread_is_told_with_its_name(hooks: list[tuple[str, str]]) -> None:
    email = TestEmailHandler()
    handler = make(email)

    def fail() -> None:
        raise ValueError("in a thread")

    thread = threading.Thread(target=fail, name="importer")
    thread.start()
    thread.join()
    handler.flush()
    (mail,) = email.outbox
    assert "Uncaught exception in importer" in str(mail.text)  # type: ignore[union-attr]
    assert hooks == [("thread", "ValueError")]
    handler.close()


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(1)])
def test_how_somebody_ends_a_program_is_no_alert(
    end: BaseException, hooks: list[tuple[str, str]]
) -> None:
    handler = make(TestEmailHandler())
    sys.excepthook(*caught(end))
    assert handler.stats.seen == 0
    assert hooks == [("main", type(end).__name__)]
    handler.close()


def test_a_closed_handler_takes_its_hooks_back() -> None:
    before = sys.excepthook, threading.excepthook
    handler = make(TestEmailHandler())
    assert (sys.excepthook, threading.excepthook) != before
    handler.close()
    assert (sys.excepthook, threading.excepthook) == before


def test_hooks_that_others_have_set_since_stay() -> None:
    handler = make(TestEmailHandler())
    ours = sys.excepthook
    called: list[str] = []

    def theirs(*args: Any) -> None:
        called.append("theirs")
        ours(*args)

    sys.excepthook = theirs
    threading.excepthook = lambda _: None
    handler.close()
    assert sys.excepthook is theirs
    sys.excepthook(*caught(ValueError()))
    assert called == ["theirs"]
    assert handler.stats.seen == 0


def test_two_handlers_are_both_told() -> None:
    handlers = [make(TestEmailHandler()) for _ in range(2)]
    sys.excepthook(*caught(ValueError()))
    assert [handler.stats.seen for handler in handlers] == [1, 1]
    for handler in handlers:
        handler.close()


def test_hooks_hold_on_to_nothing() -> None:
    handler = make(TestEmailHandler())
    held = weakref.ref(handler)
    del handler
    until = time.monotonic() + 20  # the thread that looks at the loggers may have it for a moment
    while held() is not None and time.monotonic() < until:
        gc.collect()
    assert held() is None
    sys.excepthook(*caught(ValueError()))


def test_an_exception_without_a_traceback_or_a_thread_is_survived() -> None:
    handler = make(TestEmailHandler())
    error = ValueError("bare")
    sys.excepthook(ValueError, error, None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
    threading.excepthook(threading.ExceptHookArgs((ValueError, None, None, None)))
    assert handler.stats.seen == 2
    handler.close()


def test_disabled_it_needs_nothing_secret_and_does_nothing(tmp_path: Path) -> None:
    before = sys.excepthook
    handler = AlertHandler(
        to="o@example.com",
        email={"provider": "gmail", "username": "a@example.com", "password_env": "NOT_SET"},
        store=f"sqlite://{tmp_path}/alerts.db",
        uncaught=True,
        enabled=False,
    )
    assert sys.excepthook is before
    handler.handle(logging_record())
    handler.flush()
    assert handler.send_now(timeout=1)
    handler.close()
    assert handler.stats.seen == 0
    assert list(tmp_path.iterdir()) == []


def logging_record() -> Any:
    import logging  # noqa: PLC0415 - for this alone

    return logging.makeLogRecord({"name": "app", "levelno": 40, "msg": "boom"})


def test_disabled_a_wrong_option_is_still_named() -> None:
    with pytest.raises(ConfigError, match="expected a number of seconds, got str"):
        AlertHandler(to="o@example.com", policy={"group_wait": "x"}, enabled=False)


@pytest.mark.parametrize("key", ["uncaught", "enabled"])
def test_a_flag_is_true_or_false(key: str) -> None:
    wrong: dict[str, Any] = {key: "yes"}
    with pytest.raises(ConfigError, match=f"^{key}: expected true or false, got str"):
        AlertHandler(to="o@example.com", from_addr="a@example.com", **wrong)
