"""An email handler that logs an error with each mail, in a thread of its own, ends by itself."""

from __future__ import annotations

import heapq
import logging
import math
from typing import TYPE_CHECKING

import pytest
import states
from samples import NOW, group, text_of

from tocsin.alerts.history import History, Told
from tocsin.alerts.outgoing import Report
from tocsin.alerts.policy import Decision, Urgency, causes_itself, decide, is_echo, told_now
from tocsin.alerts.settings import Policy
from tocsin.alerts.state import State

if TYPE_CHECKING:
    from tocsin.alerts.digest import Digest

POLICY = Policy()
DAY = 86_400.0
SAYS = "its events came only right after mails, so they cause no further mail"


class Loop:
    """A leader whose clock jumps to what comes next, and whose every mail is followed by errors.

    Args:
        echoes: of each the time behind a mail, its kind, and its level.
        takes: seconds that a mail takes.
    """

    def __init__(self, *echoes: tuple[float, str, int], takes: float = 0.5) -> None:
        self.state = State()
        self.now = NOW
        self.mails: list[Digest] = []
        self.came = 0
        self._echoes = echoes
        self._takes = takes
        self._coming: list[tuple[float, str, int]] = []
        self._ends: list[tuple[float, str]] = []

    def log(self, later: float, name: str, level: int = logging.ERROR) -> None:
        heapq.heappush(self._coming, (NOW + later, name, level))

    def run(self, until: float) -> None:
        """Go on until so many seconds after the start."""
        while True:
            decision = decide(self.state, POLICY, self.now)
            if decision.reason is not None:
                self.send(decision)
                continue
            ahead = [decision.next_at, *(one[0] for one in self._coming[:1] + self._ends[:1])]
            self.now = min(max(at, self.now) for at in [*ahead, math.inf] if at is not None)
            if self.now > NOW + until:
                self.now = NOW + until
                return
            self._merge()

    def send(self, decision: Decision) -> None:
        name = f"<{len(self.mails)}>"
        outgoing = states.take(self.state, POLICY, self.now, "a@x", decision=decision, name=name)
        outgoing.claim("me", self.now + 360)
        self.mails.append(outgoing.digest)
        heapq.heappush(self._ends, (self.now + self._takes, name))
        for later, kind, level in self._echoes:
            heapq.heappush(self._coming, (self.now + later, kind, level))

    def _merge(self) -> None:
        while self._ends and self._ends[0][0] <= self.now:
            _, name = heapq.heappop(self._ends)
            report = Report(message_id=name, owner="me", accepted=("a@x",))
            states.merge(self.state, POLICY, self.now, reports=(report,))
        while self._coming and self._coming[0][0] <= self.now:
            _, name, level = heapq.heappop(self._coming)
            made = group(name, at=self.now, level=level)
            states.merge(self.state, POLICY, self.now, made)
            self.came += 1
        assert states.stored(self.state) == self.state


@pytest.mark.parametrize("level", [logging.ERROR, logging.CRITICAL])
@pytest.mark.parametrize("takes", [0.1, 5, 300])
@pytest.mark.parametrize("later", [0.05, 3, 59])
def test_a_loop_of_a_week_is_three_mails(later: float, takes: float, level: int) -> None:
    """The error, its echo, and the echo once more: without an end of it, 109 in a week."""
    loop = Loop((later, "echo", level), takes=takes)
    loop.log(0, "real")
    loop.run(7 * DAY)
    assert [one.reason for one in loop.mails] == ["new", "new", "still"]
    assert (loop.state.received, loop.state.mailed, loop.state.pending) == (4, 3, 1)
    assert decide(loop.state, POLICY, loop.now, Urgency.FLUSH) == Decision(
        reason=None, urgency=Urgency.FLUSH
    )


def test_several_echoes_end_together() -> None:
    loop = Loop((0.1, "begin", 40), (2, "end", 50), (2.5, "end", 50), (30, "late", 40))
    loop.log(0, "real")
    loop.run(7 * DAY)
    assert len(loop.mails) <= 4
    assert loop.state.mailed + loop.state.pending == loop.came


def test_the_mail_that_is_the_last_for_an_echo_says_so() -> None:
    loop = Loop((2, "echo", 40))
    loop.log(0, "real")
    loop.run(DAY)
    assert [text_of(digest).count(SAYS) for digest in loop.mails] == [0, 0, 1]


