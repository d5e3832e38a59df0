"""Histories of errors, and what the policy makes of them: the scenarios that the docs promise.

An event is a pair of its time, in seconds, and its kind; each kind is one record.
"""

from __future__ import annotations

import logging
import random
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple

from tocsin.events.fingerprint import Fingerprints
from tocsin.events.frames import OwnCode
from tocsin.testing.simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tocsin.testing.simulate import SimulatedMail

MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0
History = list[tuple[float, str]]
_fingerprints = Fingerprints(OwnCode())


def word(number: int) -> str:
    """Return a name without digits: these don't make a kind."""
    letters = ""
    while number or not letters:
        number, letter = divmod(number, 26)
        letters = chr(ord("a") + letter) + letters
    return letters


@cache
def record(kind: str) -> logging.LogRecord:
    """Return a record of a kind; of one whose name is in capitals, a critical one."""
    level = logging.CRITICAL if kind.isupper() else logging.ERROR
    return logging.LogRecord("app", level, "/srv/app/main.py", 7, f"no {kind}", (), None)


@cache
def fingerprint(kind: str) -> str:
    return _fingerprints.of(record(kind)).fingerprint


class Watched(NamedTuple):
    """An event that has to be told in time.

    Attributes:
        kind: its kind.
        time: when it comes.
        interval: how long after its kind was told before it may wait, too.
    """

    kind: str
    time: float
    interval: float = 0


@dataclass
class Outcome:
    """What a policy made of a history."""

    history: History
    watched: tuple[Watched, ...] = ()
    mails: list[SimulatedMail] = field(init=False)

    def __post_init__(self) -> None:
        self.history.sort()
        self.mails = simulate((time, record(kind)) for time, kind in self.history)

    @cached_property
    def events(self) -> dict[str, list[float]]:
        """Times by kind."""
        found = defaultdict(list)
        for time, kind in self.history:
            found[kind].append(time)
        return found

    def told(self, kind: str) -> Iterator[tuple[float, float]]:
        """Yield when each event of a kind came, and when it was told: by the first mail after it.

        An event of the very time of a mail may be in it or behind it.
        """
        times = self.events[kind]
        done = 0
        for mail in self.mails:
            count = mail.counts.get(fingerprint(kind), 0)
            assert bisect_left(times, mail.time) <= done + count <= bisect_right(times, mail.time)
            for time in times[done : done + count]:
                yield time, mail.time
            done += count
        assert done == len(times)

    @property
    def count(self) -> int:
        """Events that were told."""
        return sum(sum(mail.counts.values()) for mail in self.mails)

    @cached_property
    def silence(self) -> float:
        """How long an event of a known group waited at most; if all kinds were told apart."""
        waits = [0.0]
        for kind in self.events:
            first: float | None = None
            for time, told in self.told(kind):
                first = told if first is None else first
                if time >= first:
                    waits.append(told - time)
        return max(waits)

    @cached_property
    def late(self) -> float:
        """How long a watched event waited at most, beyond the interval of its kind."""
        waits = [0.0]
        for watched in self.watched:
            before = [told for time, told in self.told(watched.kind) if time < watched.time]
            told = next(told for time, told in self.told(watched.kind) if time >= watched.time)
            allowed = max([watched.time, *(told + watched.interval - 10 for told in before[-1:])])
            waits.append(told - allowed)
        return max(waits)


@dataclass(frozen=True)
class Scenario:
    """What happens, and what is allowed.

    Attributes:
        name: what happens.
        allowed: what is allowed, in words.
        run: makes it happen, in several variants.
        most: mails.
        least: mails.
        silence: seconds that an unmailed event of a known group waits.
        late: seconds until a watched event is told.
    """

    name: str
    allowed: str
    run: Callable[[], Iterable[Outcome]]
    most: int | None = None
    least: int = 1
    silence: float | None = None
    late: float | None = None

    def measured(self) -> str:
        """Return what came out, in words."""
        outcomes = outcomes_of(self)
        told = []
        if self.most is not None:
            counts = sorted({len(one.mails) for one in outcomes})
            low, high = counts[0], counts[-1]
            told.append(f"{high}" if low == high else f"{low} to {high}")
        if self.silence is not None:
            told.append(f"silence {max(one.silence for one in outcomes) / HOUR:.2f} h")
        if self.late is not None:
            told.append(f"told after {max(one.late for one in outcomes):.1f} s")
        return ", ".join(told)


@cache
def outcomes_of(scenario: Scenario) -> list[Outcome]:
    """Return what came of all variants; each is run once."""
    return list(scenario.run())


def measured() -> list[tuple[str, str, str]]:
    """Return of each scenario its name, what is allowed, and what was measured."""
    return [(one.name, one.allowed, one.measured()) for one in SCENARIOS]


def every(seconds: float, until: float, kind: str = "a", *, at: float = 0) -> History:
    """Return events of a kind at even intervals."""
    return [(at + number * seconds, kind) for number in range(int((until - at) / seconds))]


