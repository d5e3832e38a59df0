from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from samples import HOSTILE, NOW, caught, event, kept, record

from tocsin.alerts.frames import Line


class Awkward:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def fail(value: object = "x") -> None:
    raise ValueError(value)


def test_an_event_says_when_where_and_what() -> None:
    made = record("no %s left", "paper", extra={"threadName": "worker-1", "process": 42})
    found = kept(made)
    assert (found.time, found.message, found.host) == (NOW, "no paper left", "web-1")
    assert (found.pid, found.thread) == (42, "worker-1")
    assert found.location.endswith("main.py:7 in main")
    assert found.traceback == found.extra == ()


def test_the_task_is_named_beside_the_thread() -> None:
    assert kept(record(extra={"threadName": "T", "taskName": "Task-3"})).thread == "T Task-3"


def test_added_fields_are_kept_as_text_in_order() -> None:
    found = kept(record(extra={"order": 17, "user": Awkward()}))
    assert found.extra == (
        ("order", "17"),
        ("user", "<Awkward whose text raises RuntimeError>"),
    )


def test_what_every_record_has_is_no_added_field() -> None:
    names = {"taskName": "t", "message": "m", "asctime": "a", "alert_group": "g"}
    assert kept(record(extra=names)).extra == ()


def test_a_field_name_may_be_anything() -> None:
    made = record()
    odd: Any = made.__dict__
    odd[5] = "five"
    odd[Awkward] = "class"
    names = [name for name, _ in kept(made).extra]
    assert names[0] == "5"
    assert "Awkward" in names[1]


def test_too_many_fields_are_cut_and_the_cut_is_stated() -> None:
    found = kept(record(extra={f"k{n}": n for n in range(33)}))
    assert len(found.extra) == 21
    assert found.extra[-1] == ("...", "[cut: first 20 of 33 fields]")


def test_arguments_that_do_not_fit_are_said() -> None:
    found = kept(record("no %d left", "paper"))
    assert found.message == "no %d left [its arguments don't fit: TypeError]"
    assert "RuntimeError" in kept(record("%s", Awkward())).message
    assert kept(record(Awkward())).message.startswith("<Awkward whose text raises")


def test_a_formatter_makes_the_text_without_the_traceback() -> None:
    formatter = logging.Formatter("%(levelname)s|%(message)s")
    made = record("bad %s", "luck", exc=caught(fail))
    assert kept(made, formatter).message == "ERROR|bad luck"
    assert made.exc_text is None  # the record is other handlers' too


def test_a_formatter_that_raises_leaves_the_message_and_is_named() -> None:
    class Broken(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise KeyError("request_id")

    assert kept(record("bad %s", "luck"), Broken()).message == (
        "bad luck [its formatter raises KeyError]"
    )


def test_a_formatter_that_returns_no_text_is_taken_by_its_text() -> None:
    class Structured(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return {"msg": record.msg}  # type: ignore[return-value] # as some do

    assert kept(record("x"), Structured()).message == "{'msg': 'x'}"


def test_an_exception_is_told_in_lines() -> None:
    found = kept(record("failed", exc=caught(fail, "bad")))
    assert Line("error", "ValueError: bad") in found.traceback
    assert any("in fail" in line.text and line.kind == "own" for line in found.traceback)


def test_a_traceback_that_came_as_text_is_kept_from_its_end() -> None:
    made = record("failed")
    made.exc_text = "first\n" + "x\n" * 20_000 + "ValueError: at the end"
    found = kept(made)
    assert found.traceback[0].text == "[cut: last 10,000 of 40,028 characters]"
    assert found.traceback[-1].text == "ValueError: at the end"


def test_the_stack_is_told_after_the_exception() -> None:
    made = record("failed", exc=caught(fail))
    made.stack_info = "Stack (most recent call last):\n  here"
    assert [line.text for line in kept(made).traceback[-2:]] == [
        "Stack (most recent call last):",
        "  here",
    ]


def test_exc_info_without_an_exception_is_no_traceback() -> None:
    made = record("failed")
    made.exc_info = (None, None, None)
    assert kept(made).traceback == ()


def test_a_huge_record_makes_a_bounded_event() -> None:
    """10 MB in the message, the exception, a field, the thread's name: kB are kept."""
    huge = "\x1bx" * 5_000_000
    made = record(huge, exc=caught(fail, huge), extra={"field": huge, "threadName": huge})
    made.funcName = huge
    found = kept(made)
    assert found.size < 40_000
    assert len(found.location) <= 500
    assert len(found.thread) <= 100
    assert "of 10,000,000 characters]" in found.message


def test_a_long_chain_of_deep_tracebacks_is_bounded() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError(levels)

    error: BaseException | None = None
    for _ in range(30):
        following = caught(deep, 200)
        following.__cause__ = error
        error = following
    found = kept(record("failed", exc=error))
    assert found.traceback[-1] == Line("more", "further causes are left out")
    assert len(found.traceback) < 10 * 102 + 30


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_an_event_acts(text: str) -> None:
    fields = {"threadName": text, "taskName": text, f"k{text}": text}
    made = record(text, exc=caught(fail, text), extra=fields)
    made.funcName = made.pathname = text
    found = kept(made)
    parts = [found.message, found.location, found.thread]
    parts += [part for field in found.extra for part in field]
    parts += [line.text for line in found.traceback]
    for part in parts:
        assert "\x1b" not in part
        assert "\r" not in part
        part.encode("utf-8")
    assert "\n" not in found.location + found.thread
    assert all("\n" not in key for key, _ in found.extra)


def test_an_event_holds_neither_arguments_nor_frames() -> None:
    class Big:
        pass

    error = caught(fail, "x")
    found = kept(record("%s", Big(), exc=error))
    values = [found.message, found.traceback, found.extra]
    assert error.__traceback__ is not None
    assert all(isinstance(value, (str, tuple)) for value in values)
    assert all(type(part) is str for line in found.traceback for part in line)


@pytest.mark.parametrize("process", [None, "main", 1.5])
def test_an_odd_process_number_is_none_at_all(process: object) -> None:
    assert kept(record(extra={"process": process})).pid == 0


def test_the_size_counts_all_text() -> None:
    assert event("12345", traceback=(Line("own", "123"),), extra=(("k", "v"),)).size == 10


def test_a_printed_traceback_is_told_like_the_original() -> None:
    error = caught(fail, "bad")
    made = record("failed")
    made.exc_text = "".join(traceback.format_exception(error))
    assert kept(made).traceback[-1].text == "ValueError: bad"
