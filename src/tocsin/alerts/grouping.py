"""The group: events with the same fingerprint, counted.

Groups are merged. The result is the same in whatever order many groups are merged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.events.event import Event  # noqa: TC001 - codec reads the types of fields

OTHER = "other"
"""The fingerprint of the group for events that have no group of their own."""
_SAMPLES = 2  # the first and the latest
_SOURCES = 32


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A process that logged events of a group.

    Attributes:
        host: its machine.
        pid: its process number.
        version: the application's version, or "".
        count: how many events it logged.
    """

    host: str
    pid: int
    version: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Events with the same fingerprint, counted over some time.

    Attributes:
        fingerprint: 16 hexadecimal digits, or `OTHER`.
        level: the level's number.
        level_name: the level's name.
        logger: the logger's name.
        kind: the exception's type, or the message without its values.
        place: the function that failed, or the logger.
        text: the text of the first event, in one line.
        count: how many events there are.
        first: when the first event was logged, in seconds since the epoch.
        last: when the last event was logged.
        sources: the processes that logged them, in their order; at most 32.
        samples: the first and the latest event whose content was kept.
        elsewhere: how many events came from processes that are not in `sources`.
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
        """About how many characters its samples hold."""
        return sum(event.size for event in self.samples)


def merge(one: Group, other: Group) -> Group:
    """Return one group with the events of two groups that have the same fingerprint.

    Merging is commutative and associative.
    """
    first, last = sorted((one, other), key=_order)
    sources = _merged_sources(one.sources, other.sources)
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
    """Return the group with only the first processes; the events of the rest are `elsewhere`."""
    if len(group.sources) <= kept:
        return group
    elsewhere = group.elsewhere + sum(item.count for item in group.sources[kept:])
    return replace(group, sources=group.sources[:kept], elsewhere=elsewhere)


def _order(group: Group) -> tuple[float, str, str, str, str]:
    return group.first, group.text, group.place, group.kind, group.logger


def _merged_sources(one: tuple[Source, ...], other: tuple[Source, ...]) -> list[Source]:
    """Return the processes of both groups, in their order.

    A process that is among the first ones of the result was among the first ones of each part. So
    its count is exact, although each part has only its first processes.
    """
    total: dict[tuple[str, int, str], int] = {}
    for item in (*one, *other):
        name = item.host, item.pid, item.version
        total[name] = total.get(name, 0) + item.count
    return [Source(*name, count) for name, count in sorted(total.items())]


def as_other(group: Group) -> Group:
    """Return the group as a part of "other", the group of events without a group of their own.

    It is used when the table of groups is full, or the state is too large.
    """
    return replace(
        group,
        fingerprint=OTHER,
        logger="",
        kind="other errors",
        place="several places",
        text="events of further groups, counted together",
        samples=(),
    )
