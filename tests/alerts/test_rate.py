"""Counts of the last minute, by the second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tocsin.alerts.history import WINDOW, Rate


def rate(*counted: tuple[float, int]) -> Rate:
    made = Rate()
    for now, count in counted:
        made.add(count, now)
    return made


def test_nothing_is_counted_at_first() -> None:
    assert Rate().within(0) == Rate().within(1e9) == 0


def test_what_comes_in_the_same_second_is_one_count() -> None:
    assert rate((100.0, 2), (100.9, 3)) == Rate(start=100, counts=(5,))


def test_seconds_without_events_are_zeros() -> None:
    assert rate((100, 1), (103, 2)) == Rate(start=100, counts=(1, 0, 0, 2))


def test_a_count_is_within_the_minute_for_sixty_seconds() -> None:
    made = rate((100, 7))
    assert made.within(100) == made.within(159.9) == 7
    assert made.within(160) == 0


def test_only_the_seconds_of_the_last_minute_are_looked_at() -> None:
    made = rate((100, 1), (130, 2), (159, 4))
    assert [made.within(now) for now in (159, 160, 189, 190, 218, 219)] == [7, 6, 6, 4, 4, 0]


def test_what_is_older_than_a_minute_is_dropped_with_the_zeros_behind_it() -> None:
    assert rate((100, 1), (130, 2), (160, 3)) == Rate(start=130, counts=(2, *[0] * 29, 3))


def test_after_a_long_silence_it_starts_again() -> None:
    assert rate((100, 1), (1e9, 2)) == Rate(start=1_000_000_000, counts=(2,))


times = st.lists(
    st.tuples(st.sampled_from([0, 0.3, 1, 7, 59.9, 60, 61, 1e5]), st.integers(1, 9)), max_size=40
)


@given(st.sampled_from([0.0, 0.9, 1.7e9]), times)
def test_it_counts_what_a_list_of_all_events_would_and_keeps_a_minute_at_most(
    now: float, gaps: list[tuple[float, int]]
) -> None:
    made = Rate()
    events: list[tuple[int, int]] = []
    for gap, count in gaps:
        now += gap
        made.add(count, now)
        events.append((int(now), count))
        assert made.within(now) == sum(n for at, n in events if at > int(now) - WINDOW)
        assert len(made.counts) <= WINDOW
        assert made.counts[0]
        assert made.counts[-1]
