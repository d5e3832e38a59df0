from __future__ import annotations

import gc
import linecache
import logging
import re
import traceback
import weakref
from typing import Any

import pytest
from samples import HOSTILE, NOW, caught, event, kept, record

from tocsin.events.capture import Capture, CapturedRecord, Origin
from tocsin.events.frames import Line, OwnCode
from tocsin.redact.base import NoSecrets
from tocsin.text import Excerpt


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


def test_a_field_that_the_request_tells_is_not_told_twice() -> None:
    made = record(extra={"request": object(), "order": 7, "status_code": 500})
    origin = Origin((("request", "GET /"),), used=frozenset({"request", "status_code"}))
    captured = Capture.of(made, origin=origin)
    found = captured.event(
        own=OwnCode(), host="web-1", source=linecache.getline, redact=NoSecrets()
    )
    assert found.extra == (("order", "7"),)
    assert found.origin == (("request", "GET /"),)
    assert captured.size > Capture.of(made, origin=Origin((), used=origin.used)).size
    assert captured.brief().origin == ()


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


class Stars(NoSecrets):
    """Take one password out, wherever it is; and the values of fields that are named after it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def text(self, text: str, /) -> str:
        self.seen.append(text)
        return text.replace("hunter2", "***")

    def field(self, name: str, value: str, /) -> str:
        return "***" if name == "password" else self.text(value)


def reveal() -> None:
    hunter2 = "hunter2"
    raise ValueError(hunter2)


def test_secrets_are_taken_out_of_all_that_is_told() -> None:
    error = caught(reveal)
    error.__cause__ = KeyError("hunter2")
    made = record(
        "login %s",
        "hunter2",
        exc=error,
        extra={"password": "x", "url": "//hunter2@x", "hunter2": 1},
    )
    made.stack_info = "Stack\n  login('hunter2')"
    redact = Stars()
    captured = Capture.of(
        made,
        origin=Origin((("request", "GET /?as=hunter2"), ("user", "u-hunter2"))),
        context=(CapturedRecord(NOW, "INFO", "app", Excerpt("as hunter2", 10)),),
    )
    found = captured.event(own=OwnCode(), host="web-1", source=linecache.getline, redact=redact)
    assert "hunter2" not in str(found)
    assert ("password", "***") in found.extra
    assert found.context[0].message == "as ***"
    assert found.origin == (("request", "GET /?as=***"), ("user", "u-***"))
    assert len(redact.seen) == len(set(redact.seen))  # each text once


def test_secrets_are_taken_out_of_a_traceback_that_came_as_text() -> None:
    text = "".join(traceback.format_exception(caught(reveal)))
    found = kept(record(f"failed\n{text}"), redact=Stars())
    assert "hunter2" not in str(found)
    assert "raise ValueError(***)" in found.traceback[-2].text


def test_a_secret_of_several_lines_is_seen_whole_in_a_printed_traceback() -> None:
    class Keys(NoSecrets):
        def text(self, text: str, /) -> str:
            return re.sub(r"-BEGIN-.*?-END-", "***", text, flags=re.DOTALL)

    made = record("failed")
    made.exc_text = (
        'Traceback (most recent call last):\n  File "/srv/a.py", line 3, in go\n    go()\n'
        "ValueError: bad key -BEGIN-\nMIIB\n-END-\n"
    )
    assert kept(made, redact=Keys()).traceback[-1].text == "ValueError: bad key ***"


@pytest.mark.parametrize("at", [9_998, 11_998])
def test_a_secret_that_spans_a_cut_is_not_told_by_half(at: int) -> None:
    """The cut of what is told, and the cut of what is looked at."""
    message = "." * at + "hunter2" + "x" * 9_000
    found = kept(record(message), redact=Stars()).message
    assert "hu" not in found
    assert f"of {len(message):,} characters]" in found


def test_what_a_secret_left_is_not_filled_with_half_of_the_next() -> None:
    """A long secret becomes short: the end of what is looked at comes nearer than the cut."""

    class Long(NoSecrets):
        def text(self, text: str, /) -> str:
            return re.sub(r"<a+>", "*", text)

    message = f"<{'a' * 9_000}>" + "b" * 2_990 + "<aaaa>" + "c" * 9_000
    found = kept(record(message), redact=Long()).message
    assert "aaa" not in found


def test_the_context_is_cut_and_clean() -> None:
    past = CapturedRecord(NOW, "INFO\n", "a" * 200, Excerpt.from_start("\x1b" + "x" * 20_000, 500))
    captured = Capture.of(record(), context=(past,))
    found = captured.event(
        own=OwnCode(), host="web-1", source=linecache.getline, redact=NoSecrets()
    )
    (one,) = found.context
    assert (one.level, len(one.logger)) == ("INFO", 100)
    assert one.message.startswith("\\x1bxxx")
    assert one.message.endswith("[cut: first 500 of 20,001 characters]")
    assert found.size > len(one.message)


def test_a_capture_holds_on_to_nothing() -> None:
    """Arguments, exceptions, frames and extra values are free as soon as the call is over."""

    class Thing:
        def __str__(self) -> str:
            return "thing"

    def make() -> tuple[Capture, list[weakref.ref[Any]]]:
        class Failed(Exception):  # noqa: N818 - a built-in one can't be referred to weakly
            pass

        argument, added, inside = Thing(), Thing(), Thing()

        def local_fail() -> None:
            here = inside
            raise Failed(here)

        error = caught(local_fail)
        made = record("%s", argument, exc=error, extra={"added": added})
        refs = [weakref.ref(one) for one in (argument, added, inside, error, made)]
        return Capture.of(made, note_source=linecache.lazycache), refs

    captured, refs = make()
    gc.collect()
    assert [ref() for ref in refs] == [None] * 5
    assert captured.message.text == "thing"


def test_a_capture_of_a_huge_record_is_bounded() -> None:
    huge = "x" * 1_000_000
    made = record(huge, exc=caught(fail, huge), extra={f"k{n}": huge for n in range(50)})
    made.stack_info = huge
    captured = Capture.of(made)
    assert captured.size < 100_000
    assert captured.brief().size < 5_000


def test_a_capture_in_brief_has_the_same_title() -> None:
    made = record("m" * 5_000, exc=caught(fail, "because"), extra={"a": 1})
    brief = (
        Capture.of(made)
        .brief()
        .event(own=OwnCode(), host="web-1", source=linecache.getline, redact=NoSecrets())
    )
    assert brief.traceback == (Line("error", "ValueError: because"),)
    assert brief.message.endswith("of 5,000 characters]")


@pytest.mark.parametrize("text", ["text", 5, None])
def test_a_text_of_another_kind_is_survived(text: Any) -> None:
    class Odd:
        def __str__(self) -> str:
            return text  # type: ignore[no-any-return] # that is the case

    found = kept(record("%s", Odd(), extra={"field": Odd()}, exc=caught(fail, Odd())))
    assert "text" in found.message or "its arguments don't fit" in found.message
    assert found.traceback[-1].kind == "error"


def test_a_message_of_another_kind_is_taken_by_its_text() -> None:
    class Own(logging.LogRecord):
        def getMessage(self) -> str:
            return 5  # type: ignore[return-value] # some do

    made = Own("app", 40, "/srv/app/main.py", 7, "x", (), None)
    assert kept(made).message == "5"


def test_an_interrupt_is_let_out() -> None:
    class Interrupted:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(record("%s", Interrupted()))


def test_a_structured_message_is_told_by_its_event_and_its_fields() -> None:
    found = kept(record({"event": "paid", "order": 5, "exc_info": None}))
    assert found.message == "paid"
    assert found.extra == (("order", "5"),)
    assert kept(record({"a": 1})).message == "{'a': 1}"


def test_the_exception_of_a_structured_message_is_told() -> None:
    error = caught(fail, "bad")
    assert kept(record({"event": "x", "exc_info": error})).traceback[-1].text == "ValueError: bad"
    info = (type(error), error, error.__traceback__)
    assert kept(record({"event": "x", "exc_info": info})).traceback[-1].text == "ValueError: bad"
    try:
        fail("now")
    except ValueError:
        found = kept(record({"event": "x", "exc_info": True}))
    assert found.traceback[-1].text == "ValueError: now"


def test_an_event_that_cannot_be_told_says_so() -> None:
    found = Capture.of(record("secret")).placeholder("web-1")
    assert (found.time, found.host) == (NOW, "web-1")
    assert "secret" not in str(found)
