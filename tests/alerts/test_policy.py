"""When a digest goes, and why."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from samples import NOW, group

from tocsin.alerts.policy import Haste, Policy, decide
from tocsin.alerts.state import Batch, Report, State
from tocsin.exceptions import ConfigError

POLICY = Policy()


def state_of(*groups: Any, at: float = NOW) -> State:
    state = State()
    state.receive(Batch(groups=groups), POLICY, at)
    return state


def told(state: State, at: float) -> None:
    """Take a digest, and have it accepted."""
    state.take("new", "<m>", POLICY, at)
    report = Report(message_id="<m>", accepted=True, unknown=False, owed=(), pause=0)
    state.report(report, POLICY, at)


def outcome(state: State, at: float, haste: Haste = Haste.NONE) -> tuple[str | None, float | None]:
    decision = decide(state, POLICY, at, haste)
    return decision.reason, None if decision.next_at is None else decision.next_at - NOW


def test_nothing_is_decided_where_nothing_is() -> None:
    for haste in Haste:
        assert outcome(State(), NOW, haste) == (None, None)


def test_a_new_group_waits_for_more_of_its_kind() -> None:
    state = state_of(group())
    assert outcome(state, NOW) == (None, 10)
    assert outcome(state, NOW + 9.9) == (None, 10)
    assert outcome(state, NOW + 10)[0] == "new"


def test_later_events_do_not_prolong_the_wait() -> None:
    state = state_of(group())
    state.receive(Batch(groups=(group(),)), POLICY, NOW + 9)
    assert outcome(state, NOW + 10)[0] == "new"


def test_an_urgent_group_does_not_wait() -> None:
    assert outcome(state_of(group(level=logging.CRITICAL)), NOW)[0] == "new"


def test_a_known_group_is_told_again_after_its_interval() -> None:
    state = state_of(group())
    told(state, NOW)
    assert outcome(state, NOW + 5) == (None, None)
    state.receive(Batch(groups=(group(level=logging.CRITICAL),)), POLICY, NOW + 20)
    assert outcome(state, NOW + 20) == (None, 900)
    assert outcome(state, NOW + 900)[0] == "still"


def test_a_known_group_that_comes_back_late_gathers_first() -> None:
    state = state_of(group())
    told(state, NOW)
    state.receive(Batch(groups=(group(),)), POLICY, NOW + 2_000)
    assert outcome(state, NOW + 2_000) == (None, 2_010)


def test_the_first_reason_that_applies_is_named() -> None:
    state = state_of(group("a"))
    told(state, NOW)
    state.receive(Batch(groups=(group("a"), group("b"))), POLICY, NOW + 1_000)
    assert outcome(state, NOW + 2_000)[0] == "new"


def test_a_flush_hurries_what_is_new_and_keeps_the_interval() -> None:
    state = state_of(group())
    assert outcome(state, NOW, Haste.FLUSH)[0] == "new"
    told(state, NOW)
    state.receive(Batch(groups=(group(),)), POLICY, NOW + 1)
    assert outcome(state, NOW + 1, Haste.FLUSH) == (None, 900)


def test_an_exit_sends_everything_at_once() -> None:
    state = state_of(group())
    told(state, NOW)
    state.receive(Batch(groups=(group(),)), POLICY, NOW + 1)
    assert outcome(state, NOW + 1, Haste.EXIT) == ("exit", None)


def test_after_a_failure_everything_waits_but_the_exit() -> None:
    state = state_of(group(level=logging.CRITICAL))
    state.retry_at = NOW + 300
    assert outcome(state, NOW) == (None, 300)
    assert outcome(state, NOW, Haste.FLUSH) == (None, 300)
    assert outcome(state, NOW, Haste.EXIT)[0] == "exit"


def test_a_digest_that_is_owed_is_asked_for_again() -> None:
    state = state_of(group())
    state.take("new", "<m>", POLICY, NOW)
    partly = Report(message_id="<m>", accepted=True, unknown=False, owed=("b@x",), pause=0)
    state.report(partly, POLICY, NOW)
    assert outcome(state, NOW) == (None, 1)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("group_wait", "10", "expected a number of seconds, got str"),
        ("group_wait", True, "expected a number of seconds, got bool"),
        ("group_wait", -1, "expected a number of seconds, got -1"),
        ("group_wait", float("nan"), "expected a number of seconds, got nan"),
        ("repeat_after", float("inf"), "expected a number of seconds, got inf"),
        ("forget_after", None, "expected a number of seconds, got NoneType"),
        ("max_groups", 0, "expected a whole number of at least 1, got 0"),
        ("shown_groups", 2.5, "expected a whole number of at least 1, got float"),
        ("urgent_level", "CRITICAL", "expected a whole number of at least 1, got str"),
        ("urgent_level", True, "expected a whole number of at least 1, got bool"),
    ],
)
def test_a_number_that_cannot_be_is_refused_with_its_name(
    field: str, value: object, problem: str
) -> None:
    given: dict[str, Any] = {field: value}
    with pytest.raises(ConfigError) as caught:
        Policy(**given)
    assert str(caught.value) == f"policy.{field}: {problem}"


def test_zero_seconds_are_allowed_and_whole_seconds_too() -> None:
    assert Policy(group_wait=0, repeat_after=5).repeat_after == 5
