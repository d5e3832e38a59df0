"""Frames of a traceback: whose code they are, and how they are shown.

A frame is own code of the application, or library code. The innermost own frame is the place of an
error. Runs of library frames, and the repeated frames of a recursion, are folded into one line.
"""

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
    """Returns a line of a file by its name and number, or "", as `linecache.getline` does."""

_MAX_FRAMES = 50  # of one exception
_MAX_SOURCE = 200
_MAX_MODULES = 3  # modules that are named in the line of folded library frames
_CYCLES = (1, 2, 3)  # a recursion of so many functions that call each other is folded
_MIN_REPEATS = 3  # fewer repetitions are not folded, as in CPython
_SCRIPTS = ("__main__", "__mp_main__")  # a spawned child of multiprocessing has the second name
# Code whose file name begins with "<" was generated: by `import`, by `dataclasses` ("<string>"), by
# SQLAlchemy ("<sqlalchemy generated ...>"). These file names mean code that a user has typed.
_TYPED = ("<stdin>", "<console>", "<ipython", "<doctest", "<python-input")
# The files of cells in a notebook: they have a random number, and the process's.
_CELL = re.compile(r".*[/\\]ipykernel_\d+[/\\]\d+\.py|<ipython-input-[^>]*>")
_NOTEBOOK = "notebook"
_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
_STDLIB = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


class Line(NamedTuple):
    """A line of a traceback.

    Attributes:
        kind: "own" or "library" for a frame, "error" for the exception, "cause" for a related
            exception, "more" for a line that says what is left out.
        text: the line.
    """

    kind: str
    text: str


class Place(NamedTuple):
    """A function.

    Attributes:
        module: its module's name.
        path: its file.
        function: its qualified name; its bare name if the traceback arrived as text.
    """

    module: str
    path: str
    function: str

    @property
    def name(self) -> str:
        """Module and function: the same name wherever the code is installed."""
        # A script has the name of its file, as all scripts are called `__main__`.
        module = module_of_script(self.path) if self.module in _SCRIPTS else self.module
        return f"{module}.{self.function}"


class Frame(NamedTuple):
    """A captured frame: names and numbers, without a reference to the real frame.

    Attributes:
        place: its function.
        line: the number of the line.
        source: the text of that line, if the traceback arrived as text; else None.
        again: how many repetitions of it are folded.
        cycle: how many frames each repetition has; this frame is the last one of them.
    """

    place: Place
    line: int
    source: str | None = None
    again: int = 0
    cycle: int = 1

    @property
    def weight(self) -> int:
        """How many frames it stands for, its repetitions included."""
        return 1 + self.again * self.cycle


class OwnCode:
    """Decide which code is the application's own.

    Args:
        packages: the root packages of the application. By default, the package that a logger is
            named after is own code, and so is all code outside the standard library and
            site-packages. The logger's name does not count if it names a framework: an installed
            package that calls code which is not installed.
    """

    def __init__(self, packages: tuple[str, ...] = ()) -> None:
        self._packages = packages

    def innermost(self, places: Iterable[Place], logger: str) -> Place | None:
        """Return the innermost own place of a traceback; the innermost place if none is own."""
        packages = self._packages or _named_after(logger)
        named = outside = innermost = None
        for place in places:
            innermost = place
            if place.module.partition(".")[0] in packages or place.module in packages:
                named = place
            elif not is_library(place.path):
                outside = place
                if named and not self._packages and is_library(named.path):
                    # A framework logs under its own name ("django.request") the errors of the
                    # application that it calls. So its name does not name the application.
                    named, packages = None, ()
        return named or outside or innermost

    def among(self, traces: Iterable[Iterable[Place]], logger: str) -> Callable[[Place], bool]:
        """Return a function that decides whether a frame is shown as the application's own.

        Args:
            traces: the frames of an exception, and of each related exception.
            logger: the logger's name.
        """
        packages = self._packages or _named_after(logger)
        if not self._packages and any(_is_framework(packages, trace) for trace in traces):
            packages = ()

        def is_own(place: Place) -> bool:
            if place.module.partition(".")[0] in packages or place.module in packages:
                return True
            return not self._packages and not is_library(place.path)

        return is_own


def _named_after(logger: str) -> tuple[str, ...]:
    """Return the package that a logger is named after; none if that is the standard library's."""
    root = logger.partition(".")[0]
    return () if root in sys.stdlib_module_names else (root,)


def _is_framework(packages: tuple[str, ...], trace: Iterable[Place]) -> bool:
    """Return whether an installed one of these packages calls code that is not installed."""
    installed = False
    for place in trace:
        library = is_library(place.path)
        if installed and not library:
            return True
        installed = installed or (library and place.module.partition(".")[0] in packages)
    return False


def is_cell(path: str) -> bool:
    """Return whether a path is that of a cell in a notebook."""
    return "ipy" in path and _CELL.fullmatch(path) is not None


def module_of_script(path: str) -> str:
    """Return the name of a script: that of its file; all cells of a notebook have one name."""
    return _NOTEBOOK if is_cell(path) else PurePath(path).stem


