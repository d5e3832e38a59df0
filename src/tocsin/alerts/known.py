"""What is known of a group beyond its unmailed events: how it goes on, and when it was told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tocsin.alerts.grouping import Group, merge
from tocsin.alerts.rate import WINDOW, Rate

if TYPE_CHECKING:
    from tocsin.alerts.policy import Policy

_SHORTEST_AGE = 10.0  # seconds; a rate over less than that says little
_ECHOES = 2  # mails that tell an echo before no further one goes for it: as new, and once more


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """That a group was told, and what follows from it.

    Attributes:
        at: when the digest was decided, in the store's time.
        interval: seconds from then until what goes on is told again.
        rate: how many events a minute there were then.
        echoes: how many mails in a row, up to this one, told nothing of it but what came right
            after mails; 0 if it ever came at another time.
    """

    at: float
    interval: float
    rate: float
    echoes: int = 0

    @property
    def echo(self) -> bool:
        """Whether mails seem to cause it: one for it alone would only bring the next one."""
        return self.echoes >= _ECHOES


@dataclass(slots=True, kw_only=True)
class Known:
    """A group that has been seen. Times but `since` are the store's.

    Attributes:
        pending: what is unmailed, or None.
        pending_since: since when there is something.
        total: events so far.
        since: when the first event was logged, in seconds since the epoch.
        first_at: when the first events were merged.
        seen_at: when the latest events were merged.
        recent: events of the last minute.
        told: when it was last told; None if it is new.
        apart: whether it ever came at another time than right after a mail.
    """

    pending: Group | None = None
    pending_since: float = 0
    total: int = 0
    since: float
    first_at: float
    seen_at: float
    recent: Rate = field(default_factory=Rate)
    told: Told | None = None
    apart: bool = False

    def add(self, group: Group, policy: Policy, now: float, *, after_mail: bool = False) -> None:
        """Count events that have come, `after_mail` if they may have been caused by one."""
        if self.told is not None and now - self.seen_at >= policy.repeat_max:
            # So long a silence ended what was going on: what comes is told as at the start.
            self.told = replace(self.told, interval=policy.repeat_after)
        self.apart = self.apart or not after_mail
        self.total += group.count
        self.put(group, now)
        self.seen_at = now
        self.recent.add(group.count, now)

    def put(self, group: Group, since: float) -> None:
        """Have something unmailed since then."""
        if self.pending is None:
            self.pending, self.pending_since = group, since
        else:
            self.pending = merge(self.pending, group)
            self.pending_since = min(self.pending_since, since)
        self.since = min(self.since, group.first)
        self.total = max(self.total, self.pending.count)  # it may have been forgotten meanwhile

    def urgent(self, policy: Policy) -> bool:
        """Whether what is unmailed must not wait."""
        return self.pending is not None and self.pending.level >= policy.urgent_level

    def is_echo(self, mail_at: float) -> bool:
        """Return whether what is unmailed is no reason for a mail, as mails seem to cause it.

        An echo comes after each mail, so that the next one tells it: where the latest mail, which
        was at `mail_at`, didn't tell it, it is none.
        """
        told = self.told
        return told is not None and told.echo and told.at == mail_at and not self.apart

    def still_at(self, policy: Policy) -> float:
        """Return when what goes on is told again."""
        told = self.told
        waited = self.pending_since + policy.group_wait
        return waited if told is None else max(waited, told.at + told.interval)

    def quiet_at(self, policy: Policy) -> float:
        """Return when it counts as quiet, if nothing comes."""
        gap = (self.seen_at - self.first_at) / max(1, self.total - 1)
        return self.seen_at + max(policy.quiet_after, 3 * gap)

    def worse_at(self, policy: Policy, now: float) -> float | None:
        """Return from when on it counts as worse, by what the last minute brought."""
        if self.told is None:
            return None
        recent = self.recent.within(now)
        if recent < policy.surge_min or recent < policy.surge_factor * self.told.rate:
            return None
        return self.told.at + WINDOW

    def rate(self, now: float) -> float:
        """Return how many events a minute there were lately."""
        age = now - self.first_at
        if age >= WINDOW:
            return self.recent.within(now)
        # The first event began the time that is measured: those behind it are its rate.
        return (self.recent.within(now) - 1) * 60 / max(age, _SHORTEST_AGE)

    def reason(self, policy: Policy, now: float) -> str:
        """Return as what a digest tells it now."""
        if self.told is None:
            return "new"
        worse_at = self.worse_at(policy, now)
        if worse_at is not None and worse_at <= now:
            return "worse"
        if self.still_at(policy) > now >= self.quiet_at(policy):
            return "quiet"
        return "still"

    def tell(self, policy: Policy, now: float, mail_at: float | None = None) -> Group:
        """Return what is unmailed, as it is told from now on; the latest mail was at `mail_at`."""
        group, reason, told = self.pending, self.reason(policy, now), self.told
        if group is None:
            raise ValueError("there is nothing to tell")
        interval = policy.repeat_after
        if told is not None and reason != "worse":
            # Only what was due by itself comes less and less often; what another one's digest
            # tells keeps its interval.
            double = self.still_at(policy) <= now
            interval = min(told.interval * 2, policy.repeat_max) if double else told.interval
        in_a_row = told.echoes if told is not None and told.at == mail_at else 0
        echoes = 0 if self.apart else in_a_row + 1
        self.told = Told(at=now, interval=interval, rate=self.rate(now), echoes=echoes)
        self.pending = None
        return group
