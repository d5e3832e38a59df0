"""Which records belong together, and what a group of them says."""

from __future__ import annotations

import logging
import queue
import subprocess
import sys
import textwrap
import traceback
import uuid
import warnings
from logging.handlers import QueueHandler  # noqa: TID251 - what users have before this handler
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from samples import (
    HOSTILE,
    LIBRARY,
    NOW,
    caught,
    event,
    fingerprint,
    group,
    groups,
    load_module,
    record,
)

from tocsin.alerts.fingerprint import Fingerprints
from tocsin.alerts.frames import OwnCode
from tocsin.alerts.grouping import OTHER, Source, as_other, merge
from tocsin.alerts.text import NoSecrets

if TYPE_CHECKING:
    from pathlib import Path


class Awkward:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def fail(value: object = "x") -> None:
    raise ValueError(value)


def fail_otherwise(value: object = "x") -> None:
    raise ValueError(value)


def fail_by_key(value: object = "x") -> None:
    raise KeyError(value)


def sink(depth: int) -> None:
    if depth:
        sink(depth - 1)
    raise RecursionError("too deep")


def chained(first: BaseException) -> None:
    try:
        raise first  # noqa: TRY301 - as it was raised
    except BaseException as error:
        raise ValueError("second") from error


def grouped(*members: Exception) -> None:
    raise ExceptionGroup("several", members)


library = load_module(
    "driver", f"{LIBRARY}/driver.py", "def query(text):\n    raise OSError(text)\n"
)


def pay() -> None:
    library["query"]("insert")


def refund() -> None:
    library["query"]("delete")


def nowhere(kind: type[BaseException] = ValueError) -> BaseException:
    return kind("never raised")


