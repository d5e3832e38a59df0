"""The state's size: at most a megabyte, whatever is logged and however long a mailbox is full.

Where it would be more, details are shed, those first that will be missed least: of digests that
have waited longest, then of what is unmailed. Counts stay: no event leaves the accounts.
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
"""Bytes."""
_SHOWN = 25  # kinds of a digest: as many as a mail shows, unless its policy has more
_SOURCES = 2  # processes of a group


def pack(state: State, limit: int = LIMIT) -> bytes:
    """Return a state as bytes; if these are too many, details are shed from it before."""
    raw = dump(state)
    if len(raw) <= limit:
        return raw
    for shed in _SHEDS:
        excess = len(raw) - limit * 9 // 10  # so that the next commits need not do it again
        if excess <= 0:
            break
        for freed in shed(state):
            excess -= freed
            if excess <= 0:
                break
        raw = dump(state)
    return raw


# Each of these sheds one detail after the other, and yields how many bytes that has freed.


def _samples_of_digests(state: State) -> Iterator[int]:
    for outgoing in _oldest_first(state):
        entries = list(outgoing.digest.entries)
        for place, entry in reversed(list(enumerate(entries))):
            if entry.group.samples:
                bare = replace(entry.group, samples=())
                entries[place] = replace(entry, group=bare, cut=True)
                outgoing.digest = replace(outgoing.digest, entries=tuple(entries))
                yield _size(entry.group) - _size(bare)


def _sources_of_digests(state: State) -> Iterator[int]:
    for outgoing in _oldest_first(state):
        before, entries = outgoing.digest, outgoing.digest.entries
        fewer = (replace(one, group=fewer_sources(one.group, _SOURCES)) for one in entries)
        outgoing.digest = replace(before, entries=tuple(fewer))
        yield _size(before) - _size(outgoing.digest)


def _kinds_of_digests(state: State, kept: int) -> Iterator[int]:
    """Tell the kinds behind the first ones as one, as where the table of groups is full."""
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
    return Entry(
        group=reduce(merge, (as_other(one.group) for one in entries)),
        reason=min((one.reason for one in entries), key=REASONS.index),
        total=sum(one.total for one in entries),
        since=min(one.since for one in entries),
        recent=sum(one.recent for one in entries),
        cut=True,
    )


def _fold_before(outgoing: Outgoing, names: list[str]) -> None:
    """Know of kinds that are one now only since when they waited; if that is needed any more."""
    folded = [outgoing.before.pop(name) for name in names if name in outgoing.before]
    if folded:
        since = min(one.pending_since for one in folded)
        outgoing.before[OTHER] = Before(pending_since=since, told=None)


def _samples_of_groups(state: State) -> Iterator[int]:
    for known, group in sorted(_pending(state), key=lambda one: -one[0].pending_since):
        known.pending = replace(group, samples=())
        yield _size(group) - _size(known.pending)


def _sources_of_groups(state: State) -> Iterator[int]:
    for known, group in _pending(state):
        known.pending = fewer_sources(group, _SOURCES)
        yield _size(group) - _size(known.pending)


def _groups(state: State) -> Iterator[int]:
    """Forget groups as where the table is full; then count the rest, the least first, as one."""
    idle = [name for name, known in state.groups.items() if known.pending is None]
    for name in sorted(idle, key=lambda name: state.groups[name].seen_at):
        yield _size(state.groups.pop(name))
    for _, group in sorted(_pending(state), key=lambda one: (one[1].level, one[1].count)):
        if group.fingerprint != OTHER:
            yield _fold(state, group)


def _fold(state: State, group: Group) -> int:
    known = state.groups.pop(group.fingerprint)
    made = History(since=known.since, first_at=known.first_at, seen_at=known.seen_at)
    other = state.groups.setdefault(OTHER, made)
    size = _size(known) + _size(other)
    other.total += group.count
    other.put(as_other(group), known.pending_since)
    other.seen_at = max(other.seen_at, known.seen_at)
    return size - _size(other)


def _oldest_first(state: State) -> list[Outgoing]:
    return sorted(state.outgoing.values(), key=lambda one: one.at)


def _pending(state: State) -> list[tuple[History, Group]]:
    known = state.groups.values()
    return [(one, one.pending) for one in known if one.pending is not None]


def _size(value: object) -> int:
    return len(dump(value))


_SHEDS = (
    _samples_of_digests,
    partial(_kinds_of_digests, kept=_SHOWN),
    _sources_of_digests,
    partial(_kinds_of_digests, kept=1),
    _samples_of_groups,
    _sources_of_groups,
    _groups,
)
