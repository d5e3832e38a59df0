"""Frames of a traceback: whose code they are, where the fault is, and how they are told."""

from __future__ import annotations

import re
import sys
import sysconfig
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from tocsin.text import attempt, clean, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    Source = Callable[[str, int], str]
    """Returns a line of a file, or "": `linecache.getline`."""

_MAX_FRAMES = 50  # of one exception
_MAX_SOURCE = 200
_NAMED = 3  # modules of a run of library frames
_CYCLES = (1, 2, 3)  # functions that call each other, whose recursion is folded
_FEW = 3  # repetitions up to which recursion is told in full, as CPython does
_SCRIPTS = ("__main__", "__mp_main__")  # the second is the first, in a spawned child
# Code without a file was made: by `import`, `dataclasses` ("<string>"), SQLAlchemy
# ("<sqlalchemy generated ...>"); but for what somebody has typed.
_TYPED = ("<stdin>", "<console>", "<ipython", "<doctest", "<python-input")
_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
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


class Place(NamedTuple):
    """A function.

    Attributes:
        module: its module's name.
        path: its file.
        function: its qualified name; behind a queue or a socket, its bare one.
    """

    module: str
    path: str
    function: str

    @property
    def name(self) -> str:
        """Where it is in the code, wherever that is installed."""
        # A script is called by its file's name, as `__main__` says nothing.
        module = PurePath(self.path).stem if self.module in _SCRIPTS else self.module
        return f"{module}.{self.function}"


class Frame(NamedTuple):
    """A frame as it is kept: names and numbers that hold on to nothing.

    Attributes:
        place: its function.
        line: the number of the line.
        source: that line, where it came with the frame.
        again: how often it was repeated.
        cycle: how many frames up to this one were repeated.
    """

    place: Place
    line: int
    source: str | None = None
    again: int = 0
    cycle: int = 1

    @property
    def weight(self) -> int:
        """How many frames it stands for."""
        return 1 + self.again * self.cycle


class OwnCode:
    """Tell the application's own code from everybody else's.

    Args:
        packages: the root packages of the application; if none is given, the package that a logger
            is named after, unless that is a framework that calls what isn't installed; else what
            is neither in the standard library nor in site-packages.
    """

    def __init__(self, packages: tuple[str, ...] = ()) -> None:
        self._packages = packages

    def innermost(self, places: Iterable[Place], logger: str) -> Place | None:
        """Return the innermost own place of a traceback, else the innermost one."""
        packages = self._packages or (logger.partition(".")[0],)
        named = outside = innermost = None
        for place in places:
            innermost = place
            if place.module.partition(".")[0] in packages or place.module in packages:
                named = place
            elif not is_library(place.path):
                outside = place
                if named and not self._packages and is_library(named.path):
                    # A framework logs under its own name what the application that it calls
                    # raises, as "django.request" does: the application is what it calls.
                    named, packages = None, ()
        return named or outside or innermost

    def among(self, traces: Iterable[Iterable[Place]], logger: str) -> Callable[[Place], bool]:
        """Return what says of a frame whether it is shown as the application's own.

        Args:
            traces: an exception's frames, and those of the ones behind it.
            logger: the logger's name.
        """
        packages = self._packages or (logger.partition(".")[0],)
        if not self._packages and any(_serves(trace, packages) for trace in traces):
            packages = ()

        def owns(place: Place) -> bool:
            if place.module.partition(".")[0] in packages or place.module in packages:
                return True
            return not self._packages and not is_library(place.path)

        return owns


def _serves(trace: Iterable[Place], packages: tuple[str, ...]) -> bool:
    """Whether a package is a framework here: it is installed, and calls what is not."""
    installed = False
    for place in trace:
        library = is_library(place.path)
        if installed and not library:
            return True
        installed = installed or (library and place.module.partition(".")[0] in packages)
    return False


@lru_cache(maxsize=4096)
def is_library(path: str) -> bool:
    """Whether a file belongs to the standard library, is installed, or is no file."""
    if path.startswith("<"):
        return not path.startswith(_TYPED)
    return path.startswith(_STDLIB) or _INSTALLED.search(path) is not None


@lru_cache(maxsize=4096)
def shown_path(path: str) -> str:
    """Return a file's path from where it is imported."""
    for root in sorted((*sys.path, *_STDLIB), key=len, reverse=True):
        if root and path.startswith(root) and path[len(root) :].startswith(("/", "\\")):
            return path[len(root) + 1 :]
    return path


