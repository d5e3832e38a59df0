"""Tokens for mails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NOW

from tocsin.alerts.budget import Budget
from tocsin.alerts.settings import Policy

POLICY = Policy(burst=3, refill=100)


def spent(count: int, policy: Policy = POLICY, at: float = NOW) -> Budget:
    made = Budget()
    for _ in range(count):
        made.spend(policy, at)
    return made


def test_the_bucket_is_full_at_first() -> None:
    assert Budget().left(POLICY, NOW) == 3
    assert Budget().ready_at(POLICY) == 0


def test_each_mail_takes_one_and_the_last_one_leaves_none() -> None:
    assert [spent(count).left(POLICY, NOW) for count in range(4)] == [3, 2, 1, 0]
    assert [spent(count).ready_at(POLICY) - NOW for count in (1, 2, 3)] == [0, 0, 100]


def test_one_comes_back_after_each_refill_and_no_more_than_there_were() -> None:
    made = spent(3)
    assert [made.left(POLICY, NOW + later) for later in (0, 99.9, 100, 200, 300, 1e9)] == [
        *(0, 0, 1, 2, 3, 3)
    ]


def test_what_has_come_back_in_part_counts_for_the_next_one() -> None:
    made = spent(3)
    made.spend(POLICY, NOW + 150)  # half of the next one is there
    assert made.ready_at(POLICY) == NOW + 200


def test_who_spends_at_the_very_time_that_is_told_waits_a_whole_refill_for_the_next() -> None:
    """Floats near 1.7e9 are 2.4e-7 apart: that must not make a token more or less."""
    for at in (0.0, 0.1, NOW, NOW + 1 / 3):
        for refill in (0.1, 1 / 3, 600, 333.3):
            policy = Policy(burst=1, refill=refill)
            made = spent(1, policy, at)
            ready = made.ready_at(policy)
            assert ready == pytest.approx(at + refill, abs=1e-6)
            made.spend(policy, ready)
            assert made.ready_at(policy) == pytest.approx(ready + refill, abs=1e-6)


def test_a_token_that_comes_back_is_as_if_it_had_never_been_taken() -> None:
    made, never = spent(2), spent(1)
    made.give_back(POLICY, NOW + 50)
    assert made.left(POLICY, NOW + 50) == never.left(POLICY, NOW + 50) == 2
    assert made.ready_at(POLICY) == NOW + 50
    made.give_back(POLICY, NOW + 60)
    made.give_back(POLICY, NOW + 70)
    assert made.left(POLICY, NOW + 70) == 3  # no more than a full one


def test_without_a_refill_time_there_is_always_one() -> None:
    policy = Policy(burst=1, refill=0)
    made = spent(5, policy)
    assert made.left(policy, NOW) == 1
    assert made.ready_at(policy) == NOW


def test_a_smaller_bucket_than_before_holds_none_and_not_less() -> None:
    """A service is started again with another policy, and has the state of before."""
    assert spent(3).left(Policy(burst=1, refill=100), NOW) == 0


def test_a_clock_that_stands_still_fills_nothing() -> None:
    made = spent(3)
    assert made.left(POLICY, NOW - 1e6) == 0


@given(
    st.integers(1, 5),
    st.sampled_from([0.1, 1 / 3, 60, 333.3, 600]),
    st.lists(st.floats(0, 1_000), max_size=30),
)
def test_never_more_are_spent_than_the_bucket_and_what_came_back(
    burst: int, refill: float, gaps: list[float]
) -> None:
    policy = Policy(burst=burst, refill=refill)
    made = Budget()
    now = NOW
    times = []
    for gap in gaps:
        now += gap
        if made.ready_at(policy) <= now:
            made.spend(policy, now)
            times.append(now)
    for first, begin in enumerate(times):
        for count, end in enumerate(times[first:], 1):
            assert count <= burst + (end - begin) / refill + 1e-5
