"""An exception that the application has logged, and that its server logs again."""

from __future__ import annotations

import copy
import logging
import pickle  # noqa: TID251 - users pickle exceptions

from tocsin.integrations.repeats import Repeats


def record(logger: str, message: str, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(logger, logging.ERROR, "shop.py", 1, message, (), info)


def now() -> float:
    return record("shop", "order failed").created


def server() -> logging.LogRecord:
    return record("uvicorn.error", "Exception in ASGI application\n")


def test_known_once_it_was_noted() -> None:
    repeats, error = Repeats(), ValueError("boom")
    assert not repeats.is_repeat(server(), error)
    repeats.note(error, now())
    assert repeats.is_repeat(server(), error)


def test_an_exception_that_is_raised_again_counts_again() -> None:
    """An application may raise the same object at each request."""
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(error, now())
    assert repeats.is_repeat(server(), error)
    assert not repeats.is_repeat(server(), error)


def test_the_same_call_logs_another_occurrence() -> None:
    repeats, error = Repeats(), ValueError("boom")
    assert not repeats.is_repeat(server(), error)
    assert not repeats.is_repeat(server(), error)


def test_an_application_may_log_through_its_servers_logger() -> None:
    repeats, error = Repeats(), ValueError("boom")
    assert not repeats.is_repeat(record("uvicorn.error", "order failed"), error)
    assert repeats.is_repeat(server(), error)


def test_each_handler_counts_for_itself() -> None:
    one, other, error = Repeats(), Repeats(), ValueError("boom")
    one.note(error, now())
    assert not other.is_repeat(server(), error)


def test_a_group_is_known_if_all_its_members_are() -> None:
    repeats, first, second = Repeats(), ValueError("a"), KeyError("b")
    group = ExceptionGroup("both", [first, ExceptionGroup("inner", [second])])
    repeats.note(first, now())
    assert not repeats.is_repeat(server(), group)
    repeats.note(group, now())
    assert repeats.is_repeat(server(), second)
    repeats.note(second, now())
    assert repeats.is_repeat(server(), group)


class FrozenError(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)

    @property
    def __dict__(self) -> object:  # type: ignore[override]
        raise RuntimeError


def test_an_exception_whose_class_forbids_attributes() -> None:
    repeats, error = Repeats(), FrozenError()
    repeats.note(error, now())
    assert repeats.is_repeat(server(), error)


def test_another_process_has_not_counted_it() -> None:
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(error, now())
    there = pickle.loads(pickle.dumps(error))
    assert vars(there) == dict.fromkeys(vars(error))
    assert not repeats.is_repeat(server(), there)
    assert repr(there) == "ValueError('boom')"


def test_a_mark_is_valid_for_a_minute() -> None:
    repeats, error = Repeats(), ValueError("boom")
    repeats.note(error, server().created - 61)
    assert not repeats.is_repeat(server(), copy.copy(error))
    assert not repeats.is_repeat(server(), error)
