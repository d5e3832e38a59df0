"""When a group is told, and as what: each rule at its boundary."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from samples import NOW, group

from tocsin.alerts.history import History, Told
from tocsin.alerts.policy import (
    is_urgent,
    quiet_at,
    rate_of,
    reason_of,
    still_at,
    told_after_silence,
    told_now,
    worse_at,
)
from tocsin.alerts.settings import Policy

if TYPE_CHECKING:
    from tocsin.alerts.grouping import Group

POLICY = Policy()
HOUR = 3600.0


def known(*events: tuple[float, int], **fields: Any) -> History:
    """Return a group after some events: seconds from now on, and counts."""
    start = NOW + (events[0][0] if events else 0)
    made = History(since=start, first_at=start, seen_at=start, **fields)
    add(made, *events)
    return made


def add(made: History, *events: tuple[float, int]) -> None:
    for later, count in events:
        receive(made, group(count=count, at=NOW + later), NOW + later)


def receive(made: History, events: Group, now: float) -> None:
    made.told = told_after_silence(made, POLICY, now)
    made.add(events, now)


def tell(made: History, later: float) -> Told:
    made.told = told_now(made, POLICY, NOW + later, None)
    made.take()
    return made.told


def steady(rate: float = 0, *, interval: float = 900, at: float = 0) -> Told:
    return Told(at=NOW + at, interval=interval, rate=rate)


def test_what_is_unmailed_waits_since_the_first_of_it() -> None:
    made = known((0, 2), (5, 3))
    assert made.pending is not None
    assert (made.pending.count, made.pending_since, made.total) == (5, NOW, 5)
    assert (made.first_at, made.seen_at) == (NOW, NOW + 5)


def test_the_first_event_of_all_is_the_one_that_was_logged_first() -> None:
    made = known((0, 1))
    receive(made, group(at=NOW - 70), NOW + 1)
    assert (made.since, made.first_at) == (NOW - 70, NOW)


def test_nothing_can_be_told_where_nothing_is_unmailed() -> None:
    with pytest.raises(ValueError, match="no unmailed events"):
        known().take()


@pytest.mark.parametrize(("level", "urgent"), [(49, False), (50, True), (60, True)])
def test_it_is_urgent_from_a_level_on(level: int, urgent: bool) -> None:
    made = known()
    assert made.level == 0
    assert not is_urgent(made, POLICY)
    made.put(group(level=level), NOW)
    assert is_urgent(made, POLICY) is urgent


def test_what_is_put_back_counts_no_event_twice_and_waits_since_the_earlier_time() -> None:
    made = known((0, 3))
    told = made.take()
    add(made, (20, 4))
    made.put(told, NOW)
    assert made.pending is not None
    assert (made.pending.count, made.pending_since, made.total) == (7, NOW, 7)
    assert made.recent.within(NOW + 20) == 7


def test_the_total_is_at_least_what_is_unmailed() -> None:
    """The group may have been forgotten while its digest was on its way."""
    made = known((0, 1))
    made.put(group(count=9, at=NOW - 50), NOW - 40)
    assert (made.total, made.since) == (10, NOW - 50)


# Still: the interval, and `group_wait` since the first event.


def test_a_group_that_goes_on_is_told_after_its_interval() -> None:
    made = known((0, 1))
    tell(made, 10)
    add(made, (11, 1))
    assert still_at(made, POLICY) == NOW + 910


def test_a_group_never_told_has_no_interval_yet() -> None:
    assert still_at(known((0, 1)), POLICY) == NOW + 10


def test_a_group_that_comes_back_after_its_interval_gathers_first() -> None:
    made = known((0, 1))
    tell(made, 10)
    add(made, (2_000, 1))
    assert still_at(made, POLICY) == NOW + 2_010


def test_each_still_of_its_own_doubles_the_interval_up_to_the_longest() -> None:
    made = known((0, 1))
    later, intervals = 10.0, []
    for _ in range(8):
        told = tell(made, later)
        intervals.append(told.interval)
        add(made, (later + 1, 1))
        later = still_at(made, POLICY) - NOW
        add(made, (later - 1, 1))
    assert intervals == [900, 1_800, 3_600, 7_200, 14_400, 14_400, 14_400, 14_400]


def test_what_is_told_in_another_ones_digest_keeps_its_interval() -> None:
    made = known((0, 1))
    tell(made, 10)
    add(made, (20, 1))
    assert tell(made, 909.9).interval == 900
    add(made, (1_000, 1))
    assert tell(made, 1_809.9).interval == 1_800  # that was due by itself, 10 s before


def test_a_silence_of_the_longest_interval_starts_it_again() -> None:
    made = known((0, 1), told=steady(interval=14_400))
    add(made, (4 * HOUR, 1))
    assert made.told == steady(interval=900)


def test_a_shorter_silence_does_not() -> None:
    made = known((0, 1), told=steady(interval=14_400))
    add(made, (4 * HOUR - 0.1, 1))
    assert made.told == steady(interval=14_400)


# Worse: a minute since it was told, `surge_min` events, `surge_factor` times the rate of then.


def test_it_counts_as_worse_from_twenty_events_a_minute_on() -> None:
    made = known((-90, 1), told=steady())
    add(made, (61, 19))
    assert worse_at(made, POLICY, NOW + 61) is None
    add(made, (62, 1))
    assert worse_at(made, POLICY, NOW + 62) == NOW + 60
    assert reason_of(made, POLICY, NOW + 62) == "worse"


@pytest.mark.parametrize(("rate", "worse"), [(6, True), (6.1, False)])
def test_it_counts_as_worse_from_ten_times_its_rate_on(rate: float, worse: bool) -> None:
    made = known((100, 60), told=steady(rate))
    assert (worse_at(made, POLICY, NOW + 100) is not None) is worse


def test_it_is_worse_a_minute_after_it_was_told_and_not_before() -> None:
    made = known((-90, 1), told=steady())
    add(made, (30, 500))
    assert worse_at(made, POLICY, NOW + 30) == NOW + 60
    assert reason_of(made, POLICY, NOW + 59.9) == "still"
    assert reason_of(made, POLICY, NOW + 60) == "worse"


def test_a_surge_that_is_over_for_a_minute_is_none() -> None:
    made = known((100, 500), told=steady())
    assert worse_at(made, POLICY, NOW + 159) is not None
    assert worse_at(made, POLICY, NOW + 160) is None


def test_a_new_group_is_not_worse() -> None:
    assert worse_at(known((0, 500)), POLICY, NOW + 61) is None


def test_what_gets_worse_starts_its_interval_again() -> None:
    made = known((-90, 1), told=steady(interval=7_200))
    add(made, (70, 500))
    assert tell(made, 71) == Told(at=NOW + 71, interval=900, rate=500)


# The rate: events of the last minute, or of its age; over 10 s at least.


def test_the_rate_is_that_of_the_last_minute() -> None:
    made = known((0, 5), (30, 7))
    assert rate_of(made, NOW + 60) == 7
    add(made, (100, 11))
    assert rate_of(made, NOW + 100) == 11


def test_the_rate_of_a_young_group_is_that_of_its_age() -> None:
    assert rate_of(known((0, 1), (20, 30)), NOW + 30) == 60
    assert rate_of(known((0, 1), (50, 59)), NOW + 59.9) == pytest.approx(59 * 60 / 59.9)


def test_the_rate_of_a_very_young_group_is_that_of_ten_seconds() -> None:
    assert rate_of(known((0, 11)), NOW) == rate_of(known((0, 11)), NOW + 10) == 60


def test_the_first_event_begins_the_time_and_is_no_rate_yet() -> None:
    assert rate_of(known((0, 1)), NOW) == 0


# Quiet: `quiet_after`, or three times the mean gap.


def test_it_is_quiet_half_an_hour_after_its_last_event() -> None:
    made = known((0, 1), told=steady(interval=14_400))
    add(made, (60, 5))
    assert quiet_at(made, POLICY) == NOW + 1_860
    assert reason_of(made, POLICY, NOW + 1_859.9) == "still"
    assert reason_of(made, POLICY, NOW + 1_860) == "quiet"


def test_it_is_quiet_after_three_times_its_mean_gap_if_that_is_longer() -> None:
    made = known(*((turn * 700, 1) for turn in range(5)))
    assert quiet_at(made, POLICY) == NOW + 2_800 + 2_100
    often = known(*((turn * 600, 1) for turn in range(5)))
    assert quiet_at(often, POLICY) == NOW + 2_400 + 1_800


def test_two_events_have_one_gap() -> None:
    assert known((0, 1), (700, 1)).mean_gap == 700
    assert quiet_at(known((0, 1), (700, 1)), POLICY) == NOW + 700 + 2_100


def test_one_event_has_no_gap() -> None:
    assert quiet_at(known((0, 1)), POLICY) == NOW + 1_800


def test_what_is_due_for_going_on_is_not_told_as_quiet() -> None:
    made = known((0, 1), told=steady(interval=900))
    assert reason_of(made, POLICY, NOW + 5_000) == "still"


def test_what_goes_on_and_is_quiet_from_the_same_time_on_goes_on() -> None:
    made = known((0, 1), told=steady(interval=1_800))
    assert still_at(made, POLICY) == quiet_at(made, POLICY) == NOW + 1_800
    assert reason_of(made, POLICY, NOW + 1_800) == "still"


def test_what_is_told_as_quiet_keeps_its_interval() -> None:
    made = known((0, 1), told=steady(interval=7_200))
    assert reason_of(made, POLICY, NOW + 1_800) == "quiet"
    assert tell(made, 1_800).interval == 7_200


def test_a_group_never_told_is_new_whatever_else_it_is() -> None:
    made = known((0, 500), (1, 500))
    assert reason_of(made, POLICY, NOW + 90_000) == "new"
    assert tell(made, 90_000) == Told(at=NOW + 90_000, interval=900, rate=0)


def test_a_level_that_is_urgent_is_the_policys() -> None:
    made = known((0, 1))
    assert is_urgent(made, Policy(urgent_level=logging.ERROR))
