"""The state of a store: groups and their unmailed events, digests that wait, and the accounts.

received = mailed + pending + undelivered, always. `batch` merges events in it, `taking` makes
digests of it, and `outcome` applies the reports about them. All times are the store's, except
`since`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.alerts import policy as rules
from tocsin.alerts.budget import Budget
from tocsin.alerts.digest import Trouble  # noqa: TC001 - codec reads the types of fields
from tocsin.alerts.grouping import OTHER, as_other
from tocsin.alerts.history import History
from tocsin.alerts.outgoing import Outgoing  # noqa: TC001 - as above

if TYPE_CHECKING:
    from tocsin.alerts.grouping import Group
    from tocsin.alerts.settings import Policy

MAX_OUTGOING = 20  # digests that no recipient is known to have; then no further one is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The latest batch of a process that was merged.

    Attributes:
        number: the batch's number.
        at: when it was merged.
    """

    number: int
    at: float


@dataclass(slots=True, kw_only=True)
class State:
    """All that is known about one handler's alerts.

    Attributes:
        groups: fingerprint → history of the group.
        outgoing: Message-ID → digest that is not done yet.
        sources: process → its latest batch.
        normal: the budget of mails for new and worse groups.
        urgent: the same for urgent groups.
        since: when the first event was logged, in seconds since the epoch.
        received: events merged.
        mailed: events in a digest that at least one recipient's server accepted.
        undelivered: events that were given up.
        lost: events that were dropped or given up, and that no mail has reported yet.
        lost_at: when the first of these was lost.
        mail_at: when the latest digest was decided; a dissolved digest doesn't count.
        sent_at: when the latest attempt to send a digest began or was reported; None if none was.
        failures: how many attempts in a row no recipient's server accepted.
        failing_since: when the first of these failed.
        trouble: why the latest mails did not reach all recipients; None if they did.
        retry_at: no digest is sent before this time.
    """

    groups: dict[str, History] = field(default_factory=dict)
    outgoing: dict[str, Outgoing] = field(default_factory=dict)
    sources: dict[str, Seen] = field(default_factory=dict)
    normal: Budget = field(default_factory=Budget)
    urgent: Budget = field(default_factory=Budget)
    since: float = 0
    received: int = 0
    mailed: int = 0
    undelivered: int = 0
    lost: int = 0
    lost_at: float = 0
    mail_at: float = 0
    sent_at: float | None = None
    failures: int = 0
    failing_since: float = 0
    trouble: Trouble | None = None
    retry_at: float = 0

    @property
    def pending(self) -> int:
        """Events that are neither mailed nor given up."""
        return self.received - self.mailed - self.undelivered

    @property
    def unmailed(self) -> tuple[Group, ...]:
        """The unmailed events of each group that has some; those in a digest don't count."""
        waiting = (history.pending for history in self.groups.values())
        return tuple(group for group in waiting if group is not None)

    @property
    def full(self) -> bool:
        """Whether so many digests wait that no further one is taken."""
        return sum(not one.counted for one in self.outgoing.values()) >= MAX_OUTGOING

    @property
    def excess(self) -> int:
        """How many more digests wait than should."""
        return len(self.outgoing) - MAX_OUTGOING

    @property
    def next_retry_at(self) -> float:
        """When a digest that waits may be sent again; infinity if none waits."""
        return min(map(self.due_at, self.outgoing.values()), default=float("inf"))

    def due_at(self, outgoing: Outgoing) -> float:
        """Return when a digest may be sent again."""
        return max(self.retry_at, outgoing.retry_at, outgoing.claimed_until)

    def is_after_mail(self, now: float) -> bool:
        """Return whether a mail is on its way, or was until a short time ago."""
        claimed = any(now < one.claimed_until for one in self.outgoing.values())
        return claimed or rules.may_be_echo(self.sent_at, now)

    def budget(self, name: str) -> Budget:
        """Return the budget of that name."""
        return self.urgent if name == "urgent" else self.normal

    def withdraw(self) -> None:
        """Remove the unmailed and the lost events, after they were handed over to another store."""
        self.received -= sum(group.count for group in self.unmailed)
        self.lost = 0
        for history in self.groups.values():
            history.pending = None

    def lose(self, count: int, since: float) -> None:
        """Count lost events: dropped or given up, the first of them at the time `since`."""
        if count:
            self.lost_at = min(self.lost_at, since) if self.lost else since
            self.lost += count

    def place(self, group: Group, policy: Policy, now: float) -> Group:
        """Make a history for a group that has none; if the table is full, use that of "other".

        Returns:
            The group; or, if the table is full, the group as a part of "other".
        """
        name = group.fingerprint
        if name not in self.groups and name != OTHER and not self._make_room(policy.max_groups):
            group = as_other(group)
        if group.fingerprint not in self.groups:
            history = History(since=group.first, first_at=now, seen_at=now)
            self.groups[group.fingerprint] = history
        return group

    def _make_room(self, limit: int) -> bool:
        """Make room for one more group, if possible: forget the group that was idle longest.

        A group is idle if it has no unmailed events. Return whether there is room.
        """
        if len(self.groups) - (OTHER in self.groups) < limit:
            return True
        idle = [name for name, history in self.groups.items() if history.pending is None]
        idle = [name for name in idle if name != OTHER]
        if not idle:
            return False
        del self.groups[min(idle, key=lambda name: self.groups[name].seen_at)]
        return True
