"""Tracebacks that came as text: what is left of an exception behind a queue or a socket."""

from __future__ import annotations

import re
from typing import NamedTuple

from tocsin.events.exceptions import Fault
from tocsin.events.frames import Frame, Place, module_of
from tocsin.text import Raw

HEADER = "Traceback (most recent call last):"
_STACK = "Stack (most recent call last):"
_MAX_HEAD = 11_000  # characters of a text in which a traceback is looked for
MAX_BODY = 10_000  # characters of its end, where the innermost frames are
_MAX_FRAMES = 50
# `  File "x.py", line 3, in go`: in a group behind a margin, by loguru with a mark.
_FRAME = re.compile(r'(?: +|> )File "(.+)", line (\d{1,9}), in (.+)')
_AGAIN = re.compile(r" +\[Previous line repeated (\d{1,9}) more times?\]")
_MARGIN = re.compile(r" *(?:\| ?|\+ |\+(?=-))")
_MEMBER = re.compile(r"-?\+?-+ (?:\d+|\.\.\.) -+")
_MARKS = re.compile(r"[\s~^+-]*")  # below a line of source, and at the end of a group
_ERROR = re.compile(r"([^\W\d][\w.<>]*)(?=:|$)")
_LINKS = {
    "The above exception was the direct cause of the following exception:": "caused by",
    "During handling of the above exception, another exception occurred:": "while handling",
}


class Printed(NamedTuple):
    """An exception that was printed.

    Attributes:
        kind: its type's name, as it was printed.
        places: where its frames are, the outermost first.
        faults: the exception and those behind it.
        stack: what stands after it: where it was logged.
    """

    kind: str
    places: tuple[Place, ...]
    faults: tuple[Fault, ...]
    stack: tuple[str, ...]


def split(text: str) -> tuple[str, str] | None:
    """Return what stands before a printed traceback, and the traceback's end; None without one."""
    found = text.find(HEADER, 0, _MAX_HEAD)
    if found < 0:
        return None
    start = text.rfind("\n", 0, found) + 1
    if text[start:found].strip(" +|") not in {"", "Exception Group"}:
        return None
    return text[:start].rstrip("\n"), text[start:]


class _Block:
    """One of several exceptions that are printed together."""

    def __init__(self) -> None:
        self.group = False
        self.member = False
        self.link = ""  # how it belongs to the next one
        self.frames: list[Frame] = []
        self.raised: list[str] = []

    def add(self, line: str) -> None:
        """Take a line of it."""
        if found := _FRAME.match(line):
            place = Place(module_of(found[1]), found[1], found[3])
            self.frames.append(Frame(place, int(found[2]), ""))
        elif (found := _AGAIN.fullmatch(line)) and self.frames:
            self.frames[-1] = self.frames[-1]._replace(again=int(found[1]))
        elif line.startswith(" ") and not self.raised:
            if self.frames and not self.frames[-1].source and not _MARKS.fullmatch(line):
                self.frames[-1] = self.frames[-1]._replace(source=line.strip())
        elif self.raised or not _MARKS.fullmatch(line):
            self.raised.append(line)

    def fault(self, relation: str) -> Fault:
        """Return it as a fault."""
        kept = tuple(self.frames[-_MAX_FRAMES:])
        while self.raised and _MARKS.fullmatch(self.raised[-1]):
            self.raised.pop()
        text = "\n".join(self.raised)
        return Fault(relation, Raw(text, len(text)), len(self.frames) - len(kept), kept)


def parse(body: str) -> Printed | None:
    """Return what a printed traceback tells; None if it has no frames.

    Args:
        body: the traceback: its header, or only its end.
    """
    if len(body) > MAX_BODY:
        body = f"{HEADER}\n{body[-MAX_BODY:].partition(chr(10))[2]}"
    text, _, stack = body.partition(f"\n{_STACK}\n")
    blocks = _blocks(text)
    if not any(block.frames for block in blocks):
        return None
    members = [block for block in blocks if block.member and not block.group]
    # Of a group its first exception comes first, as where it wasn't printed; of a chain the last.
    main = members[0] if members else blocks[-1]
    others = [
        block.fault("together with" if block.member else "in" if block.group else block.link)
        for block in (blocks if members else reversed(blocks))
        if block is not main
    ]
    found = _ERROR.match(main.raised[0]) if main.raised else None
    return Printed(
        kind=found[1] if found else "",
        places=tuple(frame.place for frame in main.frames),
        faults=(main.fault(""), *others),
        stack=(_STACK, *stack.splitlines()) if stack else (),
    )


def _blocks(text: str) -> list[_Block]:
    blocks: list[_Block] = []
    block = _Block()
    for line in text.splitlines():
        margin = _MARGIN.match(line)
        bare = line[margin.end() :] if margin else line
        if bare in {HEADER, f"Exception Group {HEADER}"}:
            if block not in blocks or block.frames or block.raised:
                block = _Block()
                blocks.append(block)
            block.group = bare != HEADER
        elif _MEMBER.fullmatch(bare):
            block = _Block()
            block.member = True
            blocks.append(block)
        elif bare in _LINKS:
            block.link = _LINKS[bare]
        else:
            block.add(bare)
    return blocks
