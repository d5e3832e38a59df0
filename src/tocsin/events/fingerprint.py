"""The fingerprint: which events belong together.

It says what went wrong and where, not with which values: it is the same in every process, on every
machine, and after a deploy that moved some lines.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from tocsin.events import traceback_text
from tocsin.events.exceptions import leaf, trace_of
from tocsin.events.fields import raised, template
from tocsin.events.frames import Place, places
from tocsin.text import attempt, exact, short, type_module, type_name

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable
    from types import TracebackType

    from tocsin.events.frames import OwnCode
    from tocsin.redact.base import Redacts

_TEMPLATE = 1_000  # characters of a message that count
_MAX_KIND = 80
_CACHED = 10_000
_CACHED_TEXT = 300  # characters of a message that is remembered
_CACHED_FRAMES = 64
_NUMBER = r"""\d+(?:[.,:]\d+)*(?:e[-+]?\d+\b)?(?:\ ?(?:[kmgt]?i?b|bytes?|[nuµm]?s|sec(?:ond)?s?
    |min(?:ute)?s?|h|hours?|days?)\b)?"""
# Values in a message. What they can't begin with is told first: of 1,000 characters 50 µs, not 370.
_VALUES = re.compile(
    rf"""%(?:\(\w+\))?[-#0+]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[a-zA-Z]     # what an argument stands for
    | (?<!\w)(?:
        b?(?:'[^'\n]*'|"[^"\n]*")(?!\w)                               # quoted text, bytes
      | (?=\w+[@.+-])(?<![.+-])[\w.+-]{{1,64}}+@[\w-]+\.[\w.-]+       # an address
      | (?=[a-z_]*+[0-9:])(?:
          [0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\b           # a UUID
        | (?<!:)(?=[0-9:]*[a-f]|[0-9a-f:]*::)                          # IPv6
          [0-9a-f]{{0,4}}(?::[0-9a-f]{{0,4}}){{2,7}}(?![\w:])
        | 0x[0-9a-f]+\b | (?=[a-f]*[0-9])[0-9a-f]{{6,}}\b              # hexadecimal
        | (?=\w*\d[a-z]\w*\d[a-z])\w{{8,}}\b                         # made by chance
        )
      | tmp[a-z0-9_]{{8}}\b                                            # by `tempfile`
      | (?<!\.)[-+]{_NUMBER}
      )
    | {_NUMBER}                                                       # with its unit""",
    re.VERBOSE | re.IGNORECASE,
)
_SEQUENCE = re.compile(r"(\*(?:: ?\*)?)(?:, ?\*(?:: ?\*)?)+")  # values of a list or a mapping
# Comprehensions are functions of their own up to Python 3.11 only (PEP 709).
_COMPREHENSION = re.compile(r"(?:\.<locals>\.)?<(?:list|dict|set)comp>")
_NOWHERE = Place("", "", "")
_PRINTED_ALONE = ("", "builtins", "__main__")  # modules that aren't printed with a type's name


class Identity(NamedTuple):
    """What the events of a group have in common.

    Attributes:
        fingerprint: 16 hexadecimal digits.
        what: the exception's type, or a message with its values.
        where: the function that failed, or the logger.
        values: whether `what` is a message: its values are left out where it is told.
    """

    fingerprint: str
    what: str
    where: str
    values: bool = False

    def told(self, redact: Redacts) -> tuple[str, str]:
        """Return what happened and where, without values and secrets, in one line each."""
        what = redact.text(
            self.what[:_TEMPLATE]
        )  # before a secret's digits are folded: it would be none
        if self.values:
            what = fold(what)
        return short(what, _MAX_KIND), short(redact.text(self.where), _MAX_KIND)


class Fingerprints:
    """Find the identity of a record, fast where the same came before.

    What was remembered is what would be found again, but where one code object runs as two
    modules: it stays what it was first.

    Args:
        own: tells the application's own frames.
    """

    def __init__(self, own: OwnCode) -> None:
        self._own = own
        # The second part of a value keeps alive what the key holds by its id.
        self._known: dict[object, tuple[Identity, object]] = {}

    def of(self, record: logging.LogRecord) -> Identity:
        """Return the record's identity."""
        if record.__dict__.get("alert_group") is not None:
            return self._given(record)
        message = record.msg
        if record.exc_info or isinstance(message, dict):
            error = raised(record)
            if error is not None:
                return self._raised(record, error)
        if type(message) is str and len(message) <= _CACHED_TEXT and not record.exc_text:
            key = record.levelno, record.name, message
            known = self._known.get(key)
            if known is None and record.name != "py.warnings":
                known = self._remember(key, self._said(record), None)
            if known is not None:
                return known[0]
        return self._said(record)

    def _remember(self, key: object, identity: Identity, alive: object) -> tuple[Identity, object]:
        if len(self._known) >= _CACHED:
            self._known.clear()
        value = self._known[key] = identity, alive
        return value

    def _given(self, record: logging.LogRecord) -> Identity:
        """Return the identity that the application has given."""
        name = attempt(record.__dict__["alert_group"])[:_TEMPLATE]
        return Identity(_hash(record, "group", name), name, record.name)

    def _raised(
        self,
        record: logging.LogRecord,
        error: BaseException,
    ) -> Identity:
        """Return the identity of a record with an exception."""
        trace = trace_of(error)
        kind = type(error)
        if issubclass(kind, BaseExceptionGroup):
            error = leaf(error)
            trace = trace_of(error) or trace
            kind = type(error)
        if trace is None:  # it was never raised: its message tells it from others
            what = f"{_type_name(kind)}\0{fold(template(record))}"
            shown = type_name(kind, qualified=True)
            return Identity(_hash(record, "error", record.name, what), shown, record.name)
        # Code by its id, as hashing it looks at all that it holds: 0.2 µs a frame. The type by its
        # own, as its metaclass may not be hashable.
        key: list[object] = [record.levelno, record.name, id(kind)]
        step: TracebackType | None = trace
        while step is not None:
            key.append(id(step.tb_frame.f_code))
            step = step.tb_next
        path = tuple(key)
        known = self._known.get(path)
        if known is not None:
            return known[0]
        shown = type_name(kind, qualified=True)
        identity = self._at(record, _type_name(kind), shown, places(trace))
        if len(path) <= _CACHED_FRAMES:
            self._remember(path, identity, (kind, *_codes(trace)))
        return identity

    def _said(self, record: logging.LogRecord) -> Identity:
        """Return the identity of a record without an exception; its text may hold one."""
        text: object = record.exc_text or record.msg
        if isinstance(text, str) and (parts := traceback_text.split(exact(text))) is not None:
            found = traceback_text.parse(parts[1])
            if found is not None:
                shown = found.kind.rpartition(".")[2]
                return self._at(record, found.kind, shown, found.places)
        what = template(record)[:_TEMPLATE]
        return Identity(
            _hash(record, "message", record.name, fold(what)),
            what,
            record.name,
            values=True,
        )

    def _at(
        self, record: logging.LogRecord, kind: str, shown: str, found: Iterable[Place]
    ) -> Identity:
        """Return the identity of an exception that was raised somewhere."""
        place = self._own.innermost(found, record.name) or _NOWHERE
        # A type of the place's own module is known by its bare name: as where that is the script.
        kind = kind.removeprefix(f"{place.module}.")
        function = _COMPREHENSION.sub("", place.function) or "<module>"
        where = place._replace(function=function).name
        return Identity(_hash(record, "error", record.name, kind, where), shown, where)


def fold(message: str) -> str:
    """Return a message without its values."""
    return _SEQUENCE.sub(r"\1", _VALUES.sub("*", message[:_TEMPLATE]))


def _codes(trace: TracebackType | None) -> tuple[object, ...]:
    codes: list[object] = []
    while trace is not None:
        codes.append(trace.tb_frame.f_code)
        trace = trace.tb_next
    return tuple(codes)


def _type_name(kind: type[BaseException]) -> str:
    """Return an exception type's name as it is printed."""
    name, module = type_name(kind, qualified=True), type_module(kind)
    return name if module in _PRINTED_ALONE else f"{module}.{name}"


def _hash(record: logging.LogRecord, *parts: str) -> str:
    text = "\0".join([str(record.levelno), *parts]).encode("utf-8", "replace")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
