"""A budget of mails: a bucket of tokens that fills up again, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.alerts.policy import Policy


@dataclass(slots=True, kw_only=True)
class Budget:
    """Tokens for mails; at first the bucket is full.

    Attributes:
        spent: how many tokens were missing.
        at: when that was, in the store's time.
    """

    spent: float = 0
    at: float = 0

    def left(self, policy: Policy, now: float) -> int:
        """Return how many mails can go now."""
        return max(0, int(policy.burst - self._spent(policy, now) + 1e-9))

    def ready_at(self, policy: Policy) -> float:
        """Return from when on there is a token."""
        return self.at + max(0.0, self.spent - (policy.burst - 1)) * policy.refill

    def spend(self, policy: Policy, now: float) -> None:
        """Take a token."""
        self.spent, self.at = self._spent(policy, now) + 1, now

    def give_back(self, policy: Policy, now: float) -> None:
        """Put a token back: its mail didn't go."""
        self.spent, self.at = max(0.0, self._spent(policy, now) - 1), now

    def _spent(self, policy: Policy, now: float) -> float:
        if not policy.refill:
            return 0.0
        return max(0.0, self.spent - max(0.0, now - self.at) / policy.refill)
