"""What is known and owed: received = mailed + pending + undelivered after every step."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import states
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NOW, event, group, groups

from tocsin.alerts import outcome
from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.budget import Budget
from tocsin.alerts.codec import load
from tocsin.alerts.digest import Accounts, Audience, Trouble
from tocsin.alerts.grouping import OTHER, as_other
from tocsin.alerts.history import Told
from tocsin.alerts.outgoing import Report
from tocsin.alerts.policy import Decision, Urgency, decide
from tocsin.alerts.settings import Policy
from tocsin.alerts.size import LIMIT, pack
from tocsin.alerts.state import State

if TYPE_CHECKING:
    from tocsin.alerts.grouping import Group
    from tocsin.alerts.outgoing import Outgoing

POLICY = Policy(max_groups=3, forget_after=1_000)
ROOMY = Policy()
EVERYBODY = ("a@x", "b@x", "c@x")


def received(*groups: Any, at: float = NOW) -> State:
    state = State()
    states.merge(state, POLICY, at, *groups)
    return state


def report(
    name: str = "<m>",
    *,
    owed: tuple[str, ...] = (),
    accepted: bool = False,
    unknown: bool = False,
    **fields: Any,
) -> Report:
    """Say to whom a digest is still owed, and whether the others have it."""
    done = tuple(one for one in EVERYBODY if one not in owed)
    return Report(
        message_id=name,
        accepted=done if accepted else (),
        refused=() if accepted else done,
        unknown=owed if unknown else (),
        **fields,
    )


def take(
    state: State, name: str = "<m>", now: float = NOW, *, reason: str = "new", spends: str = ""
) -> Outgoing:
    """Take a digest of what is unmailed, for whatever reason."""
    decision = Decision(reason=reason, spends=spends)
    return states.take(state, POLICY, now, *EVERYBODY, decision=decision, name=name)


ACCEPTED = report(accepted=True)
NOBODY = report(owed=EVERYBODY)
PARTLY = report(accepted=True, owed=("b@x",))
UNKNOWN = report(unknown=True, owed=("a@x",))
REFUSED = report()


def accounts(state: State) -> tuple[int, int, int, int]:
    """Return received, mailed, pending, undelivered; and check that nothing is told twice."""
    waiting = sum(known.pending.count for known in state.groups.values() if known.pending)
    on_its_way = sum(one.digest.count for one in state.outgoing.values() if not one.counted)
    assert state.pending == waiting + on_its_way
    return state.received, state.mailed, state.pending, state.undelivered


def told_at(state: State, name: str) -> float | None:
    told = state.groups[name].told
    return None if told is None else told.at


def test_events_of_a_kind_are_one_group() -> None:
    state = received(group("a", 2), group("b", 1), group("a", 3, at=NOW - 5))
    assert {name: known.total for name, known in state.groups.items()} == {"a": 5, "b": 1}
    assert state.groups["a"].since == NOW - 5
    assert accounts(state) == (6, 0, 6, 0)


def test_a_digest_tells_all_groups_with_something_unmailed() -> None:
    state = received(group("a", 2), group("b", 5))
    digest = take(state).digest
    assert [entry.group.fingerprint for entry in digest.entries] == ["b", "a"]
    assert (digest.date, digest.reason, digest.count) == (NOW, "new", 7)
    assert digest.lead is not None
    assert (digest.lead.group.fingerprint, digest.level) == ("b", 40)
    assert accounts(state) == (7, 0, 7, 0)


def test_the_lead_has_the_highest_level_then_is_new_then_has_most() -> None:
    state = received(group("a", 9))
    take(state)
    outcome.report(state, ACCEPTED, POLICY, NOW)
    more = (group("a", 50), group("b", 2), group("c", 1, level=50))
    states.merge(state, POLICY, NOW + 1, *more)
    digest = take(state, "<n>", NOW + 1).digest
    assert [entry.group.fingerprint for entry in digest.entries] == ["c", "b", "a"]
    assert [entry.reason for entry in digest.entries] == ["new", "new", "still"]
    assert digest.entries[2].total == 59


def test_an_entry_says_what_is_known_of_its_group() -> None:
    state = received(group("a", 9, at=NOW - 70))
    take(state)
    before = state.groups["a"].told
    assert before is not None
    states.merge(state, POLICY, NOW + 50, group("a", 2), group("a", 3))
    (entry,) = take(state, "<n>", NOW + 59).digest.entries
    assert (entry.total, entry.since, entry.recent, entry.before) == (14, NOW - 70, 14, before)


def test_it_is_promised_until_when_nothing_of_this_is_told_again() -> None:
    """A group can go on after its interval, and be quiet after half an hour."""
    state = State()
    for number, (later, promised) in enumerate([(0, 900), (900, 1_800), (2_700, 1_800)]):
        states.merge(state, ROOMY, NOW + later - 20, group())
        decision = Decision(reason="still")
        name = f"<{number}>"
        taken = states.take(state, ROOMY, NOW + later, *EVERYBODY, decision=decision, name=name)
        assert taken.digest.next_at == NOW + later + promised


def test_a_digest_shows_times_by_the_clock_of_who_made_it_and_the_state_goes_by_the_stores() -> (
    None
):
    state = received(group())
    take(state, now=NOW + 10)
    outcome.report(state, PARTLY, POLICY, NOW + 20)
    outcome.report(state, report(owed=("b@x",), problem="full"), POLICY, NOW + 30)
    states.merge(state, POLICY, NOW + 40, group())
    years = 1e8
    taken = states.take(
        state,
        POLICY,
        NOW + 910,
        *EVERYBODY,
        decision=Decision(reason="still"),
        name="<n>",
        wall=NOW + 910 - years,
    )
    digest, (entry,) = taken.digest, taken.digest.entries
    assert (digest.date, digest.next_at) == (NOW + 910 - years, NOW + 910 + 1_800 - years)
    assert digest.trouble == Trouble(since=NOW + 30 - years, count=1, problem="full")
    assert entry.before == Told(at=NOW + 10 - years, interval=900, rate=0)
    assert (taken.at, state.mail_at, told_at(state, "a")) == (NOW + 910, NOW + 910, NOW + 910)
    assert state.trouble == Trouble(since=NOW + 30, count=1, problem="full")
    assert outcome.overdue(state, 86_400, NOW + 86_400) == []
    assert outcome.overdue(state, 86_400, NOW + 86_410) == [state.outgoing["<m>"]]
    outcome.report(state, report("<n>", owed=EVERYBODY), POLICY, NOW + 911)
    assert (state.mail_at, told_at(state, "a")) == (NOW + 10, NOW + 10)


def test_no_next_mail_is_promised_at_the_end() -> None:
    assert take(received(group()), reason="exit").digest.next_at is None
    taken = states.take(received(group()), Policy(at_exit=True), NOW, *EVERYBODY)
    assert taken.digest.next_at is None


def test_a_digest_has_the_accounts_and_who_gets_it() -> None:
    state = received(group(count=3, at=NOW - 5))
    take(state, spends="normal")
    outcome.report(state, ACCEPTED, POLICY, NOW)
    states.merge(state, POLICY, NOW + 1, group(count=2), dropped=4)
    decision = Decision(reason="still", spends="normal")
    taken = states.take(state, POLICY, NOW + 1, "ops@example.com", decision=decision, name="<n>")
    digest = taken.digest
    assert digest.accounts == Accounts(since=NOW - 5, received=5, mailed=3, undelivered=0, tokens=4)
    assert (digest.audience, digest.lost) == (Audience(to=("ops@example.com",)), 4)


def test_an_accepted_digest_is_mailed_and_done() -> None:
    state = received(group(count=3))
    take(state)
    outcome.report(state, ACCEPTED, POLICY, NOW)
    assert accounts(state) == (3, 3, 0, 0)
    assert not state.outgoing
    assert told_at(state, "a") == NOW


def test_a_report_that_comes_twice_counts_once() -> None:
    state = received(group(count=3))
    take(state)
    for _ in range(2):
        outcome.report(state, ACCEPTED, POLICY, NOW)
    assert accounts(state) == (3, 3, 0, 0)


def test_a_digest_that_nobody_accepted_dissolves_and_is_told_once_with_all_counts() -> None:
    state = received(group(count=3))
    take(state)
    states.merge(state, POLICY, NOW + 1, group(count=4))
    outcome.report(state, NOBODY, POLICY, NOW + 2)
    assert accounts(state) == (7, 0, 7, 0)
    digest = take(state, "<n>", NOW + 9).digest
    assert (digest.count, digest.entries[0].reason, digest.entries[0].total) == (7, "new", 7)


def test_what_dissolves_has_waited_since_it_came() -> None:
    """It is due again after the pause of a second, and not after ten more."""
    state = received(group("a"))
    take(state, now=NOW + 10)
    outcome.report(state, NOBODY, POLICY, NOW + 12)
    assert state.groups["a"].pending_since == NOW
    assert decide(state, POLICY, NOW + 12) == Decision(reason=None, next_at=NOW + 13)
    assert decide(state, POLICY, NOW + 13).reason == "new"


def test_what_dissolves_gives_its_token_back() -> None:
    for budget, group_ in [("normal", group()), ("urgent", group(level=50))]:
        state = received(group_)
        take(state, spends=budget)
        assert state.budget(budget).left(POLICY, NOW) == 5
        outcome.report(state, NOBODY, POLICY, NOW)
        assert state.budget(budget).left(POLICY, NOW) == 6


def test_what_was_refused_for_good_has_cost_its_token() -> None:
    state = received(group())
    take(state, spends="normal")
    outcome.report(state, REFUSED, POLICY, NOW)
    assert state.normal.left(POLICY, NOW) == 5


def test_a_mail_that_dissolves_was_none() -> None:
    state = received(group())
    take(state)
    outcome.report(state, ACCEPTED, POLICY, NOW)
    states.merge(state, POLICY, NOW + 50, group())
    take(state, "<n>", NOW + 60)
    assert state.mail_at == NOW + 60
    outcome.report(state, report("<n>", owed=("a@x",)), POLICY, NOW + 61)
    assert state.mail_at == told_at(state, "a") == NOW


def test_what_dissolves_comes_back_even_if_its_group_was_forgotten() -> None:
    state = received(group("a", 2))
    take(state)
    states.merge(state, POLICY, NOW + 1, *(group(name) for name in "bcd"))
    assert "a" not in state.groups
    outcome.report(state, NOBODY, POLICY, NOW + 2)
    assert accounts(state) == (5, 0, 5, 0)
    known = state.groups[OTHER]
    assert known.pending is not None
    assert (known.first_at, known.seen_at) == (NOW + 2, NOW + 2)


def test_what_comes_back_is_no_surge() -> None:
    state = received(group("a", 500))
    take(state)
    states.merge(state, POLICY, NOW + 1, *(group(name) for name in "bcd"))
    take(state, "<n>", NOW + 1)
    outcome.report(state, NOBODY, POLICY, NOW + 2)
    assert state.groups["a"].recent.within(NOW + 2) == 0
    assert state.groups["a"].total == 500


def test_a_group_that_was_forgotten_and_came_again_is_one_with_what_dissolves() -> None:
    state = received(group("a", 9))
    take(state)
    states.merge(state, POLICY, NOW + 1, *(group(name) for name in "bcd"))
    take(state, "<n>", NOW + 1)
    states.merge(state, POLICY, NOW + 2, group("a"))
    outcome.report(state, NOBODY, POLICY, NOW + 3)
    digest = take(state, "<o>", NOW + 3).digest
    assert [(one.group.count, one.total, one.since) for one in digest.entries] == [(10, 10, NOW)]


def test_what_comes_back_forgets_none_of_its_own_digest() -> None:
    """B, C and D have kept their places: A has lost its own, and is one of the others now."""
    state = received(*(group(name) for name in "abc"))
    take(state)
    outcome.report(state, ACCEPTED, POLICY, NOW)
    states.merge(state, POLICY, NOW + 1, *(group(name) for name in "abc"))
    take(state, "<n>", NOW + 1)
    states.merge(state, POLICY, NOW + 2, group("d"))
    assert set(state.groups) == {"b", "c", "d"}
    outcome.report(state, report("<n>", owed=("a@x",)), POLICY, NOW + 3)
    assert set(state.groups) == {"b", "c", "d", OTHER}
    assert told_at(state, "b") == told_at(state, "c") == NOW
    assert state.groups["b"].total == 2


# Several digests on their way: the mail server of one process hangs while another one decides.


def on_their_way() -> State:
    """Return a state with three digests that tell the same group."""
    state = received(group(count=1))
    take(state, "<1>", NOW + 10, spends="normal")
    states.merge(state, POLICY, NOW + 20, group(count=2), dropped=5)
    take(state, "<2>", NOW + 30, spends="normal")
    states.merge(state, POLICY, NOW + 40, group(count=4))
    take(state, "<3>", NOW + 50)
    return state


ORDERS = list(itertools.permutations(["<1>", "<2>", "<3>"]))


@pytest.mark.parametrize("order", ORDERS)
def test_digests_dissolve_in_any_order_as_if_none_had_been_taken(order: tuple[str, ...]) -> None:
    state = on_their_way()
    for name in order:
        outcome.report(state, report(name, owed=("a@x",)), POLICY, NOW + 60)
    known = state.groups["a"]
    assert known.pending is not None
    assert (known.pending.count, known.pending_since, known.told) == (7, NOW, None)
    assert (state.mail_at, state.lost, state.lost_at) == (0, 5, NOW + 20)
    assert state.normal.left(POLICY, NOW + 60) == 6


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accepted", ["<1>", "<2>", "<3>"])
@pytest.mark.parametrize("fields", [{"owed": ("a@x",)}, {}], ids=["dissolved", "given up"])
def test_a_group_was_told_by_the_digest_that_somebody_has(
    accepted: str, order: tuple[str, ...], fields: dict[str, Any]
) -> None:
    state = on_their_way()
    for name in order:
        given: dict[str, Any] = {"accepted": True} if name == accepted else fields
        outcome.report(state, report(name, **given), POLICY, NOW + 60)
    date = NOW + {"<1>": 10, "<2>": 30, "<3>": 50}[accepted]
    assert told_at(state, "a") == date
    if fields:
        assert state.mail_at == date


def test_a_partly_accepted_digest_is_frozen_and_counted_once() -> None:
    state = received(group(count=3))
    first = take(state).digest
    outcome.report(state, PARTLY, POLICY, NOW)
    assert accounts(state) == (3, 3, 0, 0)
    again = outcome.due(state, NOW + 1)
    assert again is not None
    assert (again.digest, again.owed) == (first, ("b@x",))
    outcome.report(state, report(owed=("b@x",)), POLICY, NOW + 1)
    outcome.report(state, report(), POLICY, NOW + 9)
    assert accounts(state) == (3, 3, 0, 0)
    assert not state.outgoing


def test_a_digest_that_somebody_may_have_is_frozen_too() -> None:
    state = received(group(count=3))
    first = take(state).digest
    outcome.report(state, UNKNOWN, POLICY, NOW)
    outcome.report(state, report(owed=("a@x",)), POLICY, NOW + 1)
    assert state.outgoing["<m>"].digest == first
    assert accounts(state) == (3, 0, 3, 0)
    outcome.report(state, REFUSED, POLICY, NOW + 2)
    assert accounts(state) == (3, 0, 0, 3)


def test_a_digest_refused_by_all_is_undelivered() -> None:
    state = received(group(count=3))
    take(state)
    outcome.report(state, REFUSED, POLICY, NOW)
    assert accounts(state) == (3, 0, 0, 3)


def test_what_was_refused_for_good_is_new_when_it_comes_again() -> None:
    """Nobody has been told; but a server that refuses has a pause."""
    state = received(group("a", 2))
    take(state)
    outcome.report(state, REFUSED, POLICY, NOW)
    assert state.groups["a"].told is None
    assert state.retry_at == NOW + 300


def test_what_is_refused_when_its_group_is_forgotten_is_undelivered_all_the_same() -> None:
    state = received(group("a", 2))
    take(state)
    states.merge(state, POLICY, NOW + 1, *(group(name) for name in "bcd"))
    assert "a" not in state.groups
    outcome.report(state, REFUSED, POLICY, NOW + 2)
    assert accounts(state) == (5, 0, 3, 2)


def fail(state: State, now: float, **fields: Any) -> float:
    """Return how long a failure makes everything wait."""
    take(state, "<m>", now)
    outcome.report(state, report(owed=("a@x",), **fields), POLICY, now)
    return state.retry_at - now


def test_failures_wait_twice_as_long_each_up_to_five_minutes() -> None:
    state = received(group())
    waits = [fail(state, NOW + 1_000 * n) for n in range(11)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_failures_for_days_still_wait_five_minutes() -> None:
    """1.0 * 2 ** 1100 is no float: that would end the sending for good, after three days."""
    state = received(group())
    state.failures = 5_000
    assert fail(state, NOW) == 300


def test_a_refused_login_waits_at_least_its_pause() -> None:
    state = received(group())
    assert fail(state, NOW, pause=300) == 300


def test_a_success_starts_the_waits_again() -> None:
    state = received(group())
    fail(state, NOW)
    fail(state, NOW)
    take(state, "<n>", NOW)
    outcome.report(state, report("<n>", accepted=True), POLICY, NOW)
    assert state.retry_at == 0
    states.merge(state, POLICY, NOW + 9, group())
    assert fail(state, NOW + 9) == 1


def test_a_full_mailbox_delays_its_own_mail_and_no_other() -> None:
    """One recipient who is deferred for hours must not keep news from everybody else."""
    state = received(group("a"))
    take(state)
    for n in range(20):
        outcome.report(state, PARTLY, POLICY, NOW + n)
    assert outcome.due(state, NOW + 20) is None
    states.merge(state, POLICY, NOW + 20, group("b", level=50))
    assert decide(state, POLICY, NOW + 20).reason == "new"


def test_digests_that_are_owed_take_turns() -> None:
    state = received(group("a"))
    take(state)
    outcome.report(state, PARTLY, POLICY, NOW)
    states.merge(state, POLICY, NOW, group("b"))
    take(state, "<n>", NOW)
    outcome.report(state, report("<n>", accepted=True, owed=("c@x",)), POLICY, NOW)
    order = []
    for _ in range(4):
        due = outcome.due(state, NOW + 9_000)
        assert due is not None
        order.append(due.digest.message_id)
        outcome.report(
            state, report(order[-1], owed=due.owed, accepted=False), POLICY, NOW + 9_000 - 1_000
        )
    assert order == ["<m>", "<n>", "<m>", "<n>"]


def test_a_refused_login_holds_back_what_is_owed_as_well() -> None:
    state = received(group("a"))
    take(state)
    outcome.report(state, PARTLY, POLICY, NOW)
    outcome.report(state, report(owed=("b@x",), pause=300), POLICY, NOW + 1)
    assert outcome.due(state, NOW + 300) is None
    states.merge(state, POLICY, NOW + 2, group("b", level=50))
    assert decide(state, POLICY, NOW + 300).reason is None
    assert outcome.due(state, NOW + 301) is not None


def test_a_group_long_unseen_is_new_again() -> None:
    state = received(group())
    take(state)
    outcome.report(state, ACCEPTED, POLICY, NOW)
    states.merge(state, POLICY, NOW + 1_000, group())
    assert state.groups["a"].told is None
    assert state.groups["a"].total == 1


def test_a_group_with_something_unmailed_is_not_forgotten() -> None:
    state = received(group())
    states.merge(state, POLICY, NOW + 5_000, group())
    assert state.groups["a"].total == 2


def test_a_full_table_forgets_the_one_longest_unseen() -> None:
    state = State()
    for n, name in enumerate("abc"):
        states.merge(state, POLICY, NOW + n, group(name))
    take(state, "<m>", NOW + 3)
    states.merge(state, POLICY, NOW + 4, group("a"), group("d"))
    assert set(state.groups) == {"a", "c", "d"}


def test_the_age_decides_which_group_is_forgotten_and_not_the_name() -> None:
    state = State()
    for n, name in enumerate("cba"):
        states.merge(state, POLICY, NOW + n, group(name))
    take(state, "<m>", NOW + 3)
    states.merge(state, POLICY, NOW + 4, group("d"))
    assert set(state.groups) == {"a", "b", "d"}


def test_nothing_is_forgotten_for_the_others() -> None:
    """Another process may have a full table: its other events come as such."""
    state = received(group("a"), group("b"), as_other(group("x")))
    take(state)
    states.merge(state, POLICY, NOW + 1, group("c"))
    assert set(state.groups) == {"a", "b", "c", OTHER}


def test_without_room_events_go_to_the_others_which_are_always_new() -> None:
    state = received(*(group(name) for name in "abcde"))
    assert set(state.groups) == {"a", "b", "c", OTHER}
    assert state.groups[OTHER].total == 2
    digest = take(state, spends="normal").digest
    assert [(one.group.fingerprint, one.reason) for one in digest.entries][-1] == (OTHER, "new")
    assert state.groups[OTHER].told is None
    assert told_at(state, "a") == NOW
    assert accounts(state) == (5, 0, 5, 0)
    states.merge(state, POLICY, NOW, group("a"), group("b"), group("c"), group("f"))
    assert decide(state, POLICY, NOW + 10).reason == "new"


def test_the_others_take_no_place_of_a_group_that_is_told_apart() -> None:
    policy = Policy(max_groups=1)
    state = State()
    for turn, names in enumerate(["ab", "c", "d"]):
        now = NOW + turn
        states.merge(state, policy, now, *(group(name) for name in names))
        assert len(set(state.groups) - {OTHER}) == 1
        take(state, f"<{turn}>", now)
    states.merge(state, policy, NOW + 9, as_other(group("x")))
    assert set(state.groups) == {"d", OTHER}


def test_one_of_the_others_that_is_urgent_does_not_wait() -> None:
    state = received(*(group(name) for name in "abcd"))
    states.merge(state, POLICY, NOW, group("e", level=50))
    assert decide(state, POLICY, NOW).spends == "urgent"


def test_samples_that_are_not_told_yet_are_bounded_as_a_whole() -> None:
    """Samples are 1 MB in all; after that a group is numbers."""
    policy = Policy(max_groups=500)
    state = State()
    for n in range(1_000):
        sample = event("x" * 20_000, time=NOW + n)
        made = group(f"g{n % 500}", at=NOW + n, samples=(sample,))
        states.merge(state, policy, NOW + n, made)
    assert states.size(state) < 1_600_000
    assert state.received == 1_000
    take(state)
    late = group("late", samples=(event("late"),))
    states.merge(state, policy, NOW, late)
    assert state.groups["late"].pending == late


def test_samples_are_dropped_where_there_is_no_room_for_them_and_counts_are_not() -> None:
    big = group("big", samples=(event("x" * (600_000 - 10)),))
    small = group("small", samples=(event("x" * 11),))
    state = received(big, small)
    assert state.groups["big"].pending == big
    assert state.groups["small"].pending == replace(small, samples=())


def test_samples_that_just_fit_are_kept() -> None:
    fitting = group("fitting", samples=(event("x" * 600_000),))
    assert fitting.size == 600_000
    assert received(fitting).groups["fitting"].pending == fitting
    longer = group("longer", samples=(event("x" * 600_001),))
    assert received(longer).groups["longer"].pending == replace(longer, samples=())


# Losses.


def test_what_is_given_up_is_told_as_lost_by_the_next_mail() -> None:
    state = received(group(count=3))
    states.merge(state, POLICY, NOW + 1, dropped=2)
    assert take(state).digest.lost == 2
    outcome.report(state, REFUSED, POLICY, NOW + 2)
    assert (state.lost, state.lost_at) == (5, NOW + 2)
    digest = take(state, "<n>", NOW + 902, reason="lost").digest
    assert (digest.lost, digest.count, digest.lead) == (5, 0, None)
    assert digest.next_at == NOW + 902 + 900
    outcome.report(state, report("<n>", accepted=True), POLICY, NOW + 902)
    assert state.lost == 0


def test_losses_of_a_digest_that_dissolves_are_as_old_as_they_were() -> None:
    state = State()
    states.merge(state, POLICY, NOW, dropped=2)
    take(state, now=NOW + 900, reason="lost")
    states.merge(state, POLICY, NOW + 901, dropped=1)
    outcome.report(state, NOBODY, POLICY, NOW + 902)
    assert (state.lost, state.lost_at) == (3, NOW)
    assert decide(state, POLICY, NOW + 903).reason == "lost"


KINDS: dict[str, dict[str, Any]] = {
    "accepted": {"accepted": True},
    "nobody": {"owed": ("a@x", "b@x")},
    "paused": {"owed": ("a@x", "b@x"), "pause": 300},
    "partly": {"accepted": True, "owed": ("b@x",)},
    "unknown": {"unknown": True, "owed": ("a@x",)},
    "refused": {},
    "refused, or not": {"unknown": True},
}
STEPS = st.one_of(
    st.tuples(st.just("events"), st.sampled_from("abcdEF"), st.integers(1, 9)),
    st.tuples(st.just("dropped"), st.just(""), st.integers(1, 9)),
    st.tuples(st.just("wait"), st.just(""), st.sampled_from([0, 1, 10, 70, 900, 2_000])),
    st.tuples(st.just("take"), st.just(""), st.sampled_from(list(Urgency))),
    st.tuples(st.just("report"), st.sampled_from(list(KINDS)), st.integers(0, 3)),
)


class Ledger:
    """What went in, and what became of it, counted beside the state."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.state = State()
        self.limit = limit
        self.now = NOW
        self.received = self.dropped = self.undelivered = self.told_lost = 0
        self.mailed: Counter[str] = Counter()
        self.counted: set[str] = set()
        self.names = (f"<{number}>" for number in itertools.count())

    def step(self, what: str, name: str, amount: int) -> None:
        state, now = self.state, self.now
        if what == "events":
            self.received += amount
            samples = (event(name * 100, time=now),)
            level = 50 if name.isupper() else 40
            made = group(name, amount, at=now, level=level, samples=samples)
            states.merge(state, POLICY, now, made)
        elif what == "dropped":
            self.dropped += amount
            states.merge(state, POLICY, now, dropped=amount)
        elif what == "wait":
            self.now += amount
        elif what == "take":
            self.take(Urgency(amount))
        elif state.outgoing:
            names = list(state.outgoing)
            self.report(names[amount % len(names)], KINDS[name])

    def take(self, urgency: Urgency) -> None:
        decision = decide(self.state, POLICY, self.now, urgency)
        if decision.reason is not None:
            states.take(
                self.state, POLICY, self.now, *EVERYBODY, decision=decision, name=next(self.names)
            )

    def report(self, name: str, fields: dict[str, Any]) -> None:
        digest = self.state.outgoing[name].digest
        if fields.get("accepted") and name not in self.counted:
            self.counted.add(name)
            self.told_lost += digest.lost
            for entry in digest.entries:
                self.mailed[entry.group.fingerprint] += entry.group.count
        elif not fields.get("owed") and name not in self.counted:
            self.undelivered += digest.count
        states.merge(self.state, POLICY, self.now, reports=(report(name, **fields),))

    def settle(self) -> None:
        """Go on until nothing can be due, with a server that accepts everything."""
        next_at: float | None = self.now
        while next_at is not None:
            self.now = max(self.now, next_at)
            self.take(Urgency.NONE)
            for name in list(self.state.outgoing):
                self.report(name, KINDS["accepted"])
            next_at = decide(self.state, POLICY, self.now).next_at

    def check(self) -> None:
        mailed = sum(self.mailed.values())
        pending = self.received - mailed - self.undelivered
        assert accounts(self.state) == (self.received, mailed, pending, self.undelivered)
        open_ = [one.digest.lost for one in self.state.outgoing.values() if not one.counted]
        lost = self.told_lost + self.state.lost + sum(open_)
        assert lost == self.dropped + self.undelivered
        assert len(set(self.state.groups) - {OTHER}) <= POLICY.max_groups
        read = load(State, pack(self.state, self.limit))
        assert read == self.state
        assert decide(read, POLICY, self.now) == decide(self.state, POLICY, self.now)
        self.state = read


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=50), st.sampled_from([LIMIT, 6_000, 2_500, 1]))
def test_nothing_is_lost_and_nothing_counted_twice(
    steps: list[tuple[str, str, int]], limit: int
) -> None:
    """Whatever becomes of digests, each event is mailed once, or given up and told as lost.

    So it is where the state may have but a few bytes, and all details are shed.
    """
    ledger = Ledger(limit)
    for step in steps:
        ledger.step(*step)
        ledger.check()
    ledger.settle()
    ledger.check()
    assert sum(ledger.mailed.values()) + ledger.undelivered == ledger.received
    assert ledger.told_lost == ledger.dropped + ledger.undelivered


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS.filter(lambda step: step[0] != "report"), max_size=25), st.randoms())
def test_digests_that_nobody_has_leave_no_trace_but_a_pause(
    steps: list[tuple[str, str, int]], chance: Any
) -> None:
    """But what came meanwhile may be an echo of them: these were on their way all the same."""
    state, never = State(), State()
    now = NOW
    for number, (what, name, amount) in enumerate(steps):
        if what == "wait":
            now += min(amount, 500)
        elif what == "take":
            decision = decide(state, ROOMY, now)
            if decision.reason is None:
                decision = decide(state, ROOMY, now, Urgency.EXIT)
            if decision.reason is not None:
                states.take(state, ROOMY, now, *EVERYBODY, decision=decision, name=f"<{number}>")
                now += 0.5
        else:
            made = (group(name, amount, at=now),) if what == "events" else ()
            batch = Batch(groups=made, dropped=0 if made else amount)
            receive(state, batch, ROOMY, now)
            receive(never, batch, ROOMY, now)
    names = list(state.outgoing)
    chance.shuffle(names)
    for name in names:
        outcome.report(state, report(name, owed=("a@x",)), ROOMY, now)
    assert state.normal.left(ROOMY, now) == state.urgent.left(ROOMY, now) == ROOMY.burst
    pause: dict[str, Any] = {"failures": 0, "failing_since": 0, "retry_at": 0, "trouble": None}
    pause |= {"normal": Budget(), "urgent": Budget(), "sent_at": None}
    for known in state.groups.values():
        known.apart = True
    assert replace(state, **pause) == never


