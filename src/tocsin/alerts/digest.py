"""The digest: the content of one email, that is its groups, its accounts and its reason.

Digests are stored. So the names of these classes' fields do not change.
"""

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
        reason: why it is listed: "new", "worse", "still" or "quiet".
        total: events of the group so far, these included.
        since: when the group's very first event was logged, in seconds since the epoch.
        recent: how many of its events came in the last minute.
        before: the digest that told the group before; None if there was none.
        echo: whether mails seem to cause its events; then no further mail is sent for it alone.
        cut: whether its samples were dropped to save space.
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
    """The recipients of a digest: addresses as text.

    Attributes:
        to: recipients in To.
        cc: recipients in Cc.
        bcc: recipients that no header names.
        notes: problems of the source of the recipients, such as a file with an invalid line.
    """

    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Failed attempts to send mails to all their recipients.

    Attributes:
        since: when the first of these attempts failed, in seconds since the epoch.
        count: how many attempts have failed since then.
        problem: the problem of the latest attempt.
    """

    since: float
    count: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The accounts of a store when a digest is taken: received = mailed + pending + undelivered.

    Attributes:
        since: when the first event was logged, in seconds since the epoch.
        received: events so far, the digest's included.
        mailed: events that were mailed before.
        undelivered: events that were given up.
        tokens: how many more mails may be sent for new and worse groups.
    """

    since: float
    received: int
    mailed: int
    undelivered: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """The content of one email, the same at each attempt to send it.

    Times are in seconds since the epoch, by the clock of the process that took the digest. They are
    not the store's times: the store's clock never goes back, so it may be years ahead.

    Attributes:
        message_id: the email's Message-ID.
        date: when it was decided.
        reason: why it is sent, one of `REASONS`.
        entries: the groups, the lead first; empty if only lost events are told.
        next_at: the earliest time at which one of these groups is told again, unless it gets worse;
            None if they are not told again.
        lost: events that were dropped or given up since the last mail.
        accounts: the accounts of the store.
        trouble: failed attempts before this digest; None if all recipients have the latest mails.
        audience: the recipients.
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
        """The highest level of its groups."""
        return max((entry.group.level for entry in self.entries), default=logging.ERROR)

    def how_many(self, reason: str) -> int:
        """Return how many groups are listed for a reason."""
        return sum(entry.reason == reason for entry in self.entries)


def rank(entry: Entry) -> tuple[int, bool, int, int, str]:
    """Return the sort key for the groups of a digest: level, then reason, then count.

    Within a level "other" comes last, as a subject should name one group.
    """
    group = entry.group
    other = group.fingerprint == OTHER
    return -group.level, other, REASONS.index(entry.reason), -group.count, group.fingerprint