def queued(made: logging.LogRecord) -> logging.LogRecord:
    """Return the record as it comes out of a queue: its traceback is in its text."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handler = QueueHandler(waiting)
    handler.handle(made)
    found: logging.LogRecord = waiting.get()
    return found


def as_text(made: logging.LogRecord) -> logging.LogRecord:
    """Return the record as it comes through a socket: the traceback is in a field of its own."""
    assert made.exc_info
    made.exc_text = "".join(traceback.format_exception(made.exc_info[1]))
    made.exc_info = None
    return made


def warned(text: str) -> logging.LogRecord:
    """Return what `logging.captureWarnings` makes of a warning."""
    found: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    logger = logging.getLogger("py.warnings")
    handler = Keep()
    logger.addHandler(handler)
    logging.captureWarnings(capture=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn_explicit(text, UserWarning, "/srv/app/main.py", 12)
    finally:
        logging.captureWarnings(capture=False)
        logger.removeHandler(handler)
    return found[0]


R = record
SAME = {
    "other arguments": lambda: (R("no %s left", "paper"), R("no %s left", "ink")),
    "other mapping": lambda: (R("no %(a)s", {"a": 1}), R("no %(a)s", {"a": 2})),
    "numbers in the text": lambda: (R("order 17 failed"), R("order 18,000.5 failed")),
    "times in the text": lambda: (R("late by 12:30:01.5"), R("late by 3:01:59.7")),
    "UUIDs": lambda: (R(f"job {uuid.UUID(int=5)}"), R(f"job {uuid.UUID(int=2**127)}")),
    "single quotes": lambda: (R("user 'ann' is gone"), R("user 'bob the great' is gone")),
    "double quotes": lambda: (R('user "ann" is gone'), R('user "" is gone')),
    "addresses": lambda: (R("to ann@x.example"), R("to bob+1@mail.y.example")),
    "hexadecimal": lambda: (R("at 0x7f3a"), R("at 0xdeadbeef")),
    "hashes": lambda: (R("commit deadbeef01"), R("commit 0123456789ab")),
    "template and f-string": lambda: (R("order %d failed", 5), R("order 17 failed")),
    "several values": lambda: (R("1 of 2 'a' 'b'"), R("3 of 4 'c' 'd'")),
    "percent signs": lambda: (R("disk 95% full"), R("disk 7% full")),
    "values beyond what counts": lambda: (R("x" * 1_000 + "a"), R("x" * 1_000 + "b")),
    "10 MB of one kind": lambda: (R("y" * 10_000_000), R("y" * 10_000_001)),
    "other thread": lambda: (R("x", extra={"threadName": "a"}), R("x", extra={"threadName": "b"})),
    "other time": lambda: (R("x"), R("x", created=NOW + 9)),
    "other extra": lambda: (R("x", extra={"a": 1}), R("x", extra={"a": 2, "b": 3})),
    "exceptions of other values": lambda: (R("a", exc=caught(fail, 1)), R("a", exc=caught(fail))),
    "exception, other message": lambda: (R("a", exc=caught(fail)), R("b", exc=caught(fail))),
    "recursion of other depth": lambda: (R(exc=caught(sink, 5)), R(exc=caught(sink, 150))),
    "other cause": lambda: (
        R(exc=caught(chained, KeyError(1))),
        R(exc=caught(chained, OSError(2))),
    ),
    "group of the same": lambda: (
        R(exc=caught(grouped, caught(fail, 1))),
        R(exc=caught(grouped, caught(fail, 2), caught(fail, 3))),
    ),
    "a group and what is in it": lambda: (
        R(exc=caught(grouped, caught(fail, 1))),
        R(exc=caught(fail, 1)),
    ),
    "alert_group, other message": lambda: (
        R("a", extra={"alert_group": "pay"}),
        R("b", extra={"alert_group": "pay"}),
    ),
    "alert_group, other logger": lambda: (
        R(name="a", extra={"alert_group": "pay"}),
        R(name="b", extra={"alert_group": "pay"}),
    ),
    "alert_group, other exception": lambda: (
        R(exc=caught(fail), extra={"alert_group": 5}),
        R(exc=caught(fail_by_key), extra={"alert_group": 5}),
    ),
    "objects of a kind": lambda: (R(ValueError(1)), R(ValueError("two"))),
    "objects without a text": lambda: (R(Awkward()), R(Awkward())),
    "alert_group without a text": lambda: (
        R("a", extra={"alert_group": Awkward()}),
        R("b", extra={"alert_group": Awkward()}),
    ),
    "arguments that don't fit": lambda: (R("no %d left", "paper"), R("no %d left", 1, 2)),
    "arguments without a text": lambda: (R("no %s", Awkward()), R("no %s", 1)),
    "never raised": lambda: (R("bad 5", exc=nowhere()), R("bad 6", exc=nowhere())),
    "through a queue": lambda: (
        queued(R("user ann", exc=caught(fail, "ann"))),
        queued(R("user bob", exc=caught(fail, "bob b"))),
    ),
    "through a queue, grouped": lambda: (
        queued(R("a", exc=caught(grouped, caught(fail, 1)))),
        queued(R("a", exc=caught(grouped, caught(fail, "two")))),
    ),
    "through a socket": lambda: (
        as_text(R("user ann", exc=caught(fail, "ann"))),
        as_text(R("user bob", exc=caught(fail, "bob b"))),
    ),
    "through a queue, without exception": lambda: (
        queued(R("no %d left", 5)),
        queued(R("no %d left", 6)),
    ),
    "warnings": lambda: (warned("old in 3"), warned("old in 4")),
    "lone surrogates": lambda: (R("x \ud800 1"), R("x \ud800 2")),
}
DIFFERENT = {
    "other words": lambda: (R("no paper left"), R("no ink left")),
    "words that look like hexadecimal": lambda: (R("face value"), R("deed value")),
    "words without digits": lambda: (R("the facade"), R("the decade")),
    "apostrophes": lambda: (R("can't open it, don't try"), R("can't close it, don't try")),
    "other level": lambda: (R("x"), R("x", level=logging.CRITICAL)),
    "other logger": lambda: (R("x", name="a"), R("x", name="b")),
    "child logger": lambda: (R("x", name="a"), R("x", name="a.b")),
    "exception and message": lambda: (R("x"), R("x", exc=caught(fail))),
    "other function": lambda: (R(exc=caught(fail)), R(exc=caught(fail_otherwise))),
    "other exception": lambda: (R(exc=caught(fail)), R(exc=caught(fail_by_key))),
    "exception, other level": lambda: (
        R(exc=caught(fail)),
        R(exc=caught(fail), level=logging.CRITICAL),
    ),
    "exception, other logger": lambda: (
        R(exc=caught(fail), name="a"),
        R(exc=caught(fail), name="b"),
    ),
    "library called from two places": lambda: (R(exc=caught(pay)), R(exc=caught(refund))),
    "groups of other members": lambda: (
        R(exc=caught(grouped, caught(fail))),
        R(exc=caught(grouped, caught(fail_by_key))),
    ),
    "never raised, other message": lambda: (R("a", exc=nowhere()), R("b", exc=nowhere())),
    "never raised, other kind": lambda: (R(exc=nowhere()), R(exc=nowhere(KeyError))),
    "other alert_group": lambda: (
        R(extra={"alert_group": "a"}),
        R(extra={"alert_group": "b"}),
    ),
    "alert_group, other level": lambda: (
        R(extra={"alert_group": "a"}),
        R(extra={"alert_group": "a"}, level=logging.CRITICAL),
    ),
    "alert_group and a message that says so": lambda: (R("a"), R(extra={"alert_group": "a"})),
    "objects of other kinds": lambda: (R(ValueError(1)), R(KeyError(1))),
    "an object and its text": lambda: (R(["a"]), R("['a']")),
    "through a queue, other function": lambda: (
        queued(R("bad", exc=caught(fail))),
        queued(R("bad", exc=caught(fail_otherwise))),
    ),
    "through a queue, other exception": lambda: (
        queued(R("bad", exc=caught(fail))),
        queued(R("bad", exc=caught(fail_by_key))),
    ),
    "through a queue, behind the same long head": lambda: (
        queued(R("h" * 1_500, exc=caught(fail))),
        queued(R("h" * 1_500, exc=caught(fail_by_key))),
    ),
    "through a queue, a library from two places": lambda: (
        queued(R("bad", exc=caught(pay))),
        queued(R("bad", exc=caught(refund))),
    ),
    "a text about tracebacks": lambda: (
        R("Traceback (most recent call last):\nof a"),
        R("Traceback (most recent call last):\nof b"),
    ),
    "warnings": lambda: (warned("old"), warned("new")),
}


@pytest.mark.parametrize("case", SAME)
def test_they_belong_together(case: str) -> None:
    one, other = SAME[case]()
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("case", DIFFERENT)
def test_they_do_not_belong_together(case: str) -> None:
    one, other = DIFFERENT[case]()
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("case", [*SAME, *DIFFERENT])
def test_a_fingerprint_that_is_known_is_the_same_again(case: str) -> None:
    """What is remembered of a record is what makes its fingerprint, no less."""
    remembering = Fingerprints(OwnCode())
    cases: dict[str, Any] = {**SAME, **DIFFERENT}
    for made in cases[case]():
        assert remembering.of(made).fingerprint == fingerprint(made)


def test_a_formatter_does_not_change_the_fingerprint() -> None:
    one, other = record("x"), record("x")
    other.message = logging.Formatter("%(asctime)s %(message)s").format(other)
    assert fingerprint(one) == fingerprint(other)


def test_what_is_remembered_is_bounded() -> None:
    remembering = Fingerprints(OwnCode())
    for number in range(10_050):
        remembering.of(record("x" * (number % 7) + chr(0x4E00 + number)))
    assert len(remembering._known) <= 10_000


SCRIPT = """
import logging, sys
from tocsin.alerts.frames import OwnCode
from tocsin.alerts.fingerprint import Fingerprints
{blank}
class Shop:
    def pay(self, amount):
{blank}
        raise ValueError(amount)

