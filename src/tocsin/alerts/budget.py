"""A budget of mails: a bucket of tokens that fills up again, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Bucket(Protocol):
    """The numbers of a bucket; a `Policy` has them."""

    @property
    def burst(self) -> int:
        """How many tokens a full bucket holds."""
        ...

    @property
    def refill(self) -> float:
        """Seconds until the bucket has one more token."""
        ...


@dataclass(slots=True, kw_only=True)
class Budget:
    """Tokens that pay for mails; at first the bucket is full.

    Attributes:
        spent: how many tokens were missing at `at`.
        at: when a token was last spent or given back, in the store's time.
    """

    spent: float = 0
    at: float = 0

    def left(self, bucket: Bucket, now: float) -> int:
        """Return how many tokens there are now."""
        return max(0, int(bucket.burst - self._missing(bucket, now) + 1e-9))

    def ready_at(self, bucket: Bucket) -> float:
        """Return when there is at least one token, in the store's time."""
        return self.at + max(0.0, self.spent - (bucket.burst - 1)) * bucket.refill

    def spend(self, bucket: Bucket, now: float) -> None:
        """Take a token; without one, the number of tokens becomes negative."""
        self.spent, self.at = self._missing(bucket, now) + 1, now

    def give_back(self, bucket: Bucket, now: float) -> None:
        """Put a token back, because its mail was not sent."""
        self.spent, self.at = max(0.0, self._missing(bucket, now) - 1), now

    def _missing(self, bucket: Bucket, now: float) -> float:
        if not bucket.refill:
            return 0.0
        return max(0.0, self.spent - max(0.0, now - self.at) / bucket.refill)
