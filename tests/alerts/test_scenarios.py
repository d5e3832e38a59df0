"""The mails of known scenarios, and what holds in any history, under any policy."""

from __future__ import annotations

import logging
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import states
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NOW, group
from scenarios import SCENARIOS, Scenario, fingerprint, measured, outcomes_of, record

from tocsin.alerts.grouping import OTHER
from tocsin.alerts.policy import Urgency, decide, is_echo
from tocsin.alerts.settings import Policy
from tocsin.alerts.state import State
from tocsin.testing.simulate import simulate

if TYPE_CHECKING:
    from tocsin.alerts.digest import Digest, Entry
    from tocsin.alerts.policy import Decision

EPSILON = 1e-5  # floats near 1.7e9 are 2.4e-7 apart


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_scenario_makes_no_more_mails_and_no_longer_silence_than_is_allowed(
    scenario: Scenario,
) -> None:
    for run in outcomes_of(scenario):
        assert run.count == len(run.history)
        if scenario.most is not None:
            assert scenario.least <= len(run.mails) <= scenario.most
        if scenario.silence is not None:
            assert run.silence <= scenario.silence
        if scenario.late is not None:
            assert run.late <= scenario.late + EPSILON


def test_what_was_measured_is_a_table() -> None:
    table = {name: (allowed, found) for name, allowed, found in measured()}
    assert table["one event"] == ("1 mail, after 10 s", "1, told after 10.0 s")
    assert table["one group, 1 event/s for 60 h"][1] == "20, silence 4.00 h"


class Mail(NamedTuple):
    """A mail, why it went, and what was due then."""

    decision: Decision
    digest: Digest


class Run:
    """A leader whose server accepts everything, and whose clock jumps to where it has to look.

    It looks at each step whether what is decided is decided once, not before its time, and the
    same by one who has read the state.
    """

    def __init__(self, policy: Policy, start: float) -> None:
        self.policy = policy
        self.state = State()
        self.now = start
        self.mails: list[Mail] = []
        self.waiting: dict[str, float] = {}
        self.waits: list[tuple[Entry, float]] = []

    def go_on(self, until: float = math.inf) -> None:
        while True:
            decision = self.decide()
            if decision.reason is not None:
                self.send(decision)
                decision = self.decide()
                assert decision.reason is None
            next_at = decision.next_at
            assert next_at is None or next_at > self.now, "a busy loop"
            nothing_before = until if next_at is None else min(next_at, until)
            if nothing_before < math.inf:
                self.idle(nothing_before)
            if next_at is None or next_at > until:
                return
            self.now = next_at

    def decide(self) -> Decision:
        decision = decide(self.state, self.policy, self.now)
        read = states.stored(self.state)
        assert read == self.state
        assert decide(read, self.policy, self.now) == decision
        return decision

    def idle(self, until: float) -> None:
        """Look whether a reason comes before its time."""
        for now in ((self.now + until) / 2, math.nextafter(until, 0)):
            if self.now < now < until:
                assert decide(self.state, self.policy, now).reason is None

    def receive(self, time: float, name: str, count: int) -> None:
        self.now = time
        level = logging.CRITICAL if name.isupper() else logging.ERROR
        made = group(name, count, at=time, level=level)
        states.merge(self.state, self.policy, time, made)
        known = self.state.groups.get(name)
        if known is None or not is_echo(known, self.state.mail_at):
            self.waiting.setdefault(OTHER if known is None else name, time)
        if known is not None and known.told is None and name.isupper():
            ready_at = self.state.urgent.ready_at(self.policy)
            assert ready_at > time or self.decide().reason == "new", "urgent, and it is paid"

    def send(self, decision: Decision) -> None:
        name = f"<{len(self.mails)}>"
        digest = states.take(
            self.state, self.policy, self.now, "a@x", decision=decision, name=name
        ).digest
        states.report(self.state, self.policy, self.now, "a@x", name=name)
        self.mails.append(Mail(decision, digest))
        for entry in digest.entries:
            since = self.waiting.pop(entry.group.fingerprint, self.now)  # an echo waits for others
            self.waits.append((entry, self.now - since))
        assert not self.waiting, "a digest tells all that is unmailed"

    def times(self, spends: str) -> list[float]:
        return [mail.digest.date for mail in self.mails if mail.decision.spends == spends]


seconds = st.sampled_from([0, 1, 7.5, 10, 60, 61, 600, 900, 1_800, 3_600])