def record(*args, exc_info=None, **extra):
    return logging.LogRecord("shop", 40, __file__, 1, *args, exc_info)

of = Fingerprints(OwnCode()).of
try:
    Shop().pay(5)
except ValueError:
    print(of(record("x", (), exc_info=sys.exc_info())).fingerprint)
print(of(record("no %s left", ("x",))).fingerprint)
print(of(record({{"a", "b"}}, ())).fingerprint)
"""


def test_a_fingerprint_is_the_same_in_every_process_and_after_lines_were_moved(
    tmp_path: Path,
) -> None:
    found = set()
    for seed, blank in (("1", ""), ("2", "\n\n\n"), ("3", "")):
        folder = tmp_path / seed  # another release, in another folder
        folder.mkdir()
        script = folder / "script.py"
        script.write_text(textwrap.dedent(SCRIPT.format(blank=blank)), encoding="utf-8")
        result = subprocess.run(
            [sys.executable, str(script)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(result.stdout)
    assert len(found) == 1
    assert len(set(found.pop().split())) == 3


def _encodable(text: str) -> str:
    """Return what can name a class: neither a lone surrogate nor NUL."""
    return text.encode("utf-8", "ignore").decode().replace("\0", "")


def identity(made: logging.LogRecord) -> tuple[str, str]:
    return Fingerprints(OwnCode()).of(made).told(NoSecrets())


def test_a_group_is_named_by_what_failed_and_where() -> None:
    assert identity(record(exc=caught(fail))) == ("ValueError", "test_grouping.fail")
    assert identity(record("no %s for 'ann'", "x", name="a.b")) == ("no * for *", "a.b")
    assert identity(record(extra={"alert_group": "pay"})) == ("pay", "app")
    assert identity(record("disk 95% full")) == ("disk *% full", "app")
    assert identity(queued(record(exc=caught(pay)))) == ("OSError", "test_grouping.pay")


def test_a_group_of_exceptions_is_named_by_its_first() -> None:
    inner = caught(grouped, caught(fail))
    assert isinstance(inner, Exception)
    made = record(exc=caught(grouped, inner))
    assert identity(made) == ("ValueError", "test_grouping.fail")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_one_line_without_controls(text: str) -> None:
    for part in (
        *identity(record(text, name=text)),
        *identity(record(extra={"alert_group": text})),
        *identity(record(exc=type(_encodable(text), (Exception,), {})())),
    ):
        assert len(part) <= 80
        assert not set(part) & set("\r\n\x1b\0\u202e")


@given(groups("a"), groups("a"))
def test_merging_is_commutative(one: Any, other: Any) -> None:
    assert merge(one, other) == merge(other, one)


@given(groups("a"), groups("a"), groups("a"))
def test_merging_is_associative(one: Any, two: Any, three: Any) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


def test_a_merged_group_counts_and_spans_both() -> None:
    both = merge(
        group(count=2, at=NOW), group(count=3, at=NOW + 9, sources=(Source("web-2", 7, "", 3),))
    )
    assert (both.count, both.first, both.last) == (5, NOW, NOW + 9)
    assert both.sources == (Source("web-1", 7, "", 2), Source("web-2", 7, "", 3))


def test_the_highest_level_of_merged_groups_is_theirs() -> None:
    both = merge(group(), group(level=50, level_name="CRITICAL", at=NOW + 1))
    assert (both.level, both.level_name) == (50, "CRITICAL")


def test_the_first_and_the_latest_sample_are_kept() -> None:
    merged = group(samples=(event("b", time=NOW + 1),))
    for offset, message in ((0, "a"), (2, "c"), (1.5, "between")):
        merged = merge(merged, group(samples=(event(message, time=NOW + offset),)))
    assert [sample.message for sample in merged.samples] == ["a", "c"]


def test_the_others_are_one_group_without_samples() -> None:
    made = as_other(group(count=7, level=50, samples=(event(),)))
    assert (made.fingerprint, made.count, made.level, made.samples) == (OTHER, 7, 50, ())
    assert made.kind == "other errors"
