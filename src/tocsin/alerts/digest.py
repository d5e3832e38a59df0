"""What one email says: the groups that have something unmailed, and why it is sent now."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.alerts.grouping import OTHER, Group
from tocsin.alerts.policy import REASONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A group, as a digest tells it.

    Attributes:
        group: the events that are told for the first time.
        reason: "new" or "still".
        total: events of this kind so far, these included.
        since: when the first one of all came, in seconds since the epoch.
        told_at: when it was told before, in the store's time; None if never.
    """

    group: Group
    reason: str
    total: int
    since: float
    told_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """One email's content. It is the same at every attempt to send it.

    Attributes:
        message_id: the email's Message-ID.
        date: when it was decided, in seconds since the epoch.
        reason: why it is sent now.
        entries: the groups, the lead first.
        next_at: before when no other mail comes, but for something new; None if that isn't known.
        received: events so far, these included.
        mailed: events that were mailed before.
        undelivered: events that were given up.
    """

    message_id: str
    date: float
    reason: str
    entries: tuple[Entry, ...]
    next_at: float | None
    received: int
    mailed: int
    undelivered: int

    @property
    def lead(self) -> Group:
        """The group that the subject names."""
        return self.entries[0].group

    @property
    def count(self) -> int:
        """Events that are told for the first time."""
        return sum(entry.group.count for entry in self.entries)

    @property
    def level(self) -> int:
        """The highest level."""
        return max(entry.group.level for entry in self.entries)


def rank(entry: Entry) -> tuple[int, bool, int, int, str]:
    """Return what orders the groups of a digest: level, then reason, then count.

    What isn't told apart comes behind what is: a subject should name a kind.
    """
    group = entry.group
    other = group.fingerprint == OTHER
    return -group.level, other, REASONS.index(entry.reason), -group.count, group.fingerprint
