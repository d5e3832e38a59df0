"""Where records arrive: counted, bounded, whatever they hold."""

from __future__ import annotations

import logging
import os
import threading
import tracemalloc
from typing import Any

import pytest
from parts import record

from tocsin.alerts.frames import OwnCode
from tocsin.alerts.grouping import OTHER, Source
from tocsin.intake import Intake, Wake


def make(limit: int = 500) -> Intake:
    return Intake(own=OwnCode(), host="web-1", limit=limit, urgent_level=logging.CRITICAL)


def test_a_repeated_record_is_only_counted() -> None:
    intake = make()
    for number in range(5):
        intake.add(record("order %d failed", number), None)
    (group,) = intake.drain()
    assert (group.count, len(group.samples), intake.seen) == (5, 1, 5)
    assert group.samples[0].message == "order 0 failed"
    assert group.sources == (Source("web-1", os.getpid(), "", 5),)
    assert intake.drain() == ()


def test_a_repeated_record_is_not_formatted() -> None:
    asked = []

    class Costly:
        def __str__(self) -> str:
            asked.append(self)
            return "text"

    intake = make()
    for _ in range(10):
        intake.add(record("%s", Costly()), None)
    assert len(asked) == 1


def test_the_worker_hears_of_the_first_and_of_urgent_kinds_only() -> None:
    intake = make()
    assert intake.add(record("a"), None) is Wake.SOON
    assert intake.add(record("a"), None) is Wake.NO
    assert intake.add(record("b"), None) is Wake.NO
    assert intake.add(record("c", level=50), None) is Wake.NOW
    assert intake.add(record("c", level=50), None) is Wake.NO
    intake.drain()
    assert intake.add(record("a"), None) is Wake.SOON


def test_times_span_records_that_come_out_of_order() -> None:
    intake = make()
    for created in (5.0, 9.0, 2.0, 4.0):
        made = record()
        made.created = created
        intake.add(made, None)
    (group,) = intake.drain()
    assert (group.first, group.last) == (2.0, 9.0)


def test_kinds_beyond_the_limit_are_counted_together() -> None:
    intake = make(limit=3)
    for word in ("one", "two", "three", "four", "five", "five"):
        intake.add(record(word), None)
    groups = {group.fingerprint: group for group in intake.drain()}
    assert len(groups) == 4
    assert groups[OTHER].count == 3


def test_an_urgent_kind_among_the_others_is_urgent_there() -> None:
    intake = make(limit=1)
    intake.add(record("one"), None)
    intake.add(record("two"), None)
    assert intake.add(record("three", level=50), None) is Wake.NOW
    assert intake.add(record("four", level=50), None) is Wake.NO
    groups = {group.fingerprint: group for group in intake.drain()}
    assert (groups[OTHER].level, groups[OTHER].level_name) == (50, "CRITICAL")


def test_samples_are_bounded_as_a_whole() -> None:
    intake = make()
    for number in range(300):
        intake.add(record(chr(0x4E00 + number) * 9_000), None)
    groups = intake.drain()
    assert sum(group.size for group in groups) <= 1 << 20
    assert sum(group.count for group in groups) == 300
    intake.add(record("again"), None)
    assert intake.drain()[0].samples


def test_memory_is_bounded_while_nobody_drains() -> None:
    """100,000 different kinds while the worker can't send."""
    intake = make()
    kinds = [chr(0x4E00 + n % 20_000) + chr(0x4E00 + n // 20_000) for n in range(100_000)]
    for kind in kinds[:1_000]:
        intake.add(record(kind), None)
    tracemalloc.start()
    for kind in kinds[1_000:]:
        intake.add(record(kind), None)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 10_000_000  # what is remembered of 10,000 fingerprints, and no more
    assert sum(group.count for group in intake.drain()) == 100_000


@pytest.mark.parametrize(
    "spoil",
    [
        {"created": "yesterday"},
        {"exc_info": (5, 6, 7)},
        {"levelno": None},
    ],
)
def test_a_record_that_cannot_be_taken_is_counted_as_dropped(spoil: dict[str, Any]) -> None:
    intake = make()
    intake.add(record(), None)
    for _ in range(2):
        made = record()
        made.__dict__.update(spoil)
        with pytest.raises(Exception, match=r".+"):
            intake.add(made, None)
    assert (intake.seen, intake.dropped) == (3, 2)
    assert sum(group.count for group in intake.drain()) == 1


def test_threads_lose_nothing() -> None:
    intake = make()
    start = threading.Barrier(9)
    drained: list[int] = []

    def add() -> None:
        start.wait()
        for number in range(500):
            intake.add(record("abcdefgh"[number % 8]), None)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        drained += [group.count for group in intake.drain()]
    drained += [group.count for group in intake.drain()]
    assert sum(drained) == intake.seen == 4_000


def test_what_is_logged_in_the_middle_of_counting_is_counted_too() -> None:
    """A signal handler or a finalizer runs between any two steps, in the thread that counts."""
    intake = make()

    class Interrupted(float):
        """A time at whose comparison a signal comes in, and its handler logs."""

        def __gt__(self, other: object) -> bool:
            for _ in range(2):
                assert intake.add(record("nested"), None) is Wake.SOON
            return float(self) > other  # type: ignore[operator] # a float's own

    first = record("outer")
    intake.add(first, None)
    again = record("outer")
    again.created = Interrupted(first.created + 1)
    assert intake.add(again, None) is Wake.NO
    assert intake.seen == 4
    groups = {group.text: group.count for group in intake.drain()}
    assert groups == {"outer": 2, "nested": 2}
    assert intake.seen == 4
    assert intake.drain() == ()
