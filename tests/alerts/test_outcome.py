"""What follows from an attempt to send a digest: claims, failures in a row, and giving up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import states
from samples import NOW, group

from tocsin.alerts import outcome
from tocsin.alerts.digest import Trouble
from tocsin.alerts.policy import Decision
from tocsin.alerts.settings import Policy
from tocsin.alerts.state import State

if TYPE_CHECKING:
    from tocsin.alerts.outgoing import Outgoing

POLICY = Policy()
DAY = 86_400
BOTH = ("a@x", "b@x")


def come(state: State, later: float, name: str = "a", **fields: Any) -> None:
    states.merge(state, POLICY, NOW + later, group(name, **fields))


def take(state: State, later: float, name: str = "<m>") -> Outgoing:
    """Take a digest of what is unmailed."""
    return states.take(state, POLICY, NOW + later, *BOTH, name=name)


def end(state: State, later: float, *accepted: str, name: str = "<m>", **fields: Any) -> None:
    """Report the outcome of an attempt, and for which recipients the digest was accepted."""
    states.report(state, POLICY, NOW + later, *accepted, name=name, **fields)


def on_its_way(later: float = 0) -> tuple[State, Outgoing]:
    state = State()
    come(state, later)
    return state, take(state, later)


# Claims.


def test_a_process_that_has_reported_holds_the_digest_no_longer() -> None:
    """Another process may send it after the pause of a second: not only when the claim ends."""
    state, outgoing = on_its_way()
    outgoing.claim("me", NOW + 60)
    end(state, 5, "a@x", owner="me")
    assert (outgoing.claimed_by, outgoing.claimed_until) == ("", 0)
    assert outcome.due(state, NOW + 5.9) is None
    assert outcome.due(state, NOW + 6) is outgoing


def test_a_digest_that_was_claimed_once_and_released_is_not_frozen() -> None:
    """Only a claim that ended without a report may have sent it."""
    state, outgoing = on_its_way()
    outgoing.claim("me", NOW + 60)
    assert not outgoing.frozen
    outgoing.release("me")
    outgoing.claim("you", NOW + 120)
    assert not outgoing.frozen
    end(state, 70, owner="you")
    assert not state.outgoing  # so it dissolves
    assert state.pending == 1


def test_only_the_owner_of_a_claim_releases_it() -> None:
    _, outgoing = on_its_way()
    outgoing.claim("me", NOW + 60)
    outgoing.release("you")
    assert (outgoing.claimed_by, outgoing.claimed_until) == ("me", NOW + 60)


def test_a_refused_login_holds_back_digests_that_were_not_tried() -> None:
    state, first = on_its_way()
    end(state, 0, "a@x")
    come(state, 1, "b")
    take(state, 1, "<n>")
    end(state, 2, name="<n>", pause=300)
    assert first.retry_at == NOW + 1
    assert outcome.due(state, NOW + 301.9) is None
    assert outcome.due(state, NOW + 302) is first


# Failures in a row.


def fail(state: State, later: float, **fields: Any) -> None:
    take(state, later)
    end(state, later, **fields)


def test_all_is_hopeless_after_failures_only_for_so_long() -> None:
    """The time counts since the first failure in a row, and an attempt that succeeds ends it."""
    state = State()
    assert not outcome.is_hopeless(state, DAY, NOW)  # nothing has failed yet
    come(state, 0)
    fail(state, 100)
    assert not outcome.is_hopeless(state, DAY, NOW + 100 + DAY - 1)
    assert outcome.is_hopeless(state, DAY, NOW + 100 + DAY)
    fail(state, 5_000)
    assert outcome.is_hopeless(state, DAY, NOW + 100 + DAY)
    take(state, 6_000)
    end(state, 6_000, *BOTH)
    assert not outcome.is_hopeless(state, DAY, NOW + 100 + DAY)
    come(state, 7_000)
    fail(state, 7_000)
    assert not outcome.is_hopeless(state, DAY, NOW + 7_000 + DAY - 1)
    assert outcome.is_hopeless(state, DAY, NOW + 7_000 + DAY)


def test_a_run_of_problems_has_its_beginning_its_number_and_the_latest_of_them() -> None:
    state = State()
    come(state, 0)
    fail(state, 1, problem="no route")
    assert state.trouble == Trouble(since=NOW + 1, count=1, problem="no route")
    fail(state, 2, problem="no route")
    fail(state, 3, problem="full" * 1_000)
    assert state.trouble == Trouble(since=NOW + 1, count=3, problem=("full" * 250))


def test_a_mail_without_a_problem_ends_the_run() -> None:
    state = State()
    come(state, 0)
    fail(state, 1, problem="no route")
    take(state, 2)
    end(state, 2, *BOTH)
    told = state.trouble
    come(state, 3)
    fail(state, 3, problem="no route")
    assert (told, state.trouble) == (None, Trouble(since=NOW + 3, count=1, problem="no route"))


# Giving up.


def test_a_digest_that_a_process_sends_is_not_given_up_before_the_claim_ends() -> None:
    state, outgoing = on_its_way()
    outgoing.claim("me", NOW + DAY + 60)
    assert outcome.overdue(state, DAY, NOW + DAY + 59.9) == []
    assert outcome.overdue(state, DAY, NOW + DAY + 60) == [outgoing]


def test_a_digest_that_is_given_up_is_gone_and_its_events_are_lost() -> None:
    state, outgoing = on_its_way()
    come(state, 10)
    state.failures = 3
    outcome.give_up(state, outgoing, NOW + DAY)
    assert not state.outgoing
    assert (state.undelivered, state.lost, state.lost_at) == (1, 1, NOW + DAY)
    assert (state.failures, state.retry_at) == (0, NOW + DAY + 300)
    assert state.groups["a"].told is None
    outcome.give_up(state, take(state, DAY), NOW + DAY + 1)
    assert (state.undelivered, state.lost, state.lost_at) == (2, 2, NOW + DAY + 1)


def test_a_digest_that_a_recipient_has_is_gone_when_it_is_given_up_and_nothing_is_lost() -> None:
    state, outgoing = on_its_way()
    end(state, 0, "a@x")
    outcome.give_up(state, outgoing, NOW + DAY)
    assert not state.outgoing
    assert (state.mailed, state.undelivered, state.lost, state.retry_at) == (1, 0, 0, 0)


# What a person asks for.


def test_a_dropped_digest_is_undelivered_and_holds_back_no_later_one() -> None:
    """Neither a pause nor a mail about lost events follows, as if it had never been decided."""
    state = State()
    come(state, 0)
    state.lose(3, NOW - 5)
    normal, mail_at = state.normal.left(POLICY, NOW), state.mail_at
    spends = Decision(reason="new", spends="normal")
    outgoing = states.take(state, POLICY, NOW + 10, *BOTH, decision=spends)
    outcome.drop(state, outgoing, POLICY, NOW + 20)
    assert not state.outgoing
    assert (state.received, state.undelivered, state.pending) == (1, 1, 0)
    assert (state.lost, state.lost_at, state.retry_at) == (3, NOW - 5, 0)
    assert (state.normal.left(POLICY, NOW + 20), state.mail_at) == (normal, mail_at)
    assert state.groups["a"].told is None


def test_a_dropped_digest_that_a_recipient_has_is_mailed() -> None:
    state, outgoing = on_its_way()
    end(state, 0, "a@x")
    outcome.drop(state, outgoing, POLICY, NOW + 20)
    assert not state.outgoing
    assert (state.mailed, state.undelivered, state.mail_at) == (1, 0, NOW)


def test_only_some_groups_can_be_taken_to_be_dropped() -> None:
    state = State()
    come(state, 0)
    come(state, 1, "b")
    outgoing = states.take(state, POLICY, NOW + 2, *BOTH, only={"b"})
    assert [entry.group.fingerprint for entry in outgoing.digest.entries] == ["b"]
    assert [one.fingerprint for one in state.unmailed] == ["a"]
    outcome.drop(state, outgoing, POLICY, NOW + 2)
    assert (state.pending, state.undelivered) == (1, 1)


def test_everything_that_waits_can_be_made_due() -> None:
    state, outgoing = on_its_way()
    end(state, 5, "a@x", pause=300)
    assert outcome.due(state, NOW + 6) is None
    outcome.retry_now(state)
    assert outcome.due(state, NOW + 6) is outgoing


def test_a_group_keeps_its_title_when_its_events_are_mailed() -> None:
    state, _ = on_its_way()
    assert states.stored(state).groups["a"].title == "ERROR ValueError in app.main"
