"""Tasks as alerts tell them, and exceptions that are no longer wrapped."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery.utils.serialization import UnpickleableExceptionWrapper
from rq.logutils import setup_loghandlers

from tocsin import AlertHandler
from tocsin.integrations.celery import Celery
from tocsin.integrations.frameworks import Frameworks
from tocsin.integrations.tasks import Task, is_tried_again, shown_arguments, shown_values
from tocsin.integrations.unwrap import unwrapped


class Lazy:
    def __repr__(self) -> str:
        raise AssertionError("no text of an object is asked for")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - any kind
        return caught


def test_what_billiard_has_wrapped_is_found() -> None:
    inner = raised(LookupError("no order"))
    wrapper: Any = ExceptionInfo((LookupError, inner, inner.__traceback__)).exception
    assert unwrapped(wrapper) is inner
    assert unwrapped(inner) is inner


def test_an_exception_that_cannot_be_pickled_has_its_own_type() -> None:
    wrapper = raised(UnpickleableExceptionWrapper("shop", "LockedError", (7,), "LockedError(7)"))
    found, again = unwrapped(wrapper), unwrapped(wrapper)
    assert (type(found).__module__, type(found).__qualname__) == ("shop", "LockedError")
    assert (str(found), found.__traceback__) == ("7", wrapper.__traceback__)
    assert type(again) is type(found)


def test_what_is_being_handled_is_taken_if_it_has_the_same_traceback() -> None:
    error = raised(LookupError("no order"))
    wrapper = UnpickleableExceptionWrapper("shop", "LockedError", (), "")
    other = ValueError("another")
    try:
        raise error
    except LookupError:
        found = unwrapped(wrapper.with_traceback(error.__traceback__)), unwrapped(other)
    assert found == (error, other)


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (("(1,)", "{'a': 2}"), "(1,) {'a': 2}"),
        (("()", "{}"), ""),
        ((None, "{'a': 2}"), "{'a': 2}"),
        ((f"('a, b', '{'x' * 300}')",), "('a, b', ..."),
        ((f"('a\\', b', '{'x' * 300}')",), "('a\\', b', ..."),
        ((f"('{'x' * 300}')",), "[304 characters]"),
    ],
)
def test_long_arguments_are_cut_between_two_items(texts: tuple[Any, ...], shown: str) -> None:
    assert shown_arguments(*texts) == shown


def test_objects_of_the_application_are_named_by_their_type() -> None:
    values = ([1, Lazy(), "x" * 101], {"a": (None,), "b": b"\0", "c": [[[[5]]]]})
    assert shown_values(*values) == (
        "[1, <Lazy>, '" + "x" * 100 + "'...] {'a': (None,), 'b': b'\\x00', 'c': [[[...]]]}"
    )


def test_retries_are_told_with_their_limit_if_there_is_one() -> None:
    def told(task: Task) -> str | None:
        return dict(task.origin().values).get("retries")

    assert told(Task("bill", "1", retries=2, max_retries=3)) == "2 of 3"
    assert told(Task("bill", "1", retries=2)) == "2"
    assert told(Task("bill", "1", max_retries=3)) is None


@pytest.mark.parametrize(("left", "again"), [(None, False), (0, False), (1, True), (20, False)])
def test_an_attempt_is_an_alert_if_the_last_one_is_far_away(left: int | None, again: bool) -> None:
    assert is_tried_again(left) is again


def test_a_handler_knows_loaded_frameworks_from_its_first_record_on() -> None:
    """The first record may come before the thread has looked at the loggers."""
    assert Frameworks((Celery(),), personal_data=False).on


def test_a_configured_handler_is_on_cut_off_loggers_at_once() -> None:
    """A job of RQ may fail right after the configuration, before the thread has looked."""
    setup_loghandlers("INFO")  # as `rq worker` does
    worker = logging.getLogger("rq.worker")
    before = list(worker.handlers)
    alerts = {"class": "tocsin.AlertHandler", "to": "a@example.com", "from_addr": "b@example.com"}
    email = {"handler": "test"}
    try:
        worker.propagate = False
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"alerts": {**alerts, "email": email}},
                "root": {"handlers": ["alerts"]},
            }
        )
        assert any(isinstance(one, AlertHandler) for one in worker.handlers)
    finally:
        for one in list(logging.root.handlers):
            if isinstance(one, AlertHandler):
                logging.root.removeHandler(one)
                one.close()
        worker.propagate, worker.handlers = True, before