@st.composite
def policies(draw: st.DrawFn, *, max_groups: int | None = None) -> Policy:
    first = draw(seconds)
    return Policy(
        group_wait=draw(st.sampled_from([0, 1, 10, 70, 1_000])),
        repeat_after=first,
        repeat_max=first * draw(st.sampled_from([1, 1.5, 16])),
        surge_min=draw(st.sampled_from([1, 5, 20])),
        surge_factor=draw(st.sampled_from([1, 2.5, 10])),
        quiet_after=draw(seconds),
        forget_after=draw(st.sampled_from([0, 1_800, 86_400])),
        burst=draw(st.integers(1, 6)),
        refill=draw(st.sampled_from([0, 1, 60, 333.3, 600, 3_600])),
        max_groups=max_groups or draw(st.integers(1, 4)),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[float, str, int]]:
    """Return times, kinds and counts: bursts, periods, and silence for days."""
    start = draw(st.sampled_from([0.0, 0.7, NOW, NOW + 0.1]))
    found = []
    for _ in range(draw(st.integers(1, 5))):
        time = start + draw(
            st.sampled_from([0, 5, 10, 45, 900, 910, 20_000]) | st.floats(0, 5 * 86_400)
        )
        name = draw(st.sampled_from("abcdEF"))
        gap = draw(
            st.sampled_from([0, 0.1, 1, 10, 60, 300, 900, 1_800, 14_400, 90_000])
            | st.floats(0, 5_000)
        )
        count = draw(st.integers(1, 30))
        found += [(time + turn * gap, name, count) for turn in range(draw(st.integers(1, 12)))]
    return sorted(found)


def play(policy: Policy, history: list[tuple[float, str, int]]) -> Run:
    run = Run(policy, history[0][0])
    for time, name, count in history:
        run.go_on(time)
        run.receive(time, name, count)
    run.go_on()
    return run


def tell_echoes(run: Run) -> None:
    """Let the end tell what only ever came right after mails: nothing else is left."""
    waiting = [known for known in run.state.groups.values() if known.pending is not None]
    assert all(is_echo(known, run.state.mail_at) and not known.apart for known in waiting)
    decision = decide(run.state, run.policy, run.now, Urgency.EXIT)
    if decision.reason is not None:
        run.send(decision)


@settings(max_examples=150, deadline=None)
@given(policies(max_groups=500), histories())
def test_every_event_is_told_once_in_time_and_within_the_budget(
    policy: Policy, history: list[tuple[float, str, int]]
) -> None:
    """What waits longest is a known group for its interval, and a new one for a token.

    Tokens delay no known group beyond `repeat_max`: any mail tells it, and where there was none
    for `repeat_after`, which is no longer than that, one goes without a token. Only what never came
    but within a minute of mails, and was told by the last two of them, waits for another one.
    """
    run = play(policy, history)
    within_budget(run)
    tell_echoes(run)
    came: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for _, name, count in history:
        came[name] += count
    for mail in run.mails:
        told.update({one.group.fingerprint: one.group.count for one in mail.digest.entries})
    assert told == came
    assert run.state.mailed == run.state.received
    for entry, waited in run.waits:
        longest = policy.refill if entry.before is None else policy.repeat_max
        assert waited <= max(policy.group_wait, longest) + EPSILON


@settings(max_examples=50, deadline=None)
@given(policies(), histories())
def test_nothing_is_lost_where_kinds_are_more_than_are_told_apart(
    policy: Policy, history: list[tuple[float, str, int]]
) -> None:
    run = play(policy, history)
    within_budget(run)
    tell_echoes(run)
    told = sum(mail.digest.count for mail in run.mails)
    assert told == sum(count for _, _, count in history) == run.state.mailed
    assert len(set(run.state.groups) - {OTHER}) <= policy.max_groups


def within_budget(run: Run) -> None:
    policy = run.policy
    last = -math.inf
    for mail in run.mails:
        date = mail.digest.date
        if mail.decision.reason in {"new", "worse"} or date - last < policy.repeat_after - EPSILON:
            assert mail.decision.spends
        last = date
    for budget in ("normal", "urgent") if policy.refill else ():
        times = run.times(budget)
        for first, begin in enumerate(times):
            for count, end in enumerate(times[first:], 1):
                assert count <= policy.burst + (end - begin) / policy.refill + EPSILON


@settings(max_examples=40, deadline=None)
@given(policies(), histories())
def test_a_simulation_sends_what_a_leader_sends_that_looks_at_every_event(
    policy: Policy, history: list[tuple[float, str, int]]
) -> None:
    run = play(policy, [(time, name, 1) for time, name, _ in history])
    names = {fingerprint(name): name for name in "abcdEF"} | {OTHER: OTHER}
    simulated = simulate(((time, record(name)) for time, name, _ in history), policy=policy)
    assert [
        (mail.time, mail.reason, {names[name]: count for name, count in mail.counts.items()})
        for mail in simulated
    ] == [
        (
            mail.digest.date,
            mail.digest.reason,
            {one.group.fingerprint: one.group.count for one in mail.digest.entries},
        )
        for mail in run.mails
    ]


def test_the_documentation_has_what_was_measured() -> None:
    page = (Path(__file__).parents[2] / "docs" / "when.md").read_text(encoding="utf-8")
    table = page.partition("<!-- scenarios begin -->")[2].partition("<!-- scenarios end -->")[0]
    rows = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table.split("\n")]
    assert [row for row in rows if len(row) == 3][2:] == measured()
