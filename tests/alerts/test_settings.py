"""The policy's numbers: the defaults, and those of a process that cannot use its store."""

from __future__ import annotations

import logging
from dataclasses import asdict

import pytest
import states
from samples import NOW, group

from tocsin.alerts.policy import decide
from tocsin.alerts.settings import Policy, alone
from tocsin.alerts.state import State


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert asdict(Policy()) == {
        "group_wait": 10,
        "urgent_level": logging.CRITICAL,
        "repeat_after": 15 * 60,
        "repeat_max": 4 * 3_600,
        "surge_min": 20,
        "surge_factor": 10,
        "quiet_after": 30 * 60,
        "forget_after": 24 * 3_600,
        "burst": 6,
        "refill": 600,
        "at_exit": False,
        "max_groups": 500,
        "shown_groups": 25,
    }


@pytest.mark.parametrize(("later", "total"), [(86_399.9, 2), (86_400, 1)])
def test_a_group_is_forgotten_after_a_day_without_an_event(later: float, total: int) -> None:
    state = State()
    states.merge(state, Policy(), NOW, group())
    state.groups["a"].take()
    states.merge(state, Policy(), NOW + later, group())
    assert state.groups["a"].total == total


# A process alone: others may mail the same errors now, each by itself.


@pytest.mark.parametrize(("spread", "wait"), [(0, 60), (0.25, 135), (1, 360)])
def test_processes_that_are_alone_send_one_to_six_minutes_after_the_first_event(
    spread: float, wait: float
) -> None:
    assert alone(Policy(), spread).group_wait == wait


def test_a_process_that_is_alone_sends_one_mail_an_hour() -> None:
    policy = alone(Policy(), 0)
    state = State()
    state.normal.spend(policy, NOW)
    states.merge(state, policy, NOW, group())
    decision = decide(state, policy, NOW + 3_599)
    assert (decision.reason, decision.next_at) == (None, NOW + 3_600)
    assert decide(state, policy, NOW + 3_600).reason == "new"


def test_a_process_that_is_alone_keeps_longer_times_and_all_else() -> None:
    usual = Policy(group_wait=400, refill=7_200, burst=9, forget_after=5, surge_min=7)
    assert asdict(alone(usual, 1)) == {**asdict(usual), "burst": 1}


def test_an_urgent_group_is_told_at_once_by_a_process_that_is_alone() -> None:
    policy = alone(Policy(), 1)
    state = State()
    states.merge(state, policy, NOW, group(level=logging.CRITICAL))
    assert decide(state, policy, NOW).reason == "new"
