"""Tracebacks: whose code a frame is, and the lines in which an exception is told."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tocsin.alerts.text import attempt, cut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType, TracebackType

_MAX_FRAMES = 50  # of one exception
_MAX_FAULTS = 10  # of a chain
_MAX_SOURCE = 200
_MAX_ERROR = 2_000
Place: TypeAlias = "tuple[str, CodeType]"
"""A module's name and the code of a function in it."""
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
            is named after, else what is neither in the standard library nor in site-packages.
    """

    def __init__(self, packages: tuple[str, ...] = ()) -> None:
        self._packages = packages

    def place(self, trace: TracebackType | None, logger: str) -> Place | None:
        """Return the innermost own frame's module and code, else the innermost one's."""
        packages = self._packages or (logger.partition(".")[0],)
        named = outside = innermost = None
        while trace is not None:
            frame = trace.tb_frame
            module = frame.f_globals.get("__name__") or ""
            innermost = found = (module, frame.f_code)
            if module.partition(".")[0] in packages or module in packages:
                named = found
            elif named is None and not is_library(frame.f_code.co_filename):
                outside = found
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
    return PurePath(code.co_filename).stem if module == "__main__" else module


@lru_cache(maxsize=4096)
def shown_path(path: str) -> str:
    """Return a file's path from where it is imported."""
    for root in sorted((*sys.path, *_STDLIB), key=len, reverse=True):
        if root and path.startswith(root) and path[len(root) :].startswith(("/", "\\")):
            return path[len(root) + 1 :]
    return path


def tell(error: BaseException, own: OwnCode, logger: str) -> tuple[Line, ...]:
    """Return an exception's frames, what was raised, and its causes, in lines."""
    lines: list[Line] = []
    seen: set[int] = set()
    fault: BaseException | None = error
    relation = ""
    while fault is not None and id(fault) not in seen:
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
        if fault.__cause__ is not None:
            fault, relation = fault.__cause__, "caused by"
        else:
            fault = None if fault.__suppress_context__ else fault.__context__
            relation = "while handling"
    return tuple(lines)


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
