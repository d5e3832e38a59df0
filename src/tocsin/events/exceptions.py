"""Exceptions, captured as text, and formatted as the lines of a traceback.

What is captured holds no reference to the exception, its traceback or its frames. Attributes of an
exception are read through `BaseException` itself, as its class may override them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin.events import frames, traceback_text
from tocsin.events.captured import CapturedException
from tocsin.events.frames import Line
from tocsin.text import MARGIN, Excerpt, attempt, exact, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from tocsin.events.frames import OwnCode, Place, Source
    from tocsin.events.traceback_text import PrintedException
    from tocsin.redact.base import Redacts

_MAX_SHOWN = 10  # exceptions of a chain
_MAX_TEXT = 2_000  # characters of one exception's text
_MAX_NAME = 200
_MAX_NOTES = 10
_MAX_LINES = 40_000  # characters of all lines together
_MAX_DEPTH = 100  # of groups within groups
# A pool of processes sends an exception with its traceback as text, in a cause of such a type:
# `multiprocessing` and billiard; `concurrent.futures` and loky.
_REMOTE = ("RemoteTraceback", "_RemoteTraceback")
# A class may override these attributes, and return the exception itself again and again.
_CONTEXT, _SUPPRESS = (
    BaseException.__dict__[name].__get__ for name in ("__context__", "__suppress_context__")
)
cause_of: Callable[[BaseException], BaseException | None] = BaseException.__dict__[
    "__cause__"
].__get__
"""Returns an exception's `__cause__`."""
traceback_of: Callable[[BaseException], TracebackType | None] = BaseException.__dict__[
    "__traceback__"
].__get__
"""Returns an exception's traceback; raises `TypeError` for anything else."""
_MEMBERS = BaseExceptionGroup.__dict__["exceptions"].__get__


def exception_in(exc_info: object) -> BaseException | None:
    """Return the exception of an `exc_info`: a tuple, or the exception itself; None without one."""
    found: Any = exc_info
    if issubclass(type(found), tuple) and tuple.__len__(found) > 1:
        found = tuple.__getitem__(found, 1)
    # `isinstance` would also accept a mock with that `__class__`, whose attributes never end.
    return found if issubclass(type(found), BaseException) else None


def first_in_group(error: BaseException) -> BaseException:
    """Return the first exception in a group that is not a group itself; else the exception."""
    for _ in range(_MAX_DEPTH):
        if not issubclass(type(error), BaseExceptionGroup):
            break
        error = _MEMBERS(error)[0]
    return error


def remote_traceback(error: BaseException) -> str | None:
    """Return the traceback that an exception had in another process; None if it came from none."""
    cause = cause_of(error)
    if cause is None or type_name(type(cause)) not in _REMOTE:
        return None
    text: Any = cause.__dict__.get("tb")
    return exact(text) if issubclass(type(text), str) else None


def parse_remote(text: str) -> PrintedException | None:
    """Return the exceptions of such a traceback; None if it has no frames."""
    return traceback_text.parse(text.strip('\n"'))


def capture(
    error: BaseException, note_source: Callable[[str, dict[str, Any]], object]
) -> tuple[CapturedException, ...]:
    """Return an exception and the exceptions related to it, as text.

    Of a group the first exception comes first, as it makes the fingerprint; then the group itself.
    If there are more than are shown, one more is captured, so that `format_lines` can say so.

    Args:
        error: the exception.
        note_source: called with each file's name and the globals of its code.
    """
    captured: list[CapturedException] = []
    seen: set[int] = set()
    first = first_in_group(error)
    todo = [("", first)] if first is error else [("in", error), ("", first)]
    while todo and len(captured) <= _MAX_SHOWN:
        relation, error = todo.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        kept = frames.capture(traceback_of(error), note_source)
        one = CapturedException(relation, _text(error), *kept)
        remote = remote_traceback(error)
        found = None if remote is None else parse_remote(remote)
        if found is None:
            captured.append(one)
            todo.extend(reversed(_related(error)))
        else:
            captured += _joined(one, found)
    return tuple(captured)


def _joined(one: CapturedException, found: PrintedException) -> list[CapturedException]:
    """Return an exception of another process with the frames of both, and its related ones."""
    first, *related = found.chain
    omitted = one.omitted + first.omitted
    return [one._replace(omitted=omitted, frames=one.frames + first.frames), *related]


def _text(error: BaseException) -> Excerpt:
    """Return the type, the message and the notes of an exception."""
    name = type_name(type(error), qualified=True)[:_MAX_NAME]
    text = "\n".join([attempt(error), *map(attempt, _notes(error))])
    head = f"{name}: {text[: _MAX_TEXT + MARGIN]}" if text else name
    return Excerpt(head, len(name) + (2 + len(text) if text else 0))


def _notes(error: BaseException) -> list[object]:
    """Return an exception's notes (PEP 678)."""
    try:
        notes: object = getattr(error, "__notes__", None)
    except Exception:  # noqa: BLE001 - a class of the application may raise anything
        return []
    return notes[:_MAX_NOTES] if type(notes) is list else []


def _related(error: BaseException) -> list[tuple[str, BaseException]]:
    """Return the members, the cause and the context of an exception, each with its relation."""
    related: list[tuple[str, BaseException]] = []
    if issubclass(type(error), BaseExceptionGroup):
        related += [("together with", member) for member in _MEMBERS(error)[: _MAX_SHOWN + 1]]
    if (cause := cause_of(error)) is not None:
        related.append(("caused by", cause))
    elif (context := _CONTEXT(error)) is not None and not _SUPPRESS(error):
        related.append(("while handling", context))
    return related


def format_lines(
    chain: Sequence[CapturedException], own: OwnCode, logger: str, source: Source, redact: Redacts
) -> tuple[Line, ...]:
    """Return the lines of a traceback: frames, the exception, and then the related exceptions.

    Args:
        chain: the exception, followed by the related ones.
        own: decides which frames are the application's own.
        logger: the logger's name.
        source: returns a line of source code.
        redact: takes secrets out.
    """
    is_own = own.among(([frame.place for frame in one.frames] for one in chain), logger)
    lines: list[Line] = []
    left = _MAX_LINES
    for number, error in enumerate(chain[:_MAX_SHOWN]):
        for line in _lines_of(error, is_own, source, redact):
            left -= len(line.text)
            if left >= 0:
                lines.append(line)
        if left < 0:
            kept = f"first {number:,} of {len(chain):,} exceptions and a part of the next"
            return (*lines, Line("more", f"[cut: {kept}]"))
    if len(chain) > _MAX_SHOWN:
        lines.append(Line("more", "further causes are left out"))
    return tuple(lines)


def _lines_of(
    error: CapturedException, is_own: Callable[[Place], bool], source: Source, redact: Redacts
) -> Iterator[Line]:
    text = error.text.show_start(_MAX_TEXT, redact.text)
    if error.relation:
        yield Line("cause", f"{error.relation} {text}")
    if error.omitted:
        yield Line("more", f"... {error.omitted:,} outer frames left out ...")
    yield from frames.format_lines(error.frames, is_own, source, redact.text)
    if not error.relation:
        yield Line("error", text)
