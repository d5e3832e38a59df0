"""What was raised: an exception and those behind it, kept as text, and told in lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.events import frames
from tocsin.events.frames import Line
from tocsin.text import MARGIN, Raw, attempt, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from tocsin.events.frames import Frame, OwnCode, Place, Source
    from tocsin.redact.base import Redacts

_MAX_FAULTS = 10  # of a chain
_MAX_ERROR = 2_000
_MAX_NAME = 200
_MAX_NOTES = 10
_MAX_TOLD = 40_000  # characters of all lines
_MAX_DEPTH = 100  # of groups in groups
# A subclass may have its own way with these names, and hand out itself for ever.
_CAUSE, _CONTEXT, _SUPPRESS = (
    BaseException.__dict__[name].__get__
    for name in ("__cause__", "__context__", "__suppress_context__")
)
trace_of: Callable[[BaseException], TracebackType | None] = BaseException.__dict__[
    "__traceback__"
].__get__
"""Returns an exception's traceback; what isn't an exception is a `TypeError`."""
_MEMBERS = BaseExceptionGroup.__dict__["exceptions"].__get__


class Fault(NamedTuple):
    """An exception as it is kept: text that holds on to nothing.

    Attributes:
        relation: how it belongs to the one before it; "" for the first.
        raised: its type and text.
        outer: how many frames are left out.
        frames: the others.
    """

    relation: str
    raised: Raw
    outer: int
    frames: tuple[Frame, ...]

    @property
    def size(self) -> int:
        """Characters that it holds, about."""
        return len(self.raised.text) + sum(len(frame.source or "") + 80 for frame in self.frames)


def error_in(info: object) -> BaseException | None:
    """Return the exception that an `exc_info` is, or holds; None without one."""
    found: Any = info
    if issubclass(type(found), tuple) and tuple.__len__(found) > 1:
        found = tuple.__getitem__(found, 1)
    # What only says that it is an exception, as a mock does, has endless attributes.
    return found if issubclass(type(found), BaseException) else None


def leaf(error: BaseException) -> BaseException:
    """Return the first exception in a group that isn't a group itself; else the exception."""
    for _ in range(_MAX_DEPTH):
        if not issubclass(type(error), BaseExceptionGroup):
            break
        error = _MEMBERS(error)[0]
    return error


def take(
    error: BaseException, note_source: Callable[[str, dict[str, Any]], object]
) -> tuple[Fault, ...]:
    """Return an exception and those behind it: one more than are told, if there are more.

    Of a group its first exception comes first, as in the fingerprint, then the group around it.
    """
    faults: list[Fault] = []
    seen: set[int] = set()
    first = leaf(error)
    todo = [("", first)] if first is error else [("in", error), ("", first)]
    while todo and len(faults) <= _MAX_FAULTS:
        relation, fault = todo.pop()
        if id(fault) in seen:
            continue
        seen.add(id(fault))
        faults.append(Fault(relation, _raised(fault), *frames.take(trace_of(fault), note_source)))
        todo.extend(reversed(_behind(fault)))
    return tuple(faults)


def _raised(fault: BaseException) -> Raw:
    name = type_name(type(fault), qualified=True)[:_MAX_NAME]
    text = "\n".join([attempt(fault), *map(attempt, _notes(fault))])
    head = f"{name}: {text[: _MAX_ERROR + MARGIN]}" if text else name
    return Raw(head, len(name) + (2 + len(text) if text else 0))


def _notes(fault: BaseException) -> list[object]:
    """Return an exception's notes (PEP 678)."""
    try:
        notes: object = getattr(fault, "__notes__", None)
    except Exception:  # noqa: BLE001 - whatever a class of the application raises
        return []
    return notes[:_MAX_NOTES] if type(notes) is list else []


def _behind(fault: BaseException) -> list[tuple[str, BaseException]]:
    """Return the exceptions that belong to one, with how they do."""
    behind: list[tuple[str, BaseException]] = []
    if issubclass(type(fault), BaseExceptionGroup):
        behind += [("together with", member) for member in _MEMBERS(fault)[: _MAX_FAULTS + 1]]
    if (cause := _CAUSE(fault)) is not None:
        behind.append(("caused by", cause))
    elif (context := _CONTEXT(fault)) is not None and not _SUPPRESS(fault):
        behind.append(("while handling", context))
    return behind


def tell(
    faults: Sequence[Fault], own: OwnCode, logger: str, source: Source, redact: Redacts
) -> tuple[Line, ...]:
    """Return the lines in which exceptions are told: frames, what was raised, and its causes.

    Args:
        faults: what was raised, and what is behind it.
        own: tells the application's own frames.
        logger: the logger's name.
        source: finds the lines of the code.
        redact: takes secrets out.
    """
    owns = own.among(([frame.place for frame in fault.frames] for fault in faults), logger)
    lines: list[Line] = []
    left = _MAX_TOLD
    for number, fault in enumerate(faults):
        if number == _MAX_FAULTS:
            lines.append(Line("more", "further causes are left out"))
            break
        for line in _told(fault, owns, source, redact):
            left -= len(line.text)
            if left >= 0:
                lines.append(line)
        if left < 0:
            kept = f"first {number:,} of {len(faults):,} exceptions and a part of the next"
            lines.append(Line("more", f"[cut: {kept}]"))
            break
    return tuple(lines)


def _told(
    fault: Fault, owns: Callable[[Place], bool], source: Source, redact: Redacts
) -> Iterator[Line]:
    raised = fault.raised.told(_MAX_ERROR, redact.text)
    if fault.relation:
        yield Line("cause", f"{fault.relation} {raised}")
    if fault.outer:
        yield Line("more", f"... {fault.outer:,} outer frames left out ...")
    yield from frames.tell(fault.frames, owns, source, redact.text)
    if not fault.relation:
        yield Line("error", raised)
