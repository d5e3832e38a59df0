"""The history of a group: its events so far, its rate, and when it was last told.

The classes here only keep numbers; the rules that read them are in `policy`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tocsin.alerts.grouping import Group, merge

WINDOW = 60
"""Seconds over which a rate is measured."""


@dataclass(slots=True, kw_only=True)
class Rate:
    """The counts of the last minute, second by second.

    Attributes:
        start: the second of the first count.
        counts: one count for each second; it is 0 for a second without events. The last count is
            never 0.
    """

    start: int = 0
    counts: tuple[int, ...] = ()

    def add(self, count: int, now: float) -> None:
        """Add a count for the time `now`, which is never earlier than the time before."""
        second = int(now)
        counts = self._since(second - WINDOW + 1)
        if counts:
            gap = second - self.start - len(counts)
            self.counts = (
                (*counts[:-1], counts[-1] + count) if gap < 0 else (*counts, *([0] * gap), count)
            )
        else:
            self.start, self.counts = second, (count,)

    def within(self, now: float) -> int:
        """Return the count of the minute before `now`."""
        first = int(now) - WINDOW + 1
        return sum(self.counts[max(0, first - self.start) :])

    def _since(self, first: int) -> tuple[int, ...]:
        """Drop the counts before a second, and zeros at the start; return the rest."""
        old = max(0, first - self.start)
        while old < len(self.counts) and not self.counts[old]:
            old += 1
        self.start += old
        self.counts = self.counts[old:]
        return self.counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The latest digest that told a group.

    Attributes:
        at: when the digest was decided, in the store's time.
        interval: seconds after `at` until the group is told again, if its events
            continue.
        rate: events per minute at that time.
        echoes: how many digests in a row, up to this one, told only events of the group that came
            right after a mail; 0 once an event came at any other time.
    """

    at: float
    interval: float
    rate: float
    echoes: int = 0


@dataclass(slots=True, kw_only=True)
class History:
    """The history of one group. Times are the store's, except `since`.

    Attributes:
        pending: the unmailed events; None if there are none.
        pending_since: when the first unmailed event was merged.
        total: events so far.
        since: when the first event was logged, in seconds since the epoch.
        first_at: when the first events were merged.
        seen_at: when the latest events were merged.
        recent: the counts of the last minute.
        told: the latest digest that told the group; None if it is new.
        apart: whether an event of the group ever came at another time than right after a mail.
        title: level, kind and place of the latest unmailed events.
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
    title: str = ""

    @property
    def level(self) -> int:
        """The highest level of the unmailed events; 0 if there are none."""
        return 0 if self.pending is None else self.pending.level

    @property
    def mean_gap(self) -> float:
        """Seconds between two events, on average."""
        return (self.seen_at - self.first_at) / max(1, self.total - 1)

    def add(self, group: Group, now: float, *, after_mail: bool = False) -> None:
        """Add events that were merged now.

        Args:
            group: the events.
            now: the store's time.
            after_mail: whether they came right after a mail, which may have caused them.
        """
        self.apart = self.apart or not after_mail
        self.total += group.count
        self.put(group, now)
        self.seen_at = now
        self.recent.add(group.count, now)

    def take(self) -> Group:
        """Remove and return the unmailed events.

        Raises:
            ValueError: there are none.
        """
        group, self.pending = self.pending, None
        if group is None:
            raise ValueError("there are no unmailed events")
        return group

    def put(self, group: Group, since: float) -> None:
        """Add events to the unmailed ones, without counting them as new events.

        Args:
            group: the events.
            since: when the first of them was merged.
        """
        if self.pending is None:
            self.pending, self.pending_since = group, since
        else:
            self.pending = merge(self.pending, group)
            self.pending_since = min(self.pending_since, since)
        self.title = f"{self.pending.level_name} {self.pending.kind} in {self.pending.place}"
        self.since = min(self.since, group.first)
        self.total = max(
            self.total, self.pending.count
        )  # if the group was forgotten since, `total` is too small