def module_of(path: str) -> str:
    """Return the name of the module that a file is, as far as its path tells."""
    shown = shown_path(path)
    if shown == path:
        *_, shown = _INSTALLED.split(path)
    if shown == path:  # another machine's: where its packages begin is not known
        shown = re.split(r"[/\\]", path)[-1]
    return re.sub(r"[/\\]", ".", shown.removesuffix(".py")).removesuffix(".__init__")


def places(trace: TracebackType | None) -> Iterator[Place]:
    """Return where the frames of a traceback are, the outermost first."""
    while trace is not None:
        frame = trace.tb_frame
        code = frame.f_code
        yield Place(_module(frame.f_globals), code.co_filename, code.co_qualname)
        trace = trace.tb_next


def _module(names: dict[str, object]) -> str:
    """Return the module's name that is among a frame's globals, where code may put anything."""
    name = dict.get(names, "__name__")
    return "" if name is None else attempt(name)


def take(
    trace: TracebackType | None, note_source: Callable[[str, dict[str, object]], object]
) -> tuple[int, tuple[Frame, ...]]:
    """Return how many outer frames are left out, and the others: the innermost ones.

    Args:
        trace: where they are.
        note_source: is told a file's name and the globals of its code, so that its lines can be
            found later: `linecache.lazycache`.
    """
    steps: list[TracebackType] = []
    while trace is not None:
        steps.append(trace)
        trace = trace.tb_next
    keys = [(id(step.tb_frame.f_code), step.tb_lineno) for step in steps]
    runs = _runs(keys)
    kept = runs[-_MAX_FRAMES:]
    frames: list[Frame] = []
    for position, again, cycle in kept:
        step = steps[position]
        names = step.tb_frame.f_globals
        code = step.tb_frame.f_code
        note_source(code.co_filename, names)
        place = Place(_module(names), code.co_filename, code.co_qualname)
        frames.append(Frame(place, keys[position][1], None, again, cycle))
    return len(steps) - sum(frame.weight for frame in frames), tuple(frames)


def _runs(keys: Sequence[object]) -> list[tuple[int, int, int]]:
    """Return the frames that aren't repetitions: position, and how often how many came again."""
    runs: list[tuple[int, int, int]] = []
    start, end = 0, len(keys)
    while start < end:
        again = 0
        for cycle in _CYCLES if end - start > _FEW else ():
            same = start
            while same + cycle < end and keys[same] == keys[same + cycle]:
                same += 1
            again = (same - start) // cycle
            if again >= _FEW:
                break
        else:
            cycle = again = 1
            again = 0
        runs += [(position, 0, 1) for position in range(start, start + cycle - 1)]
        runs.append((start + cycle - 1, again, cycle))
        start += cycle * (again + 1)
    return runs


def tell(
    frames: Sequence[Frame],
    owns: Callable[[Place], bool],
    source: Source,
    redact: Callable[[str], str],
) -> Iterator[Line]:
    """Return the lines in which frames are told: runs of library code are folded.

    Args:
        frames: the outermost first; the innermost one is always told.
        owns: tells the application's own.
        source: finds the lines of the code.
        redact: takes the secrets out of these.
    """
    run: list[Frame] = []
    for position, frame in enumerate(frames):
        mine = owns(frame.place)
        if not mine and position < len(frames) - 1:
            run.append(frame)
            continue
        yield from _folded(run, source, redact)
        run = []
        yield from _frame(frame, "own" if mine else "library", source, redact)


def _folded(run: list[Frame], source: Source, redact: Callable[[str], str]) -> Iterator[Line]:
    """Tell a run of library frames: one as it is, more by where they are."""
    if len(run) == 1:
        yield from _frame(run[0], "library", source, redact)
    elif run:
        names = list(dict.fromkeys(frame.place.module for frame in run))
        more = ", ..." if len(names) > _NAMED else ""
        count = sum(frame.weight for frame in run)
        where = cut(", ".join(names[:_NAMED]), _MAX_SOURCE)
        yield Line("more", f"... {count:,} frames of {where}{more} ...")


def _frame(frame: Frame, kind: str, source: Source, redact: Callable[[str], str]) -> Iterator[Line]:
    place = frame.place
    function = place.function.rpartition("<locals>.")[2]
    where = f"{shown_path(place.path)}:{frame.line} in {function}"
    yield Line(kind, cut(where, _MAX_SOURCE).replace("\n", " "))
    text = source(place.path, frame.line) if frame.source is None else frame.source
    if text := redact(clean(text[: 20 * _MAX_SOURCE]).strip()):
        yield Line(kind, "    " + cut(text, _MAX_SOURCE))
    if frame.again:
        what = "frame" if frame.cycle == 1 else f"{frame.cycle} frames"
        yield Line("more", f"... the previous {what} repeated {frame.again:,} more times ...")
