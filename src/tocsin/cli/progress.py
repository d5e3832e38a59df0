"""Progress: a line on a terminal that says how much of the input is read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from tocsin.cli.logs.files import LogFile

_FIRST = 1.0  # seconds before the line appears: short input needs none
_EACH = 0.2


class Progress:
    """Show how much of some logs is read, if the stream is a terminal. Call it from time to time.

    Args:
        stream: standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._files: Sequence[LogFile] = ()
        self._started = time.monotonic()
        self._next = self._started + _FIRST if stream.isatty() else float("inf")
        self._shown = False

    def watch(self, files: Sequence[LogFile]) -> None:
        """Set the logs."""
        self._files = files

    def __call__(self) -> None:
        """Show the line, if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EACH
        self._shown = True
        self._stream.write(f"\r{self._text(now - self._started)}\x1b[K")
        self._stream.flush()

    def __enter__(self) -> Self:
        """Return the progress."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _text(self, passed: float) -> str:
        lines = sum(file.lines for file in self._files)
        size = sum(file.size for file in self._files)
        read = sum(file.position for file in self._files)
        if not size or not all(file.size for file in self._files):
            return f"{lines:,} lines"
        share = min(1.0, read / size)
        left = passed * (1 - share) / max(share, 0.001)
        bar = "#" * int(30 * share)
        return f"[{bar:<30}] {share:4.0%}  {lines:,} lines, {left:.0f} s left"
