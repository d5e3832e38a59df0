"""The rules of when a digest is sent, and why. Their numbers are the fields of `Policy`.

Each reason has a function that returns its time: `still_at`, `quiet_at`, `worse_at`; for a new
group, `causes` adds `group_wait`. `told_now` sets the interval until a group is told again. The
rule when to try a digest again that couldn't be sent is in `outcome`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tocsin.alerts.history import WINDOW, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.alerts.budget import Budget
    from tocsin.alerts.history import History
    from tocsin.alerts.settings import Policy

REASONS = ("new", "worse", "still", "quiet", "lost", "exit")
"""The reasons for a digest; a digest names the first one that applies."""
_NEVER = float("inf")
_SHORTEST_AGE = 10.0  # seconds; a rate over a shorter time says little
_AFTER_MAIL = 60.0  # seconds after a mail in which the mail may cause an event
_ECHOES = 2  # after so many mails in a row that told an echo, it causes no further mail


class Urgency(enum.IntEnum):
    """How urgently a decision is asked for."""

    NONE = 0
    """The policy's times apply."""
    FLUSH = 1
    """New groups do not wait for more of their events; the policy's other times apply."""
    ALL = 2
    """All unmailed events are sent now, because the caller asks for it."""
    EXIT = 3
    """All unmailed events are sent now, because the process ends."""

    def adjusted(self, policy: Policy) -> Policy:
        """Return the policy adjusted for this urgency."""
        return replace(policy, group_wait=0) if self is Urgency.FLUSH else policy


class Situation(Protocol):
    """The facts that a decision needs; a `State` has them."""

    groups: dict[str, History]
    lost: int
    lost_at: float
    mail_at: float
    retry_at: float

    @property
    def full(self) -> bool:
        """Whether so many digests wait that no further one is taken."""
        ...

    @property
    def next_retry_at(self) -> float:
        """When a digest that waits may be sent again; infinity if none waits."""
        ...

    def budget(self, name: str) -> Budget:
        """Return the budget of that name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a digest is sent now, and why.

    Attributes:
        reason: why a digest is to be sent, one of `REASONS`; None if none is.
        spends: the budget that pays for it: "normal", "urgent", or "" for none.
        next_at: when to decide again if no event comes before; None if no time is known.
        urgency: how urgently the decision was asked for.
    """

    reason: str | None
    spends: str = ""
    next_at: float | None = None
    urgency: Urgency = Urgency.NONE


class Cause(NamedTuple):
    """A reason for a digest, and when it applies.

    Attributes:
        at: the time from which on it applies; the store's time.
        reason: one of `REASONS`.
        spends: the budget that pays for the digest; "" for none.
        level: the group's level.
    """

    at: float
    reason: str
    spends: str = ""
    level: int = 0


def decide(
    state: Situation, policy: Policy, now: float, urgency: Urgency = Urgency.NONE
) -> Decision:
    """Decide whether a digest is sent now.

    Args:
        state: the state, with all batches that were appended until now.
        policy: the policy.
        now: the store's time.
        urgency: how urgently the decision is asked for.
    """
    waiting = [history for history in state.groups.values() if history.pending is not None]
    if urgency >= Urgency.ALL:
        reasons = [reason_of(history, policy, now) for history in waiting]
        first_reason = min(reasons, key=REASONS.index, default=None)
        exits = urgency is Urgency.EXIT and first_reason is not None
        return Decision(reason="exit" if exits else first_reason, urgency=urgency)
    if state.full:
        return Decision(reason=None, next_at=state.next_retry_at, urgency=urgency)
    policy = urgency.adjusted(policy)
    found = [cause for history in waiting for cause in causes(state, history, policy, now)]
    if state.lost and not policy.at_exit:
        told_at = max(state.mail_at, state.lost_at)
        found.append(Cause(max(told_at + policy.repeat_after, state.retry_at), "lost"))
    next_at = min([state.next_retry_at, *(cause.at for cause in found)])
    due = [cause for cause in found if cause.at <= now]
    first = min(due, key=_rank, default=Cause(now, ""))
    return Decision(
        reason=first.reason or None,
        spends=first.spends,
        next_at=None if next_at == _NEVER else next_at,
        urgency=urgency,
    )


def _rank(cause: Cause) -> tuple[int, int]:
    return REASONS.index(cause.reason), -cause.level


