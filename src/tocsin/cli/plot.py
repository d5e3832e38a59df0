"""A plot of events and mails over time, made of characters."""

from __future__ import annotations

_MOST = 960  # counts that are kept; with more, each two neighbours become one
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#@"


class Plot:
    """Count events and mails over time, in bounded memory.

    The width of a count, in seconds, doubles as the time grows.
    """

    def __init__(self) -> None:
        self._start = 0.0
        self._width = 1.0
        self._events: list[int] = []
        self._mails: list[int] = []

    def add(self, time: float) -> None:
        """Count an event. The first call has the earliest time."""
        if not self._events:
            self._start = time
        place = self._place(time)  # it may replace the list
        self._events[place] += 1

    def mark(self, time: float) -> None:
        """Count a mail."""
        place = self._place(time)
        self._mails[place] += 1

    def rows(self, width: int, *, blocks: bool = True) -> tuple[str, str, int, float]:
        """Return the plot.

        Args:
            width: how many characters a row has at most.
            blocks: whether it may have block characters; else it is ASCII.

        Returns:
            The row of events, the row of mails, the largest number of events in a column, and the
            seconds of a column.
        """
        step = max(1, -(-len(self._events) // width))
        starts = range(0, len(self._events), step)
        events = [sum(self._events[start : start + step]) for start in starts]
        mails = [sum(self._mails[start : start + step]) for start in starts]
        most = max(events, default=0)
        signs = _BLOCKS if blocks else _ASCII
        top = len(signs) - 1
        heights = [-(-count * top // most) if count else 0 for count in events]
        marks = [str(count) if 0 < count < 10 else "+" if count else "." for count in mails]  # noqa: PLR2004 - one digit
        row = "".join(signs[height] for height in heights)
        return row, "".join(marks), most, step * self._width

    @property
    def start(self) -> float:
        """The time of the first event."""
        return self._start

    @property
    def end(self) -> float:
        """The time at which the last column ends."""
        return self._start + len(self._events) * self._width

    def _place(self, time: float) -> int:
        """Return the place of a time in the lists, which are made long enough for it."""
        while (place := max(0, int((time - self._start) // self._width))) >= _MOST:
            self._events = _halved(self._events)
            self._mails = _halved(self._mails)
            self._width *= 2
        missing = place + 1 - len(self._events)
        if missing > 0:
            self._events += [0] * missing
            self._mails += [0] * missing
        return place


def _halved(counts: list[int]) -> list[int]:
    return [sum(counts[place : place + 2]) for place in range(0, len(counts), 2)]