def _once() -> Iterator[Outcome]:
    for time in (0.0, 0.25, 1_700_000_000.1):
        yield Outcome([(time, "a")], (Watched("a", time),))


def _steady() -> Iterator[Outcome]:
    yield Outcome(every(1, 60 * HOUR))


def _slow() -> Iterator[Outcome]:
    chance = random.Random(1)
    for minutes in (4, 29, 31, 1, 10, 14.9, 15, 20, 30, 45, 59):
        yield Outcome(every(minutes * MINUTE, 7 * DAY))
    for minutes in (4, 29, 31):
        history = every(minutes * MINUTE, 7 * DAY, at=0.4)
        yield Outcome([(time + chance.uniform(0, 50), kind) for time, kind in history])


def _burst() -> Iterator[Outcome]:
    chance = random.Random(2)
    yield Outcome(every(0.006, 60))
    yield Outcome([(0.0, "a"), *((59.9, "a") for _ in range(9_999))])
    yield Outcome([(0.0, "a"), *((chance.uniform(0, 60), "a") for _ in range(9_999))])


def _many() -> Iterator[Outcome]:
    for step in (1, -7):
        yield Outcome([(turn * 0.006, word(turn * step % 500)) for turn in range(10_000)])


def _rare() -> Iterator[Outcome]:
    chance = random.Random(3)
    starts = {
        "even": [number * MINUTE for number in range(300)],
        "any": [chance.uniform(0, 5 * HOUR) for _ in range(300)],
        "close": [number * 11.0 for number in range(300)],
    }
    for times in starts.values():
        yield Outcome(
            [
                (start + turn * 5 * HOUR, word(number))
                for number, start in enumerate(times)
                for turn in range(5)
            ]
        )


def _beside() -> Iterator[Outcome]:
    for minute in (39, 0.1, 1, 14.9, 15.1, 30, 59):
        time = minute * MINUTE + 0.3
        flood = every(0.1 if minute == 39 else 1, HOUR)
        yield Outcome([*flood, (time, "b")], (Watched("b", time),))


def _again() -> Iterator[Outcome]:
    """B is told once, so that its interval is the first, and breaks out beside A."""
    for gap in (1, 5, 70, 1000):
        for minute in (12, 14.9, 15.1, 21, 44, 61, 100):
            time = minute * MINUTE + 0.3
            noise = every(gap, time + HOUR)
            again = every(1, time + 200, "b", at=time)
            watched = Watched("b", time, interval=900)
            yield Outcome([*noise, (100.0, "b"), *again], (watched,))


def _surge() -> Iterator[Outcome]:
    """The first mail is at 10 s, others at 15 minutes and after: a minute later, at any phase."""
    for gap in (6.1, 6.7, 7, 10, 13, 20, 30, 45, 59):
        for start in (70.1, 73.9, 100, 333.3, 700, 840, 905, 975, 1_800, 2_791):
            slow = every(gap, start)
            yield Outcome([*slow, *every(0.1, start + 30, at=start)], (Watched("a", start),))


def _novel() -> Iterator[Outcome]:
    chance = random.Random(4)
    yield Outcome([(float(number), word(number)) for number in range(3_600)])
    yield Outcome([(chance.uniform(0, HOUR), word(number)) for number in range(3_600)])


def _crowd() -> Iterator[Outcome]:
    for later in (60.0, 61.5, 75.0):
        crowd = [(number / 600, word(number)) for number in range(600)]
        flood = every(0.05, later + 60, "flood", at=later)
        yield Outcome([*crowd, *flood], (Watched("flood", later),))


SCENARIOS = (
    Scenario("one event", "1 mail, after 10 s", _once, most=1, late=10),
    Scenario(
        "one group, 1 event/s for 60 h",
        "≤ 20, no silence over 4 h",
        _steady,
        most=20,
        silence=4 * HOUR,
    ),
    Scenario(
        "one group, 1 event per 4 min, per 29 min, per 31 min, each for 7 d",
        "≤ 47, no silence over 4 h",
        _slow,
        most=47,
        silence=4 * HOUR,
    ),
    Scenario("10,000 events in 60 s", "2", _burst, most=2, least=2),
    Scenario("500 groups, each 20 times in 60 s, in turn", "≤ 3", _many, most=3),
    Scenario("300 groups, each once every 5 h, for 25 h", "≤ 160", _rare, most=160),
    Scenario(
        "group A has many events for 1 h; group B (new) has one at 39 min",
        "B told within 10 s",
        _beside,
        late=10,
    ),
    Scenario(
        "a known group has events again, while another group has events all the time",
        "told at the end of its interval or after 10 s, whichever is later",
        _again,
        late=10,
    ),
    Scenario(
        "a known slow group (under 10 events a minute), told at least a minute ago, rises to 10/s",
        "told within 10 s",
        _surge,
        late=10,
    ),
    Scenario("3,600 different groups in 1 h", "≤ 12", _novel, most=12),
    Scenario(
        "600 groups in one second; a minute later, a new group has many events",
        "told within 10 s",
        _crowd,
        late=10,
    ),
)
