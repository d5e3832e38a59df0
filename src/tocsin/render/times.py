"""Times and durations, formatted for people."""

from __future__ import annotations

import datetime as dt

_FIRST, _LAST = 86_400, 253_402_000_000  # seconds; `datetime` can hold these in any time zone


class Times:
    """Formats times at one offset from UTC; the day is shown if it isn't the digest's.

    A mail states one offset. It holds for all times of the mail, even if the clocks were changed
    to or from daylight saving time in between.

    Args:
        now: the digest's time, in seconds since the epoch.
        zone: the time zone; the machine's by default.

    Attributes:
        offset: the offset from UTC, as "+0200".
    """

    def __init__(self, now: float, zone: dt.tzinfo | None = None) -> None:
        here = moment(now).astimezone(zone)
        self._zone = dt.timezone(here.utcoffset() or dt.timedelta())
        self._today = here.date()
        self.offset: str = here.strftime("%z")

    def time(self, seconds: float) -> dt.datetime:
        """Return a time as a datetime, at the mail's offset."""
        return moment(seconds).astimezone(self._zone)

    def minute(self, seconds: float) -> str:
        """Return a time as `02:10`."""
        return self._show(seconds, "minutes")

    def second(self, seconds: float) -> str:
        """Return a time as `02:10:03`."""
        return self._show(seconds, "seconds")

    def exact(self, seconds: float) -> str:
        """Return a time as `02:10:03.412`."""
        return self._show(seconds, "milliseconds")

    def _show(self, seconds: float, unit: str) -> str:
        time = self.time(seconds).replace(tzinfo=None)
        day, _, clock = time.isoformat(" ", unit).partition(" ")
        named = {0: clock, 1: f"{clock} yesterday", -1: f"{clock} tomorrow"}
        return named.get((self._today - time.date()).days, f"{day} {clock}")


def moment(seconds: float) -> dt.datetime:
    """Return a time in UTC; one that `datetime` can't hold, as of an odd record, is limited."""
    return dt.datetime.fromtimestamp(max(_FIRST, min(_LAST, seconds)), dt.UTC)


def between(first: float, last: float) -> str:
    """Return the duration from one time to another; both are limited as in `moment`."""
    return span((moment(last) - moment(first)).total_seconds())


def span(seconds: float) -> str:
    """Return a duration in the unit that fits: `10 s`, `12 min`, `3 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
