"""Where records arrive: counted, bounded, whatever they hold."""

from __future__ import annotations

import linecache
import logging
import os
import re
import sys
import threading
import tracemalloc
from typing import Any

import pytest
from parts import record

from tocsin.alerts.grouping import OTHER, Source
from tocsin.events.frames import OwnCode
from tocsin.pipeline.intake import Intake, Wake
from tocsin.redact.base import NoSecrets


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


def test_a_record_that_cannot_be_taken_is_counted_as_dropped() -> None:
    intake = make()
    intake.add(record(), None)
    intake.drop()
    assert (intake.seen, intake.dropped) == (2, 1)
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


def test_a_record_is_taken_without_looking_at_a_file() -> None:
    """The lines of the code are read where the groups are drained, by the worker."""
    linecache.clearcache()
    intake = make()
    made = record("failed")
    try:
        int("x")
    except ValueError:
        made.exc_info = sys.exc_info()
    intake.add(made, None)
    assert {len(entry) for entry in linecache.cache.values()} <= {1}  # where to find it, at most
    (group,) = intake.drain()
    assert any('int("x")' in line.text for line in group.samples[0].traceback)


class Stars(NoSecrets):
    def text(self, text: str, /) -> str:
        return re.sub(r"key_\w+", "***", text)


def test_no_secret_is_in_what_a_group_says() -> None:
    intake = Intake(own=OwnCode(), host="w", limit=500, urgent_level=50, redact=Stars())
    intake.add(record("bad key_1a2b3c for 'ann'"), None)
    intake.add(record("x", level=50), None)
    intake.add(grouped("key_5"), None)
    one, _, other = intake.drain()
    assert (one.kind, one.place, one.text) == ("bad *** for *", "app", "bad *** for 'ann'")
    assert other.kind == "***"


def grouped(name: str) -> logging.LogRecord:
    made = record("x")
    made.alert_group = name
    return made


def test_what_cannot_be_told_is_counted_all_the_same() -> None:
    class Broken(NoSecrets):
        def text(self, text: str, /) -> str:
            raise RuntimeError("a pattern")

    intake = Intake(own=OwnCode(), host="w", limit=500, urgent_level=50, redact=Broken())
    for _ in range(3):
        intake.add(record("secret"), None)
    (group,) = intake.drain()
    assert (group.count, group.kind) == (3, "RuntimeError")
    assert "secret" not in str(group)


def test_lines_of_code_do_not_make_samples_larger_than_they_may_be() -> None:
    """What is added when a capture is finished counts, too."""
    long = f"raise OSError({'x' * 190!r})"
    source = "".join(
        f"def f{n}(): {'f' if n else ''}{n - 1 if n else long}{'()' if n else ''}\n"
        for n in range(40)
    )
    path = "/srv/long.py"
    lines = [line.ljust(200, "#") + "\n" for line in source.splitlines()]
    linecache.cache[path] = (len(source), None, lines, path)
    names: dict[str, Any] = {"__name__": "long"}
    exec(compile(source, path, "exec"), names)
    intake = make()
    for number in range(200):
        made = grouped(f"kind {number}")
        try:
            names["f39"]()
        except OSError:
            made.exc_info = sys.exc_info()
        intake.add(made, None)
    groups = intake.drain()
    assert 0 < sum(bool(group.samples) for group in groups) < 200
    assert sum(group.size for group in groups) <= 1 << 20
    assert all(group.text.startswith("OSError: xxx") for group in groups)


def test_a_message_that_logs_is_counted_as_well() -> None:
    intake = make()

    class Chatty:
        def __str__(self) -> str:
            intake.add(record("from the text"), None)
            return "text"

    intake.add(record("%s", Chatty()), None)
    assert {group.text: group.count for group in intake.drain()} == {"text": 1, "from the text": 1}


def test_a_message_that_logs_itself_ends() -> None:
    intake = make()

    class Endless:
        def __str__(self) -> str:
            intake.add(record("%s", self), None)
            return "text"

    intake.add(record("%s", Endless()), None)
    (group,) = intake.drain()
    assert group.count == intake.seen - intake.dropped > 1


def test_an_interrupt_is_let_out_and_the_accounts_hold() -> None:
    intake = make()

    class Interrupted:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        intake.add(record("%s", Interrupted()), None)
    intake.add(record("x"), None)
    assert intake.seen == 1
    assert sum(group.count for group in intake.drain()) == 1


def test_of_ten_megabytes_only_slices_are_copied() -> None:
    intake = make()
    made = record("x" * 10_000_000)
    intake.add(record("warm"), None)
    tracemalloc.start()
    intake.add(made, None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000
    (_, group) = intake.drain()
    assert group.samples[0].message.endswith("[cut: first 10,000 of 10,000,000 characters]")


def test_what_a_finalizer_logs_while_others_are_taken_waits_for_the_next_time() -> None:
    """It runs in whatever thread collects."""
    intake = make()

    class Slots(dict[str, Any]):
        def items(self) -> Any:
            for item in super().items():
                if intake.seen == 1:
                    intake.add(record("of a finalizer"), None)
                yield item

    intake.add(record("boom"), None)
    intake._slots = Slots(intake._slots)
    assert [group.count for group in intake.drain()] == [1]
    assert [group.text for group in intake.drain()] == ["of a finalizer"]
