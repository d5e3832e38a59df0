"""The run of a replay: records go through intake, grouping and policy by the clock of the log.

As in a program, events are handed over at once if all is idle or they are urgent, and else each
second.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tocsin.cli.plot import Plot
from tocsin.pipeline.intake import Intake, Wake
from tocsin.testing.simulation import Simulation

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

    from tocsin.alerts.digest import Digest
    from tocsin.alerts.grouping import Group
    from tocsin.alerts.settings import Policy
    from tocsin.events.frames import OwnCode
    from tocsin.pipeline.slot import Slot

_HAND_OVER = 1.0  # seconds between two hand-overs
_MAX_GROUPS = 100_000  # fingerprints that are told apart
_MAX_KNOWN = 2_000  # groups whose description is kept for a while
_MAX_NAMED = 2_000  # groups whose description is kept to the end


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedMail:
    """A mail that would have been sent.

    Attributes:
        time: when, in seconds since the epoch.
        reason: why.
        groups: the groups, each with the reason for which it is listed.
        waited: seconds since the first of its events.
    """

    time: float
    reason: str
    groups: tuple[tuple[str, Group], ...]
    waited: float

    @property
    def count(self) -> int:
        """How many events it tells for the first time."""
        return sum(group.count for _, group in self.groups)


class Replay:
    """Run records through a policy.

    Args:
        policy: the policy.
        own: tells the application's own code.

    Attributes:
        mails: the mails so far.
        events: how many records there were.
        fingerprints: fingerprint of a group → how many records it has; of 100,000 groups at most.
        named: fingerprint → a group with its description; of the first 2,000 groups.
        plot: events and mails over time.
    """

    def __init__(self, policy: Policy, own: OwnCode) -> None:
        self.mails: list[ReplayedMail] = []
        self.events: int = 0
        self.fingerprints: dict[str, int] = {}
        self.named: dict[str, Group] = {}
        self.plot: Plot = Plot()
        self._simulation = Simulation(policy, self._send)
        # What is shown is redacted where it is shown: most groups never are.
        self._intake = Intake(
            own=own,
            host=platform.node() or "localhost",
            limit=policy.max_groups,
            urgent_level=policy.urgent_level,
        )
        self._known: dict[str, Group] = {}
        self._now = 0.0
        self._next: float | None = None  # when the intake is handed over; None if it is empty
        self._latest = -_HAND_OVER  # when it was handed over

    def run(self, records: Iterable[logging.LogRecord]) -> None:
        """Run all records, and then the clock until no further mail can be due."""
        for record in records:
            name = record.name
            if name[:6] == "tocsin" and name[6:7] in {"", "."}:  # a handler ignores these
                continue
            self._now = max(self._now, record.created)
            self._log(record)
        if self._next is not None:
            self._hand_over(self._next)
        self._simulation.end()

    def _log(self, record: logging.LogRecord) -> None:
        self.events += 1
        now = self._now
        if self._next is not None and self._next <= now:
            self._hand_over(self._next)
        self.plot.add(now)
        wake = self._intake.add(record, None)
        if wake is Wake.NOW or now >= self._latest + _HAND_OVER:
            self._hand_over(now)
        elif self._next is None:
            self._next = self._latest + _HAND_OVER

    def _hand_over(self, time: float) -> None:
        self._simulation.run_until(time)
        groups = tuple(self._group(name, slot) for name, slot in self._intake.take())
        for group in groups:
            self._count(group)
        self._simulation.merge(groups, time)
        self._latest, self._next = time, None

    def _count(self, group: Group) -> None:
        name, counts = group.fingerprint, self.fingerprints
        if name in counts or len(counts) < _MAX_GROUPS:
            counts[name] = counts.get(name, 0) + group.count
        if name not in self.named and len(self.named) < _MAX_NAMED:
            self.named[name] = group

    def _group(self, name: str, slot: Slot) -> Group:
        """Return the group of a slot. One that has unmailed events needs no further sample."""
        history = self._simulation.state.groups.get(name)
        known = self._known.get(name)
        if known is None or history is None or history.pending is None:
            (group,) = self._intake.groups_of([(name, slot)])
            if len(self._known) > _MAX_KNOWN:
                self._known.clear()
            known = self._known[name] = replace(group, samples=())  # nobody sees them
            return known
        (source,) = known.sources
        return replace(
            known,
            count=slot.count,
            first=slot.first,
            last=slot.last,
            level=slot.level,
            level_name=slot.level_name,
            sources=(replace(source, count=slot.count),),
        )

    def _send(self, digest: Digest) -> None:
        groups = tuple((entry.reason, entry.group) for entry in digest.entries)
        first = min((group.first for _, group in groups), default=digest.date)
        mail = ReplayedMail(
            time=digest.date, reason=digest.reason, groups=groups, waited=digest.date - first
        )
        self.mails.append(mail)
        self.plot.mark(digest.date)
