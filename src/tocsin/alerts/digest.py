"""What one email says: the groups that have something unmailed, and why it is sent now."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from tocsin.alerts.grouping import OTHER, Group
from tocsin.alerts.history import Told  # noqa: TC001 - codec reads the types of fields
from tocsin.alerts.policy import REASONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A group, as a digest tells it.

    Attributes:
        group: the events that are told for the first time.
        reason: as what: "new", "worse", "still" or "quiet".
        total: events of this kind so far, these included.
        since: when the first one of all was logged, in seconds since the epoch.
        recent: how many there were in the last minute.
        before: when it was told before; None if never.
        echo: whether no further mail goes for it alone, as mails seem to cause it.
        cut: whether its samples were dropped, to save space.
    """

    group: Group
    reason: str
    total: int
    since: float
    recent: int = 0
    before: Told | None = None
    echo: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who gets a digest, as text of addresses.

    Attributes:
        to: recipients.
        cc: recipients of a copy.
        bcc: recipients whom the others don't see.
        notes: what is wrong with the lists that they are from.
    """

    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why mails don't reach everybody.

    Attributes:
        since: since when, in seconds since the epoch.
        count: attempts that have failed since.
        problem: what is wrong, as the latest one says.
    """

    since: float
    count: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """What a store has, as a digest is taken: received = mailed + pending + undelivered.

    Attributes:
        since: when the first event was logged, in seconds since the epoch.
        received: events so far, the digest's included.
        mailed: events that were mailed before.
        undelivered: events that were given up.
        tokens: how many more mails may go for what is new or worse.
    """

    since: float
    received: int
    mailed: int
    undelivered: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """One email's content. It is the same at every attempt to send it.

    Times are in seconds since the epoch, by the clock of the process that made it: the store's
    never goes back, and may be years ahead.

    Attributes:
        message_id: the email's Message-ID.
        date: when it was decided.
        reason: why it is sent now.
        entries: the groups, the lead first; empty where there is but something lost to tell.
        next_at: before when none of these is told again, unless it gets worse; None if there is
            no later.
        lost: events that were dropped or given up since the last mail.
        accounts: what the store has.
        trouble: why mails before this one didn't reach everybody; None if they did.
        audience: who gets it.
    """

    message_id: str
    date: float
    reason: str
    entries: tuple[Entry, ...]
    next_at: float | None
    lost: int
    accounts: Accounts
    trouble: Trouble | None = None
    audience: Audience = field(default_factory=Audience)

    @property
    def lead(self) -> Entry | None:
        """The group that the subject names."""
        return self.entries[0] if self.entries else None

    @property
    def count(self) -> int:
        """Events that are told for the first time."""
        return sum(entry.group.count for entry in self.entries)

    @property
    def level(self) -> int:
        """The highest level."""
        return max((entry.group.level for entry in self.entries), default=logging.ERROR)

    def how_many(self, reason: str) -> int:
        """Return how many groups are told as that."""
        return sum(entry.reason == reason for entry in self.entries)


def rank(entry: Entry) -> tuple[int, bool, int, int, str]:
    """Return what orders the groups of a digest: level, then reason, then count.

    What isn't told apart comes behind what is: a subject should name a kind.
    """
    group = entry.group
    other = group.fingerprint == OTHER
    return -group.level, other, REASONS.index(entry.reason), -group.count, group.fingerprint
