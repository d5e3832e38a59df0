"""A batch: events and reports that a process appends to a store at once, and their merging."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tocsin.alerts import outcome
from tocsin.alerts import policy as rules
from tocsin.alerts.grouping import Group  # noqa: TC001 - codec reads the types of fields
from tocsin.alerts.outgoing import Report  # noqa: TC001 - as above
from tocsin.alerts.state import Seen

if TYPE_CHECKING:
    from tocsin.alerts.settings import Policy
    from tocsin.alerts.state import State

_MAX_SAMPLES = 600_000  # characters of the samples of all unmailed groups
_MAX_SOURCES = 200  # processes whose latest batch is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The events and reports that a process appends to a store at once.

    Attributes:
        source: the process; "" if the batch is never appended twice.
        number: 1 for the process's first batch, 2 for the next one, and so on. A number is merged
            only once, so a process may append a batch again if the store's answer was lost.
        groups: the events since the last batch.
        reports: the results of attempts to send digests.
        dropped: how many events the process has lost since the last batch.
    """

    source: str = ""
    number: int = 0
    groups: tuple[Group, ...] = ()
    reports: tuple[Report, ...] = ()
    dropped: int = 0


def receive(state: State, batch: Batch, policy: Policy, now: float) -> None:
    """Merge a batch in the state, unless it was merged before."""
    if _is_merged(state, batch, now):
        return
    for report in batch.reports:
        outcome.report(state, report, policy, now)
    state.lose(batch.dropped, now)
    room = _MAX_SAMPLES
    if any(group.samples for group in batch.groups):
        room -= sum(group.size for group in state.unmailed)
    after_mail = state.is_after_mail(now)
    for group in batch.groups:
        room -= group.size
        kept = group if room >= 0 else replace(group, samples=())
        _add(state, kept, policy, now, after_mail=after_mail)


def _is_merged(state: State, batch: Batch, now: float) -> bool:
    """Return whether a batch was merged before; if not, note its number as merged."""
    if not batch.source:
        return False
    seen = state.sources.get(batch.source)
    if seen is not None and batch.number <= seen.number:
        return True
    state.sources[batch.source] = Seen(number=batch.number, at=now)
    if len(state.sources) > _MAX_SOURCES:
        del state.sources[min(state.sources, key=lambda name: state.sources[name].at)]
    return False


def _add(state: State, group: Group, policy: Policy, now: float, *, after_mail: bool) -> None:
    state.since = min(state.since, group.first) if state.received else group.first
    state.received += group.count
    known = state.groups.get(group.fingerprint)
    if known is not None and rules.is_forgotten(known, policy, now):
        del state.groups[group.fingerprint]
    placed = state.place(group, policy, now)
    history = state.groups[placed.fingerprint]
    history.told = rules.told_after_silence(history, policy, now)
    history.add(placed, now, after_mail=after_mail)
