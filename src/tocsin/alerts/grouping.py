"""The group: events of one kind, counted; merging them in any order gives the same."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.events.event import Event  # noqa: TC001 - codec reads the types of fields

OTHER = "other"
_SAMPLES = 2  # the first and the latest
_SOURCES = 32


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A process that events came from.

    Attributes:
        host: its machine.
        pid: its number.
        version: the application's version, or "".
        count: how many came from there.
    """

    host: str
    pid: int
    version: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Events of one kind, counted over some time.

    Attributes:
        fingerprint: what they have in common, as 16 hexadecimal digits.
        level: the level's number.
        level_name: the level's name.
        logger: the logger's name.
        kind: the exception's type, or the message without its values.
        place: the function that failed, or the logger.
        text: what the first of them says, in one line.
        count: how many they are.
        first: when the first was logged, in seconds since the epoch.
        last: when the last was logged.
        sources: the processes that they came from; of many, the first ones in their order.
        elsewhere: how many came from other processes than these.
        samples: the first and the latest event of which more is known than that it happened.
    """

    fingerprint: str
    level: int
    level_name: str
    logger: str
    kind: str
    place: str
    text: str
    count: int
    first: float
    last: float
    sources: tuple[Source, ...]
    samples: tuple[Event, ...]
    elsewhere: int = 0

    @property
    def size(self) -> int:
        """Characters that its samples hold, about."""
        return sum(event.size for event in self.samples)


def merge(one: Group, other: Group) -> Group:
    """Return the group of all events of two groups with the same fingerprint.

    It doesn't matter which comes first, nor in which order many are merged.
    """
    first, last = sorted((one, other), key=_order)
    sources = _add(one.sources, other.sources)
    ordered = sorted({*first.samples, *last.samples})
    highest = max(first, last, key=lambda group: (group.level, group.level_name))
    merged = replace(
        first,
        level=highest.level,
        level_name=highest.level_name,
        count=one.count + other.count,
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        sources=tuple(sources),
        elsewhere=one.elsewhere + other.elsewhere,
        samples=tuple(ordered if len(ordered) <= _SAMPLES else [ordered[0], ordered[-1]]),
    )
    return fewer_sources(merged, _SOURCES)


def fewer_sources(group: Group, kept: int) -> Group:
    """Return the group with only the first of the processes that its events came from."""
    if len(group.sources) <= kept:
        return group
    elsewhere = group.elsewhere + sum(item.count for item in group.sources[kept:])
    return replace(group, sources=group.sources[:kept], elsewhere=elsewhere)


def _order(group: Group) -> tuple[float, str, str, str, str]:
    return group.first, group.text, group.place, group.kind, group.logger


def _add(one: tuple[Source, ...], other: tuple[Source, ...]) -> list[Source]:
    """Return the processes of both, in their order.

    If only the first ones are kept, each of these was among the first ones of its part, too: its
    count is exact, whatever was merged before.
    """
    total: dict[tuple[str, int, str], int] = {}
    for item in (*one, *other):
        name = item.host, item.pid, item.version
        total[name] = total.get(name, 0) + item.count
    return [Source(*name, count) for name, count in sorted(total.items())]


def as_other(group: Group) -> Group:
    """Return the group as a part of the one that takes what finds no place in a full table."""
    return replace(
        group,
        fingerprint=OTHER,
        logger="",
        kind="other errors",
        place="several places",
        text="more kinds of errors than are told apart",
        samples=(),
    )
