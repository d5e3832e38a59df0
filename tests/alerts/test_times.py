"""Times in a mail: short, in one zone that is stated, whatever the clocks of records say."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NOW, ZONE

from tocsin.render.times import Times, between, moment, span

DAY = 86_400


class Berlin(dt.tzinfo):
    """Central European Time in 2023, whose summer ended on October 29 at 01:00 UTC."""

    def utcoffset(self, time: dt.datetime | None) -> dt.timedelta:
        assert time is not None
        summer = time.replace(tzinfo=dt.UTC) < dt.datetime(2023, 10, 29, 3, tzinfo=dt.UTC)
        return dt.timedelta(hours=2 if summer else 1)

    def dst(self, time: dt.datetime | None) -> dt.timedelta:
        return self.utcoffset(time) - dt.timedelta(hours=1)

    def tzname(self, time: dt.datetime | None) -> str:
        return "CET"


def test_a_time_of_the_same_day_is_but_a_time() -> None:
    times = Times(NOW, ZONE)
    assert times.minute(NOW + 3.999) == "00:13"
    assert times.second(NOW + 3.999) == "00:13:23"
    assert times.exact(NOW + 3.9999) == "00:13:23.999"
    assert times.exact(NOW) == "00:13:20.000"
    assert times.offset == "+0200"


def test_a_time_of_another_day_says_which() -> None:
    times = Times(NOW, ZONE)
    assert times.second(NOW - 3_600) == "23:13:20 yesterday"
    assert times.minute(NOW - 2 * DAY) == "2023-11-13 00:13"
    assert times.minute(NOW + DAY) == "00:13 tomorrow"
    assert times.exact(NOW + 2 * DAY) == "2023-11-17 00:13:20.000"


def test_without_a_zone_times_are_the_machines() -> None:
    here = dt.datetime.fromtimestamp(NOW, dt.UTC).astimezone()
    assert Times(NOW).minute(NOW) == here.strftime("%H:%M")
    assert Times(NOW).offset == here.strftime("%z")


def test_a_mail_has_one_offset_also_in_the_night_when_the_clocks_are_changed() -> None:
    """The offset is stated once: what was half an hour ago must not seem to be still to come."""
    change = dt.datetime(2023, 10, 29, 1, tzinfo=dt.UTC).timestamp()
    times = Times(change + 600, Berlin())
    assert times.offset == "+0100"
    assert times.minute(change + 600) == "02:10"
    assert times.minute(change - 1_200) == "01:40"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "120 min"),
        (7_200, "2 h"),
        (172_799, "48 h"),
        (172_800, "2 d"),
        (1e6, "12 d"),
    ],
)
def test_a_span_is_said_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert span(seconds) == said


@given(st.floats(), st.floats())
def test_any_time_can_be_told(one: float, other: float) -> None:
    """A record says of itself when it is from, and may say anything."""
    for zone in (dt.UTC, dt.timezone.min, dt.timezone.max):
        times = Times(one, zone)
        assert times.exact(other)
        assert times.minute(one) == times.exact(one)[:5]
    assert between(one, other)[0].isdigit()


def test_what_is_no_time_is_the_last_one_there_is() -> None:
    assert moment(math.nan) == moment(math.inf) == moment(1e300)
    assert between(math.inf, math.nan) == "0 s"
    assert moment(-math.inf) == dt.datetime(1970, 1, 2, tzinfo=dt.UTC)