@settings(max_examples=50, deadline=None)
@given(st.lists(groups(), max_size=8), st.randoms())
def test_the_order_of_batches_that_come_at_once_does_not_matter(
    made: list[Group], chance: Any
) -> None:
    batches = [Batch(groups=(one,), dropped=turn) for turn, one in enumerate(made)]
    first = State()
    for batch in batches:
        receive(first, batch, ROOMY, NOW)
    chance.shuffle(batches)
    second = State()
    for batch in batches:
        receive(second, batch, ROOMY, NOW)
    assert first == second
    assert decide(first, ROOMY, NOW + 10) == decide(second, ROOMY, NOW + 10)
    if made:
        taken = [states.take(state, ROOMY, NOW, *EVERYBODY) for state in (first, second)]
        assert taken[0] == taken[1]


def test_reports_are_merged_like_events() -> None:
    state = received(group(count=3))
    take(state)
    states.merge(state, POLICY, NOW, group(count=2), reports=(ACCEPTED,))
    assert accounts(state) == (5, 3, 2, 0)


# Claims, facts, and what may come twice.


def test_an_attempt_that_took_too_long_ends_no_other_ones_claim() -> None:
    state = received(group(count=3))
    outgoing = take(state)
    outgoing.claim("slow", NOW + 60)
    outgoing.claim("next", NOW + 120)
    assert outgoing.frozen  # the slow one may have sent it
    outcome.report(state, replace(NOBODY, owner="slow"), POLICY, NOW + 70)
    assert (outgoing.claimed_by, outcome.due(state, NOW + 100)) == ("next", None)
    outcome.report(
        state, replace(report(owed=("c@x",), accepted=True), owner="slow"), POLICY, NOW + 80
    )
    assert (outgoing.owed, outgoing.claimed_by) == (("c@x",), "next")
    assert accounts(state) == (3, 3, 0, 0)
    outcome.report(state, replace(report(accepted=True), owner="slow"), POLICY, NOW + 90)
    assert not state.outgoing


