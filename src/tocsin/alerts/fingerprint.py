"""The fingerprint: which events belong together.

It says what went wrong and where, not with which values: it is the same in every process, on every
machine, and after a deploy that moved some lines.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.alerts.frames import leaf, module_name, printed
from tocsin.alerts.text import attempt, short

if TYPE_CHECKING:
    import logging
    from typing import Any

    from tocsin.alerts.frames import OwnCode

_TEMPLATE = 1_000  # characters of a message that count
_MAX_KIND = 80
_CACHED = 10_000
# Values in a message: placeholders, quoted text, addresses, UUIDs, hexadecimal, numbers.
_VALUES = re.compile(
    r"""%(?:\(\w+\))?[-#0+]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[a-zA-Z]
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
        key = self._key(record)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            found = self._known[key] = _identity(record.name, key)
        return found

    def _key(self, record: logging.LogRecord) -> tuple[Any, ...]:
        """Return what is the same for records of one identity."""
        level, name = record.levelno, record.name
        group = record.__dict__.get("alert_group")
        if group is not None:
            return "group", level, attempt(group)[:_TEMPLATE]
        info = record.exc_info
        if info and info[0] is not None:
            kind, trace = info[0], info[2]
            if isinstance(info[1], BaseExceptionGroup):
                error = leaf(info[1])
                kind, trace = type(error), error.__traceback__ or trace
            place = self._own.place(trace, name)
            # What was never raised is from nowhere: its message tells it from others.
            return "exception", level, name, kind, place or _template(record.msg)
        if (fault := printed(record)) is not None:
            return "printed", level, name, *fault
        return "message", level, name, _template(record.msg)


def _template(message: object) -> str:
    """Return the part of a message that doesn't change; of an object, what kind of thing it is."""
    if isinstance(message, str):
        return message[:_TEMPLATE]
    return f"{type(message).__module__}.{type(message).__qualname__}"


def _identity(logger: str, key: tuple[Any, ...]) -> Identity:
    how, level, *features = key
    where = logger
    if how == "group":
        kind = features[0]
        parts = [kind]
    elif how == "exception":
        _, error, place = features
        kind = error.__qualname__
        if isinstance(place, str):
            parts = [logger, error.__module__, kind, _VALUES.sub("*", place)]
        else:
            where = f"{module_name(*place)}.{place[1].co_qualname}"
            parts = [logger, error.__module__, kind, where]
    elif how == "printed":
        _, kind, where = features
        parts = [logger, kind, where]
    else:
        kind = _VALUES.sub("*", features[1])
        parts = [logger, kind]
    text = "\0".join([str(level), how, *parts]).encode("utf-8", "replace")
    fingerprint = hashlib.blake2b(text, digest_size=8).hexdigest()
    return Identity(fingerprint, short(kind, _MAX_KIND), short(where, _MAX_KIND))
