"""Structured messages: their text, their values and their tracebacks, in the forms that exist."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from loggers import as_json, structured
from pythonjsonlogger.json import JsonFormatter
from samples import caught, fingerprint, kept, record
from structlog.tracebacks import ExceptionDictTransformer

from tocsin.events import traceback_forms
from tocsin.events.fields import line_of
from tocsin.events.structured import brief, of_mapping, read

if TYPE_CHECKING:
    from tocsin.events.event import Event

PRINTED = (
    'Traceback (most recent call last):\n  File "/srv/shop/pay.py", line 3, in pay\nKeyError: 5'
)
STACK = 'Stack (most recent call last):\n  File "/srv/shop/pay.py", line 9, in main\n    pay()'


def fail(value: object = "x") -> None:
    raise ValueError(value)


def fail_twice() -> None:
    try:
        fail()
    except ValueError:
        raise KeyError("y") from None


def fail_because() -> None:
    try:
        fail()
    except ValueError as error:
        raise KeyError("y") from error


def fail_meanwhile() -> None:
    try:
        fail()
    except ValueError:
        raise KeyError("y")  # noqa: B904 - the context is the case


def fail_together() -> None:
    raise BaseExceptionGroup(
        "several", [caught(fail), BaseExceptionGroup("more", [caught(fail_because)])]
    )


def bare(event: Event) -> list[str]:
    """Return a traceback without lines of source."""
    return [line.text for line in event.traceback if not line.text.startswith(" ")]


MESSAGES = {
    "JSON": '{"order": 5, "event": "paid", "user": "ann"}',
    "JSON of another library": '{"order": 5, "message": "paid", "user": "ann"}',
    "JSON in JSON": '{"message": {"event": "paid", "order": 5}, "user": "ann"}',
    "Google Cloud": '{"jsonPayload": {"message": "paid", "order": 5, "user": "ann"}}',
    "Elastic": (
        '{"message": "paid", "order": 5, "user": "ann", "ecs.version": "1.6", "log": {"logger": 1}}'
    ),
    "pairs": "event='paid' order=5 user=ann",
    "pairs, the text last": 'order=5 user="ann" event=paid',
    "the console": "2026-01-31T12:00:00Z [error    ] paid      [shop.orders] order=5 user=ann",
    "the console without a time": "[error    ] paid                order=5 user=ann",
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_a_message_is_its_text_and_its_values(message: str) -> None:
    found = read(message)
    assert found is not None
    assert found.text == "paid"
    assert {name: str(value) for name, value in found.values} == {"order": "5", "user": "ann"}


@pytest.mark.parametrize(
    "message",
    [
        "no ink",
        "{}",
        "{broken",
        "[1, 2]",
        '["event"]',
        '{"order": 5}',
        '{"message": {"order": 5}}',
        '{"jsonPayload": {"order": 5}}',
        '{"record": {"order": 5}}',
        '{"record": {"message": 5, "extra": {}}}',
        "order=5 user=ann",
        "[ERROR] is no level of the console",
        "[fatal] [error] twice",
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_any_other_message_has_no_structure(message: str) -> None:
    assert read(message) is None
    assert brief(message, "ERROR", "shop") is message


@pytest.mark.parametrize(
    "message",
    [
        "[error] " + " " * 100_000 + "x",
        "[error] a" + " [" * 50_000,
        "[error] a" + " a" * 50_000 + "=",
        "a=" + " " * 100_000 + "x",
        'a="' * 30_000,
        "a=b " * 30_000,
        "[error] x\n╭─ Traceback (most recent call last) ─╮\n│ ❱ 1 " + " " * 90_000,
        "[error] x\n╭─ Traceback (most recent call last) ─╮\n" + "│ a:1 in b " * 9_000,
        "[error] x\n╭" + "─" * 90_000,
        '{"event": "' + "\\" * 100_000,
    ],
)
def test_a_hostile_message_takes_no_time(message: str) -> None:
    began = time.process_time()
    read(message)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ('{"event": "caf\\u00e9", "x": [1,', "café"),
        ('{"event": "a \\x b", "x": [1,', "a \\x b"),
        (json.dumps({"event": "paid", "x": "y" * 300_000}), "paid"),
    ],
)
def test_json_that_was_cut_or_is_long_still_has_its_text(message: str, text: str) -> None:
    found = read(message)
    assert found is not None
    assert found.text == text


def test_values_in_quotes_are_read() -> None:
    found = read(r"""event="said \"no\"" path='C:\\x' lines="a\nb" data={'a': 1, 'b': 2} empty=""")
    assert found is not None
    assert found.text == 'said "no"'
    values = [("path", r"C:\x"), ("lines", "a\nb"), ("data", "{'a': 1, 'b': 2}"), ("empty", "")]
    assert list(found.values) == values


@pytest.mark.parametrize(
    "value",
    [
        {"event": "failed", "exception": PRINTED, "order": 5},
        {"message": "failed", "error": {"type": "KeyError", "stack_trace": PRINTED}, "order": 5},
        {"message": {"msg": "failed", "exc_info": PRINTED}, "order": 5},
        {"message": {"msg": "failed"}, "exc_info": PRINTED, "order": 5},
        {"event": "failed", "exception": PRINTED, "traceback": PRINTED, "order": 5},
    ],
)
def test_a_traceback_is_no_value(value: dict[str, Any]) -> None:
    found = read(json.dumps(value))
    assert found is not None
    assert (found.text, found.traceback, found.values) == ("failed", PRINTED, (("order", 5),))


def test_a_stack_is_no_value() -> None:
    found = of_mapping({"event": "paid", "stack": STACK, "stack_info": STACK})
    assert found is not None
    assert (found.stack, found.values) == (STACK, ())


@pytest.mark.parametrize(
    ("tail", "traceback", "stack"),
    [
        (PRINTED, PRINTED, ""),
        (STACK, "", STACK),
        (f"{STACK}\n\n{'=' * 79}\n\n{PRINTED}", PRINTED, STACK),
    ],
)
def test_what_follows_a_line_of_the_console(tail: str, traceback: str, stack: str) -> None:
    found = read(f"[error    ] failed      order=5\n{tail}")
    assert found is not None
    assert found == ("failed", (("order", "5"),), traceback, stack)


def test_a_text_of_several_lines_on_the_console() -> None:
    found = read("[error    ] failed\nand so on\nTraceback (most recent call last): no frames")
    assert found is not None
    assert found.text == "failed\nand so on"


@pytest.mark.parametrize("colors", [False, True])
def test_logurus_format_and_its_json(*, colors: bool) -> None:
    paint = "\x1b[31m\x1b[1m{}\x1b[0m".format if colors else "{}".format
    text = (
        f"2026-01-31 12:00:00.123 | {paint('ERROR   ')} | shop.pay:<module>:5 - {paint('no ink')}"
    )
    found = kept(record(text))
    assert (found.message, found.extra) == ("no ink", ())
    serialized: dict[str, Any] = {
        "text": f"{text}\n{PRINTED}\n",
        "record": {"message": "no ink", "extra": {"a": 1}},
    }
    found = kept(record(json.dumps(serialized)))
    assert (found.message, found.extra) == ("no ink", (("a", "1"),))
    assert found.traceback[-1].text == "KeyError: 5"
    serialized["text"] = serialized["record"]["extra"] = None
    found = kept(record(json.dumps(serialized)))
    assert (found.message, found.extra, found.traceback) == ("no ink", (), ())


def test_logurus_extra_is_its_values() -> None:
    assert kept(record("paid", extra={"extra": {}})).extra == ()
    assert kept(record("paid", extra={"extra": {"order": 5}})).extra == (("order", "5"),)
    assert kept(record("paid", extra={"extra": 5})).extra == (("extra", "5"),)


def test_level_logger_and_time_are_not_told_again() -> None:
    values = {
        "level": "error",
        "logger": "app",
        "timestamp": "2026-01-31T12:00:00Z",
        "time": 1_700_000_000.5,
        "message": "",
        5: "five",
    }
    assert kept(record({"event": "paid", **values})).extra == (("5", "five"),)
    others = {"level": "5", "logger": "ink", "time": "noon", "message": "x"}
    assert dict(kept(record({"event": "paid", **others})).extra) == others


@pytest.mark.parametrize("function", [fail, fail_twice, fail_because, fail_meanwhile])
def test_a_structured_traceback_is_read_as_a_printed_one(function: Any) -> None:
    error = caught(function)
    info = (type(error), error, error.__traceback__)
    rendered = ExceptionDictTransformer(show_locals=False)(info)
    event = kept(record({"event": "failed", "exception": rendered}))
    direct = kept(record("failed", exc=error))
    assert bare(event) == bare(direct)
    assert event.extra == ()
    assert fingerprint(record({"event": "failed", "exception": rendered})) == fingerprint(
        record("failed", exc=error)
    )


def test_a_structured_group_is_read() -> None:
    error = caught(fail_together)
    rendered = ExceptionDictTransformer()((type(error), error, error.__traceback__))
    event = kept(record(json.dumps({"event": "failed", "exception": rendered})))
    text = "\n".join(line.text for line in event.traceback)
    assert "in ExceptionGroup: several" in text
    assert "KeyError: 'y'" in text
    assert text.count("ValueError: x") == 2
    assert fingerprint(record({"event": "failed", "exception": rendered})) == fingerprint(
        record("failed", exc=error)
    )


@pytest.mark.parametrize(
    "value",
    [
        [],
        [5],
        {"exc_type": "X"},
        "no ink",
        "see Traceback (most recent call last):",
        5,
    ],
)
def test_a_value_that_is_no_traceback(value: object) -> None:
    assert traceback_forms.printed(value) == ""


def test_a_structured_traceback_with_parts_missing() -> None:
    value = [{"exc_type": "X", "frames": [5, {}], "exceptions": [5, [], [5]]}]
    assert 'File "", line , in ' in traceback_forms.printed(value)
    assert traceback_forms.printed([{"exc_type": "X", "frames": 5}]) == ""


@pytest.mark.parametrize("function", [fail, fail_because, fail_meanwhile])
def test_the_traceback_that_rich_draws(function: Any) -> None:
    drawn = structlog.dev.RichTracebackFormatter(show_locals=True, width=200)
    try:
        function()
    except Exception as error:  # noqa: BLE001 - any kind is wanted
        console = structlog.dev.ConsoleRenderer(colors=True, exception_formatter=drawn)
        text = console(None, "", {"event": "failed", "level": "error", "exc_info": sys.exc_info()})
        direct = kept(record("failed", exc=error))
    event = kept(record(text))
    assert event.message == "failed"
    assert bare(event) == bare(direct)


def test_a_formatter_of_json_makes_values() -> None:
    formatter = JsonFormatter("%(levelname)s %(name)s %(message)s", static_fields={"team": "pay"})
    found = kept(record("no %s", "ink", extra={"order": 5}), formatter)
    assert (found.message, found.extra) == ("no ink", (("order", "5"), ("team", "pay")))
    found = kept(record({"event": "no ink", "order": 5}), formatter)
    assert (found.message, found.extra) == ("no ink", (("order", "5"), ("team", "pay")))


def test_a_formatter_of_text_gets_the_text_alone() -> None:
    formatter = logging.Formatter("%(levelname)s: %(message)s")
    found = kept(as_json("paid", order=5), formatter)
    assert (found.message, found.extra) == ("ERROR: paid", (("order", "5"),))


def test_the_context_has_text_and_values() -> None:
    assert brief("event='paid' level='info' order=5", "INFO", "shop") == "paid order=5"


def test_the_exception_of_render_to_log_kwargs() -> None:
    made = record("failed", extra={"exception": PRINTED, "order": 5})
    found = kept(made)
    assert found.extra == (("order", "5"),)
    assert found.traceback[-1].text == "KeyError: 5"
    assert fingerprint(made) == fingerprint(record(f"failed\n{PRINTED}"))
    assert fingerprint(record("failed", extra={"exception": "none"})) == fingerprint(
        record("failed")
    )


def test_a_pickled_exception_has_the_traceback_of_its_text() -> None:
    """A queue of loguru pickles an exception without its traceback."""
    bare = KeyError(5)
    for message in (f"failed\n{PRINTED}", {"event": "failed", "exception": PRINTED}):
        made = record(message, exc=bare)
        found = kept(made)
        assert found.message == "failed"
        assert any("pay.py:3 in pay" in line.text for line in found.traceback)
        assert fingerprint(made) == fingerprint(record(message))
    other = record(f"failed\n{PRINTED}", exc=ValueError(5))
    assert kept(other).message == f"failed\n{PRINTED}"
    assert fingerprint(other) != fingerprint(record(f"failed\n{PRINTED}"))


def test_the_empty_traceback_that_loguru_sets_is_none() -> None:
    made = record("failed", extra={"exc_text": "\n"})
    assert kept(made).traceback == ()
    assert fingerprint(made) == fingerprint(record("failed"))


def test_structlogs_values_are_no_part_of_the_group() -> None:
    renderer = structlog.dev.ConsoleRenderer(colors=True)
    assert fingerprint(structured("paid", renderer=renderer, order=5)) == fingerprint(
        structured("paid", renderer=renderer, user="ann")
    )


def test_an_exception_as_an_event_is_its_text() -> None:
    found = kept(record({"event": KeyError("no ink"), "order": 5}))
    assert (found.message, found.extra) == ("'no ink'", (("order", "5"),))


def test_the_line_for_the_context() -> None:
    assert line_of(record({"event": "paid", "level": "error", "order": 5})) == "paid order=5"
    assert line_of(record({"order": 5})) == "{'order': 5}"
    assert line_of(record("no %s", "ink")) == "no ink"
