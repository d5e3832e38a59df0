"""The clock of handlers that collect: the time of day, and what a test has added to it."""

from __future__ import annotations

import time


class ShiftedClock:
    """The time of day, shifted.

    Attributes:
        offset: the seconds that were added.
    """

    def __init__(self) -> None:
        self.offset: float = 0.0

    def read(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() + self.offset
