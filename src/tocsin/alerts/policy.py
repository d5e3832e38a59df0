"""When a digest goes, and why. Every number that decides it is a field of `Policy`."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from tocsin.exceptions import ConfigError

if TYPE_CHECKING:
    from tocsin.alerts.state import Known, State

REASONS = ("new", "still", "exit")
"""Why a digest goes; the first that applies is the one that it names."""
_DURATIONS = frozenset(("group_wait", "repeat_after", "forget_after"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When mails go. Durations are in seconds.

    Attributes:
        group_wait: how long a group gathers events before it is told.
        urgent_level: the level from which on a new group doesn't wait.
        repeat_after: how long a group that was told is quiet about what goes on.
        forget_after: after how long without events a group is new again.
        max_groups: how many groups are told apart; what is more is counted as "other".
        shown_groups: how many groups a mail shows; it states how many more there are.
    """

    group_wait: float = 10
    urgent_level: int = logging.CRITICAL
    repeat_after: float = 15 * 60
    forget_after: float = 24 * 3600
    max_groups: int = 500
    shown_groups: int = 25

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: one of them can't be.
        """
        for field in fields(self):
            value: object = getattr(self, field.name)
            whole = isinstance(field.default, int) and field.name not in _DURATIONS
            expected = "a whole number of at least 1" if whole else "a number of seconds"
            kinds = int if whole else (int, float)
            if not isinstance(value, kinds) or isinstance(value, bool):
                got = type(value).__name__
                raise ConfigError(f"policy.{field.name}: expected {expected}, got {got}")
            if not (1 if whole else 0) <= value < float("inf"):
                raise ConfigError(f"policy.{field.name}: expected {expected}, got {value}")


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        reason: why a digest is to be sent, or None.
        next_at: when to ask again, if nothing happens before; None for never.
    """

    reason: str | None
    next_at: float | None


class Haste(enum.IntEnum):
    """How much a decision is asked to hurry."""

    NONE = 0
    FLUSH = 1
    """What is new doesn't wait for more of its kind."""
    EXIT = 2
    """Everything unmailed goes now, as there may be no later."""


def decide(state: State, policy: Policy, now: float, haste: Haste = Haste.NONE) -> Decision:
    """Decide whether a digest goes now.

    Args:
        state: what is known, everything up to now merged.
        policy: the numbers.
        now: the store's time.
        haste: whether somebody waits for it.
    """
    waiting = [known for known in state.groups.values() if known.pending is not None]
    if haste is Haste.EXIT:
        return Decision("exit" if waiting else None, None)
    if haste is Haste.FLUSH:
        policy = replace(policy, group_wait=0)
    due = [(max(due_at(known, policy), state.retry_at), reason_of(known)) for known in waiting]
    reasons = {reason for at, reason in due if at <= now}
    reason = next((reason for reason in REASONS if reason in reasons), None)
    ahead = [at for at, _ in due] + [state.due_at(outgoing) for outgoing in state.outgoing.values()]
    return Decision(reason, min(ahead, default=None))


def due_at(known: Known, policy: Policy) -> float:
    """Return when a group with something unmailed has waited long enough."""
    if known.told_at is not None:
        return max(known.pending_since + policy.group_wait, known.told_at + policy.repeat_after)
    urgent = known.pending is not None and known.pending.level >= policy.urgent_level
    return known.pending_since + (0 if urgent else policy.group_wait)


def reason_of(known: Known) -> str:
    """Return why a group would be told: it is new, or it is still going on."""
    return "new" if known.told_at is None else "still"
