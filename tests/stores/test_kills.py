"""Processes that use a store in a file are killed at any moment, and nothing is lost or doubled.

How long is `TOCSIN_KILL_SECONDS`, a few by default; the chance is that of `TOCSIN_KILL_SEED`.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
from typing import TYPE_CHECKING

import pytest
from processes import Child

from tocsin.exceptions import LeaseLost
from tocsin.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = float(os.environ.get("TOCSIN_KILL_SECONDS", "3"))
SEED = int(os.environ.get("TOCSIN_KILL_SEED", str(time.time_ns())))
TTL = 0.2


def write(path: Path, name: int, say: Callable[[str], None]) -> None:
    """Append numbers, and say each one that is kept."""
    store = SQLiteStore(path, "one")
    number = 0
    while True:
        store.append(b"%d %d" % (name, number))
        say(f"{name} {number}")
        number += 1


def merge(path: Path, name: int, say: Callable[[str], None]) -> None:
    """Lead again and again; the state is how many of each writer's numbers have come."""
    store = SQLiteStore(path, "one")
    while True:
        lease = store.lead(str(name), TTL)
        if lease is None:
            continue
        try:
            state, entries = lease.read(50)
            counts: dict[str, int] = json.loads(state or b"{}")
            for entry in entries:
                writer, number = entry.batch.decode().split()
                if counts.get(writer, 0) != int(number):
                    say(f"! {counts.get(writer, 0)} was next of {writer}, and not {number}")
                counts[writer] = int(number) + 1
            lease.commit(json.dumps(counts).encode(), entries)
            say("merged")
        except LeaseLost:
            say("late")
        lease.release()


class Crowd:
    """Six writers and two leaders, each followed by another one when it is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = 0
        self.kept: dict[str, int] = {}
        self.said: dict[str, int] = {}
        self.wrong: list[str] = []
        self._rest = ""
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._readable, False)
        works = [write] * 6 + [merge] * 2
        self._children = [(work, self._start(work)) for work in works]

    def _start(self, work: Callable[[Path, int, Callable[[str], None]], None]) -> Child:
        self.names += 1
        name = self.names

        def say(text: str) -> None:
            os.write(self._writable, f"{text}\n".encode())

        def run(_: Callable[[object], None]) -> None:
            try:
                work(self.path, name, say)
            except Exception as error:
                say(f"! {error!r}")
                raise

        return Child(run)

    def kill(self, which: int) -> None:
        """Kill one, and have another one take its place."""
        work, child = self._children[which]
        child.end(signal.SIGKILL)
        self._children[which] = work, self._start(work)

    def suspend(self, which: int, seconds: float) -> None:
        """Let one sleep, as a machine may."""
        _, child = self._children[which]
        os.kill(child.pid, signal.SIGSTOP)
        self.listen(seconds)
        os.kill(child.pid, signal.SIGCONT)

    def end(self) -> None:
        """Kill all."""
        for _, child in self._children:
            child.end(signal.SIGKILL)
        self.listen(0)
        os.close(self._readable)
        os.close(self._writable)

    def listen(self, seconds: float) -> None:
        """Hear what they say, for a while."""
        left, end = seconds, time.monotonic() + seconds
        while left >= 0 and select.select([self._readable], [], [], left)[0]:
            left = end - time.monotonic()
            *lines, self._rest = (self._rest + os.read(self._readable, 1 << 20).decode()).split(
                "\n"
            )
            for line in lines:
                first, _, number = line.partition(" ")
                if first == "!":
                    self.wrong.append(line)
                elif number:
                    self.kept[first] = int(number) + 1
                else:
                    self.said[first] = self.said.get(first, 0) + 1


@pytest.mark.timeout(SECONDS + 60)
def test_what_was_appended_is_merged_once_whoever_is_killed(tmp_path: Path) -> None:
    """Each number that was kept comes, in order, once; a leader that slept changes nothing."""
    chance = random.Random(SEED)
    crowd = Crowd(tmp_path / "alerts.db")
    end = time.monotonic() + SECONDS
    kills = 0
    try:
        while time.monotonic() < end:
            crowd.listen(chance.uniform(0, 0.1))
            if chance.random() < 0.1:
                crowd.suspend(chance.randrange(6, 8), 2 * TTL)
            else:
                crowd.kill(
                    chance.randrange(chance.choice([0, 6]), 8)
                )  # leaders as often as writers
                kills += 1
    finally:
        crowd.end()
    assert (crowd.wrong, SEED) == ([], SEED)
    store = SQLiteStore(tmp_path / "alerts.db", "one", clock=lambda: time.time() + TTL)
    lease = store.lead("last", 60)
    assert lease is not None
    state, entries = lease.read(1_000_000)
    counts: dict[str, int] = json.loads(state or b"{}")
    for entry in entries:
        writer, number = entry.batch.decode().split()
        assert (counts.get(writer, 0), SEED) == (int(number), SEED)
        counts[writer] = int(number) + 1
    for writer in counts.keys() | crowd.kept.keys():
        # Who was killed may have kept one more, and had no time to say so.
        more = counts.get(writer, 0) - crowd.kept.get(writer, 0)
        assert (more in {0, 1}, SEED) == (True, SEED), f"{more} of {writer}"
    assert sum(counts.values()) > 10 * SECONDS
    assert crowd.said["merged"] > SECONDS
    print(f"{kills} kills, {sum(counts.values())} batches, {crowd.said}")  # noqa: T201 - with -s


def test_a_store_is_whole_whoever_is_killed_while_it_is_made(tmp_path: Path) -> None:
    """The next process makes what is missing."""
    chance = random.Random(SEED)
    for number in range(25):
        path = tmp_path / f"{number}.db"

        def begin(say: Callable[[object], None], path: Path = path) -> None:
            SQLiteStore(path, "one").append(b"a")
            say("kept")
            signal.pause()

        children = [Child(begin) for _ in range(2)]
        select.select([], [], [], chance.uniform(0, 0.01))
        for child in children:
            child.end(signal.SIGKILL)
        store = SQLiteStore(path, "one")
        store.append(b"b")
        lease = store.lead("me", 60)
        assert lease is not None
        _, entries = lease.read(10)
        assert (entries[-1].batch, SEED) == (b"b", SEED)