def causes(state: Situation, history: History, policy: Policy, now: float) -> Iterator[Cause]:
    """Yield the reasons for which a digest may be sent for a group that has unmailed events.

    Args:
        state: the state, which has the budgets.
        history: the group's history.
        policy: the policy.
        now: the store's time; a group is worse by its events of the minute before.
    """
    urgent = is_urgent(history, policy)
    spends = "urgent" if urgent else "normal"
    paid_at = max(state.budget(spends).ready_at(policy), state.retry_at)
    if history.told is None:
        wait = 0 if urgent else policy.group_wait
        if urgent or not policy.at_exit:
            yield Cause(max(history.pending_since + wait, paid_at), "new", spends, history.level)
        return
    if policy.at_exit or is_echo(history, state.mail_at):
        return
    at = worse_at(history, policy, now)
    if at is not None:
        yield Cause(max(at, paid_at), "worse", spends, history.level)
    free_at = max(state.mail_at + policy.repeat_after, state.retry_at)
    for due_at, reason in (
        (still_at(history, policy), "still"),
        (quiet_at(history, policy), "quiet"),
    ):
        at = max(
            due_at, min(paid_at, free_at)
        )  # paid by a token, or free after a time without mails
        yield Cause(at, reason, spends if max(at, now) < free_at else "", history.level)


def is_urgent(history: History, policy: Policy) -> bool:
    """Return whether a group's unmailed events must not wait."""
    return history.level >= policy.urgent_level


# The time of each reason.


def still_at(history: History, policy: Policy) -> float:
    """Return when a group whose events continue is told again."""
    waited = history.pending_since + policy.group_wait
    return waited if history.told is None else max(waited, history.told.at + history.told.interval)


def quiet_at(history: History, policy: Policy) -> float:
    """Return when a group counts as quiet, if no further event comes."""
    return history.seen_at + max(policy.quiet_after, 3 * history.mean_gap)


def worse_at(history: History, policy: Policy, now: float) -> float | None:
    """Return when a group counts as worse, by its events of the last minute; None if it doesn't."""
    if history.told is None:
        return None
    recent = history.recent.within(now)
    if recent < policy.surge_min or recent < policy.surge_factor * history.told.rate:
        return None
    return history.told.at + WINDOW


def reason_of(history: History, policy: Policy, now: float) -> str:
    """Return the reason under which a digest lists a group now."""
    if history.told is None:
        return "new"
    at = worse_at(history, policy, now)
    if at is not None and at <= now:
        return "worse"
    if still_at(history, policy) > now >= quiet_at(history, policy):
        return "quiet"
    return "still"


# What telling a group changes.


def told_now(history: History, policy: Policy, now: float, mail_at: float | None) -> Told:
    """Return the new `Told` of a group that a digest tells now.

    Only a repeat that was due by itself doubles the interval. A group that is told in another
    group's digest keeps its interval, and a group that got worse starts again.

    Args:
        history: the group's history, before it is told.
        policy: the policy.
        now: when the digest is decided, in the store's time.
        mail_at: when the digest before it was decided.
    """
    told = history.told
    interval = policy.repeat_after
    if told is not None and reason_of(history, policy, now) != "worse":
        double = still_at(history, policy) <= now
        interval = min(told.interval * 2, policy.repeat_max) if double else told.interval
    in_a_row = told.echoes if told is not None and told.at == mail_at else 0
    echoes = 0 if history.apart else in_a_row + 1
    return Told(at=now, interval=interval, rate=rate_of(history, now), echoes=echoes)


def told_after_silence(history: History, policy: Policy, now: float) -> Told | None:
    """Return the `Told` of a group that has events again; None if the group is new.

    After `repeat_max` without an event the interval starts again.
    """
    if history.told is not None and now - history.seen_at >= policy.repeat_max:
        return replace(history.told, interval=policy.repeat_after)
    return history.told


def rate_of(history: History, now: float) -> float:
    """Return a group's events per minute."""
    age = now - history.first_at
    if age >= WINDOW:
        return history.recent.within(now)
    # The measured time starts with the first event, so only the events after it count.
    return (history.recent.within(now) - 1) * 60 / max(age, _SHORTEST_AGE)


def is_forgotten(history: History, policy: Policy, now: float) -> bool:
    """Return whether a group was not seen for so long that it counts as new."""
    return history.pending is None and history.seen_at + policy.forget_after <= now


# Echoes: events that a mail causes, such as an error of the mail server's own log.


def may_be_echo(sent_at: float | None, now: float) -> bool:
    """Return whether a mail may have caused an event that comes now.

    Args:
        sent_at: when the latest attempt to send a mail began or ended; None if there was none.
        now: the store's time.
    """
    return sent_at is not None and now < sent_at + _AFTER_MAIL


def is_echo(history: History, mail_at: float) -> bool:
    """Return whether a group is an echo: no reason for a mail, as mails seem to cause its events.

    An echo comes after each mail, and the next mail tells it. So if the latest mail, decided at
    `mail_at`, did not tell a group, the group is not an echo.
    """
    told = history.told
    return told is not None and causes_itself(told) and told.at == mail_at and not history.apart


def causes_itself(told: Told) -> bool:
    """Return whether mails seem to cause a group: a mail about it would cause the next event."""
    return told.echoes >= _ECHOES
