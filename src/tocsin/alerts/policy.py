"""When a digest goes, and why. Every number that decides it is a field of `Policy`."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, NamedTuple

from tocsin.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.alerts.known import Known
    from tocsin.alerts.state import State

REASONS = ("new", "worse", "still", "quiet", "lost", "exit")
"""Why a digest goes; the first that applies is the one that it names."""
_ALONE_WAIT, _ALONE_SPREAD, _ALONE_REFILL = 60.0, 300.0, 3600.0  # seconds
_DURATIONS = frozenset(
    ("group_wait", "repeat_after", "repeat_max", "quiet_after", "forget_after", "refill")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When mails go. Durations are in seconds.

    Attributes:
        group_wait: how long a group gathers events before it is told.
        urgent_level: the level from which on a new group doesn't wait.
        repeat_after: how long after it was told a group is told again, if it goes on; the time
            doubles each time.
        repeat_max: the longest such time, and the time without events after which the next one is
            told as at the start.
        surge_min: how many events in a minute a known group must have to count as worse.
        surge_factor: how many times its rate when it was last told that must be.
        quiet_after: how long after its last event a group is told a last time; three times the
            usual time between its events, if that is longer.
        forget_after: after how long without events a group is new again.
        burst: how many mails may go at once for what is new or worse, or within `repeat_after`
            after another mail; as many more for what is urgent.
        refill: how long it takes until one more may go.
        at_exit: whether there is one mail at the end, and before it only what is new and urgent.
        max_groups: how many groups are told apart; what is more is counted as "other".
        shown_groups: how many groups a mail shows; it states how many more there are.
    """

    group_wait: float = 10
    urgent_level: int = logging.CRITICAL
    repeat_after: float = 15 * 60
    repeat_max: float = 4 * 3600
    surge_min: int = 20
    surge_factor: float = 10
    quiet_after: float = 30 * 60
    forget_after: float = 24 * 3600
    burst: int = 6
    refill: float = 600
    at_exit: bool = False
    max_groups: int = 500
    shown_groups: int = 25

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: one of them can't be.
        """
        for field in fields(self):
            _check(field.name, getattr(self, field.name), field.default)
        if self.repeat_max < self.repeat_after:
            raise ConfigError(
                f"policy.repeat_max: expected at least repeat_after ({self.repeat_after}), "
                f"got {self.repeat_max}"
            )


def _check(name: str, value: object, default: object) -> None:
    kinds: type | tuple[type, ...] = int
    least: float = 1
    if isinstance(default, bool):
        expected, kinds, least = "true or false", bool, 0
    elif name in _DURATIONS:
        expected, kinds, least = "a number of seconds", (int, float), 0
    elif isinstance(default, int) and name != "surge_factor":
        expected = "a whole number of at least 1"
    else:
        expected, kinds = "a number of at least 1", (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) is not isinstance(default, bool):
        raise ConfigError(f"policy.{name}: expected {expected}, got {type(value).__name__}")
    if not least <= value < float("inf"):  # type: ignore[operator] # it is a number
        raise ConfigError(f"policy.{name}: expected {expected}, got {value}")


class Haste(enum.IntEnum):
    """How much a decision is asked to hurry."""

    NONE = 0
    FLUSH = 1
    """What is new doesn't wait for more of its kind."""
    ALL = 2
    """Everything unmailed goes now, as somebody wants it."""
    EXIT = 3
    """Everything unmailed goes now, as there may be no later."""

    def on(self, policy: Policy) -> Policy:
        """Return the numbers that hold for who is in that hurry."""
        return replace(policy, group_wait=0) if self is Haste.FLUSH else policy


def alone(policy: Policy, spread: float) -> Policy:
    """Return the numbers for a process that can't use its store: others may be doing the same.

    What is urgent is told at once all the same, but one mail an hour is all that it may send.

    Args:
        policy: the usual numbers.
        spread: from 0 to 1, another one for each process, so that not all send at once.
    """
    wait = max(policy.group_wait, _ALONE_WAIT + _ALONE_SPREAD * spread)
    return replace(policy, group_wait=wait, burst=1, refill=max(policy.refill, _ALONE_REFILL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now.

    Attributes:
        reason: why a digest is to be sent, or None.
        spends: the budget that pays for it: "normal", "urgent", or "" for none.
        next_at: when to ask again, if nothing happens before; None for never.
        haste: how much it was asked to hurry.
    """

    reason: str | None
    spends: str = ""
    next_at: float | None = None
    haste: Haste = Haste.NONE


class Cause(NamedTuple):
    """Why a digest could go.

    Attributes:
        at: from when on, in the store's time.
        reason: why.
        spends: the budget that would pay for it.
        level: how severe it is.
    """

    at: float
    reason: str
    spends: str = ""
    level: int = 0


def decide(state: State, policy: Policy, now: float, haste: Haste = Haste.NONE) -> Decision:
    """Decide whether a digest goes now.

    Args:
        state: what is known, everything up to now merged.
        policy: the numbers.
        now: the store's time.
        haste: whether somebody waits for it.
    """
    waiting = [known for known in state.groups.values() if known.pending is not None]
    if haste >= Haste.ALL:
        reasons = [known.reason(policy, now) for known in waiting]
        first_reason = min(reasons, key=REASONS.index, default=None)
        exits = haste is Haste.EXIT and first_reason is not None
        return Decision(reason="exit" if exits else first_reason, haste=haste)
    policy = haste.on(policy)
    found = [cause for known in waiting for cause in causes(state, known, policy, now)]
    if state.lost and not policy.at_exit:
        told_at = max(state.mail_at, state.lost_at)
        found.append(Cause(max(told_at + policy.repeat_after, state.retry_at), "lost"))
    ahead = [cause.at for cause in found] + [state.due_at(one) for one in state.outgoing.values()]
    next_at = min(ahead, default=None)
    due = [cause for cause in found if cause.at <= now]
    if not due:
        return Decision(reason=None, next_at=next_at, haste=haste)
    first = min(due, key=lambda cause: (REASONS.index(cause.reason), -cause.level))
    return Decision(reason=first.reason, spends=first.spends, next_at=next_at, haste=haste)


def causes(state: State, known: Known, policy: Policy, now: float) -> Iterator[Cause]:
    """Yield why, and from when on, a digest could go for a group with something unmailed.

    Args:
        state: what is known of all groups; it has the budgets.
        known: the group.
        policy: the numbers.
        now: the store's time: by it the last minute is looked at.
    """
    urgent = known.urgent(policy)
    spends = "urgent" if urgent else "normal"
    level = 0 if known.pending is None else known.pending.level
    paid_at = max(state.budget(spends).ready_at(policy), state.retry_at)
    if known.told is None:
        wait = 0 if urgent else policy.group_wait
        if urgent or not policy.at_exit:
            yield Cause(max(known.pending_since + wait, paid_at), "new", spends, level)
        return
    if policy.at_exit or known.is_echo(state.mail_at):
        return
    worse_at = known.worse_at(policy, now)
    if worse_at is not None:
        yield Cause(max(worse_at, paid_at), "worse", spends, level)
    free_at = max(state.mail_at + policy.repeat_after, state.retry_at)
    for at, reason in ((known.still_at(policy), "still"), (known.quiet_at(policy), "quiet")):
        at = max(at, min(paid_at, free_at))  # noqa: PLW2901 - it has to wait for one of these, too
        yield Cause(at, reason, spends if max(at, now) < free_at else "", level)
