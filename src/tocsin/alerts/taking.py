"""Taking a digest: all unmailed events and lost events of a state become one outgoing digest.

The state's times are the store's. The digest's times are those of this process's clock, as a mail
shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tocsin.alerts import policy as rules
from tocsin.alerts.digest import Accounts, Audience, Digest, Entry, rank
from tocsin.alerts.grouping import OTHER
from tocsin.alerts.outgoing import Before, Outgoing

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from tocsin.alerts.policy import Decision
    from tocsin.alerts.settings import Policy
    from tocsin.alerts.state import State

_NO_AUDIENCE = Audience()


def take(
    state: State,
    decision: Decision,
    *,
    message_id: str,
    policy: Policy,
    now: float,
    wall: float | None = None,
    audience: Audience = _NO_AUDIENCE,
    owed: tuple[str, ...] = (),
    only: Container[str] | None = None,
) -> Outgoing:
    """Take all unmailed and lost events of a state into a digest.

    Args:
        state: the state; the digest is one of its outgoing digests then.
        decision: why the digest is sent, and which budget pays for it.
        message_id: the email's Message-ID.
        policy: the policy.
        now: the store's time.
        wall: this process's time; by default it equals the store's.
        audience: the recipients, as the mail names them.
        owed: their bare addresses.
        only: the fingerprints of the groups to take; None for all.
    """
    before = {
        name: Before(pending_since=history.pending_since, told=history.told)
        for name, history in state.groups.items()
        if history.pending is not None and (only is None or name in only)
    }
    if decision.spends:
        state.budget(decision.spends).spend(policy, now)
    ahead = 0 if wall is None else now - wall
    taking = _Taking(state=state, decision=decision, policy=policy, now=now, ahead=ahead)
    outgoing = state.outgoing[message_id] = Outgoing(
        digest=taking.digest(before, message_id, audience),
        at=now,
        spent=decision.spends,
        before=before,
        mail_before=state.mail_at,
        lost_before=state.lost_at,
        owed=owed,
    )
    if (other := state.groups.get(OTHER)) is not None:
        other.told = None  # its events are of different groups each time
    state.lost = 0
    state.mail_at = state.sent_at = now
    return outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taking:
    """The making of one digest.

    Attributes:
        state: the state.
        decision: why the digest is sent.
        policy: the policy.
        now: the store's time.
        ahead: how many seconds the store's clock is ahead of this process's clock.
    """

    state: State
    decision: Decision
    policy: Policy
    now: float
    ahead: float

    def digest(self, names: Iterable[str], message_id: str, audience: Audience) -> Digest:
        """Take the unmailed events of these groups into a digest."""
        state = self.state
        policy = self.decision.urgency.adjusted(self.policy)
        entries = tuple(sorted((self._entry(name, policy) for name in names), key=rank))
        next_at = self._next_at(names)
        return Digest(
            message_id=message_id,
            date=self._wall(self.now),
            reason=self.decision.reason or "still",
            entries=entries,
            next_at=None if next_at is None else self._wall(next_at),
            lost=state.lost,
            trouble=state.trouble and replace(state.trouble, since=self._wall(state.trouble.since)),
            accounts=Accounts(
                since=state.since,
                received=state.received,
                mailed=state.mailed,
                undelivered=state.undelivered,
                tokens=state.normal.left(self.policy, self.now),
            ),
            audience=audience,
        )

    def _entry(self, name: str, policy: Policy) -> Entry:
        """Take the unmailed events of a group, and note that a digest tells the group."""
        history = self.state.groups[name]
        before, reason = history.told, rules.reason_of(history, policy, self.now)
        history.told = rules.told_now(history, policy, self.now, self.state.mail_at)
        return Entry(
            group=history.take(),
            reason=reason,
            total=history.total,
            since=history.since,
            recent=history.recent.within(self.now),
            before=before and replace(before, at=self._wall(before.at)),
            echo=rules.causes_itself(history.told),
        )

    def _next_at(self, names: Iterable[str]) -> float | None:
        """Return when one of these groups is told again at the earliest, unless it gets worse."""
        if self.decision.reason == "exit" or self.policy.at_exit:
            return None
        told = [self.state.groups[name].told for name in names]
        again = [one.at + min(one.interval, self.policy.quiet_after) for one in told if one]
        return min(again, default=self.now + self.policy.repeat_after)

    def _wall(self, time: float) -> float:
        """Return a time of the store by this process's clock."""
        return time - self.ahead
