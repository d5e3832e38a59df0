"""How often something happens: counts by the second, of the last minute."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 60
"""Seconds that are looked back on."""


@dataclass(slots=True, kw_only=True)
class Rate:
    """Counts of the last minute.

    Attributes:
        start: the second of the first count.
        counts: one a second; zeros in between, none behind the latest.
    """

    start: int = 0
    counts: tuple[int, ...] = ()

    def add(self, count: int, now: float) -> None:
        """Count what happens now; the clock doesn't go back."""
        second = int(now)
        counts = self._since(second - WINDOW + 1)
        if counts:
            gap = second - self.start - len(counts)
            self.counts = (
                (*counts[:-1], counts[-1] + count) if gap < 0 else (*counts, *([0] * gap), count)
            )
        else:
            self.start, self.counts = second, (count,)

    def within(self, now: float) -> int:
        """Return what was counted in the minute before now."""
        first = int(now) - WINDOW + 1
        return sum(self.counts[max(0, first - self.start) :])

    def _since(self, first: int) -> tuple[int, ...]:
        """Drop what is older than a second, and zeros in front."""
        old = max(0, first - self.start)
        while old < len(self.counts) and not self.counts[old]:
            old += 1
        self.start += old
        self.counts = self.counts[old:]
        return self.counts
