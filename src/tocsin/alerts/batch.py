"""What processes hand over to a store: events that were counted, and what became of digests."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.alerts.grouping import Group  # noqa: TC001 - codec reads the types of fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an attempt to send a digest has come to: a fact, whoever tells it, and however late.

    Attributes:
        message_id: the digest's.
        owner: who sends it.
        accepted: bare addresses whose server took it.
        refused: those whose server will never take it.
        unknown: those whose server may have taken it.
        final: whether the attempt is over; all the others are still owed it then.
        pause: seconds until the next attempt, at least.
        problem: why somebody is still owed it, or never gets it; "" if nobody is.
    """

    message_id: str
    owner: str = ""
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    final: bool = True
    pause: float = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a process hands over at once.

    Attributes:
        source: the process; "" if it is never repeated.
        number: 1 for its first batch, 2 for the next one, and so on. One that has been merged isn't
            merged again: an append whose answer was lost may be repeated.
        groups: what was counted since the last batch.
        reports: what became of digests that it sends.
        dropped: how many records it has lost since the last batch.
    """

    source: str = ""
    number: int = 0
    groups: tuple[Group, ...] = ()
    reports: tuple[Report, ...] = ()
    dropped: int = 0
