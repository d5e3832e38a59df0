"""The view of a group: what its template, and the head of a mail, show of it.

The attributes of a view are the interface for a user's own templates. Each text is one line, except
the messages, tracebacks and extra fields of samples.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.render.sample_view import MAX_NAME, MAX_TITLE, NO_ROOM, Room, SampleView, view_samples
from tocsin.render.times import Times, between
from tocsin.text import short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.alerts.digest import Entry
    from tocsin.alerts.grouping import Source

_SHOWN_HOSTS = 8
_SHOWN_PROCESSES = 12
_SHOWN_VERSIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A group that the mail tells.

    Attributes:
        number: its place in the mail, from 1.
        reason: "new", "worse", "still" or "quiet".
        level: the level's name.
        critical: whether the level is CRITICAL or above.
        logger: the logger's name.
        kind: the exception's type, or the message without its values.
        place: the function that failed, or the logger.
        text: the text of the first event, in one line.
        count: events that are told for the first time.
        first: when the first of them was logged.
        last: when the last of them was logged.
        first_minute: the first, without seconds.
        last_minute: the last, without seconds.
        span: the time from the first to the last.
        hosts: names of the hosts that they came from, the one with the most events first.
        more_hosts: how many hosts are not named.
        processes: how many processes they came from.
        elsewhere: events of further processes, whose hosts are unknown.
        counts: each host with its count; with its processes if there are several.
        versions: the versions of the application in these processes.
        total: events of the group so far.
        since: when the very first event was logged.
        history: notes about the time before this mail, such as "2,310 in all since 23:41".
        samples: the first and the latest event.
        cut: whether samples are left out.
    """

    number: int
    reason: str
    level: str
    critical: bool
    logger: str
    kind: str
    place: str
    text: str
    count: int
    first: str
    last: str
    first_minute: str
    last_minute: str
    span: str
    hosts: tuple[str, ...]
    more_hosts: int
    processes: int
    elsewhere: int
    counts: str
    versions: tuple[str, ...]
    total: int
    since: str
    history: tuple[str, ...]
    samples: tuple[SampleView, ...]
    cut: bool


def view_group(entry: Entry, number: int, times: Times, *, room: Room) -> GroupView:
    """Return the view of a group.

    Args:
        entry: the group, as the digest tells it.
        number: its place in the mail.
        times: the format of times.
        room: for each part of a sample.
    """
    group = entry.group
    samples = () if room is NO_ROOM else group.samples
    hosts = _by_host(group.sources)
    versions = sorted({short(source.version, MAX_NAME) for source in group.sources} - {""})
    return GroupView(
        number=number,
        reason=entry.reason,
        level=short(group.level_name, MAX_NAME),
        critical=group.level >= logging.CRITICAL,
        logger=short(group.logger, MAX_NAME),
        kind=short(group.kind, MAX_NAME),
        place=short(group.place, MAX_NAME),
        text=short(group.text, MAX_TITLE),
        count=group.count,
        first=times.second(group.first),
        last=times.second(group.last),
        first_minute=times.minute(group.first),
        last_minute=times.minute(group.last),
        span=between(group.first, group.last),
        hosts=tuple(hosts)[:_SHOWN_HOSTS],
        more_hosts=max(0, len(hosts) - _SHOWN_HOSTS),
        processes=len(group.sources),
        elsewhere=group.elsewhere,
        counts=_counts(hosts, group.elsewhere),
        versions=first_of(versions, _SHOWN_VERSIONS),
        total=entry.total,
        since=times.minute(entry.since),
        history=tuple(_history(entry, times)),
        samples=tuple(view_samples(samples, times, room)),
        cut=entry.cut or len(samples) < len(group.samples),
    )


def first_of(texts: list[str], limit: int) -> tuple[str, ...]:
    """Return the first texts, and one more that says how many are left out."""
    if len(texts) <= limit:
        return tuple(texts)
    return (*texts[:limit], f"and {len(texts) - limit:,} more")


def _history(entry: Entry, times: Times) -> Iterator[str]:
    """Yield notes about the time before this mail."""
    if entry.before is None:
        return
    if entry.reason == "worse":
        yield f"{entry.recent:,} in the last minute, was {entry.before.rate:,.0f}"
    if entry.reason == "quiet":
        yield f"no further event since {times.minute(entry.group.last)}"
    yield f"last told at {times.minute(entry.before.at)}"
    if entry.total > entry.group.count:
        yield f"{entry.total:,} in all since {times.minute(entry.since)}"
    if entry.echo:
        yield "its events came only right after mails, so they cause no further mail"


def _by_host(sources: tuple[Source, ...]) -> dict[str, list[Source]]:
    """Return the processes of each host, the host with the most events first."""
    hosts: dict[str, list[Source]] = {}
    for source in sources:
        hosts.setdefault(short(source.host, MAX_NAME), []).append(source)
    return dict(sorted(hosts.items(), key=lambda item: -_count(item[1])))


def _count(sources: list[Source]) -> int:
    return sum(source.count for source in sources)


def _counts(hosts: dict[str, list[Source]], elsewhere: int) -> str:
    """Return the counts of hosts and processes, such as "web-1 5, web-2 3"."""
    parts: list[str] = []
    for host, processes in list(hosts.items())[:_SHOWN_HOSTS]:
        parts.append(f"{host} {_count(processes):,}")
        if len(processes) > 1:
            shown = ", ".join(f"{one.pid}: {one.count:,}" for one in processes[:_SHOWN_PROCESSES])
            more = ", ..." if len(processes) > _SHOWN_PROCESSES else ""
            parts[-1] += f" in {len(processes)} processes ({shown}{more})"
    if others := list(hosts.values())[_SHOWN_HOSTS:]:
        parts.append(f"{len(others)} more hosts {sum(map(_count, others)):,}")
    if elsewhere:
        parts.append(f"other processes {elsewhere:,}")
    return ", ".join(parts)
