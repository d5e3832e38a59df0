"""An outgoing digest: its recipients, the process that sends it, and reports about attempts."""

from __future__ import annotations

from dataclasses import dataclass, field

from tocsin.alerts.digest import Digest  # noqa: TC001 - codec reads the types of fields
from tocsin.alerts.history import Told  # noqa: TC001 - as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The facts about a group before a digest took its events, to restore if it is dissolved.

    Attributes:
        pending_since: when the first unmailed event was merged.
        told: the digest that told the group before; None if the group was new.
    """

    pending_since: float
    told: Told | None


@dataclass(slots=True, kw_only=True)
class Outgoing:
    """A digest that was decided and is not done yet. Times are the store's.

    Attributes:
        digest: its content.
        at: when it was decided.
        spent: the budget that paid for it; "" for none.
        before: fingerprint → the facts to restore; empty once the digest is counted.
        mail_before: when the digest before it was decided.
        lost_before: when the first of the lost events that it reports was lost.
        owed: the recipients that do not have it, as bare addresses.
        counted: whether a recipient's server has accepted it.
        frozen: whether a recipient has it, or may have it: then its content can't change any more.
        failures: how many attempts have failed since it was frozen.
        retry_at: it is not sent again before this time.
        claimed_by: the process that sends it now; "" for none.
        claimed_until: no other process sends it before this time.
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
        """Note that only one process may send the digest until a time.

        If an earlier claim was not released, its owner may have sent the digest: it is frozen.
        """
        self.frozen = self.frozen or self.claimed_by != ""
        self.claimed_by, self.claimed_until = owner, until

    def release(self, owner: str) -> None:
        """Release the claim of a process, once it has reported the outcome."""
        if self.claimed_by == owner:
            self.claimed_by, self.claimed_until = "", 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of an attempt to send a digest; a late report is still true, and is applied.

    Attributes:
        message_id: the digest's Message-ID.
        owner: the process that made the attempt.
        accepted: the bare addresses whose server accepted it.
        refused: the addresses whose server refused it for good.
        unknown: the addresses whose server may have accepted it.
        final: whether the attempt is over; if not, a report about further addresses follows.
        pause: the least number of seconds until the next attempt.
        problem: why the digest was not accepted for all recipients; "" if it was.
    """

    message_id: str
    owner: str = ""
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    final: bool = True
    pause: float = 0
    problem: str = ""
