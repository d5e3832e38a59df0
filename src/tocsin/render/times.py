"""Times as people read them."""

from __future__ import annotations

import datetime as dt

_FIRST_DAY, _LAST_DAY = 86_400, 253_402_000_000  # what a datetime can hold in any zone


class Times:
    """Times at one distance from UTC, with the day only where it isn't the digest's.

    Also where the clocks were changed in between: the one offset that a mail states holds for all.

    Args:
        now: the digest's time, in seconds since the epoch.
        zone: the time zone; by default the machine's.

    Attributes:
        offset: the zone's distance from UTC, as "+0200".
    """

    def __init__(self, now: float, zone: dt.tzinfo | None = None) -> None:
        here = moment(now).astimezone(zone)
        self._zone = dt.timezone(here.utcoffset() or dt.timedelta())
        self._today = here.date()
        self.offset: str = here.strftime("%z")

    def time(self, seconds: float) -> dt.datetime:
        """Return a point of time, as the digest's clock showed it."""
        return moment(seconds).astimezone(self._zone)

    def minute(self, seconds: float) -> str:
        """Return `02:10`."""
        return self._show(seconds, "minutes")

    def second(self, seconds: float) -> str:
        """Return `02:10:03`."""
        return self._show(seconds, "seconds")

    def exact(self, seconds: float) -> str:
        """Return `02:10:03.412`."""
        return self._show(seconds, "milliseconds")

    def _show(self, seconds: float, unit: str) -> str:
        time = self.time(seconds).replace(tzinfo=None)
        day, _, clock = time.isoformat(" ", unit).partition(" ")
        named = {0: clock, 1: f"{clock} yesterday", -1: f"{clock} tomorrow"}
        return named.get((self._today - time.date()).days, f"{day} {clock}")


def moment(seconds: float) -> dt.datetime:
    """Return a point of time; a record says of itself when it is from, and may say anything."""
    return dt.datetime.fromtimestamp(max(_FIRST_DAY, min(_LAST_DAY, seconds)), dt.UTC)


def between(first: float, last: float) -> str:
    """Return how long it is from one point of time to another, whatever these are."""
    return span((moment(last) - moment(first)).total_seconds())


def span(seconds: float) -> str:
    """Return a duration in the unit that fits: `10 s`, `12 min`, `3 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
