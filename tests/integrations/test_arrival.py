"""Handlers on the root logger get what servers log, in whichever order logging is set up."""

from __future__ import annotations

import asyncio  # noqa: F401 - a framework that is loaded
import gc
import logging
import logging.config
import subprocess
import sys
import threading
import time
import types
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import tocsin
from tocsin.forks import logging_lock
from tocsin.integrations import arrival

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UVICORN: dict[str, Any] = {  # as uvicorn sets up logging
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"default": {"class": "logging.NullHandler"}},
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
    },
}


def shop(**options: Any) -> dict[str, Any]:
    handler = {
        "class": "tocsin.AlertHandler",
        "to": "a@example.com",
        "email": {"handler": "test", "default_from": "alerts@example.com"},
        **options,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"alerts": handler},
        "root": {"handlers": ["alerts"]},
    }


@pytest.fixture(autouse=True)
def _loggers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore what is set up here; uvicorn need not be loaded to be looked for."""
    monkeypatch.setitem(sys.modules, "uvicorn", types.ModuleType("uvicorn"))
    root, known = logging.root.handlers, dict(logging.root.manager.loggerDict)
    logging.root.manager.loggerDict.clear()
    before = list(root)
    yield
    for handler in list(logging.root.handlers):
        if isinstance(handler, tocsin.AlertHandler):
            handler.close()
    logging.root.handlers = root
    root[:] = before
    logging.root.manager.loggerDict.clear()
    logging.root.manager.loggerDict.update(known)


def alerts() -> tocsin.AlertHandler:
    (found,) = (one for one in logging.root.handlers if isinstance(one, tocsin.AlertHandler))
    return found


def soon(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


def seen(logger: str = "uvicorn.error") -> int:
    """Return how many records the handler counts of one that is logged."""
    handler = alerts()
    before = handler.stats.seen
    logging.getLogger(logger).error("boom")
    return handler.stats.seen - before


@pytest.mark.parametrize("order", [(UVICORN, shop()), (shop(), UVICORN), (shop(), UVICORN, shop())])
def test_in_each_order_a_record_comes_once(order: tuple[dict[str, Any], ...]) -> None:
    for configuration in order:
        logging.config.dictConfig(configuration)
    assert soon(lambda: alerts().integrations.get("uvicorn") == ("uvicorn",))
    assert seen() == 1
    assert seen("uvicorn") == 1
    assert seen("shop") == 1


def test_a_configuration_that_follows_at_once() -> None:
    """Django configures logging anew each time that an application is made of it."""
    logging.config.dictConfig(UVICORN)
    with logging_lock():  # the thread that adds handlers has begun, and waits
        logging.config.dictConfig(shop())
        first = alerts()
        logging.config.dictConfig(shop())
        assert alerts() is not first
    assert soon(lambda: first not in logging.getLogger("uvicorn").handlers)
    assert seen() == 1


def test_a_handler_has_arrived_when_its_configuration_ends() -> None:
    """A worker serves its first request at once; its error is not lost on a busy machine."""
    logging.config.dictConfig(UVICORN)
    with logging_lock():  # the thread that looks at the loggers waits
        logging.config.dictConfig(shop())
        assert seen() == 1
    assert soon(lambda: not _threads())
    assert seen() == 1


def test_a_handler_that_was_replaced_counts_nothing_more() -> None:
    """An error may come before the thread has looked at the loggers."""
    logging.config.dictConfig(UVICORN)
    logging.config.dictConfig(shop())
    assert soon(lambda: alerts().integrations.get("uvicorn") == ("uvicorn",))
    first = alerts()
    with logging_lock():  # the thread that looks at the loggers waits
        logging.config.dictConfig(shop())
        assert seen() == 1
    assert first.stats.seen == 0


def test_a_handler_of_another_logger_than_root_leaves() -> None:
    logging.config.dictConfig(UVICORN)
    elsewhere = shop()
    elsewhere["loggers"] = {"shop": elsewhere.pop("root")}
    logging.config.dictConfig(elsewhere)
    (handler,) = logging.getLogger("shop").handlers
    assert soon(lambda: handler not in logging.getLogger("uvicorn").handlers)
    handler.close()


def _threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "tocsin-arrival"]


def test_a_handler_that_is_added_by_hand() -> None:
    logging.config.dictConfig(UVICORN)
    handler = tocsin.AlertHandler(
        to="a@example.com", email=tocsin.TestEmailHandler(default_from="alerts@example.com")
    )
    assert seen_by(handler) == 0
    logging.root.addHandler(handler)
    assert soon(lambda: handler.integrations.get("uvicorn") == ("uvicorn",))
    assert seen_by(handler) == 1


def seen_by(handler: tocsin.AlertHandler) -> int:
    before = handler.stats.seen
    logging.getLogger("uvicorn.error").error("boom")
    return handler.stats.seen - before


def test_a_logger_that_propagates_again_brings_a_record_once() -> None:
    logging.config.dictConfig(UVICORN)
    logging.config.dictConfig(shop())
    assert soon(lambda: seen() == 1)
    logging.getLogger("uvicorn").propagate = True
    assert seen() == 1  # the same record, on two ways
    arrival.settle()
    assert alerts().integrations["uvicorn"] == ()
    assert seen() == 1


def test_loggers_that_a_configuration_has_disabled_speak_again() -> None:
    logging.config.dictConfig(UVICORN)
    logging.config.dictConfig({**shop(), "disable_existing_loggers": True})
    assert soon(lambda: seen() == 1)


def test_a_handler_that_was_dropped_leaves() -> None:
    logging.config.dictConfig(UVICORN)
    logging.config.dictConfig(shop())
    assert soon(lambda: seen() == 1)
    handler = weakref.ref(alerts())
    found = handler()
    assert found is not None
    logging.root.removeHandler(found)
    found.close()
    assert found not in logging.getLogger("uvicorn").handlers
    del found
    gc.collect()
    assert handler() is None


def test_a_handler_that_a_configuration_replaces_leaves() -> None:
    logging.config.dictConfig(UVICORN)
    logging.config.dictConfig(shop())
    assert soon(lambda: seen() == 1)
    handler = weakref.ref(alerts())
    logging.config.dictConfig(shop())
    assert soon(lambda: alerts().integrations.get("uvicorn") == ("uvicorn",))
    assert soon(lambda: gc.collect() >= 0 and handler() is None)
    assert seen() == 1


def test_handlers_of_its_own_lists_of_loggers_are_left_alone() -> None:
    configuration = shop()
    configuration["loggers"] = {"shop": {"handlers": ["alerts"]}}
    del configuration["root"]
    logging.config.dictConfig(UVICORN)
    logging.config.dictConfig(configuration)
    arrival.settle()
    (handler,) = logging.getLogger("shop").handlers
    assert handler not in logging.getLogger("uvicorn").handlers


@pytest.mark.parametrize("names", [False, ["gunicorn"]])
def test_only_the_integrations_that_are_asked_for(names: bool | list[str]) -> None:
    logging.config.dictConfig(UVICORN)
    logging.config.dictConfig(shop(integrations=names))
    arrival.settle()
    assert "uvicorn" not in alerts().integrations
    assert seen() == 0


def test_another_list_of_handlers_of_the_root_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does Celery, as its worker starts. Another application's list is its own."""
    logging.config.dictConfig(shop())
    arrival.settle()
    handler = weakref.ref(alerts())
    monkeypatch.setitem(sys.modules, "celery", types.ModuleType("celery"))
    logging.root.handlers = []
    gc.collect()
    arrival.settle()
    assert handler() in logging.root.handlers
    monkeypatch.delitem(sys.modules, "celery")
    logging.root.handlers = []
    arrival.settle()
    assert not logging.root.handlers