def test_a_fact_is_noted_while_the_attempt_goes_on() -> None:
    state = received(group(count=3))
    outgoing = take(state)
    outgoing.claim("me", NOW + 60)
    fact = Report(message_id="<m>", owner="me", accepted=("a@x",), final=False)
    outcome.report(state, fact, POLICY, NOW)
    assert (outgoing.owed, outgoing.claimed_by, outgoing.frozen) == (("b@x", "c@x"), "me", True)
    assert accounts(state) == (3, 3, 0, 0)


def test_a_batch_is_merged_once() -> None:
    state = State()
    for number in (1, 1, 2, 1, 2):
        states.merge(state, POLICY, NOW, group(), source="p", number=number)
    assert accounts(state) == (2, 0, 2, 0)


def test_the_processes_that_are_remembered_are_bounded() -> None:
    state = State()
    for number in range(300):
        batch = Batch(source=f"p{500 - number}", number=1, groups=(group(),))
        receive(state, batch, POLICY, NOW + number)
    assert set(state.sources) == {f"p{500 - number}" for number in range(100, 300)}


def test_the_oldest_of_too_many_digests_are_given_up() -> None:
    state = State()
    for number in range(25):
        states.merge(state, POLICY, NOW + number, group())
        take(state, f"<{number}>", NOW + number)
        outcome.report(
            state, report(f"<{number}>", owed=("c@x",), accepted=True), POLICY, NOW + number
        )
    old = outcome.overdue(state, 86_400, NOW + 30)
    assert [one.digest.message_id for one in old] == [f"<{number}>" for number in range(5)]
    assert len(outcome.overdue(state, 86_400, NOW + 86_400 + 9)) == 10


def test_what_is_unmailed_can_be_handed_over_elsewhere() -> None:
    state = received(group("a", 2), group("b", 3))
    states.merge(state, POLICY, NOW, dropped=4)
    assert {one.fingerprint: one.count for one in state.unmailed} == {"a": 2, "b": 3}
    state.withdraw()
    assert (accounts(state), state.lost, state.unmailed) == ((0, 0, 0, 0), 0, ())
