"""What a store keeps: groups and what of them is unmailed, digests on their way, and the accounts.

received = mailed + pending + undelivered, always. Each method takes the store's time, and leaves
the state as it is to be committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tocsin.alerts.budget import Budget
from tocsin.alerts.digest import Accounts, Audience, Digest, Entry, Trouble, rank
from tocsin.alerts.grouping import OTHER, as_other
from tocsin.alerts.known import Known
from tocsin.alerts.outgoing import Before, Outgoing

if TYPE_CHECKING:
    from tocsin.alerts.batch import Batch, Report
    from tocsin.alerts.grouping import Group
    from tocsin.alerts.policy import Decision, Policy

_FIRST_PAUSE = 1.0
_LAST_PAUSE = 300.0
_MAX_SAMPLES = 600_000  # characters of all samples that are not told yet
_MAX_SOURCES = 200
_MAX_PROBLEM = 1_000  # characters
_MAX_OUTGOING = 20
_AFTER_MAIL = 60.0  # seconds in which what comes may have been caused by a mail
_NOBODY = Audience()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The latest batch of a process that was merged.

    Attributes:
        number: the batch's.
        at: when that was, in the store's time.
    """

    number: int
    at: float


@dataclass(slots=True, kw_only=True)
class State:
    """All that is known about one handler's alerts. Times but `since` are the store's.

    Attributes:
        groups: fingerprint → group.
        outgoing: Message-ID → digest.
        sources: process → its latest batch.
        normal: the budget of mails for what is new or worse.
        urgent: the same for what is urgent.
        since: when the first event was logged, in seconds since the epoch.
        received: events merged.
        mailed: events in a digest that at least one recipient's server accepted.
        undelivered: events that were given up.
        lost: events that were dropped or given up, and no mail has said so.
        lost_at: since when there are some.
        mail_at: when the latest digest was decided that isn't dissolved.
        sent_at: when the latest attempt to send a digest began or was reported; None if none was.
        failures: attempts that nobody accepted since the last one that somebody did.
        failing_since: when the first of these was.
        trouble: why the latest mails didn't reach everybody; None if they did.
        retry_at: before when nothing is sent.
    """

    groups: dict[str, Known] = field(default_factory=dict)
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
        """The events of all groups that no digest has taken."""
        waiting = (known.pending for known in self.groups.values())
        return tuple(group for group in waiting if group is not None)

    @property
    def full(self) -> bool:
        """Whether there are so many digests that nobody is known to have that others wait."""
        return sum(not one.counted for one in self.outgoing.values()) >= _MAX_OUTGOING

    def withdraw(self) -> None:
        """Forget what is unmailed or lost, as it has been handed over elsewhere."""
        self.received -= sum(group.count for group in self.unmailed)
        self.lost = 0
        for known in self.groups.values():
            known.pending = None

    def budget(self, name: str) -> Budget:
        """Return the budget of that name."""
        return self.urgent if name == "urgent" else self.normal

    def receive(self, batch: Batch, policy: Policy, now: float) -> None:
        """Merge what a process has handed over, unless that has been done before."""
        if batch.source:
            seen = self.sources.get(batch.source)
            if seen is not None and batch.number <= seen.number:
                return
            self.sources[batch.source] = Seen(number=batch.number, at=now)
            if len(self.sources) > _MAX_SOURCES:
                del self.sources[min(self.sources, key=lambda name: self.sources[name].at)]
        for report in batch.reports:
            self.report(report, policy, now)
        self._lose(batch.dropped, now)
        room = _MAX_SAMPLES
        if any(group.samples for group in batch.groups):
            waiting = (known.pending for known in self.groups.values())
            room -= sum(pending.size for pending in waiting if pending is not None)
        after_mail = self._after_mail(now)
        for group in batch.groups:
            self.since = min(self.since, group.first) if self.received else group.first
            self.received += group.count
            self._forget(group.fingerprint, policy, now)
            room -= group.size
            placed = self._place(group if room >= 0 else replace(group, samples=()), policy, now)
            self.groups[placed.fingerprint].add(placed, policy, now, after_mail=after_mail)

    def _after_mail(self, now: float) -> bool:
        """Return whether a mail is on its way, or was until a short time ago."""
        if self.sent_at is not None and now < self.sent_at + _AFTER_MAIL:
            return True
        return any(now < one.claimed_until for one in self.outgoing.values())

    def _place(self, group: Group, policy: Policy, now: float) -> Group:
        """Return a group as the table has a place for it: among the others, if it is full."""
        name = group.fingerprint
        if name not in self.groups and name != OTHER and not self._room(policy.max_groups):
            group = as_other(group)
        if group.fingerprint not in self.groups:
            known = Known(since=group.first, first_at=now, seen_at=now)
            self.groups[group.fingerprint] = known
        return group

    def _lose(self, count: int, since: float) -> None:
        if count:
            self.lost_at = min(self.lost_at, since) if self.lost else since
            self.lost += count

    def _forget(self, fingerprint: str, policy: Policy, now: float) -> None:
        """Drop a group that wasn't seen for so long that it counts as new."""
        known = self.groups.get(fingerprint)
        if known and known.pending is None and known.seen_at + policy.forget_after <= now:
            del self.groups[fingerprint]

    def _room(self, limit: int) -> bool:
        """Make room for one more group, by the one longest unseen with nothing unmailed."""
        if len(self.groups) - (OTHER in self.groups) < limit:
            return True
        idle = [name for name, known in self.groups.items() if known.pending is None]
        idle = [name for name in idle if name != OTHER]
        if not idle:
            return False
        del self.groups[min(idle, key=lambda name: self.groups[name].seen_at)]
        return True

    def take(
        self,
        decision: Decision,
        *,
        message_id: str,
        policy: Policy,
        now: float,
        wall: float | None = None,
        audience: Audience = _NOBODY,
    ) -> Outgoing:
        """Make a digest of all that is unmailed; it is on its way from now on.

        Args:
            decision: why it goes, and what pays for it.
            message_id: the email's.
            policy: the numbers.
            now: the store's time.
            wall: the same by this process's clock, by which the mail shows its times; by default
                it is the same.
            audience: who gets it.
        """
        ahead = 0 if wall is None else now - wall
        before = {
            name: Before(pending_since=known.pending_since, told=known.told)
            for name, known in self.groups.items()
            if known.pending is not None
        }
        numbers = decision.haste.on(policy)
        entries = [self._tell(name, numbers, now, ahead) for name in before]
        if decision.spends:
            self.budget(decision.spends).spend(policy, now)
        told = [self.groups[name].told for name in before]
        again = [one.at + min(one.interval, policy.quiet_after) for one in told if one]
        last = decision.reason == "exit" or policy.at_exit
        digest = Digest(
            message_id=message_id,
            date=now - ahead,
            reason=decision.reason or "still",
            entries=tuple(sorted(entries, key=rank)),
            next_at=None if last else min(again, default=now + policy.repeat_after) - ahead,
            lost=self.lost,
            trouble=self.trouble and replace(self.trouble, since=self.trouble.since - ahead),
            accounts=Accounts(
                since=self.since,
                received=self.received,
                mailed=self.mailed,
                undelivered=self.undelivered,
                tokens=self.normal.left(policy, now),
            ),
            audience=audience,
        )
        if (other := self.groups.get(OTHER)) is not None:
            other.told = None  # it is never the same kinds twice
        outgoing = self.outgoing[message_id] = Outgoing(
            digest=digest,
            at=now,
            spent=decision.spends,
            before=before,
            mail_before=self.mail_at,
            lost_before=self.lost_at,
            owed=audience.recipients,
        )
        self.lost = 0
        self.mail_at = self.sent_at = now
        return outgoing

    def _tell(self, name: str, policy: Policy, now: float, ahead: float) -> Entry:
        """Return a group as it is told now, by a clock that the store's is ahead of."""
        known = self.groups[name]
        before, reason = known.told, known.reason(policy, now)
        group = known.tell(policy, now, self.mail_at)
        return Entry(
            group=group,
            reason=reason,
            total=known.total,
            since=known.since,
            recent=known.recent.within(now),
            before=before and replace(before, at=before.at - ahead),
            echo=known.told is not None and known.told.echo,
        )

    def report(self, report: Report, policy: Policy, now: float) -> None:
        """Note what an attempt to send a digest has come to."""
        outgoing = self.outgoing.get(report.message_id)
        if outgoing is None:  # all has been said
            return
        self.sent_at = now
        done = {*report.accepted, *report.refused}
        outgoing.owed = tuple(one for one in outgoing.owed if one not in done)
        if report.accepted:
            self.failures, self.retry_at = 0, 0
            if not outgoing.counted:
                outgoing.counted = True
                outgoing.before = {}  # it never dissolves, and has told what it tells
                self.mailed += outgoing.digest.count
        outgoing.frozen = outgoing.frozen or bool(report.accepted or report.unknown)
        if report.final or not outgoing.owed:
            self._end(outgoing, report, policy, now)

    def _end(self, outgoing: Outgoing, report: Report, policy: Policy, now: float) -> None:
        """Note that an attempt is over."""
        if outgoing.owed and outgoing.claimed_by != report.owner:
            return  # somebody else sends it by now, as this one took too long
        outgoing.settle(report.owner)
        self._complain(report.problem, now)
        if not outgoing.owed:
            del self.outgoing[report.message_id]
            if not outgoing.counted:
                self.give_up(outgoing, now)
        elif outgoing.frozen:
            # It waits by itself: one full mailbox must not keep news from everybody else.
            outgoing.failures += 1
            outgoing.retry_at = now + max(report.pause, _pause(outgoing.failures))
        else:
            self.failing_since = self.failing_since if self.failures else now
            self.failures += 1
            self.retry_at = now + _pause(self.failures)
            del self.outgoing[report.message_id]
            self._dissolve(outgoing, policy, now)
        if report.pause:
            self.retry_at = max(self.retry_at, now + report.pause)

    def _complain(self, problem: str, now: float) -> None:
        """Note what the next mail says about those before it."""
        problem = problem[:_MAX_PROBLEM]
        if not problem:
            self.trouble = None
        elif self.trouble is None:
            self.trouble = Trouble(since=now, count=1, problem=problem)
        else:
            self.trouble = replace(self.trouble, count=self.trouble.count + 1, problem=problem)

    def give_up(self, outgoing: Outgoing, now: float) -> None:
        """End a digest that nobody more will get; if nobody has it, what comes next is new."""
        self.outgoing.pop(outgoing.digest.message_id, None)
        if outgoing.counted:
            return
        digest = outgoing.digest
        self.undelivered += digest.count
        self._lose(digest.count + digest.lost, now)
        self.failures, self.retry_at = 0, now + _LAST_PAUSE
        self._untell(outgoing)

    def overdue(self, after: float, now: float) -> list[Outgoing]:
        """Return digests to give up: those that are too old, and where there are many, some more.

        These are the oldest of those that somebody has: no event is lost with them.

        Args:
            after: the age, in seconds, at which a digest is given up.
            now: the store's time.
        """
        waiting = [one for one in self.outgoing.values() if one.claimed_until <= now]
        waiting.sort(key=lambda one: one.at)
        old = [one for one in waiting if one.at + after <= now]
        had = [one for one in waiting[len(old) :] if one.counted]
        return old + had[: max(0, len(self.outgoing) - len(old) - _MAX_OUTGOING)]

    def hopeless(self, after: float, now: float) -> bool:
        """Whether all attempts have failed for so long that what is unmailed is given up."""
        return self.failures > 0 and self.failing_since + after <= now

    def _dissolve(self, outgoing: Outgoing, policy: Policy, now: float) -> None:
        """Make pending again what nobody has been told, as if it had never been taken."""
        digest = outgoing.digest
        if outgoing.spent:
            self.budget(outgoing.spent).give_back(policy, now)
        if self.mail_at == outgoing.at:
            self.mail_at = outgoing.mail_before
        for later in self.outgoing.values():
            if later.mail_before == outgoing.at:
                later.mail_before = outgoing.mail_before
        self._lose(digest.lost, outgoing.lost_before)
        self._untell(outgoing)
        # What is in the table comes first: a place for what isn't any more is taken from the idle.
        groups = [entry.group for entry in digest.entries]
        for group in sorted(groups, key=lambda group: group.fingerprint not in self.groups):
            placed = self._place(group, policy, now)
            since = outgoing.before[group.fingerprint].pending_since
            self.groups[placed.fingerprint].put(placed, since)

    def _untell(self, outgoing: Outgoing) -> None:
        """Let groups be told when they were before; a later digest may have told them, too."""
        for name, before in outgoing.before.items():
            known = self.groups.get(name)
            if known is not None and known.told is not None and known.told.at == outgoing.at:
                known.told = before.told
            for later in self.outgoing.values():
                other = later.before.get(name)
                if other is not None and other.told is not None and other.told.at == outgoing.at:
                    later.before[name] = replace(other, told=before.told)

    def due(self, now: float) -> Outgoing | None:
        """Return a digest that is to be sent once more now, if there is one."""
        due = [one for one in self.outgoing.values() if self.due_at(one) <= now]
        return min(due, key=self.due_at, default=None)

    def due_at(self, outgoing: Outgoing) -> float:
        """Return when a digest on its way may be sent again."""
        return max(self.retry_at, outgoing.retry_at, outgoing.claimed_until)


def _pause(failures: int) -> float:
    """Return how long to wait after some failures: 1, 2, 4 ... 300 seconds."""
    return min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 10), _LAST_PAUSE)