@lru_cache(maxsize=4096)
def is_library(path: str) -> bool:
    """Return whether code is installed, generated, or part of the standard library."""
    if path.startswith("<"):
        return not path.startswith(_TYPED)
    return path.startswith(_STDLIB) or _INSTALLED.search(path) is not None


@lru_cache(maxsize=4096)
def shown_path(path: str) -> str:
    """Return a file's path, relative to the folder of `sys.path` that it is in."""
    if is_cell(path):
        return _NOTEBOOK
    for root in sorted((*sys.path, *_STDLIB), key=len, reverse=True):
        if root and path.startswith(root) and path[len(root) :].startswith(("/", "\\")):
            return path[len(root) + 1 :]
    return path


@lru_cache(maxsize=4096)
def module_of(path: str) -> str:
    """Return the module's name that a file's path suggests."""
    if is_cell(path):
        return _NOTEBOOK
    shown = shown_path(path)
    if shown == path:
        *_, shown = _INSTALLED.split(path)
    if shown == path:  # a path of another machine, whose `sys.path` is unknown
        shown = re.split(r"[/\\]", path)[-1]
    return re.sub(r"[/\\]", ".", shown.removesuffix(".py")).removesuffix(".__init__")


def places(trace: TracebackType | None) -> Iterator[Place]:
    """Yield the place of each frame of a traceback, the outermost first."""
    while trace is not None:
        frame = trace.tb_frame
        code = frame.f_code
        yield Place(_module(frame.f_globals), code.co_filename, code.co_qualname)
        trace = trace.tb_next


def _module(namespace: dict[str, object]) -> str:
    """Return the module's name in the globals of a frame, where code may store any object."""
    name = dict.get(namespace, "__name__")
    return "" if name is None else attempt(name)


def capture(
    trace: TracebackType | None, note_source: Callable[[str, dict[str, object]], object]
) -> tuple[int, tuple[Frame, ...]]:
    """Capture the innermost frames of a traceback, with a recursion folded.

    Args:
        trace: the traceback.
        note_source: called with each file's name and the globals of its code, so that its lines
            can be read later: `linecache.lazycache`.

    Returns:
        How many outer frames are left out, and the captured frames, the outermost first.
    """
    steps: list[TracebackType] = []
    while trace is not None:
        steps.append(trace)
        trace = trace.tb_next
    runs = _runs([(id(step.tb_frame.f_code), step.tb_lineno) for step in steps])
    captured: list[Frame] = []
    for position, again, cycle in runs[-_MAX_FRAMES:]:
        step = steps[position]
        namespace = step.tb_frame.f_globals
        code = step.tb_frame.f_code
        note_source(code.co_filename, namespace)
        place = Place(_module(namespace), code.co_filename, code.co_qualname)
        captured.append(Frame(place, step.tb_lineno, None, again, cycle))
    return len(steps) - sum(frame.weight for frame in captured), tuple(captured)


def _runs(keys: Sequence[object]) -> list[tuple[int, int, int]]:
    """Fold repetitions: for each frame that is kept, its position, and its `again` and `cycle`."""
    runs: list[tuple[int, int, int]] = []
    start, end = 0, len(keys)
    while start < end:
        again = 0
        for cycle in _CYCLES if end - start > _MIN_REPEATS else ():
            same = start
            while same + cycle < end and keys[same] == keys[same + cycle]:
                same += 1
            again = (same - start) // cycle
            if again >= _MIN_REPEATS:
                break
        else:
            cycle, again = 1, 0
        runs += [(position, 0, 1) for position in range(start, start + cycle - 1)]
        runs.append((start + cycle - 1, again, cycle))
        start += cycle * (again + 1)
    return runs


def format_lines(
    frames: Sequence[Frame],
    is_own: Callable[[Place], bool],
    source: Source,
    redact: Callable[[str], str],
) -> Iterator[Line]:
    """Yield the lines that show frames. Runs of library frames are folded.

    Args:
        frames: the frames, the outermost first. The innermost one is always shown.
        is_own: decides whether a frame is the application's own.
        source: returns a line of source code.
        redact: takes the secrets out of that line.
    """
    run: list[Frame] = []
    for position, frame in enumerate(frames):
        own = is_own(frame.place)
        if not own and position < len(frames) - 1:
            run.append(frame)
            continue
        yield from _folded(run, source, redact)
        run = []
        yield from _frame(frame, "own" if own else "library", source, redact)


def _folded(run: list[Frame], source: Source, redact: Callable[[str], str]) -> Iterator[Line]:
    """Yield the lines of a run of library frames: a single frame in full, more by their modules."""
    if len(run) == 1:
        yield from _frame(run[0], "library", source, redact)
    elif run:
        names = list(dict.fromkeys(frame.place.module for frame in run))
        more = ", ..." if len(names) > _MAX_MODULES else ""
        count = sum(frame.weight for frame in run)
        where = cut(", ".join(names[:_MAX_MODULES]), _MAX_SOURCE)
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
