"""A captured exception: text and frames, without a reference to the exception itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tocsin.events.frames import Frame
    from tocsin.text import Excerpt


class CapturedException(NamedTuple):
    """An exception as text.

    Attributes:
        relation: how it belongs to the exception before it, such as "caused by"; "" for the first.
        text: its type, its message and its notes.
        omitted: how many outer frames are left out.
        frames: the inner frames, the outermost of them first.
    """

    relation: str
    text: Excerpt
    omitted: int
    frames: tuple[Frame, ...]

    @property
    def size(self) -> int:
        """About how many characters it holds."""
        return len(self.text.text) + sum(len(frame.source or "") + 80 for frame in self.frames)
