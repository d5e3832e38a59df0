"""When a digest goes, and why."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import states
from samples import NOW, group

from tocsin.alerts.policy import Decision, Urgency, decide
from tocsin.alerts.settings import Policy
from tocsin.alerts.state import MAX_OUTGOING, State
from tocsin.exceptions import ConfigError

POLICY = Policy()
AT_EXIT = Policy(at_exit=True)
CRITICAL = logging.CRITICAL


def state_of(*groups: Any, at: float = NOW) -> State:
    state = State()
    states.merge(state, POLICY, at, *groups)
    return state


def come(state: State, later: float, *groups: Any) -> None:
    states.merge(state, POLICY, NOW + later, *groups)


def told(state: State, at: float, spends: str = "") -> None:
    """Take a digest, and have it accepted."""
    decision = Decision(reason="new", spends=spends)
    states.take(state, POLICY, at, "a@x", decision=decision)
    states.report(state, POLICY, at, "a@x")


def known(name: str = "a", **fields: Any) -> State:
    """Return a state whose one group was told now."""
    state = state_of(group(name, **fields))
    told(state, NOW)
    return state


def outcome(
    state: State, later: float, urgency: Urgency = Urgency.NONE, policy: Policy = POLICY
) -> tuple[str | None, str, float | None]:
    """Return the reason, what pays for it, and when to ask again, from now on."""
    found = decide(state, policy, NOW + later, urgency)
    return found.reason, found.spends, None if found.next_at is None else found.next_at - NOW


def reason(state: State, later: float, urgency: Urgency = Urgency.NONE) -> str | None:
    return outcome(state, later, urgency)[0]


def test_nothing_is_decided_where_nothing_is() -> None:
    for urgency in Urgency:
        assert outcome(State(), 0, urgency) == (None, "", None)


# New.


def test_a_new_group_waits_for_more_of_its_kind() -> None:
    state = state_of(group())
    assert outcome(state, 0) == (None, "", 10)
    assert outcome(state, 9.9) == (None, "", 10)
    assert outcome(state, 10) == ("new", "normal", 10)


def test_later_events_do_not_prolong_the_wait() -> None:
    state = state_of(group())
    come(state, 9, group())
    assert reason(state, 10) == "new"


def test_an_urgent_group_does_not_wait_and_has_a_budget_of_its_own() -> None:
    assert outcome(state_of(group(level=CRITICAL)), 0) == ("new", "urgent", 0)


def test_without_a_token_a_new_group_waits_for_one() -> None:
    state = state_of(group())
    for _ in range(6):
        state.normal.spend(POLICY, NOW)
    assert outcome(state, 10) == (None, "", 600)
    assert outcome(state, 600) == ("new", "normal", 600)


def test_what_is_urgent_does_not_wait_for_the_tokens_of_others_nor_the_other_way_round() -> None:
    state = state_of(group(), group("b", level=CRITICAL))
    for _ in range(6):
        state.normal.spend(POLICY, NOW)
    assert outcome(state, 10) == ("new", "urgent", 0)
    for _ in range(6):
        state.urgent.spend(POLICY, NOW)
        state.normal.give_back(POLICY, NOW)
    assert outcome(state, 0) == (None, "", 10)
    assert outcome(state, 10) == ("new", "normal", 10)


def test_the_budget_of_the_highest_level_pays() -> None:
    assert outcome(state_of(group(), group("b", level=CRITICAL)), 10)[1] == "urgent"


# Still and quiet.


def test_a_known_group_is_told_again_after_its_interval_and_that_is_free() -> None:
    state = known()
    assert outcome(state, 5) == (None, "", None)
    come(state, 20, group(level=CRITICAL))
    assert outcome(state, 20) == (None, "", 900)
    assert outcome(state, 900) == ("still", "", 900)


def test_a_known_group_that_comes_back_late_gathers_first() -> None:
    state = known()
    come(state, 2_000, group())
    assert outcome(state, 2_000) == (None, "", 2_010)


def test_a_mail_soon_after_another_one_costs_a_token() -> None:
    state = known()
    come(state, 20, group())
    come(state, 880, group("b"))
    told(state, NOW + 881)  # tells both
    come(state, 882, group())
    state.mail_at = NOW + 1_000  # and there was another one
    assert outcome(state, 1_781) == ("still", "normal", 1_781)
    assert outcome(state, 1_900) == ("still", "", 1_781)


def test_the_budget_of_the_highest_level_pays_for_a_repeat() -> None:
    state = state_of(group(), group("b"))
    told(state, NOW)
    come(state, 20, group(), group("b", level=CRITICAL))
    state.mail_at = NOW + 100
    assert outcome(state, 900) == ("still", "urgent", 900)


def test_without_a_token_it_waits_until_it_is_free() -> None:
    state = known()
    come(state, 20, group())
    for _ in range(6):
        state.normal.spend(POLICY, NOW + 899)
    state.mail_at = NOW + 100
    assert outcome(state, 900) == (None, "", 1_000)
    assert outcome(state, 1_000) == ("still", "", 1_000)


def test_without_a_token_it_waits_for_one_where_that_comes_first() -> None:
    state = known()
    come(state, 20, group())
    for _ in range(6):
        state.normal.spend(POLICY, NOW + 350)
    state.mail_at = NOW + 350
    assert outcome(state, 900) == (None, "", 950)
    assert outcome(state, 950) == ("still", "normal", 950)


def test_what_is_over_is_told_a_last_time() -> None:
    state = known()
    for later in (910, 2_710):  # told twice for going on: from now on every hour
        come(state, later - 10, group(count=10))
        assert reason(state, later) == "still"
        told(state, NOW + later)
    come(state, 2_720, group(count=10))
    assert outcome(state, 2_721) == (None, "", 4_520)
    assert outcome(state, 4_520) == ("quiet", "", 4_520)


# Worse.


def test_what_gets_worse_is_told_at_once_for_a_token() -> None:
    state = known()
    come(state, 70, group(count=60))
    assert outcome(state, 70) == ("worse", "normal", 60)


def test_what_gets_worse_within_a_minute_is_asked_for_then() -> None:
    state = known()
    come(state, 30, group(count=60))
    assert outcome(state, 30) == (None, "", 60)
    assert reason(state, 60) == "worse"


def test_the_budget_of_the_highest_level_pays_for_what_gets_worse() -> None:
    state = state_of(group(), group("b"))
    told(state, NOW)
    come(state, 70, group(count=60), group("b", 60, level=CRITICAL))
    assert outcome(state, 70) == ("worse", "urgent", 60)


def test_what_gets_worse_without_a_token_waits_for_one_or_its_interval() -> None:
    state = known()
    for _ in range(6):
        state.normal.spend(POLICY, NOW)
    come(state, 70, group(count=60))
    assert outcome(state, 70) == (None, "", 600)
    assert outcome(state, 600) == (None, "", 900)  # the surge is over
    assert reason(state, 900) == "still"


# The order of reasons.


def test_the_first_reason_that_applies_is_named() -> None:
    state = known()
    come(state, 1_000, group("a", 500), group("b"))
    assert reason(state, 1_009) == "worse"
    assert reason(state, 1_010) == "new"
    told(state, NOW + 1_010)
    come(state, 2_000, group("a"), group("b"))
    assert reason(state, 2_000 + 1_800) == "still"
    state.lost = 3
    assert reason(state, 2_000 + 1_800) == "still"


# Lost.


def test_lost_events_are_told_if_no_mail_went_for_a_while() -> None:
    state = State()
    states.merge(state, POLICY, NOW, dropped=2)
    assert outcome(state, 0) == (None, "", 900)
    assert outcome(state, 900) == ("lost", "", 900)


def test_lost_events_that_go_on_do_not_put_off_their_mail() -> None:
    """It counts since when there are some; else who loses one a minute is never told."""
    state = State()
    for minute in range(15):
        states.merge(state, POLICY, NOW + 60 * minute, dropped=1)
    assert reason(state, 900) == "lost"


def test_lost_events_wait_since_the_latest_mail() -> None:
    state = known()
    states.merge(state, POLICY, NOW - 500, dropped=2)
    assert outcome(state, 500) == (None, "", 900)


def test_lost_events_are_told_by_any_mail_before() -> None:
    state = State()
    states.merge(state, POLICY, NOW, group(), dropped=2)
    told(state, NOW + 10)
    assert outcome(state, 90_000) == (None, "", None)


# Urgency.


def test_a_flush_hurries_what_is_new_and_keeps_the_interval() -> None:
    state = state_of(group())
    assert outcome(state, 0, Urgency.FLUSH) == ("new", "normal", 0)
    told(state, NOW)
    come(state, 1, group())
    assert outcome(state, 1, Urgency.FLUSH) == (None, "", 900)
    assert reason(state, 900, Urgency.FLUSH) == "still"


def test_a_flush_does_not_wait_for_more_of_what_comes_back_late() -> None:
    state = known()
    come(state, 2_000, group())
    assert outcome(state, 2_000, Urgency.FLUSH) == ("still", "", 2_000)


def test_what_a_flush_tells_again_comes_less_and_less_often_too() -> None:
    """A service may flush behind every job: an error in each must not be a mail each."""
    state = State()
    mails = 0
    for job in range(7 * 72):  # every 20 minutes for a week
        come(state, 1_200 * job, group())
        decision = decide(state, POLICY, NOW + 1_200 * job, Urgency.FLUSH)
        if decision.reason is not None:
            mails += 1
            states.take(state, POLICY, NOW + 1_200 * job, "a@x", decision=decision)
            states.report(state, POLICY, NOW + 1_200 * job, "a@x")
    assert mails <= 47


def test_a_flush_keeps_the_budget() -> None:
    state = state_of(group())
    for _ in range(6):
        state.normal.spend(POLICY, NOW)
    assert outcome(state, 0, Urgency.FLUSH) == (None, "", 600)


def test_an_exit_sends_everything_at_once_for_nothing() -> None:
    state = known()
    for _ in range(6):
        state.normal.spend(POLICY, NOW)
    come(state, 1, group())
    assert outcome(state, 1, Urgency.EXIT) == ("exit", "", None)


def test_all_that_is_unmailed_is_sent_at_once_under_the_first_reason_of_its_groups() -> None:
    state = state_of(group(), group("b"))
    told(state, NOW)
    come(state, 1, group())
    assert outcome(state, 1, Urgency.ALL) == ("still", "", None)
    come(state, 70, group("b", 60))
    assert outcome(state, 70, Urgency.ALL) == ("worse", "", None)
    come(state, 71, group("c"))
    assert outcome(state, 71, Urgency.ALL) == ("new", "", None)


@pytest.mark.parametrize("urgency", list(Urgency))
def test_a_decision_has_the_urgency_that_was_asked_for(urgency: Urgency) -> None:
    """A digest that is taken for it tells its groups by the same numbers."""
    for state in (State(), state_of(group()), crowded()):
        assert decide(state, POLICY, NOW + 10, urgency).urgency is urgency


def crowded() -> State:
    """Return a state in which so many digests wait that no further one is taken."""
    state = State()
    for number in range(MAX_OUTGOING):
        come(state, number, group())
        outgoing = states.take(state, POLICY, NOW + number, "a@x", name=f"<{number}>")
        outgoing.claim("me", NOW + 1_000 + number)
    come(state, 100, group("b"))
    return state


def test_while_too_many_digests_wait_no_further_one_is_taken_but_at_the_end() -> None:
    state = crowded()
    assert outcome(state, 900) == (None, "", 1_000)
    assert outcome(state, 900, Urgency.EXIT) == ("exit", "", None)
    del state.outgoing["<0>"]
    assert outcome(state, 900) == ("new", "normal", 110)


def test_at_exit_only_what_is_new_and_urgent_goes_before_the_end() -> None:
    state = state_of(group())
    states.merge(state, AT_EXIT, NOW, dropped=3)
    for urgency in (Urgency.NONE, Urgency.FLUSH):
        assert outcome(state, 90_000, urgency, AT_EXIT) == (None, "", None)
    come(state, 1, group("b", level=CRITICAL))
    assert outcome(state, 1, policy=AT_EXIT) == ("new", "urgent", 1)
    told(state, NOW + 1)
    come(state, 2, group("a", 500), group("b", 500, level=CRITICAL))
    assert outcome(state, 90_000, policy=AT_EXIT) == (None, "", None)
    assert outcome(state, 2, Urgency.EXIT, AT_EXIT) == ("exit", "", None)


# Failures.


def test_after_a_failure_everything_waits_but_the_exit() -> None:
    state = state_of(group(level=CRITICAL))
    state.lost = 1
    state.retry_at = NOW + 300
    assert outcome(state, 0) == (None, "", 300)
    assert outcome(state, 0, Urgency.FLUSH) == (None, "", 300)
    assert reason(state, 0, Urgency.EXIT) == "exit"


@pytest.mark.parametrize("events", [1, 500])
def test_after_a_failure_known_groups_wait_too(events: int) -> None:
    state = known()
    come(state, 880, group(count=events))
    state.retry_at = NOW + 950
    assert outcome(state, 900) == (None, "", 950)


def test_lost_events_wait_for_the_retry_as_well() -> None:
    state = State(lost=1, lost_at=NOW, retry_at=NOW + 1_000)
    assert outcome(state, 900) == (None, "", 1_000)


def test_a_digest_that_is_owed_is_asked_for_again() -> None:
    state = state_of(group())
    states.take(state, POLICY, NOW, "a@x", "b@x")
    states.report(state, POLICY, NOW, "a@x")
    assert outcome(state, 0) == (None, "", 1)


# What a policy can be.

SECONDS = "expected a number of seconds, got"
WHOLE = "expected a whole number of at least 1, got"
NUMBER = "expected a number of at least 1, got"
DURATIONS = ("group_wait", "repeat_after", "repeat_max", "quiet_after", "forget_after", "refill")
WHOLES = ("urgent_level", "surge_min", "burst", "max_groups", "shown_groups")
WRONG: list[tuple[str, object, str]] = [
    *(
        (name, value, f"{SECONDS} {got}")
        for name in DURATIONS
        for value, got in [
            ("10", "str"),
            (True, "bool"),
            (None, "NoneType"),
            (-1, "-1"),
            (-0.1, "-0.1"),
            (float("nan"), "nan"),
            (float("inf"), "inf"),
        ]
    ),
    *(
        (name, value, f"{WHOLE} {got}")
        for name in WHOLES
        for value, got in [("1", "str"), (True, "bool"), (2.5, "float"), (0, "0"), (-1, "-1")]
    ),
    *(
        ("surge_factor", value, f"{NUMBER} {got}")
        for value, got in [("2", "str"), (True, "bool"), (0.9, "0.9"), (float("inf"), "inf")]
    ),
    *(
        ("at_exit", value, f"expected true or false, got {got}")
        for value, got in [(1, "int"), (0, "int"), ("yes", "str"), (None, "NoneType")]
    ),
    ("repeat_max", 899, "expected at least repeat_after (900), got 899"),
]


@pytest.mark.parametrize(("field", "value", "problem"), WRONG)
def test_a_value_that_cannot_be_is_refused_with_its_name(
    field: str, value: object, problem: str
) -> None:
    given: dict[str, Any] = {field: value}
    with pytest.raises(ConfigError) as caught:
        Policy(**given)
    assert str(caught.value) == f"policy.{field}: {problem}"


def test_each_field_is_checked() -> None:
    fields = set(Policy.__slots__)
    assert fields == {*DURATIONS, *WHOLES, "surge_factor", "at_exit"}


def test_the_longest_interval_is_not_below_the_first() -> None:
    with pytest.raises(ConfigError) as caught:
        Policy(repeat_after=20_000)
    problem = "policy.repeat_max: expected at least repeat_after (20000), got 14400"
    assert str(caught.value) == problem
    assert Policy(repeat_after=20_000, repeat_max=20_000).repeat_max == 20_000


def test_zero_seconds_are_allowed_and_whole_seconds_too() -> None:
    zeros: dict[str, Any] = dict.fromkeys(DURATIONS, 0)
    assert Policy(**zeros).refill == 0
    assert Policy(surge_factor=1.5, at_exit=True).surge_factor == 1.5


@pytest.mark.parametrize("now", [0.0, NOW])
def test_with_no_waits_at_all_each_event_is_a_mail_and_then_there_is_peace(now: float) -> None:
    zeros: dict[str, Any] = dict.fromkeys(DURATIONS, 0)
    policy = Policy(burst=1, max_groups=1, **zeros)
    state = State()
    for turn in range(3):
        states.merge(state, policy, now, group("a"), group("b"))
        decision = decide(state, policy, now)
        assert (decision.reason, decision.spends) == ("new", "normal")
        states.take(state, policy, now, "a@x", decision=decision, name=f"<{turn}>")
        states.report(state, policy, now, "a@x", name=f"<{turn}>")
        assert decide(state, policy, now) == Decision(reason=None)
