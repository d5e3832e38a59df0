"""The output of the command: exit codes, and text with colours on a terminal only."""

from __future__ import annotations

import enum
import json
import os
import sys
from typing import Any, TextIO

from tocsin.exceptions import TocsinError

_COLOURS = {
    "ok": "32",
    "WARN": "33",
    "FAIL": "31;1",
    "skip": "2",
    "LATER": "33",
    "dim": "2",
    "bold": "1",
}


class ExitCode(enum.IntEnum):
    """What the command says to the program that called it."""

    GOOD = 0
    FAULT = 1  # something is not as it should be
    USAGE = 2  # wrong arguments
    LATER = 3  # it is worth another try later: a server is busy


class UsageError(TocsinError):
    """The arguments are wrong, or name something that isn't there."""


class Output:
    """Write text to a stream, or one JSON document.

    Args:
        stream: by default standard output.
        as_json: whether a program reads the output; then only `document` writes.
    """

    def __init__(self, stream: TextIO | None = None, *, as_json: bool = False) -> None:
        self.as_json: bool = as_json
        self._stream = sys.stdout if stream is None else stream
        self._colours = not as_json and self._stream.isatty() and not os.environ.get("NO_COLOR")

    def line(self, text: str = "") -> None:
        """Write a line of text; nothing if the output is JSON."""
        if not self.as_json:
            self._stream.write(f"{text}\n")

    def document(self, value: Any) -> None:
        """Write a value as JSON; nothing if the output is text."""
        if self.as_json:
            self._stream.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def can_write(self, text: str) -> bool:
        """Return whether the stream's encoding has all characters of a text."""
        try:
            text.encode(getattr(self._stream, "encoding", None) or "utf-8")
        except (UnicodeError, LookupError):
            return False
        return True

    def paint(self, text: str, colour: str) -> str:
        """Return the text with the escape sequences of a colour, if the stream is a terminal."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._colours else text
