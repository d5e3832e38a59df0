"""What a store keeps: groups and what of them is unmailed, digests on their way, and the accounts.

received = mailed + pending + undelivered, always. Each method takes the store's time, and leaves
the state as it is to be committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tocsin.alerts.digest import Digest, Entry, rank
from tocsin.alerts.grouping import OTHER, Group, as_other, merge
from tocsin.alerts.policy import reason_of

if TYPE_CHECKING:
    from tocsin.alerts.policy import Policy

_FIRST_PAUSE = 1.0
_LAST_PAUSE = 300.0
_MAX_SAMPLES = 1 << 20  # characters of all samples that are not told yet


@dataclass(slots=True, kw_only=True)
class Known:
    """A group that has been seen.

    Attributes:
        pending: what is unmailed, or None.
        pending_since: since when there is something, in the store's time.
        total: events so far.
        since: when the first event came, in seconds since the epoch.
        seen_at: when the latest events were merged, in the store's time.
        told_at: when a digest told it, in the store's time; None if it is new.
    """

    pending: Group | None
    pending_since: float
    total: int
    since: float
    seen_at: float
    told_at: float | None


@dataclass(slots=True, kw_only=True)
class Outgoing:
    """A digest that was decided and isn't done yet.

    Attributes:
        digest: what it says.
        owed: to whom, as bare addresses; None for everybody.
        counted: whether somebody has accepted it.
        failures: attempts that failed since somebody has it, or may have it.
        retry_at: before when it is not sent again, in the store's time.
    """

    digest: Digest
    owed: tuple[str, ...] | None = None
    counted: bool = False
    failures: int = 0
    retry_at: float = 0


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
    """What a process hands over to a store at once.

    Attributes:
        groups: what was counted since the last batch.
        reports: what became of digests that it sent.
    """

    groups: tuple[Group, ...] = ()
    reports: tuple[Report, ...] = ()


@dataclass(slots=True, kw_only=True)
class State:
    """All that is known about one handler's alerts.

    Attributes:
        groups: fingerprint → group.
        outgoing: Message-ID → digest.
        received: events merged.
        mailed: events in a digest that at least one recipient's server accepted.
        undelivered: events that were given up.
        failures: attempts that nobody accepted since the last one that somebody did.
        retry_at: before when nothing is sent, in the store's time.
    """

    groups: dict[str, Known] = field(default_factory=dict)
    outgoing: dict[str, Outgoing] = field(default_factory=dict)
    received: int = 0
    mailed: int = 0
    undelivered: int = 0
    failures: int = 0
    retry_at: float = 0

    @property
    def pending(self) -> int:
        """Events that are neither mailed nor given up."""
        return self.received - self.mailed - self.undelivered

    def receive(self, batch: Batch, policy: Policy, now: float) -> None:
        """Merge what a process has handed over."""
        for report in batch.reports:
            self.report(report, policy, now)
        room = _MAX_SAMPLES - sum(
            known.pending.size for known in self.groups.values() if known.pending is not None
        )
        for group in batch.groups:
            self.received += group.count
            self._forget(group.fingerprint, policy, now)
            room -= group.size
            self._add(group if room >= 0 else replace(group, samples=()), policy, now)

    def _add(self, group: Group, policy: Policy, now: float) -> None:
        if group.fingerprint not in self.groups and not self._room(policy.max_groups):
            group = as_other(group)
        known = self.groups.get(group.fingerprint)
        if known is None:
            known = self.groups[group.fingerprint] = Known(
                pending=None,
                pending_since=now,
                total=0,
                since=group.first,
                seen_at=now,
                told_at=None,
            )
        if known.pending is None:
            known.pending_since = now
        known.pending = group if known.pending is None else merge(known.pending, group)
        known.total += group.count
        known.since = min(known.since, group.first)
        known.seen_at = now

    def _forget(self, fingerprint: str, policy: Policy, now: float) -> None:
        """Drop a group that wasn't seen for so long that it counts as new."""
        known = self.groups.get(fingerprint)
        if known and known.pending is None and known.seen_at + policy.forget_after <= now:
            del self.groups[fingerprint]

    def _room(self, limit: int) -> bool:
        """Make room for one more group, by the one longest unseen with nothing unmailed."""
        if len(self.groups) < limit:
            return True
        idle = [name for name, known in self.groups.items() if known.pending is None]
        if not idle:
            return False
        del self.groups[min(idle, key=lambda name: self.groups[name].seen_at)]
        return True

    def take(self, reason: str, message_id: str, policy: Policy, now: float) -> Outgoing:
        """Make a digest of all that is unmailed; it is on its way from now on."""
        entries: list[Entry] = []
        for known in self.groups.values():
            if known.pending is None:
                continue
            entries.append(
                Entry(
                    group=known.pending,
                    reason=reason_of(known),
                    total=known.total,
                    since=known.since,
                    told_at=known.told_at,
                )
            )
            known.pending = None
            known.told_at = now
        digest = Digest(
            message_id=message_id,
            date=now,
            reason=reason,
            entries=tuple(sorted(entries, key=rank)),
            next_at=None if reason == "exit" else now + policy.repeat_after,
            received=self.received,
            mailed=self.mailed,
            undelivered=self.undelivered,
        )
        if (other := self.groups.get(OTHER)) is not None:
            other.told_at = None  # it is never the same kinds twice
        outgoing = self.outgoing[message_id] = Outgoing(digest=digest)
        return outgoing

    def report(self, report: Report, policy: Policy, now: float) -> None:
        """Note what became of an attempt to send a digest."""
        outgoing = self.outgoing.pop(report.message_id, None)
        if outgoing is None:  # said before
            return
        digest = outgoing.digest
        if report.accepted and not outgoing.counted:
            outgoing.counted = True
            self.mailed += digest.count
        if report.accepted or not report.owed:
            self.failures = 0
            self.retry_at = 0
        if not report.owed:
            if not outgoing.counted:
                self.undelivered += digest.count
                # Nobody was told: what comes next is as new as this was, but not before a pause.
                self.retry_at = now + _LAST_PAUSE
                for entry in digest.entries:
                    if (known := self.groups.get(entry.group.fingerprint)) is not None:
                        known.told_at = entry.told_at
            return
        if outgoing.counted or report.unknown or outgoing.owed is not None:
            # Somebody has it, or may have it: what it says can't change any more. It waits by
            # itself, behind the others: one full mailbox must not keep news from everybody else.
            outgoing.owed = report.owed
            outgoing.failures += 1
            outgoing.retry_at = now + max(report.pause, _pause(outgoing.failures))
            self.outgoing[report.message_id] = outgoing
        else:
            self.failures += 1
            self.retry_at = now + _pause(self.failures)
            self._dissolve(digest, policy, now)
        if report.pause:
            self.retry_at = max(self.retry_at, now + report.pause)

    def _dissolve(self, digest: Digest, policy: Policy, now: float) -> None:
        """Make pending again what nobody has been told."""
        for entry in digest.entries:
            group = entry.group
            known = self.groups.get(group.fingerprint)
            if known is None:
                self._add(group, policy, now)
                continue
            known.pending = group if known.pending is None else merge(known.pending, group)
            known.pending_since = min(known.pending_since, digest.date)
            known.told_at = entry.told_at

    def due(self, now: float) -> Outgoing | None:
        """Return a digest that is to be sent once more now, if there is one."""
        due = (one for one in self.outgoing.values() if self.due_at(one) <= now)
        return next(due, None)

    def due_at(self, outgoing: Outgoing) -> float:
        """Return when a digest on its way may be sent again."""
        return max(self.retry_at, outgoing.retry_at)


def _pause(failures: int) -> float:
    """Return how long to wait after some failures: 1, 2, 4 ... 300 seconds."""
    return min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 10), _LAST_PAUSE)
