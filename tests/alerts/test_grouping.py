"""Which records belong together, and what a group of them says."""

from __future__ import annotations

import functools
import logging
import queue
import traceback
import warnings
from dataclasses import replace
from logging.handlers import QueueHandler  # noqa: TID251 - what users have before this handler
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import (
    HOSTILE,
    LIBRARY,
    NOW,
    caught,
    event,
    group,
    groups,
    load_module,
    record,
)

from tocsin.alerts.grouping import OTHER, Source, as_other, merge
from tocsin.events.fingerprint import Fingerprints
from tocsin.events.frames import OwnCode
from tocsin.redact.base import NoSecrets


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
        raise first
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


def _encodable(text: str) -> str:
    """Return what can name a class: neither a lone surrogate nor NUL."""
    return text.encode("utf-8", "ignore").decode().replace("\0", "")


def identity(made: logging.LogRecord) -> tuple[str, str]:
    return Fingerprints(OwnCode()).of(made).describe(NoSecrets())


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


@given(st.lists(st.tuples(groups("a"), st.integers(0, 9)), min_size=2, max_size=70), st.randoms())
def test_many_are_merged_in_any_order_and_their_processes_are_counted(
    made: list[tuple[Any, int]], chance: Any
) -> None:
    """Of more processes than are told, the same ones are kept, each with its whole count."""
    spread = [
        replace(one, sources=tuple(replace(item, pid=item.pid * 10 + more) for item in one.sources))
        for one, more in made
    ]
    first = functools.reduce(merge, spread)
    while len(spread) > 1:
        chance.shuffle(spread)
        spread.append(merge(spread.pop(), spread.pop()))
    assert spread == [first]
    assert first.elsewhere + sum(item.count for item in first.sources) == first.count
    assert len(first.sources) <= 32


def test_of_many_processes_the_first_in_their_order_are_told() -> None:
    made = [group(count=2, sources=(Source("web", pid, "", 2),)) for pid in range(40)]
    merged = functools.reduce(merge, [*made[::-1], *made])
    assert merged.sources == tuple(Source("web", pid, "", 4) for pid in range(32))
    assert merged.elsewhere == 8 * 4


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
