"""Tracebacks that arrived as text, through a queue or a socket, or in a message.

`split` finds the traceback, and `parse` returns its exceptions as if they had been captured.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tocsin.events.captured import CapturedException
from tocsin.events.frames import Frame, Place, module_of
from tocsin.text import Excerpt

HEADER = "Traceback (most recent call last):"
_HEADERS = frozenset({HEADER, f"Exception Group {HEADER}"})
STACK = "Stack (most recent call last):"
_MAX_HEAD = 11_000  # characters of a text that are searched for a traceback
MAX_BODY = 10_000  # characters of a traceback that are kept: its end, with the innermost frames
_MAX_FRAMES = 50
# `  File "x.py", line 3, in go`. In a group a margin precedes it; loguru marks a frame with ">".
_FRAME = re.compile(r'(?: +|> )File "(.+)", line (\d{1,9}), in (.+)')
_AGAIN = re.compile(r" +\[Previous line repeated (\d{1,9}) more times?\]")
_MARGIN = re.compile(r" *(?:\| ?|\+ |\+(?=-))")
_MEMBER = re.compile(r"-?\+?-+ (?:\d+|\.\.\.) -+")
_NO_CHAIN = re.compile(rf"-+ (?:\d+|\.\.\.) -|{re.escape(STACK)}")
_MARKS = re.compile(r"[\s~^+-]*")  # the line below a line of source; the end of a group
_ERROR = re.compile(r"([^\W\d][\w.<>]*)(?=:|$)")
_LINKS = {
    "The above exception was the direct cause of the following exception:": "caused by",
    "During handling of the above exception, another exception occurred:": "while handling",
}


class PrintedException(NamedTuple):
    """An exception that was parsed from a printed traceback.

    Attributes:
        kind: the name of its type, as it was printed.
        places: the places of its frames, the outermost first.
        chain: the exception, followed by the related ones.
        stack: the lines of the `stack_info` that was printed behind the traceback.
    """

    kind: str
    places: tuple[Place, ...]
    chain: tuple[CapturedException, ...]
    stack: tuple[str, ...]


def split(text: str) -> tuple[str, str] | None:
    """Return the text before a printed traceback, and the traceback; None without one."""
    found = text.find(HEADER, 0, _MAX_HEAD)
    if found < 0:
        return None
    start = text.rfind("\n", 0, found) + 1
    if text[start:found].strip(" +|") not in {"", "Exception Group"}:
        return None
    return text[:start].rstrip("\n"), text[start:]


def invariant(text: str) -> str:
    """Return the part of a printed traceback on which the kind and the places depend alone.

    It has neither the text of the exception nor the exceptions before it: `parse` returns the same
    kind and places for each traceback with the same part. It is "" where the last line isn't that
    of an exception.
    """
    start = text.rfind("\n") + 1
    found = _ERROR.match(text, start)
    # A line may end with other characters than "\n", too.
    if found is None or len(text) > MAX_BODY or len(text[start:].splitlines()) != 1:
        return ""
    return text[_last(text) : found.end()]


def _last(text: str) -> int:
    """Return where the last exception of a chain begins; 0 if the text may be more than a chain."""
    last = text.rfind(HEADER)
    is_line = text[last - 1 : last] == text[last + len(HEADER) :][:1] == "\n"
    if is_line and text.startswith(HEADER) and not _NO_CHAIN.search(text):
        return last
    return 0


class _Block:
    """One exception of a printed traceback."""

    def __init__(self) -> None:
        self.group = False
        self.member = False
        self.link = ""  # the relation to the next exception
        self.frames: list[Frame] = []
        self.text: list[str] = []

    def add(self, line: str) -> None:
        """Add one of its lines."""
        if 'File "' in line and (found := _FRAME.match(line)):
            place = Place(module_of(found[1]), found[1], found[3])
            self.frames.append(Frame(place, int(found[2]), ""))
        elif not line.startswith(" "):
            if self.text or not _MARKS.fullmatch(line):
                self.text.append(line)
        elif (found := _AGAIN.fullmatch(line)) and self.frames:
            self.frames[-1] = self.frames[-1]._replace(again=int(found[1]))
        elif self.text:
            self.text.append(line)
        elif self.frames and not self.frames[-1].source and not _MARKS.fullmatch(line):
            self.frames[-1] = self.frames[-1]._replace(source=line.strip())

    def captured(self, relation: str) -> CapturedException:
        """Return the exception as if it had been captured."""
        kept = tuple(self.frames[-_MAX_FRAMES:])
        while self.text and _MARKS.fullmatch(self.text[-1]):
            self.text.pop()
        text = "\n".join(self.text)
        return CapturedException(
            relation, Excerpt(text, len(text)), len(self.frames) - len(kept), kept
        )

    @property
    def relation(self) -> str:
        """How the exception belongs to the main one."""
        if self.member:
            return "together with"
        return "in" if self.group else self.link


def parse(body: str) -> PrintedException | None:
    """Return the exceptions of a printed traceback; None if it has no frames.

    Args:
        body: the traceback: its header, or only its end.
    """
    if len(body) > MAX_BODY:
        body = f"{HEADER}\n{body[-MAX_BODY:].partition(chr(10))[2]}"
    text, _, stack = body.partition(f"\n{STACK}\n")
    blocks = _blocks(text)
    if not any(block.frames for block in blocks):
        return None
    main, others = _in_order(blocks)
    found = _ERROR.match(main.text[0]) if main.text else None
    return PrintedException(
        kind=found[1] if found else "",
        places=tuple(frame.place for frame in main.frames),
        chain=(main.captured(""), *(block.captured(block.relation) for block in others)),
        stack=(STACK, *stack.splitlines()) if stack else (),
    )


def _in_order(blocks: list[_Block]) -> tuple[_Block, list[_Block]]:
    """Return the main exception, and the related ones, in the order of captured exceptions.

    Python prints the main exception of a chain last. Of a group, the first member is the main one.
    """
    members = [block for block in blocks if block.member and not block.group]
    main = members[0] if members else blocks[-1]
    ordered = blocks if members else reversed(blocks)
    return main, [block for block in ordered if block is not main]


def _blocks(text: str) -> list[_Block]:
    """Return the exceptions of a printed traceback, in the order of the text."""
    blocks: list[_Block] = []
    block = _Block()
    for line in text.splitlines():
        margin = _MARGIN.match(line)
        bare = line[margin.end() :] if margin else line
        if bare in _HEADERS:
            if block not in blocks or block.frames or block.text:
                block = _Block()
                blocks.append(block)
            block.group = bare != HEADER
        elif bare.startswith(("-", "+")) and _MEMBER.fullmatch(bare):
            block = _Block()
            block.member = True
            blocks.append(block)
        elif bare in _LINKS:
            block.link = _LINKS[bare]
        else:
            block.add(bare)
    return blocks
