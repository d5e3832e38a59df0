"""What the templates show of a digest: text and numbers, ready to be put in place.

A template gets `mail`, and the one of a group also `group`. Their attributes are what a user's own
templates can rely on. All text is from a log: it has been redacted, it is cleaned here whoever made
it, and never escaped. It is one line, but for messages, tracebacks and values of extra fields.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tocsin.events.frames import Line
from tocsin.render.times import Times, between, span
from tocsin.text import cut, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.alerts import digest as told
    from tocsin.alerts.grouping import Source
    from tocsin.events.event import ContextRecord, Event
    from tocsin.render.sender import Sender

_BECAUSE = {
    "new": "a new kind of error appeared",
    "worse": "a known error comes much more often than before",
    "still": "known errors go on",
    "quiet": "known errors have ceased for now",
    "lost": "errors were lost before they could be mailed",
    "exit": "the process, or its logging, has ended",
}
_STANDING = (("new", "new"), ("worse", "worse"), ("still", "going on"), ("quiet", "quiet"))
_SAYS = ("error", "cause")  # kinds of lines that say what was raised
_SHOWN_HOSTS = 8
_SHOWN_PROCESSES = 12
_SHOWN_VERSIONS = 4
_SHOWN_RECIPIENTS = 20
_SHOWN_NOTES = 10
_NAME = 100  # characters of a name: more than what makes groups and events lets through
_TITLE = 250
_NOTE = 500
_EACH = 16  # characters that a line or a field takes beside what it says, about


class Room(NamedTuple):
    """How many characters there are for each part of a sample.

    Attributes:
        first: for message and traceback of the first event.
        rest: for its fields and context, and for each part of the latest event.
    """

    first: int
    rest: int


NO_ROOM = Room(0, 0)
"""Samples are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleView:
    """One event of a group.

    Attributes:
        which: "First" or "Latest".
        time: when it was logged, to the millisecond.
        where: host, process and thread.
        message: its text; of the latest that it is the same, if so.
        location: the call that logged it; empty where a traceback says more.
        traceback: lines with a `kind` ("own", "library", "error", "cause", "more") and a `text`.
        extra: pairs of a field's name and its value.
        context: what came before it: `time`, `level`, `logger`, `message` of each.
    """

    which: str
    time: str
    where: str
    message: str
    location: str
    traceback: tuple[Line, ...]
    extra: tuple[tuple[str, str], ...]
    context: tuple[ContextView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextView:
    """A record that came before an event.

    Attributes:
        time: when it was logged, to the millisecond; "" for a line that says what is left out.
        level: the level's name.
        logger: the logger's name.
        message: its text.
    """

    time: str
    level: str
    logger: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A kind of error.

    Attributes:
        number: its place in the mail, from 1.
        reason: "new", "worse", "still" or "quiet".
        level: the level's name.
        critical: whether that is CRITICAL or above.
        logger: the logger's name.
        kind: the exception's type, or the message without its values.
        place: the function that failed, or the logger.
        text: what the first event says, in one line.
        count: events that are told for the first time.
        first: when the first of them was logged.
        last: when the last of them was logged.
        first_minute: the first, without seconds.
        last_minute: the last, without seconds.
        span: how long from the first to the last.
        hosts: names of the hosts that they came from, the one with the most first.
        more_hosts: how many more hosts there are than are named.
        processes: how many processes they came from.
        elsewhere: events from even more processes, of whose hosts nothing is known.
        counts: each host with its count, and its processes where there are several.
        versions: the application's versions there.
        total: events of this kind so far.
        since: when the very first was logged.
        history: what is to say of it beyond this mail, such as "2,310 in all since 23:41".
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MailView:
    """The mail as a whole.

    Attributes:
        app: the application's name.
        environment: such as "production"; or "".
        identity: both.
        reason: why it is sent: "new", "worse", "still", "quiet", "lost" or "exit".
        because: the same in words.
        lead: the group that the subject names, without samples; None if only lost events are told.
        kinds: how many groups are told.
        count: events that are told for the first time.
        new: how many groups are new.
        worse: how many got worse.
        still: how many go on.
        quiet: how many have ceased.
        standing: the same in words: "1 new, 2 going on".
        hidden: how many groups are not shown.
        hidden_count: their events.
        lost: events that were dropped or given up since the last mail.
        notes: what is wrong with the alerts themselves.
        offset: the time zone, as "+0200".
        next: before when the groups aren't told again; None if there is no later.
        accounts: since when, and received = mailed + pending + undelivered.
        budget: how many more mails may go for what is new or worse.
        footnote: what holds for all mails of the handler.
        to: recipients that everybody may see; of many the first ones, and how many more.
    """

    app: str
    environment: str
    identity: str
    reason: str
    because: str
    lead: GroupView | None
    kinds: int
    count: int
    new: int
    worse: int
    still: int
    quiet: int
    standing: str
    hidden: int
    hidden_count: int
    lost: int
    notes: tuple[str, ...]
    offset: str
    next: str | None
    accounts: str
    budget: str
    footnote: str
    to: tuple[str, ...]


def mail_view(digest: told.Digest, sender: Sender, times: Times) -> MailView:
    """Return what is shown of a digest as a whole.

    Args:
        digest: the digest.
        sender: what all mails of the handler have in common.
        times: how times are shown.
    """
    accounts, policy = digest.accounts, sender.policy
    mailed = accounts.mailed + digest.count  # as it is once this mail is accepted
    pending = accounts.received - mailed - accounts.undelivered
    return MailView(
        app=short(sender.app, _NAME),
        environment=short(sender.environment, _NAME),
        identity=short(sender.identity, 2 * _NAME + 1),
        reason=digest.reason,
        because=_BECAUSE[digest.reason],
        lead=None if digest.lead is None else group_view(digest.lead, 1, times, room=NO_ROOM),
        kinds=len(digest.entries),
        count=digest.count,
        new=digest.how_many("new"),
        worse=digest.how_many("worse"),
        still=digest.how_many("still"),
        quiet=digest.how_many("quiet"),
        standing=", ".join(
            f"{count:,} {said}" for name, said in _STANDING if (count := digest.how_many(name))
        ),
        hidden=0,
        hidden_count=0,
        lost=digest.lost,
        notes=_some([short(note, _NOTE) for note in _notes(digest, times)], _SHOWN_NOTES),
        offset=times.offset,
        next=None if digest.next_at is None else times.minute(digest.next_at),
        accounts=(
            f"Since {times.minute(accounts.since)}: received {accounts.received:,} = "
            f"mailed {mailed:,} + pending {pending:,} + undelivered {accounts.undelivered:,}."
        ),
        budget=(
            f"Mails for new kinds: {accounts.tokens} of {policy.burst} left, "
            f"one more every {span(policy.refill)}."
        ),
        footnote=short(sender.footnote, _NOTE),
        to=_some(
            [short(one, 2 * _NAME) for one in (*digest.audience.to, *digest.audience.cc)],
            _SHOWN_RECIPIENTS,
        ),
    )


def group_view(entry: told.Entry, number: int, times: Times, *, room: Room) -> GroupView:
    """Return what is shown of a group.

    Args:
        entry: the group, as the digest tells it.
        number: its place in the mail.
        times: how times are shown.
        room: for each part of a sample.
    """
    group = entry.group
    samples = () if room is NO_ROOM else group.samples
    hosts = _by_host(group.sources)
    versions = sorted({short(item.version, _NAME) for item in group.sources if item.version})
    return GroupView(
        number=number,
        reason=entry.reason,
        level=short(group.level_name, _NAME),
        critical=group.level >= logging.CRITICAL,
        logger=short(group.logger, _NAME),
        kind=short(group.kind, _NAME),
        place=short(group.place, _NAME),
        text=short(group.text, _TITLE),
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
        versions=_some(versions, _SHOWN_VERSIONS),
        total=entry.total,
        since=times.minute(entry.since),
        history=tuple(_history(entry, times)),
        samples=tuple(_samples(samples, times, room)),
        cut=entry.cut or len(samples) < len(group.samples),
    )


def needed(entry: told.Entry, room: Room) -> int:
    """Return how many characters a group's samples take at least, about."""
    first, rest = room
    total = 0
    for event in entry.group.samples:
        lines = sum(len(line.text) for line in event.traceback)
        fields = sum(len(name) + len(value) for name, value in event.extra)
        past = sum(len(one.message) for one in event.context)
        total += min(len(event.message), first) + min(lines, first)
        total += min(fields, rest) + min(past, rest)
        first = rest
    return total


def _some(texts: list[str], limit: int) -> tuple[str, ...]:
    """Return the first texts, and how many more there are."""
    if len(texts) <= limit:
        return tuple(texts)
    return (*texts[:limit], f"and {len(texts) - limit:,} more")


def _history(entry: told.Entry, times: Times) -> Iterator[str]:
    if entry.before is None:
        return
    if entry.reason == "worse":
        yield f"{entry.recent:,} in the last minute, was {entry.before.rate:,.0f}"
    if entry.reason == "quiet":
        yield f"no further since {times.minute(entry.group.last)}"
    yield f"last told at {times.minute(entry.before.at)}"
    if entry.total > entry.group.count:
        yield f"{entry.total:,} in all since {times.minute(entry.since)}"
    if entry.echo:
        yield "it has only come right after mails, so no further mail goes for it alone"


def _by_host(sources: tuple[Source, ...]) -> dict[str, list[Source]]:
    """Return the processes of each host, the host with the most events first."""
    hosts: dict[str, list[Source]] = {}
    for item in sources:
        hosts.setdefault(short(item.host, _NAME), []).append(item)
    return dict(sorted(hosts.items(), key=lambda one: -_sum(one[1])))


def _sum(sources: list[Source]) -> int:
    return sum(item.count for item in sources)


def _counts(hosts: dict[str, list[Source]], elsewhere: int) -> str:
    told: list[str] = []
    for host, processes in list(hosts.items())[:_SHOWN_HOSTS]:
        told.append(f"{host} {_sum(processes):,}")
        if len(processes) > 1:
            shown = ", ".join(f"{one.pid}: {one.count:,}" for one in processes[:_SHOWN_PROCESSES])
            more = ", ..." if len(processes) > _SHOWN_PROCESSES else ""
            told[-1] += f" in {len(processes)} processes ({shown}{more})"
    if others := list(hosts.values())[_SHOWN_HOSTS:]:
        told.append(f"{len(others)} more hosts {sum(map(_sum, others)):,}")
    if elsewhere:
        told.append(f"other processes {elsewhere:,}")
    return ", ".join(told)


def _notes(digest: told.Digest, times: Times) -> Iterator[str]:
    yield from digest.audience.notes
    if (trouble := digest.trouble) is not None:
        often = "1 time" if trouble.count == 1 else f"{trouble.count:,} times"
        since = times.minute(trouble.since)
        yield f"Not everybody got the mails before: {often} since {since}: {trouble.problem}"
    if any(entry.cut for entry in digest.entries):
        yield "Samples of this mail were dropped to save space, as it could not be sent at once."


def _samples(samples: tuple[Event, ...], times: Times, room: Room) -> Iterator[SampleView]:
    """Yield what is shown of the events: of the latest not again what the first one says."""
    first = samples[0] if samples else None
    for event in samples:
        latest = event is not first
        main = room.rest if latest else room.first
        shown = first if latest and first is not None else None
        same = shown is not None and shown.message == event.message
        told = shown is not None and shown.context == event.context
        placed = shown is not None and not shown.traceback and shown.location == event.location
        where = [event.host, f"pid {event.pid}", *([event.thread] if event.thread else ())]
        yield SampleView(
            which="Latest" if latest else "First",
            time=times.exact(event.time),
            where=", ".join(short(part, _NAME) for part in where),
            message="[the same message]" if same else cut(event.message, main),
            location="" if event.traceback or placed else short(event.location, _TITLE),
            traceback=_traceback(event, shown, main),
            extra=_first_fields(event.extra, room.rest),
            context=() if told else _last_past(event.context, times, room.rest),
        )


def _traceback(event: Event, before: Event | None, room: int) -> tuple[Line, ...]:
    """Return a traceback's lines: those before the error from their end, then what caused it.

    Of the one that has been shown before, only what is different.
    """
    lines = event.traceback
    if before is not None and lines:
        if lines == before.traceback:
            return (Line("more", "[the same traceback]"),)
        if _frames(lines) == _frames(before.traceback):
            other = [line for line in lines if line.kind in _SAYS and line not in before.traceback]
            lines = (Line("more", "[the same frames]"), *other)
    lines = tuple(Line(kind, cut(text, room // 2)) for kind, text in lines)
    end = next((number for number, line in enumerate(lines, 1) if line.kind == "error"), len(lines))
    main, behind = lines[:end], lines[end:]
    sizes = [len(line.text) + _EACH for line in lines]
    kept = _fitting(sizes[:end][::-1], room) or min(1, end)
    caused = _fitting(sizes[end:], room - sum(sizes[end - kept : end]))
    shown = [*main[end - kept :], *behind[:caused]]
    if kept < len(main):
        said_cut = f"[cut: last {kept:,} of {len(main):,} lines of the traceback]"
        shown.insert(0, Line("more", said_cut))
    if caused < len(behind):
        said_cut = f"[cut: first {caused:,} of {len(behind):,} lines of what is behind it]"
        shown.append(Line("more", said_cut))
    return tuple(shown)


def _frames(lines: tuple[Line, ...]) -> list[Line]:
    return [line for line in lines if line.kind not in _SAYS]


def _first_fields(extra: tuple[tuple[str, str], ...], room: int) -> tuple[tuple[str, str], ...]:
    fields = [(short(name, _NAME), cut(value, room // 4)) for name, value in extra]
    kept = _fitting([len(name) + len(value) + _EACH for name, value in fields], room)
    if kept < len(fields):
        fields[kept:] = [("...", f"[cut: first {kept} of {len(extra)} fields]")]
    return tuple(fields)


def _last_past(
    context: tuple[ContextRecord, ...], times: Times, room: int
) -> tuple[ContextView, ...]:
    shown = [
        ContextView(
            time=times.exact(past.time),
            level=short(past.level, _NAME),
            logger=short(past.logger, _NAME),
            message=cut(past.message, room // 4),
        )
        for past in context
    ]
    sizes = [len(one.message) + len(one.logger) + 2 * _EACH for one in reversed(shown)]
    kept = _fitting(sizes, room)
    if kept < len(context):
        said = f"[cut: last {kept} of {len(context)} records before it]"
        shown[: len(context) - kept] = [ContextView(time="", level="", logger="", message=said)]
    return tuple(shown)


def _fitting(sizes: list[int], room: int) -> int:
    """Return how many of the first ones have room."""
    for position, size in enumerate(sizes):
        room -= size
        if room < 0:
            return position
    return len(sizes)
