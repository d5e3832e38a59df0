"""Taking a digest: everything unmailed goes into it, and it is on its way from then on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.alerts import policy as rules
from tocsin.alerts.digest import Accounts, Audience, Digest, Entry, rank
from tocsin.alerts.grouping import OTHER
from tocsin.alerts.outgoing import Before, Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterable

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
) -> Outgoing:
    """Take everything unmailed into a digest.

    Args:
        state: the state.
        decision: why the digest is sent, and which budget pays for it.
        message_id: the email's Message-ID.
        policy: the policy.
        now: the store's time.
        wall: the same by this process's clock, which the times in the mail go by; by default it is
            the same.
        audience: the recipients, as the mail names them.
        owed: their bare addresses.
    """
    ahead = 0 if wall is None else now - wall
    before = {
        name: Before(pending_since=history.pending_since, told=history.told)
        for name, history in state.groups.items()
        if history.pending is not None
    }
    numbers = decision.urgency.adjusted(policy)
    entries = [_tell(state, name, numbers, now, ahead) for name in before]
    if decision.spends:
        state.budget(decision.spends).spend(policy, now)
    next_at = _next_at(state, before, decision, policy, now)
    digest = Digest(
        message_id=message_id,
        date=now - ahead,
        reason=decision.reason or "still",
        entries=tuple(sorted(entries, key=rank)),
        next_at=None if next_at is None else next_at - ahead,
        lost=state.lost,
        trouble=state.trouble and replace(state.trouble, since=state.trouble.since - ahead),
        accounts=Accounts(
            since=state.since,
            received=state.received,
            mailed=state.mailed,
            undelivered=state.undelivered,
            tokens=state.normal.left(policy, now),
        ),
        audience=audience,
    )
    if (other := state.groups.get(OTHER)) is not None:
        other.told = None  # its events are of different groups each time
    outgoing = state.outgoing[message_id] = Outgoing(
        digest=digest,
        at=now,
        spent=decision.spends,
        before=before,
        mail_before=state.mail_at,
        lost_before=state.lost_at,
        owed=owed,
    )
    state.lost = 0
    state.mail_at = state.sent_at = now
    return outgoing


def _tell(state: State, name: str, policy: Policy, now: float, ahead: float) -> Entry:
    """Return a group as a digest tells it; the store's clock is `ahead` seconds ahead of ours."""
    history = state.groups[name]
    before, reason = history.told, rules.reason_of(history, policy, now)
    history.told = rules.told_now(history, policy, now, state.mail_at)
    return Entry(
        group=history.take(),
        reason=reason,
        total=history.total,
        since=history.since,
        recent=history.recent.within(now),
        before=before and replace(before, at=before.at - ahead),
        echo=rules.causes_itself(history.told),
    )


def _next_at(
    state: State,
    names: Iterable[str],
    decision: Decision,
    policy: Policy,
    now: float,
) -> float | None:
    """Return the time before which none of these groups is told again, unless it gets worse."""
    if decision.reason == "exit" or policy.at_exit:
        return None
    told = [state.groups[name].told for name in names]
    again = [one.at + min(one.interval, policy.quiet_after) for one in told if one]
    return min(again, default=now + policy.repeat_after)
