"""What is known and owed: received = mailed + pending + undelivered after every step."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NOW, event, group

from tocsin.alerts.codec import dump
from tocsin.alerts.grouping import OTHER
from tocsin.alerts.policy import Policy, decide
from tocsin.alerts.state import Batch, Report, State

POLICY = Policy(max_groups=3, forget_after=1_000)


def received(*groups: Any, at: float = NOW) -> State:
    state = State()
    state.receive(Batch(groups=groups), POLICY, at)
    return state


def report(name: str = "<m>", **fields: Any) -> Report:
    given: dict[str, Any] = {"accepted": False, "unknown": False, "owed": (), "pause": 0}
    return Report(message_id=name, **{**given, **fields})


ACCEPTED = report(accepted=True)
NOBODY = report(owed=("a@x", "b@x"))
PARTLY = report(accepted=True, owed=("b@x",))
UNKNOWN = report(unknown=True, owed=("a@x",))
REFUSED = report()


def accounts(state: State) -> tuple[int, int, int, int]:
    """Return received, mailed, pending, undelivered; and check that nothing is told twice."""
    waiting = sum(known.pending.count for known in state.groups.values() if known.pending)
    on_its_way = sum(one.digest.count for one in state.outgoing.values() if not one.counted)
    assert state.pending == waiting + on_its_way
    return state.received, state.mailed, state.pending, state.undelivered


def test_events_of_a_kind_are_one_group() -> None:
    state = received(group("a", 2), group("b", 1), group("a", 3, at=NOW - 5))
    assert {name: known.total for name, known in state.groups.items()} == {"a": 5, "b": 1}
    assert state.groups["a"].since == NOW - 5
    assert accounts(state) == (6, 0, 6, 0)


def test_a_digest_tells_all_groups_with_something_unmailed() -> None:
    state = received(group("a", 2), group("b", 5))
    digest = state.take("new", "<m>", POLICY, NOW).digest
    assert [entry.group.fingerprint for entry in digest.entries] == ["b", "a"]
    assert (digest.count, digest.received, digest.next_at) == (7, 7, NOW + 900)
    assert (digest.lead.fingerprint, digest.level) == ("b", 40)
    assert accounts(state) == (7, 0, 7, 0)


def test_the_lead_has_the_highest_level_then_is_new_then_has_most() -> None:
    state = received(group("a", 9))
    state.take("new", "<m>", POLICY, NOW)
    state.report(ACCEPTED, POLICY, NOW)
    more = (group("a", 50), group("b", 2), group("c", 1, level=50))
    state.receive(Batch(groups=more), POLICY, NOW + 1)
    digest = state.take("new", "<n>", POLICY, NOW + 1).digest
    assert [entry.group.fingerprint for entry in digest.entries] == ["c", "b", "a"]
    assert [entry.reason for entry in digest.entries] == ["new", "new", "still"]
    assert digest.entries[2].total == 59


def test_no_next_mail_is_promised_at_the_end() -> None:
    assert received(group()).take("exit", "<m>", POLICY, NOW).digest.next_at is None


def test_an_accepted_digest_is_mailed_and_done() -> None:
    state = received(group(count=3))
    state.take("new", "<m>", POLICY, NOW)
    state.report(ACCEPTED, POLICY, NOW)
    assert accounts(state) == (3, 3, 0, 0)
    assert not state.outgoing
    assert state.groups["a"].told_at == NOW


def test_a_report_that_comes_twice_counts_once() -> None:
    state = received(group(count=3))
    state.take("new", "<m>", POLICY, NOW)
    for _ in range(2):
        state.report(ACCEPTED, POLICY, NOW)
    assert accounts(state) == (3, 3, 0, 0)


def test_a_digest_that_nobody_accepted_dissolves_and_is_told_once_with_all_counts() -> None:
    state = received(group(count=3))
    state.take("new", "<m>", POLICY, NOW)
    state.receive(Batch(groups=(group(count=4),)), POLICY, NOW + 1)
    state.report(NOBODY, POLICY, NOW + 2)
    assert accounts(state) == (7, 0, 7, 0)
    digest = state.take("new", "<n>", POLICY, NOW + 9).digest
    assert (digest.count, digest.entries[0].reason, digest.entries[0].total) == (7, "new", 7)


def test_what_dissolves_has_waited_since_it_came() -> None:
    state = received(group("a"))
    state.take("new", "<m>", POLICY, NOW + 10)
    state.report(NOBODY, POLICY, NOW + 10)
    assert decide(state, POLICY, NOW + 20).reason == "new"


def test_what_dissolves_comes_back_even_if_its_group_was_forgotten() -> None:
    state = received(group("a", 2))
    state.take("new", "<m>", POLICY, NOW)
    state.receive(Batch(groups=tuple(group(name) for name in "bcd")), POLICY, NOW + 1)
    assert "a" not in state.groups
    state.report(NOBODY, POLICY, NOW + 2)
    assert accounts(state) == (5, 0, 5, 0)
    assert state.groups[OTHER].pending is not None


def test_a_partly_accepted_digest_is_frozen_and_counted_once() -> None:
    state = received(group(count=3))
    first = state.take("new", "<m>", POLICY, NOW).digest
    state.report(PARTLY, POLICY, NOW)
    assert accounts(state) == (3, 3, 0, 0)
    again = state.due(NOW + 1)
    assert again is not None
    assert (again.digest, again.owed) == (first, ("b@x",))
    state.report(report(owed=("b@x",)), POLICY, NOW + 1)
    state.report(report(), POLICY, NOW + 9)
    assert accounts(state) == (3, 3, 0, 0)
    assert not state.outgoing


def test_a_digest_that_somebody_may_have_is_frozen_too() -> None:
    state = received(group(count=3))
    first = state.take("new", "<m>", POLICY, NOW).digest
    state.report(UNKNOWN, POLICY, NOW)
    state.report(report(owed=("a@x",)), POLICY, NOW + 1)
    assert state.outgoing["<m>"].digest == first
    assert accounts(state) == (3, 0, 3, 0)
    state.report(REFUSED, POLICY, NOW + 2)
    assert accounts(state) == (3, 0, 0, 3)


def test_a_digest_refused_by_all_is_undelivered() -> None:
    state = received(group(count=3))
    state.take("new", "<m>", POLICY, NOW)
    state.report(REFUSED, POLICY, NOW)
    assert accounts(state) == (3, 0, 0, 3)


def test_what_was_refused_for_good_is_new_when_it_comes_again() -> None:
    """Nobody has been told; but a server that refuses has a pause."""
    state = received(group("a", 2))
    state.take("new", "<m>", POLICY, NOW)
    state.report(REFUSED, POLICY, NOW)
    assert state.groups["a"].told_at is None
    assert state.retry_at == NOW + 300


def test_what_is_refused_when_its_group_is_forgotten_is_undelivered_all_the_same() -> None:
    state = received(group("a", 2))
    state.take("new", "<m>", POLICY, NOW)
    state.receive(Batch(groups=tuple(group(name) for name in "bcd")), POLICY, NOW + 1)
    assert "a" not in state.groups
    state.report(REFUSED, POLICY, NOW + 2)
    assert accounts(state) == (5, 0, 3, 2)


def fail(state: State, now: float, **fields: Any) -> float:
    """Return how long a failure makes everything wait."""
    state.take("new", "<m>", POLICY, now)
    state.report(report(owed=("a@x",), **fields), POLICY, now)
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
    state.take("new", "<n>", POLICY, NOW)
    state.report(report("<n>", accepted=True), POLICY, NOW)
    assert state.retry_at == 0
    state.receive(Batch(groups=(group(),)), POLICY, NOW + 9)
    assert fail(state, NOW + 9) == 1


def test_a_full_mailbox_delays_its_own_mail_and_no_other() -> None:
    """One recipient who is deferred for hours must not keep news from everybody else."""
    state = received(group("a"))
    state.take("new", "<m>", POLICY, NOW)
    for n in range(20):
        state.report(PARTLY, POLICY, NOW + n)
    assert state.due(NOW + 20) is None
    state.receive(Batch(groups=(group("b", level=50),)), POLICY, NOW + 20)
    assert decide(state, POLICY, NOW + 20).reason == "new"


def test_digests_that_are_owed_take_turns() -> None:
    state = received(group("a"))
    state.take("new", "<m>", POLICY, NOW)
    state.report(PARTLY, POLICY, NOW)
    state.receive(Batch(groups=(group("b"),)), POLICY, NOW)
    state.take("new", "<n>", POLICY, NOW)
    state.report(report("<n>", accepted=True, owed=("c@x",)), POLICY, NOW)
    order = []
    for _ in range(4):
        due = state.due(NOW + 9_000)
        assert due is not None
        order.append(due.digest.message_id)
        state.report(report(order[-1], owed=due.owed, accepted=False), POLICY, NOW + 9_000 - 1_000)
    assert order == ["<m>", "<n>", "<m>", "<n>"]


def test_a_refused_login_holds_back_what_is_owed_as_well() -> None:
    state = received(group("a"))
    state.take("new", "<m>", POLICY, NOW)
    state.report(PARTLY, POLICY, NOW)
    state.report(report(owed=("b@x",), pause=300), POLICY, NOW + 1)
    assert state.due(NOW + 300) is None
    state.receive(Batch(groups=(group("b", level=50),)), POLICY, NOW + 2)
    assert decide(state, POLICY, NOW + 300).reason is None
    assert state.due(NOW + 301) is not None


def test_a_group_long_unseen_is_new_again() -> None:
    state = received(group())
    state.take("new", "<m>", POLICY, NOW)
    state.report(ACCEPTED, POLICY, NOW)
    state.receive(Batch(groups=(group(),)), POLICY, NOW + 1_000)
    assert state.groups["a"].told_at is None
    assert state.groups["a"].total == 1


def test_a_group_with_something_unmailed_is_not_forgotten() -> None:
    state = received(group())
    state.receive(Batch(groups=(group(),)), POLICY, NOW + 5_000)
    assert state.groups["a"].total == 2


def test_a_full_table_forgets_the_one_longest_unseen() -> None:
    state = State()
    for n, name in enumerate("abc"):
        state.receive(Batch(groups=(group(name),)), POLICY, NOW + n)
    state.take("new", "<m>", POLICY, NOW + 3)
    state.receive(Batch(groups=(group("a"), group("d"))), POLICY, NOW + 4)
    assert set(state.groups) == {"a", "c", "d"}


def test_without_room_events_go_to_the_others_which_are_always_new() -> None:
    state = received(*(group(name) for name in "abcde"))
    assert set(state.groups) == {"a", "b", "c", OTHER}
    assert state.groups[OTHER].total == 2
    state.take("new", "<m>", POLICY, NOW)
    assert state.groups[OTHER].told_at is None
    assert state.groups["a"].told_at == NOW
    assert accounts(state) == (5, 0, 5, 0)


def test_samples_that_are_not_told_yet_are_bounded_as_a_whole() -> None:
    """Samples are 1 MB in all; after that a group is numbers."""
    policy = Policy(max_groups=500)
    state = State()
    for n in range(1_000):
        sample = event("x" * 20_000, time=NOW + n)
        made = group(f"g{n % 500}", at=NOW + n, samples=(sample,))
        state.receive(Batch(groups=(made,)), policy, NOW + n)
    assert len(dump(state)) < 1_600_000
    assert state.received == 1_000
    state.take("new", "<m>", policy, NOW)
    late = group("late", samples=(event("late"),))
    state.receive(Batch(groups=(late,)), policy, NOW)
    assert state.groups["late"].pending == late


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("events"), st.sampled_from("abcdef"), st.integers(1, 9)),
            st.tuples(st.just("take"), st.just(""), st.integers(0, 2_000)),
            st.tuples(
                st.just("report"),
                st.sampled_from(["accepted", "nobody", "partly", "unknown", "refused"]),
                st.integers(0, 3),
            ),
        ),
        max_size=40,
    )
)
def test_nothing_is_lost_and_nothing_counted_twice(steps: list[tuple[str, str, int]]) -> None:
    state = State()
    now = NOW
    kinds = {
        "accepted": {"accepted": True},
        "nobody": {"owed": ("a@x", "b@x")},
        "partly": {"accepted": True, "owed": ("b@x",)},
        "unknown": {"unknown": True, "owed": ("a@x",)},
        "refused": {},
    }
    total = 0
    for number, (what, name, amount) in enumerate(steps):
        now += amount
        if what == "events":
            total += amount
            state.receive(Batch(groups=(group(name, amount, at=now),)), POLICY, now)
        elif what == "take":
            if any(known.pending for known in state.groups.values()):
                state.take("new", f"<{number}>", POLICY, now)
        elif state.outgoing:
            ids = list(state.outgoing)
            chosen = ids[amount % len(ids)]
            fields: Any = kinds[name]
            state.report(report(chosen, **fields), POLICY, now)
        assert accounts(state)[0] == total
        assert state.received == state.mailed + state.pending + state.undelivered
        assert len(state.groups) <= POLICY.max_groups + 1


def test_reports_are_merged_like_events() -> None:
    state = received(group(count=3))
    state.take("new", "<m>", POLICY, NOW)
    state.receive(Batch(groups=(group(count=2),), reports=(ACCEPTED,)), POLICY, NOW)
    assert accounts(state) == (5, 3, 2, 0)
