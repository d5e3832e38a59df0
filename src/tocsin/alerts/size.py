"""The size of the state: at most a megabyte, even if mails can't be sent for days.

If a state is larger, details are dropped until it is small enough: first those of the digests that
have waited longest, then those of the unmailed groups. Counts stay: no event leaves the accounts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from typing import TYPE_CHECKING

from tocsin.alerts.codec import dump
from tocsin.alerts.digest import Entry
from tocsin.alerts.grouping import OTHER, as_other, fewer_sources, merge
from tocsin.alerts.history import History
from tocsin.alerts.outgoing import Before
from tocsin.alerts.policy import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.alerts.grouping import Group
    from tocsin.alerts.outgoing import Outgoing
    from tocsin.alerts.state import State

LIMIT = 1_000_000
"""The largest size of a state, in bytes."""
_SHOWN = 25  # groups of a digest: as many as a mail shows by default
_SOURCES = 2  # processes of a group


def pack(state: State, limit: int = LIMIT) -> bytes:
    """Return a state as bytes; if these are too many, details are dropped from the state first."""
    raw = dump(state)
    if len(raw) <= limit:
        return raw
    for drop in _STEPS:
        excess = len(raw) - limit * 9 // 10  # less than the limit, so that the next states fit, too
        if excess <= 0:
            break
        for freed in drop(state):
            excess -= freed
            if excess <= 0:
                break
        raw = dump(state)
    return raw


# Each of these functions drops one detail after another, and yields how many bytes each has freed.


def _samples_of_digests(state: State) -> Iterator[int]:
    """Drop the samples of digests, those of the last groups first."""
    for outgoing in _oldest_first(state):
        entries = list(outgoing.digest.entries)
        for place, entry in reversed(list(enumerate(entries))):
            if entry.group.samples:
                bare = replace(entry.group, samples=())
                entries[place] = replace(entry, group=bare, cut=True)
                outgoing.digest = replace(outgoing.digest, entries=tuple(entries))
                yield _size(entry.group) - _size(bare)


def _sources_of_digests(state: State) -> Iterator[int]:
    """Drop all but the first processes of the groups in digests."""
    for outgoing in _oldest_first(state):
        before, entries = outgoing.digest, outgoing.digest.entries
        fewer = (replace(one, group=fewer_sources(one.group, _SOURCES)) for one in entries)
        outgoing.digest = replace(before, entries=tuple(fewer))
        yield _size(before) - _size(outgoing.digest)


def _groups_of_digests(state: State, kept: int) -> Iterator[int]:
    """Keep the first groups of digests; fold the rest into "other"."""
    for outgoing in _oldest_first(state):
        size = _size(outgoing)
        first = [one for one in outgoing.digest.entries[:kept] if one.group.fingerprint != OTHER]
        rest = [one for one in outgoing.digest.entries if one not in first]
        if len(rest) > 1:
            entries = (*first, _as_one(rest))
            outgoing.digest = replace(outgoing.digest, entries=entries)
            _fold_before(outgoing, [one.group.fingerprint for one in rest])
            yield size - _size(outgoing)


def _as_one(entries: list[Entry]) -> Entry:
    """Fold groups of a digest into one, "other"."""
    return Entry(
        group=reduce(merge, (as_other(one.group) for one in entries)),
        reason=min((one.reason for one in entries), key=REASONS.index),
        total=sum(one.total for one in entries),
        since=min(one.since for one in entries),
        recent=sum(one.recent for one in entries),
        cut=True,
    )


def _fold_before(outgoing: Outgoing, names: list[str]) -> None:
    """Replace the `Before` of each folded group by one for "other".

    A digest that is counted has none: it can't be dissolved any more.
    """
    folded = [outgoing.before.pop(name) for name in names if name in outgoing.before]
    if folded:
        since = min(one.pending_since for one in folded)
        outgoing.before[OTHER] = Before(pending_since=since, told=None)


def _samples_of_groups(state: State) -> Iterator[int]:
    """Drop the samples of unmailed groups, those of the latest groups first."""
    for history, group in sorted(_pending(state), key=lambda one: -one[0].pending_since):
        history.pending = replace(group, samples=())
        yield _size(group) - _size(history.pending)


def _sources_of_groups(state: State) -> Iterator[int]:
    """Drop all but the first processes of unmailed groups."""
    for history, group in _pending(state):
        history.pending = fewer_sources(group, _SOURCES)
        yield _size(group) - _size(history.pending)


def _groups(state: State) -> Iterator[int]:
    """Forget groups without unmailed events; then fold the rest into "other", small ones first."""
    idle = [name for name, history in state.groups.items() if history.pending is None]
    for name in sorted(idle, key=lambda name: state.groups[name].seen_at):
        yield _size(state.groups.pop(name))
    for _, group in sorted(_pending(state), key=lambda one: (one[1].level, one[1].count)):
        if group.fingerprint != OTHER:
            yield _fold(state, group)


def _fold(state: State, group: Group) -> int:
    """Fold a group into "other"; return how many bytes that has freed."""
    history = state.groups.pop(group.fingerprint)
    made = History(since=history.since, first_at=history.first_at, seen_at=history.seen_at)
    other = state.groups.setdefault(OTHER, made)
    size = _size(history) + _size(other)
    other.total += group.count
    other.put(as_other(group), history.pending_since)
    other.seen_at = max(other.seen_at, history.seen_at)
    return size - _size(other)


def _oldest_first(state: State) -> list[Outgoing]:
    return sorted(state.outgoing.values(), key=lambda one: one.at)


def _pending(state: State) -> list[tuple[History, Group]]:
    histories = state.groups.values()
    return [(one, one.pending) for one in histories if one.pending is not None]


def _size(value: object) -> int:
    return len(dump(value))


_STEPS = (
    _samples_of_digests,
    partial(_groups_of_digests, kept=_SHOWN),
    _sources_of_digests,
    partial(_groups_of_digests, kept=1),
    _samples_of_groups,
    _sources_of_groups,
    _groups,
)
