"""Which events belong together: the fingerprint, and the group that counts them.

A fingerprint says what went wrong and where, not with which values: it is the same in every
process, on every machine, and after a deploy that moved some lines.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tocsin.alerts.event import Event  # noqa: TC001 - codec reads the types of fields
from tocsin.alerts.frames import module_name
from tocsin.alerts.text import attempt, short

if TYPE_CHECKING:
    import logging

    from tocsin.alerts.frames import OwnCode, Place

OTHER = "other"
_TEMPLATE = 1_000  # characters of a message that count
_MAX_KIND = 80
_SAMPLES = 2  # the first and the latest
_CACHED = 10_000
# Values in a message: placeholders, quoted text, addresses, UUIDs, hexadecimal, numbers.
_VALUES = re.compile(
    r"""%(?:\(\w+\))?[-#0 +]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[a-zA-Z]
    | (?<!\w)'[^'\n]*'(?!\w) | (?<!\w)"[^"\n]*"(?!\w)
    | [\w.+-]{1,64}@[\w-]+\.[\w.-]+
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b
    | \b0x[0-9a-f]+\b | \b(?=[a-f]*[0-9])[0-9a-f]{6,}\b
    | \d+(?:[.,:]\d+)*""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What the events of a group have in common.

    Attributes:
        fingerprint: 16 hexadecimal digits.
        kind: the exception's type, or the message without its values.
        place: the function that failed, or the logger.
    """

    fingerprint: str
    kind: str
    place: str


class Fingerprints:
    """Find the identity of a record, fast where the same came before.

    Args:
        own: tells the application's own frames.
    """

    def __init__(self, own: OwnCode) -> None:
        self._own = own
        self._known: dict[object, Identity] = {}

    def of(self, record: logging.LogRecord) -> Identity:
        """Return the record's identity."""
        key, place = self._key(record)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            found = self._known[key] = _identity(record, place)
        return found

    def _key(self, record: logging.LogRecord) -> tuple[object, Place | None]:
        """Return what is the same for records of one identity, and where an exception is from."""
        group = record.__dict__.get("alert_group")
        if group is not None:
            return (record.levelno, attempt(group)[:_TEMPLATE]), None
        info = record.exc_info
        if info and info[0] is not None:
            place = self._own.place(info[2], record.name)
            return (record.levelno, record.name, info[0], place), place
        return (record.levelno, record.name, _template(record.msg)), None


def _template(message: object) -> str:
    """Return the part of a message that doesn't change; of an object, what kind of thing it is."""
    if isinstance(message, str):
        return message[:_TEMPLATE]
    return f"{type(message).__module__}.{type(message).__qualname__}"


def _identity(record: logging.LogRecord, place: Place | None) -> Identity:
    group = record.__dict__.get("alert_group")
    info = record.exc_info
    where = record.name
    if group is not None:
        kind = attempt(group)[:_TEMPLATE]
        parts = ["group", kind]
    elif info and info[0] is not None:
        kind = info[0].__qualname__
        if place is not None:
            where = f"{module_name(*place)}.{place[1].co_qualname}"
        parts = ["exception", record.name, info[0].__module__, kind, where]
    else:
        kind = _VALUES.sub("*", _template(record.msg))
        parts = ["message", record.name, kind]
    text = "\0".join([str(record.levelno), *parts]).encode("utf-8", "replace")
    fingerprint = hashlib.blake2b(text, digest_size=8).hexdigest()
    return Identity(fingerprint, short(kind, _MAX_KIND), short(where, _MAX_KIND))


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
        sources: host → how many came from there.
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
    sources: tuple[tuple[str, int], ...]
    samples: tuple[Event, ...]


def merge(one: Group, other: Group) -> Group:
    """Return the group of all events of two groups with the same fingerprint.

    It doesn't matter which comes first, nor in which order many are merged.
    """
    first, last = sorted((one, other), key=_order)
    samples = {
        (event.time, event.host, event.pid, event.message): event
        for event in (*first.samples, *last.samples)
    }
    ordered = [samples[key] for key in sorted(samples)]
    highest = max(first, last, key=lambda group: group.level)
    return replace(
        first,
        level=highest.level,
        level_name=highest.level_name,
        count=one.count + other.count,
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        sources=_add(one.sources, other.sources),
        samples=tuple(ordered if len(ordered) <= _SAMPLES else [ordered[0], ordered[-1]]),
    )


def _order(group: Group) -> tuple[float, str, str]:
    return group.first, group.text, group.place


def _add(
    one: tuple[tuple[str, int], ...], other: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    total = dict(one)
    for host, count in other:
        total[host] = total.get(host, 0) + count
    return tuple(sorted(total.items()))


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
