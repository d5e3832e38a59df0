"""An exception that the application has logged, and that its server logs again."""

from __future__ import annotations

import copy
import logging
import pickle  # noqa: TID251 - users pickle exceptions

from tocsin.integrations.repeats import Repeats


def record(logger: str, message: str, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(logger, logging.ERROR, "shop.py", 1, message, (), info)


OWN = record("shop", "order failed")
SERVER = record("uvicorn.error", "Exception in ASGI application\n")


def test_known_once_it_was_noted() -> None:
    repeats, error = Repeats(), ValueError("boom")
    assert not repeats.is_repeat(SERVER, error)
    repeats.note(OWN, error)
    assert repeats.is_repeat(SERVER, error)


def test_an_exception_that_is_raised_again_counts_again() -> None:
    """An application may raise the same object at each request."""
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(OWN, error)
    assert repeats.is_repeat(SERVER, error)
    assert not repeats.is_repeat(SERVER, error)


def test_the_same_call_logs_another_occurrence() -> None:
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(SERVER, error)
    assert not repeats.is_repeat(SERVER, error)


def test_an_application_may_log_through_its_servers_logger() -> None:
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(record("uvicorn.error", "order failed"), error)
    assert repeats.is_repeat(SERVER, error)


def test_each_handler_counts_for_itself() -> None:
    one, other, error = Repeats(), Repeats(), ValueError("boom")
    one.note(OWN, error)
    assert not other.is_repeat(SERVER, error)


def test_a_group_is_known_if_all_its_members_are() -> None:
    repeats, first, second = Repeats(), ValueError("a"), KeyError("b")
    group = ExceptionGroup("both", [first, ExceptionGroup("inner", [second])])
    repeats.note(OWN, first)
    assert not repeats.is_repeat(SERVER, group)
    repeats.note(OWN, second)
    assert repeats.is_repeat(SERVER, group)


class FrozenError(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)

    @property
    def __dict__(self) -> object:  # type: ignore[override]
        raise RuntimeError


def test_an_exception_whose_class_forbids_attributes() -> None:
    repeats, error = Repeats(), FrozenError()
    repeats.note(OWN, error)
    assert repeats.is_repeat(SERVER, error)


def test_another_process_has_not_counted_it() -> None:
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(OWN, error)
    there = pickle.loads(pickle.dumps(error))
    assert not repeats.is_repeat(SERVER, there)
    assert vars(there) == dict.fromkeys(vars(error))
    assert repr(there) == "ValueError('boom')"


def test_a_mark_is_valid_for_a_minute() -> None:
    now = 1000.0
    repeats, error = Repeats(lambda: now), ValueError("boom")
    repeats.note(OWN, error)
    now += 61
    assert not repeats.is_repeat(SERVER, copy.copy(error))
    assert not repeats.is_repeat(SERVER, error)
