"""The output of the command: exit codes, and text with colours on a terminal only.

No control character reaches a terminal, and nothing that is written can fail: a character that the
stream's encoding lacks is escaped, and a closed pipe takes the rest of the text, so that the exit
code tells the whole result.
"""

from __future__ import annotations

import contextlib
import enum
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from tocsin.exceptions import TocsinError
from tocsin.text import clean

_COLOURS = {
    "ok": "32",
    "WARN": "33",
    "FAIL": "31;1",
    "skip": "2",
    "LATER": "33",
    "dim": "2",
    "bold": "1",
}
_PAINTED = re.compile(r"(\x1b\[(?:32|33|31;1|2|1|0)m)")


class ExitCode(enum.IntEnum):
    """What the command says to the program that called it."""

    GOOD = 0
    FAULT = 1  # something is not as it should be
    USAGE = 2  # wrong arguments
    LATER = 3  # it is worth another try later: a server is busy
    INTERRUPTED = 130  # by Ctrl-C, as shells have it


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
        self._documents = 0
        self._problem = ""  # why nothing more is written

    def line(self, text: str = "") -> None:
        """Write a line of text, or several; nothing if the output is JSON."""
        if not self.as_json:
            parts = _PAINTED.split(text) if self._colours else [text]
            parts[::2] = [clean(part) for part in parts[::2]]
            self._write("".join(parts))

    def document(self, value: Any) -> None:
        """Write a value as JSON; nothing if the output is text. It is called once."""
        if self.as_json:
            self._documents += 1
            text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)
            if not self.can_write(text):
                text = json.dumps(_finite(value), indent=2, allow_nan=False)
            self._write(text)

    def fail(self, problem: str, code: ExitCode) -> ExitCode:
        """Tell why the command ends, on standard error and in the JSON document.

        Args:
            problem: why.
            code: the exit code.

        Returns:
            The exit code.
        """
        self.complain(problem)
        if not self._documents:
            self.document({"error": problem, "exit_code": int(code)})
        return code

    def complain(self, problem: str) -> None:
        """Write a problem to standard error."""
        with contextlib.suppress(OSError):
            sys.stderr.write(f"tocsin: {clean(problem)}\n")

    def end(self) -> str:
        """Write what is left; return why not all of the output could be written, or ""."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)
        return self._problem

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

    def _write(self, text: str) -> None:
        if not self.can_write(text):
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            self._stream.write(f"{text}\n")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Write nothing more; a reader that closed the pipe has seen enough."""
        if not isinstance(error, BrokenPipeError):
            self._problem = self._problem or error.strerror or str(error)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:  # the interpreter flushes the stream once more at its end
            os.dup2(nowhere, self._stream.fileno())
        except OSError:  # no file is behind the stream
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        finally:
            os.close(nowhere)


def _finite(value: Any) -> Any:
    """Return a value for JSON, which has no number for NaN and the infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
