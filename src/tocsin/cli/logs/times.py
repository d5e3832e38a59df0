"""Times in logs: text or numbers in many forms, as seconds since the epoch."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo

from tocsin.cli.output import UsageError

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_SPACED_OFFSET = re.compile(r" (?=Z$|UTC$|[+-]\d\d:?\d\d$)")
_CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d(?:[.,]\d+)?)")
_FORMS = (
    "%d/%b/%Y:%H:%M:%S%z",
    "%d/%b/%Y:%H:%M:%S",
    "%d/%b/%Y %H:%M:%S%z",
    "%d/%b/%Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S%z",
)
_DAY = 86_400.0
_LARGEST = 1e11  # seconds, in the year 5138; a larger number counts smaller units
_FALLS = 6 * 3600.0  # seconds that a clock without a date goes back where a new day begins


def time_zone(name: str) -> dt.tzinfo:
    """Return a time zone.

    Args:
        name: such as "UTC", "Europe/Berlin", or "+02:00".

    Raises:
        UsageError: there is no such time zone.
    """
    if found := _OFFSET.fullmatch(name):
        minutes = int(found[2]) * 60 + int(found[3])
        if minutes < 24 * 60:
            return dt.timezone(dt.timedelta(minutes=minutes if found[1] == "+" else -minutes))
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise UsageError(
            f"--timezone: there is no time zone {name!r}; write one as UTC, Europe/Berlin or +02:00"
        ) from None


class Times:
    """Read the times of one log.

    Args:
        zone: the zone of times that name none; by default the machine's.
        today: the day of a time that names no day, in seconds since the epoch.
    """

    def __init__(self, zone: dt.tzinfo | None = None, today: float = 0) -> None:
        self._zone = zone
        day = dt.datetime.fromtimestamp(today, zone)
        self._year = day.year
        midnight = day.replace(hour=0, minute=0, second=0, microsecond=0)
        self._midnight = midnight.timestamp()
        self._clock = 0.0  # seconds since midnight

    def read(self, value: object) -> float | None:
        """Return a time in seconds since the epoch; None if it can't be read.

        Args:
            value: ISO 8601, a form of `strftime`, or seconds, milliseconds, microseconds or
                nanoseconds since the epoch.
        """
        if isinstance(value, str):
            return self._read_text(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._read_number(value)
        return None

    @staticmethod
    def _read_number(given: float) -> float | None:
        if not 0 <= given < _LARGEST * 1e9:
            return None
        number = float(given)
        while number >= _LARGEST:
            number /= 1000
        return number

    def _read_text(self, text: str) -> float | None:
        try:
            return self._epoch(dt.datetime.fromisoformat(text))
        except ValueError:
            pass
        if found := _CLOCK.fullmatch(text):
            return self._read_clock(found)
        text = _SPACED_OFFSET.sub("", text).replace("UTC", "Z")
        try:
            return self._epoch(dt.datetime.fromisoformat(text))
        except ValueError:
            pass
        return self._read_form(text)

    def _read_form(self, text: str) -> float | None:
        head, _, digits = text.partition(",")  # `asctime` has milliseconds behind a comma
        for form in _FORMS:
            try:
                fraction = float(f"0.{digits}") if digits.isdecimal() else 0.0
                return self._epoch(dt.datetime.strptime(head, form)) + fraction  # noqa: DTZ007 - `_epoch` adds the zone
            except ValueError:
                continue
        try:  # syslog's names no year
            return self._epoch(dt.datetime.strptime(f"{self._year} {text}", "%Y %b %d %H:%M:%S"))  # noqa: DTZ007 - as above
        except ValueError:
            pass
        try:
            return self._read_number(float(text))
        except ValueError:
            return None

    def _read_clock(self, found: re.Match[str]) -> float:
        clock = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3].replace(",", "."))
        if clock < self._clock - _FALLS:
            self._midnight += _DAY
        self._clock = clock
        return self._midnight + clock

    def _epoch(self, time: dt.datetime) -> float:
        if time.tzinfo is None:
            time = time.replace(tzinfo=self._zone)
        try:
            return time.timestamp()
        except OverflowError as error:  # a year that the machine's zone can't have
            raise ValueError(f"{time} is too far away") from error
