"""What processes hand over to a store: events that were counted, and what became of digests."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.alerts.grouping import Group  # noqa: TC001 - codec reads the types of fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one attempt to send a digest.

    Attributes:
        message_id: the digest's.
        accepted: whether some recipient's server took it.
        unknown: whether some server may have taken it.
        owed: to whom it is to be sent again.
        pause: seconds until then, at least.
    """

    message_id: str
    accepted: bool
    unknown: bool
    owed: tuple[str, ...]
    pause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a process hands over at once.

    Attributes:
        groups: what was counted since the last batch.
        reports: what became of digests that it sent.
        dropped: how many records it has lost since the last batch.
    """

    groups: tuple[Group, ...] = ()
    reports: tuple[Report, ...] = ()
    dropped: int = 0
