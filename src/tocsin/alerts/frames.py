"""Tracebacks: whose code a frame is, and the lines in which an exception is told."""

from __future__ import annotations

import linecache
import re
import sys
import sysconfig
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tocsin.alerts.text import attempt, cut

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from types import CodeType, FrameType, TracebackType

_MAX_FRAMES = 50  # of one exception
_MAX_FAULTS = 10  # of a chain
_MAX_SOURCE = 200
_MAX_ERROR = 2_000
_MAX_HEAD = 11_000  # characters of a text in which a traceback is looked for
_MAX_TAIL = 10_000  # characters of its end, where the innermost frames are
_PRINTED = "Traceback (most recent call last):\n"
_PRINTED_FRAME = re.compile(r'^ *(?:\| )? *File "(.+)", line \d+, in (.+)$', re.MULTILINE)
_PRINTED_ERROR = re.compile(r"^(?: +\| )?([^\W\d][\w.]*)(?=:|$)", re.MULTILINE)
Place: TypeAlias = "tuple[str, CodeType]"
"""A module's name and the code of a function in it."""
_SCRIPTS = ("__main__", "__mp_main__")  # the second is the first, in a spawned child
_LIBRARIES = ("site-packages", "dist-packages")
_STDLIB = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


class Line(NamedTuple):
    """A line of a traceback.

    Attributes:
        kind: "own" and "library" for frames, "error" for what was raised, "cause" for where a
            chained one begins, "more" for what is left out.
        text: what it says.
    """

    kind: str
    text: str


class OwnCode:
    """Tell the application's own code from everybody else's.

    Args:
        packages: the root packages of the application; if none is given, the package that a logger
            is named after, unless that is a framework that calls what isn't installed; else what
            is neither in the standard library nor in site-packages.
    """

    def __init__(self, packages: tuple[str, ...] = ()) -> None:
        self._packages = packages

    def place(self, trace: TracebackType | None, logger: str) -> Place | None:
        """Return the innermost own frame's module and code, else the innermost one's."""
        packages = self._packages or (logger.partition(".")[0],)
        named = outside = innermost = None
        while trace is not None:
            frame = trace.tb_frame
            module = str(frame.f_globals.get("__name__") or "")
            innermost = found = (module, frame.f_code)
            if module.partition(".")[0] in packages or module in packages:
                named = found
            elif not is_library(frame.f_code.co_filename):
                outside = found
                if named and not self._packages and is_library(named[1].co_filename):
                    # A framework logs under its own name what the application that it calls
                    # raises, as "django.request" does: the application is what it calls.
                    named, packages = None, ()
            trace = trace.tb_next
        return named or outside or innermost

    def owns(self, frame: FrameType, logger: str) -> bool:
        """Whether a frame is shown as the application's own."""
        root = str(frame.f_globals.get("__name__") or "").partition(".")[0]
        if self._packages:
            return root in self._packages
        return root == logger.partition(".")[0] or not is_library(frame.f_code.co_filename)


@lru_cache(maxsize=4096)
def is_library(path: str) -> bool:
    """Whether a file belongs to the standard library or is installed."""
    return path.startswith((*_STDLIB, "<frozen ")) or any(name in path for name in _LIBRARIES)


def module_name(module: str, code: CodeType) -> str:
    """Return a module's name; a script is called by its file's, as `__main__` says nothing."""
    return PurePath(code.co_filename).stem if module in _SCRIPTS else module


@lru_cache(maxsize=4096)
def shown_path(path: str) -> str:
    """Return a file's path from where it is imported."""
    for root in sorted((*sys.path, *_STDLIB), key=len, reverse=True):
        if root and path.startswith(root) and path[len(root) :].startswith(("/", "\\")):
            return path[len(root) + 1 :]
    return path


