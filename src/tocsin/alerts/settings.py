"""The policy's settings: durations, levels and numbers. `policy` has the rules that use them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace

from tocsin.exceptions import ConfigError

_ALONE_WAIT, _ALONE_SPREAD, _ALONE_REFILL = 60.0, 300.0, 3600.0  # seconds
_DURATIONS = frozenset(
    ("group_wait", "repeat_after", "repeat_max", "quiet_after", "forget_after", "refill")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When mails are sent. Durations are in seconds.

    Attributes:
        group_wait: how long a new group gathers events before it is told.
        urgent_level: the lowest level at which a new group is told without waiting.
        repeat_after: how long after it was told a group is told again, if its events continue. The
            time doubles with each repeat.
        repeat_max: the longest such time. After this time without an event, the time between
            repeats is `repeat_after` again.
        surge_min: to count as worse, a known group must have at least so many events in a minute.
        surge_factor: to count as worse, a known group must have at least so many times the rate
            that it had when it was last told.
        quiet_after: how long after its last event a group is told for a last time; or three times
            the mean time between its events, if that is longer.
        forget_after: after how long without an event a group counts as new again.
        burst: how many mails may be sent at once for new and worse groups, or within
            `repeat_after` after another mail. Urgent groups have as many more.
        refill: how long it takes until one more mail may be sent.
        at_exit: whether one mail is sent at the end; before it, only urgent new groups are told.
        max_groups: how many groups are told apart; events of further groups count as "other".
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
            ConfigError: a number is of the wrong type, or out of range.
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


def alone(policy: Policy, spread: float) -> Policy:
    """Return the policy of a process that works alone, because it can't use its store.

    Other processes may work alone at the same time. So each sends at most one mail an hour. An
    urgent group is still told at once.

    Args:
        policy: the usual policy.
        spread: a number from 0 to 1, different in each process, so that the processes don't send
            at the same time.
    """
    wait = max(policy.group_wait, _ALONE_WAIT + _ALONE_SPREAD * spread)
    return replace(policy, group_wait=wait, burst=1, refill=max(policy.refill, _ALONE_REFILL))
