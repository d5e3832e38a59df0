"""The state has at most a megabyte: which details are shed, in which order, but no count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import states
from samples import NOW, event, group, html_of, text_of

from tocsin.alerts import outcome
from tocsin.alerts.codec import dump, load
from tocsin.alerts.grouping import OTHER, Source
from tocsin.alerts.policy import Decision
from tocsin.alerts.settings import Policy
from tocsin.alerts.size import LIMIT, pack
from tocsin.alerts.state import State

if TYPE_CHECKING:
    from tocsin.alerts.outgoing import Outgoing

POLICY = Policy()
SAYS = "Samples of this mail were dropped to save space, as it could not be sent at once."


def come(
    state: State, now: float, kinds: int, *, size: int, sources: int = 1, mark: str = "x"
) -> None:
    """Let so many kinds come, each with a sample of so many characters, from so many processes."""
    made = tuple(
        group(
            f"{number:016x}",
            sources,
            at=now,
            text=(mark * 200)[:200],
            place=(mark * 100)[:100],
            sources=tuple(
                Source(f"web-{one:03}.example.com", one, "1", 1) for one in range(sources)
            ),
            samples=(event((mark * size)[:size], time=now),) if size else (),
        )
        for number in range(kinds)
    )
    states.merge(state, POLICY, now, *made)


def take(state: State, name: str, now: float, *accepted: str) -> Outgoing:
    """Take a digest; of its two recipients only those accept it, if any do."""
    taken = states.take(
        state, POLICY, now, "a@x", "full@x", decision=Decision(reason="still"), name=name
    )
    if accepted:
        states.report(state, POLICY, now, *accepted, name=name, problem="full" * 9_000)
    return taken


def check(state: State) -> int:
    """Return the size of a state that has been packed."""
    raw = pack(state)
    assert load(State, raw) == state
    waiting = sum(known.pending.count for known in state.groups.values() if known.pending)
    open_ = sum(one.digest.count for one in state.outgoing.values() if not one.counted)
    assert state.pending == waiting + open_
    return len(raw)


@pytest.mark.parametrize(
    ("kinds", "size", "sources", "mark", "accepted"),
    [
        (30, 20_000, 1, "x", ("a@x",)),
        (500, 2_000, 1, "x", ("a@x",)),
        (500, 500, 3, "\u6f22\x1b", ()),
    ],
)
def test_one_full_mailbox_for_a_day_is_a_megabyte(
    kinds: int, size: int, sources: int, mark: str, accepted: tuple[str, ...]
) -> None:
    """It was 23 MB, of samples that others had, and of kinds that no mail shows."""
    state, now = State(), NOW
    digests = 40 if kinds < 500 else 23  # as many as are kept, and some more
    for number in range(digests):
        now += 2_000
        come(state, now, kinds, size=size, sources=sources, mark=mark)
        if number % 11 == 0:
            assert check(state) <= LIMIT
        for old in outcome.overdue(state, 86_400, now):
            outcome.give_up(state, old, now)
        if not state.full:
            take(state, f"<{number}>", now, *accepted)
            if number % 11 == 0:
                assert check(state) <= LIMIT
    assert check(state) <= LIMIT
    assert state.received == digests * kinds * sources
    assert len(state.outgoing) >= 20


def free(state: State, amount: int) -> None:
    """Let a state lose that many bytes, and no more details than that needs."""
    wanted = (states.size(state) - amount) * 10 // 9
    assert wanted < states.size(state)
    pack(state, wanted)


def samples(one: Outgoing) -> int:
    return sum(bool(entry.group.samples) for entry in one.digest.entries)


def test_a_small_state_loses_nothing() -> None:
    state = State()
    come(state, NOW, 3, size=100, sources=20)
    take(state, "<1>", NOW, "a@x")
    come(state, NOW + 1, 3, size=100)
    assert pack(state) == dump(state)
    assert pack(state, states.size(state)) == dump(state)


def test_the_oldest_digests_lose_their_samples_first_and_from_their_end() -> None:
    state = State()
    for number in range(3):
        come(state, NOW + number, 4, size=10_000)
        take(state, f"<{number}>", NOW + number, "a@x")
    come(state, NOW + 3, 2, size=10_000)
    one, two, three = state.outgoing.values()
    pack(state, 120_000)
    assert [samples(digest) for digest in (one, two, three)] == [0, 3, 4]
    assert [bool(entry.group.samples) for entry in two.digest.entries] == [True, True, True, False]
    assert [entry.cut for entry in two.digest.entries] == [False, False, False, True]
    pack(state, 55_000)
    assert [samples(digest) for digest in (one, two, three)] == [0, 0, 1]
    assert all(group.samples for group in state.unmailed)


def test_a_mail_whose_samples_were_dropped_says_so_and_is_the_same_else() -> None:
    state = State()
    come(state, NOW, 4, size=1_000)
    one = take(state, "<1>", NOW, "a@x")
    before = one.digest
    assert SAYS not in text_of(before)
    free(state, 4_200)
    after = one.digest
    assert text_of(after).count(SAYS) == html_of(after).count(SAYS) == 1
    assert text_of(after).count("[cut: the samples are left out") == 4
    assert (after.message_id, after.date, after.count) == ("<1>", before.date, before.count)
    assert [entry.total for entry in after.entries] == [entry.total for entry in before.entries]


def test_then_the_kinds_that_no_mail_shows_are_one_and_the_processes_fewer() -> None:
    state = State()
    come(state, NOW, 40, size=0, sources=10)
    one = take(state, "<1>", NOW, "a@x")
    whole = one.digest
    free(state, states.size(state) // 5)
    assert [entry.group.fingerprint for entry in one.digest.entries] == [
        *[entry.group.fingerprint for entry in whole.entries[:25]],
        OTHER,
    ]
    last = one.digest.entries[-1]
    assert (last.group.count, last.total, last.reason) == (150, 150, "new")
    assert "And 1 more kind, 150 events." in text_of(one.digest)
    assert len(one.digest.entries[0].group.sources) == 10
    free(state, states.size(state) // 5)
    lead = one.digest.entries[0].group
    assert ([source.pid for source in lead.sources], lead.elsewhere) == ([0, 1], 8)
    free(state, states.size(state) // 3)
    assert [entry.group.count for entry in one.digest.entries] == [10, 390]


def test_what_dissolves_without_its_kinds_is_one_kind() -> None:
    state = State()
    come(state, NOW, 40, size=0)
    one = take(state, "<1>", NOW + 10)
    assert len(one.before) == 40
    free(state, states.size(state) // 5)
    assert len(one.before) == 26
    assert one.before[OTHER].pending_since == NOW
    states.report(state, POLICY, NOW + 20, name="<1>")
    counts = {group.fingerprint: group.count for group in state.unmailed}
    assert (len(counts), counts[OTHER], state.pending) == (26, 15, 40)


def test_then_what_is_unmailed_loses_its_samples_the_latest_first_and_its_processes() -> None:
    state = State()
    come(state, NOW, 1, size=5_000, sources=20)
    come(state, NOW + 1, 2, size=5_000, sources=20)
    free(state, 4_000)
    first, second = state.unmailed
    assert (len(first.samples), len(second.samples)) == (2, 0)
    free(state, 9_000)
    assert [len(group.samples) for group in state.unmailed] == [0, 0]
    free(state, states.size(state) // 2)
    assert [len(group.sources) for group in state.unmailed] == [2, 2]
    assert [group.elsewhere for group in state.unmailed] == [36, 18]


def test_at_last_groups_are_forgotten_and_counted_together_as_in_a_full_table() -> None:
    state = State()
    come(state, NOW, 4, size=0)
    take(state, "<1>", NOW)
    states.report(state, POLICY, NOW, "a@x", "full@x", name="<1>")
    kept = group("kept", 3, level=50)
    states.merge(state, POLICY, NOW + 1, group("least"), kept, group("more", 2))
    assert len(state.groups) == 7
    free(state, states.size(state) // 5)
    assert 3 < len(state.groups) < 7
    assert {group.fingerprint for group in state.unmailed} == {"least", "kept", "more"}
    limit = states.size(state)
    while "more" in state.groups:
        limit -= 20
        pack(state, limit)
    assert {group.fingerprint: group.count for group in state.unmailed} == {"kept": 3, OTHER: 3}
    assert (state.groups[OTHER].total, state.pending) == (3, 6)
    pack(state, 1)
    assert {group.fingerprint: group.count for group in state.unmailed} == {OTHER: 6}
