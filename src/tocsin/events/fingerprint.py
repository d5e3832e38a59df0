"""The fingerprint: events with the same fingerprint are one group.

It is a hash of the error's type or message and of its place, without values and line numbers. So it
is the same in each process, on each machine, and after a deploy that moved lines.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from tocsin.events import traceback_text
from tocsin.events.exceptions import (
    cause_of,
    first_in_group,
    parse_remote,
    remote_traceback,
    traceback_of,
)
from tocsin.events.fields import exception_of, structured_of, template_of, traceback_in
from tocsin.events.frames import Place, is_library, places
from tocsin.text import attempt, short, type_module, type_name

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable
    from types import TracebackType

    from tocsin.events.frames import OwnCode
    from tocsin.events.structured import Structured
    from tocsin.redact.base import Redacts

_MAX_TEMPLATE = 1_000  # characters of a message that the fingerprint depends on
_MAX_KIND = 80
_CACHED = 10_000  # identities
_CACHED_TEXT = 300  # characters of a message; a longer one is not cached
_CACHED_FRAMES = 64  # of a traceback; a deeper one is not cached
_CACHED_REMOTE = 3_000  # characters of a traceback of another process
_NUMBER = r"""\d+(?:[.,:]\d+)*(?:e[-+]?\d+\b)?(?:\ ?(?:[kmgt]?i?b|bytes?|[nuµm]?s|sec(?:ond)?s?
    |min(?:ute)?s?|h|hours?|days?)\b)?"""
# Values in a message. Lookaheads exclude most characters early: 1,000 take 50 µs instead of 370.
_VALUES = re.compile(
    rf"""%(?:\(\w+\))?[-#0+]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[a-zA-Z]     # a placeholder, as %s
    | (?<!\w)(?:
        b?(?:'[^'\n]*'|"[^"\n]*")(?!\w)                               # quoted text, bytes
      | (?=\w+[@.+-])(?<![.+-])[\w.+-]{{1,64}}+@[\w-]+\.[\w.-]+       # an address
      | (?=[a-z_]*+[0-9:])(?:
          [0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\b           # a UUID
        | (?<!:)(?=[0-9:]*[a-f]|[0-9a-f:]*::)                          # IPv6
          [0-9a-f]{{0,4}}(?::[0-9a-f]{{0,4}}){{2,7}}(?![\w:])
        | 0x[0-9a-f]+\b | (?=[a-f]*[0-9])[0-9a-f]{{6,}}\b              # hexadecimal
        | (?=\w*\d[a-z]\w*\d[a-z])\w{{8,}}\b                         # a random name
        )
      | tmp[a-z0-9_]{{8}}\b                                            # a name by `tempfile`
      | (?<!\.)[-+]{_NUMBER}
      )
    | {_NUMBER}                                                       # a number with its unit""",
    re.VERBOSE | re.IGNORECASE,
)
_SEQUENCE = re.compile(r"(\*(?:: ?\*)?)(?:, ?\*(?:: ?\*)?)+")  # values of a list or a mapping
# Comprehensions are functions of their own up to Python 3.11 only (PEP 709).
# IPython calls the code of a cell "<cell line: 3>".
_COMPREHENSION = re.compile(r"(?:\.<locals>\.)?<(?:list|dict|set)comp>|<cell line: \d+>")
_NOWHERE = Place("", "", "")
_UNPRINTED = ("", "builtins", "__main__")  # modules that a traceback omits in a type's name


class Known(NamedTuple):
    """An error whose place a framework knows, and no traceback tells: the field `alert_group`.

    Attributes:
        kind: the exception's type, without its module.
        place: the task that failed.
    """

    kind: str
    place: str


class Identity(NamedTuple):
    """The properties that all events of a group have in common.

    Attributes:
        fingerprint: 16 hexadecimal digits.
        kind: the exception's type, or the message with its values.
        place: the function that failed, or the logger.
        is_message: whether `kind` is a message. Its values are removed before it is shown.
    """

    fingerprint: str
    kind: str
    place: str
    is_message: bool = False

    def describe(self, redact: Redacts) -> tuple[str, str]:
        """Return kind and place as one line each, without secrets and values."""
        # Secrets first: without its digits a secret is not recognized.
        kind = redact.text(self.kind[:_MAX_TEMPLATE])
        if self.is_message:
            kind = fold(kind)
        return short(kind, _MAX_KIND), short(redact.text(self.place), _MAX_KIND)


class Fingerprints:
    """Find the identity of records, with a cache.

    A cached identity is the one that would be computed again. There is one exception: if the same
    code object runs in two modules, both have the identity of the first one.

    Args:
        own: decides which code is the application's own.
    """

    def __init__(self, own: OwnCode) -> None:
        self._own = own
        # A key has the ids of objects. The second part of the value keeps these objects alive.
        self._cache: dict[object, tuple[Identity, object]] = {}

    def of(self, record: logging.LogRecord) -> Identity:
        """Return the record's identity."""
        if record.__dict__.get("alert_group") is not None:
            return _of_alert_group(record)
        message = record.msg
        if record.exc_info or isinstance(message, dict):
            error = exception_of(record)
            if error is not None:
                return self._of_exception(record, error)
        if type(message) is str and len(message) <= _CACHED_TEXT and not record.exc_text:
            key = record.levelno, record.name, message
            cached = self._cache.get(key)
            if cached is None and record.name != "py.warnings":
                cached = self._remember(key, self._of_message(record), None)
            if cached is not None:
                return cached[0]
        elif type(record.exc_text) is str and (start := traceback_text.invariant(record.exc_text)):
            return self._of_text(record, start)
        return self._of_message(record)

    def _of_text(self, record: logging.LogRecord, start: str) -> Identity:
        """Return the identity of a record with a traceback as text.

        Args:
            record: the record.
            start: the part of the traceback that the identity depends on.
        """
        text = start.encode("utf-8", "surrogatepass")
        # A text may have 10,000 characters, so its hash is kept.
        key = record.levelno, record.name, hashlib.blake2b(text, digest_size=16).digest()
        cached = self._cache.get(key)
        if cached is not None:
            return cached[0]
        identity = self._of_message(record)
        return identity if identity.is_message else self._remember(key, identity, None)[0]

    def _remember(self, key: object, identity: Identity, alive: object) -> tuple[Identity, object]:
        if len(self._cache) >= _CACHED:
            self._cache.clear()
        value = self._cache[key] = identity, alive
        return value

    def _of_exception(self, record: logging.LogRecord, error: BaseException) -> Identity:
        """Return the identity of a record with an exception."""
        trace = traceback_of(error)
        kind = type(error)
        if issubclass(kind, BaseExceptionGroup):
            error = first_in_group(error)
            trace = traceback_of(error) or trace
            kind = type(error)
        if cause_of(error) is not None and (remote := remote_traceback(error)) is not None:
            return self._of_remote(record, kind, trace, remote)
        if trace is None:  # it was pickled, or never raised
            found = structured_of(record)
            printed = self._of_printed(record, found)
            if printed is not None and printed.kind == type_name(kind):
                return printed
            return _of_unraised(record, kind, template_of(record, found))
        # The key has code objects by their id: hashing one takes 0.2 µs. It has the type by its id,
        # as a metaclass may make it unhashable.
        ids: list[object] = [record.levelno, record.name, id(kind)]
        step: TracebackType | None = trace
        while step is not None:
            ids.append(id(step.tb_frame.f_code))
            step = step.tb_next
        key = tuple(ids)
        cached = self._cache.get(key)
        return self._of_raised(record, kind, trace, key) if cached is None else cached[0]

    def _of_remote(
        self,
        record: logging.LogRecord,
        kind: type[BaseException],
        trace: TracebackType | None,
        remote: str,
    ) -> Identity:
        """Return the identity of an exception that was raised in another process."""
        key = record.levelno, record.name, id(kind), remote
        cached = self._cache.get(key)
        if cached is not None:
            return cached[0]
        found = parse_remote(remote)
        inner = () if found is None else found.places
        outer = () if any(not is_library(place.path) for place in inner) else places(trace)
        shown = type_name(kind, qualified=True)
        identity = self._at(record, _printed_name(kind), shown, (*outer, *inner))
        if len(remote) <= _CACHED_REMOTE:
            self._remember(key, identity, kind)
        return identity

    def _of_raised(
        self,
        record: logging.LogRecord,
        kind: type[BaseException],
        trace: TracebackType,
        key: tuple[object, ...],
    ) -> Identity:
        """Return the identity of an exception that was raised, and remember it."""
        shown = type_name(kind, qualified=True)
        identity = self._at(record, _printed_name(kind), shown, places(trace))
        if len(key) <= _CACHED_FRAMES:
            self._remember(key, identity, (kind, *_codes(trace)))
        return identity

    def _of_message(self, record: logging.LogRecord) -> Identity:
        """Return the identity of a record without an exception; its text may hold a traceback."""
        structure = structured_of(record)
        printed = self._of_printed(record, structure)
        if printed is not None:
            return printed
        message = template_of(record, structure)[:_MAX_TEMPLATE]
        fingerprint = _hash(record, "message", record.name, fold(message))
        return Identity(fingerprint, message, record.name, is_message=True)

    def _of_printed(
        self, record: logging.LogRecord, structure: Structured | None
    ) -> Identity | None:
        """Return the identity of an exception that is in a record as text; None without one."""
        if (parts := traceback_text.split(traceback_in(record, structure))) is not None:
            found = traceback_text.parse(parts[1])
            if found is not None:
                shown = found.kind.rpartition(".")[2]
                return self._at(record, found.kind, shown, found.places)
        return None

    def _at(
        self, record: logging.LogRecord, kind: str, shown: str, trace: Iterable[Place]
    ) -> Identity:
        """Return the identity of an exception by its type and its place.

        Args:
            record: the record.
            kind: the name of its type, with the module.
            shown: the name of its type, without the module.
            trace: the places of its frames.
        """
        place = self._own.innermost(trace, record.name) or _NOWHERE
        # A type that is defined in the module of its place loses the module's name, as that name is
        # not printed if the module is the script.
        kind = kind.removeprefix(f"{place.module}.")
        function = _COMPREHENSION.sub("", place.function) or "<module>"
        where = place._replace(function=function).name
        return Identity(_hash(record, "error", record.name, kind, where), shown, where)


def _of_alert_group(record: logging.LogRecord) -> Identity:
    """Return the identity that the application chose: the extra field `alert_group`."""
    chosen = record.__dict__["alert_group"]
    if type(chosen) is Known:
        return Identity(_hash(record, "error", record.name, *chosen), *chosen)
    name = attempt(chosen)[:_MAX_TEMPLATE]
    return Identity(_hash(record, "group", name), name, record.name)


def _of_unraised(record: logging.LogRecord, kind: type[BaseException], template: str) -> Identity:
    """Return the identity of an exception that was never raised: by its type and the message."""
    what = f"{_printed_name(kind)}\0{fold(template)}"
    shown = type_name(kind, qualified=True)
    return Identity(_hash(record, "error", record.name, what), shown, record.name)


def fold(message: str) -> str:
    """Return a message without its values."""
    return _SEQUENCE.sub(r"\1", _VALUES.sub("*", message[:_MAX_TEMPLATE]))


def _codes(trace: TracebackType | None) -> tuple[object, ...]:
    codes: list[object] = []
    while trace is not None:
        codes.append(trace.tb_frame.f_code)
        trace = trace.tb_next
    return tuple(codes)


def _printed_name(kind: type[BaseException]) -> str:
    """Return an exception type's name as a traceback prints it."""
    name, module = type_name(kind, qualified=True), type_module(kind)
    return name if module in _UNPRINTED else f"{module}.{name}"


def _hash(record: logging.LogRecord, *parts: str) -> str:
    text = "\0".join([str(record.levelno), *parts]).encode("utf-8", "replace")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
