"""A digest on its way: to whom it is owed, who is sending it, and what was before it was taken."""

from __future__ import annotations

from dataclasses import dataclass, field

from tocsin.alerts.digest import Digest  # noqa: TC001 - codec reads the types of fields
from tocsin.alerts.known import Told  # noqa: TC001 - as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was known of a group before a digest took it; so it is again if nobody gets that.

    Attributes:
        pending_since: since when there was something unmailed.
        told: when it was last told; None if it was new.
    """

    pending_since: float
    told: Told | None


@dataclass(slots=True, kw_only=True)
class Outgoing:
    """A digest that was decided and isn't done yet. Times are the store's.

    Attributes:
        digest: what it says.
        at: when it was decided.
        spent: the budget that paid for it, or "".
        before: fingerprint → what was known before, until it is counted.
        mail_before: when the digest before it was decided.
        lost_before: since when the events were lost that it tells of.
        owed: to whom, as bare addresses.
        counted: whether somebody has accepted it.
        frozen: whether somebody has it, or may have it: then what it says can't change any more.
        failures: attempts that failed since it is frozen.
        retry_at: before when it is not sent again.
        claimed_by: who sends it now; "" for nobody.
        claimed_until: before when nobody else does.
    """

    digest: Digest
    at: float
    spent: str = ""
    before: dict[str, Before] = field(default_factory=dict)
    mail_before: float = 0
    lost_before: float = 0
    owed: tuple[str, ...] = ()
    counted: bool = False
    frozen: bool = False
    failures: int = 0
    retry_at: float = 0
    claimed_by: str = ""
    claimed_until: float = 0

    def claim(self, owner: str, until: float) -> None:
        """Let somebody send it until then.

        Who had claimed it before has not said what became of it: somebody may have it.
        """
        self.frozen = self.frozen or self.claimed_by != ""
        self.claimed_by, self.claimed_until = owner, until

    def settle(self, owner: str) -> None:
        """End the claim of who has said what became of it."""
        if self.claimed_by == owner:
            self.claimed_by, self.claimed_until = "", 0