def leaf(error: BaseException) -> BaseException:
    """Return the first exception in a group that isn't a group itself; else the exception."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def printed(record: logging.LogRecord) -> tuple[str, str] | None:
    """Return the type and the place of an exception that a record holds as text.

    That is what is left of it behind a `logging.handlers.QueueHandler` or a `SocketHandler`.
    """
    text = record.exc_text or record.msg
    if not isinstance(text, str) or _PRINTED not in text[:_MAX_HEAD]:
        return None
    text = text[-_MAX_TAIL:]
    frames: list[tuple[str, str, int]] = [
        (found[1], found[2], found.end()) for found in _PRINTED_FRAME.finditer(text)
    ]
    if not frames:
        return None
    error = _PRINTED_ERROR.search(text, frames[-1][2])
    path, function, _ = next(
        (frame for frame in reversed(frames) if not is_library(frame[0])), frames[-1]
    )
    module = re.split(r"[/\\]", path)[-1].removesuffix(".py")
    return error[1] if error else "", f"{module}.{function}"


def tell(error: BaseException, own: OwnCode, logger: str) -> tuple[Line, ...]:
    """Return an exception's frames, what was raised, and its causes, in lines.

    Of a group its first exception comes first, as in the fingerprint, then the group around it.
    """
    lines: list[Line] = []
    seen: set[int] = set()
    first = leaf(error)
    todo = [("", first)] if first is error else [("in", error), ("", first)]
    while todo:
        relation, fault = todo.pop()
        if id(fault) in seen:
            continue
        if len(seen) == _MAX_FAULTS:
            lines.append(Line("more", "further causes are left out"))
            break
        seen.add(id(fault))
        raised = f"{type(fault).__qualname__}: {attempt(fault)}".removesuffix(": ")
        raised = cut(raised, _MAX_ERROR)
        if relation:
            lines.append(Line("cause", f"{relation} {raised}"))
        lines.extend(_frames(fault.__traceback__, own, logger))
        if not relation:
            lines.append(Line("error", raised))
        todo.extend(reversed(_behind(fault)))
    return tuple(lines)


def _behind(fault: BaseException) -> list[tuple[str, BaseException]]:
    """Return the exceptions that belong to one, with how they do."""
    behind: list[tuple[str, BaseException]] = []
    if isinstance(fault, BaseExceptionGroup):
        behind += [("together with", member) for member in fault.exceptions[: _MAX_FAULTS + 1]]
    if fault.__cause__ is not None:
        behind.append(("caused by", fault.__cause__))
    elif fault.__context__ is not None and not fault.__suppress_context__:
        behind.append(("while handling", fault.__context__))
    return behind


def _frames(trace: TracebackType | None, own: OwnCode, logger: str) -> Iterator[Line]:
    frames: list[tuple[FrameType, int]] = []
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    if len(frames) > _MAX_FRAMES:
        yield Line("more", f"... {len(frames) - _MAX_FRAMES:,} outer frames left out ...")
        frames = frames[-_MAX_FRAMES:]
    run: list[tuple[FrameType, int]] = []
    for position, (frame, number) in enumerate(frames):
        mine = own.owns(frame, logger)
        if not mine and position < len(frames) - 1:  # the innermost one is always told
            run.append((frame, number))
            continue
        yield from _folded(run)
        run = []
        yield from _frame(frame, number, "own" if mine else "library")


def _folded(run: list[tuple[FrameType, int]]) -> Iterator[Line]:
    """Tell a run of library frames: one as it is, more by where they are."""
    if len(run) == 1:
        yield from _frame(*run[0], "library")
    elif run:
        modules = (str(frame.f_globals.get("__name__")) for frame, _ in run)
        names = list(dict.fromkeys(modules))
        more = ", ..." if len(names) > 3 else ""  # noqa: PLR2004 - enough to recognise
        yield Line("more", f"... {len(run)} frames of {', '.join(names[:3])}{more} ...")


def _frame(frame: FrameType, number: int, kind: str) -> Iterator[Line]:
    code = frame.f_code
    where = f"{shown_path(code.co_filename)}:{number} in {code.co_name}"
    yield Line(kind, cut(where, _MAX_SOURCE))
    source = linecache.getline(code.co_filename, number, frame.f_globals).strip()
    if source:
        yield Line(kind, "    " + cut(source, _MAX_SOURCE))