def test_uncaught_goes_on_after_a_configuration_that_leaves_the_handler_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    logging.config.dictConfig(shop(uncaught=True))
    arrival.settle()
    hook = sys.excepthook
    logging.config.dictConfig(UVICORN)
    assert soon(lambda: sys.excepthook == hook)
    before = alerts().stats.seen
    error = RuntimeError("boom")
    sys.excepthook(RuntimeError, error, None)
    assert alerts().stats.seen == before + 1


def test_a_logger_of_tasks_that_a_configuration_has_disabled_is_enabled() -> None:
    logger = logging.getLogger("asyncio")
    logging.config.dictConfig({**shop(), "disable_existing_loggers": True})
    arrival.settle()
    assert not logger.disabled
    assert alerts().integrations["asyncio"] == ()


def test_a_logger_that_the_application_has_cut_off_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configuration = shop()
    configuration["handlers"]["file"] = {"class": "logging.StreamHandler"}
    configuration["handlers"]["null"] = {"class": "logging.NullHandler"}
    configuration["loggers"] = {
        "audit": {"handlers": ["file"], "propagate": False},
        "audit.sub": {"handlers": ["file"]},
        "audit.access": {"handlers": ["file"], "propagate": False},
        "quiet": {"handlers": ["null"], "propagate": False},
        "both": {"handlers": ["alerts"], "propagate": False},
    }
    logging.config.dictConfig(configuration)
    arrival.settle()
    arrival.settle()
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(told) == 1
    assert told[0].startswith("tocsin: warning: errors of the logger 'audit' don't reach")


def test_a_message_at_level_debug_names_the_loggers(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The handler itself ignores it, and without another handler nothing is printed."""
    own = logging.getLogger("tocsin")
    with caplog.at_level(logging.DEBUG, "tocsin"):
        own.addHandler(caplog.handler)
        logging.config.dictConfig(UVICORN)
        logging.config.dictConfig(shop(level="DEBUG"))
        arrival.settle()
        assert soon(lambda: bool(caplog.messages))
        arrival.settle()
        own.removeHandler(caplog.handler)
    assert caplog.messages == ["alert handler 'alerts' was added to: uvicorn (uvicorn)"]
    assert alerts().stats.seen == 0
    assert capsys.readouterr().err == ""


def test_no_thread_stays() -> None:
    logging.config.dictConfig(shop())
    assert soon(lambda: not any(one.name == "tocsin-arrival" for one in threading.enumerate()))


def test_an_import_does_not_wait_for_a_configuration() -> None:
    """A configuration in another thread imports Tocsin, too: they would wait for each other."""
    program = """
import logging, threading
from tocsin.forks import logging_lock
def load():
    import tocsin
    tocsin.AlertHandler
with logging_lock():
    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(30)
    print("waits" if thread.is_alive() else "loaded", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "loaded\n", done.stderr


def test_many_handlers_that_are_built_by_hand_share_a_thread() -> None:
    handlers = [
        tocsin.AlertHandler(
            to="a@example.com", email=tocsin.TestEmailHandler(default_from="alerts@example.com")
        )
        for _ in range(20)
    ]
    assert len(_threads()) == 1
    for handler in handlers:
        handler.close()
    assert soon(lambda: not _threads())


def test_a_configuration_closes_a_handler_that_another_thread_builds() -> None:
    class Closed(tocsin.AlertHandler):
        def createLock(self) -> None:  # logging calls it when it knows the handler
            self.close()

    email = tocsin.TestEmailHandler(default_from="alerts@example.com")
    handler = Closed(to="a@example.com", email=email)
    assert handler.stats.seen == 0
    handler.handle(logging.LogRecord("shop", logging.ERROR, "shop.py", 1, "boom", (), None))
    assert handler.stats.seen == 1