def test_an_echo_is_told_with_what_is_new_and_at_the_end() -> None:
    loop = Loop((2, "echo", 40))
    loop.log(0, "real")
    loop.log(DAY, "another")
    loop.run(7 * DAY)
    told = [{one.group.fingerprint: one.group.count for one in mail.entries} for mail in loop.mails]
    assert told == [{"real": 1}, {"echo": 1}, {"echo": 1}, {"another": 1, "echo": 1}]
    decision = decide(loop.state, POLICY, loop.now, Urgency.EXIT)
    assert decision.reason == "exit"
    loop.send(decision)
    assert [one.group.fingerprint for one in loop.mails[-1].entries] == ["echo"]
    assert sum(mail.count for mail in loop.mails) == loop.came


def test_an_echo_that_comes_apart_from_mails_is_a_group_as_any_other() -> None:
    loop = Loop((2, "echo", 40))
    loop.log(0, "real")
    loop.log(DAY, "echo")
    loop.run(DAY + 60)
    assert [(mail.date - NOW, mail.reason, mail.count) for mail in loop.mails[3:]] == [
        (DAY + 0, "still", 2)
    ]
    assert not loop.mails[3].entries[0].echo


def test_what_follows_another_kind_is_no_echo_of_its_mail() -> None:
    """B comes 15 seconds after A, whenever that comes: always 5 after the mail about A."""
    loop = Loop()
    for turn in range(20):
        loop.log(turn * 5 * 3_600, "a")
        loop.log(turn * 5 * 3_600 + 15, "b")
    loop.run(7 * DAY)
    assert [len(mail.entries) for mail in loop.mails] == [1] * 40
    assert loop.state.pending == 0


def test_what_goes_on_behind_a_few_mails_is_told_in_time() -> None:
    """X begins amid several mails, and is told by each: a minute behind the last it is ordinary."""
    loop = Loop()
    for turn in range(4):
        loop.log(turn * 30, f"new {turn}")
    for second in range(40, 4_000):
        loop.log(second, "x")
    loop.run(DAY)
    assert loop.state.pending == 0
    assert [mail.date - NOW for mail in loop.mails if mail.date > NOW + 300] == [
        pytest.approx(at, abs=60) for at in (1_000, 2_800, 5_800)
    ]


def told(made: History, at: float, mail_at: float) -> Told | None:
    made.told = told_now(made, POLICY, at, mail_at)
    made.take()
    return made.told


def come(made: History, at: float, *, after_mail: bool) -> None:
    made.add(group(at=at), at, after_mail=after_mail)


def test_an_echo_is_told_by_two_mails_in_a_row() -> None:
    made = History(since=NOW, first_at=NOW, seen_at=NOW)
    for turn, (mail_at, echoes) in enumerate([(0, 1), (0, 2), (0, 3), (1, 1), (0, 2)]):
        now = NOW + 100 * turn
        come(made, now, after_mail=True)
        assert is_echo(made, now - 100) is (turn in {2, 3})
        found = told(made, now, now - 100 - mail_at)
        assert found is not None
        assert (found.echoes, causes_itself(found)) == (echoes, echoes >= 2)
    come(made, NOW + 500, after_mail=True)
    assert is_echo(made, NOW + 400)
    come(made, NOW + 501, after_mail=False)
    assert not is_echo(made, NOW + 400)
    come(made, NOW + 502, after_mail=True)
    assert not is_echo(made, NOW + 400)
    found = told(made, NOW + 510, NOW + 400)
    assert found is not None
    assert found.echoes == 0


def test_what_comes_within_a_minute_of_an_attempt_is_after_a_mail() -> None:
    state = State()

    def apart(later: float) -> bool:
        name = f"at {later}"
        states.merge(state, POLICY, NOW + later, group(name, at=NOW + later))
        return state.groups[name].apart

    assert apart(0)
    taken = states.take(state, POLICY, NOW + 10, "a@x", "b@x")
    assert not apart(10)
    assert not apart(69.9)
    assert apart(70)
    taken.claim("me", NOW + 370)
    assert not apart(369.9)
    assert apart(370)
    states.report(state, POLICY, NOW + 400, "a@x", owner="me")
    assert not apart(459.9)
    assert apart(460)
    states.report(state, POLICY, NOW + 500, "a@x", name="<unknown>")
    assert apart(501)


def test_a_mail_that_dissolves_told_no_echo() -> None:
    state = State()
    states.merge(state, POLICY, NOW, group("real"))
    for turn, name in enumerate(["<1>", "<2>", "<3>"]):
        now = NOW + 10 * turn
        states.take(state, POLICY, now, "a@x", name=name)
        accepted = () if name == "<3>" else ("a@x",)
        states.merge(state, POLICY, now, group("echo"))
        states.report(state, POLICY, now, *accepted, name=name)
    known = state.groups["echo"]
    assert known.told is not None
    assert known.told.echoes == 1
    assert not is_echo(known, state.mail_at)
