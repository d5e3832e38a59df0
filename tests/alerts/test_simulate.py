"""What `simulate` tells users who try a policy."""

from __future__ import annotations

import pytest
from samples import NOW
from scenarios import fingerprint, record

from tocsin.alerts.settings import Policy
from tocsin.testing import SimulatedMail, simulate

A, B, URGENT = record("a"), record("b"), record("URGENT")


def told(mails: list[SimulatedMail]) -> list[tuple[float, str, int]]:
    return [(mail.time, mail.reason, sum(mail.counts.values())) for mail in mails]


def test_without_records_there_is_no_mail() -> None:
    assert simulate([]) == simulate([], policy=Policy(at_exit=True), until=90) == []


def test_a_mail_says_what_it_tells_for_the_first_time() -> None:
    mails = simulate([(5, A), (6, A), (7, B), (30, A)], app="shop", environment="production")
    assert told(mails) == [(15, "new", 3), (915, "still", 1)]
    assert mails[0].counts == {fingerprint("a"): 2, fingerprint("b"): 1}
    assert "shop production" in mails[0].subject
    assert mails[0].message.subject == mails[0].subject
    assert str(mails[0].message.from_addr) == "alerts@example.com"


def test_it_ends_when_nothing_more_can_be_due() -> None:
    assert told(simulate([(NOW, A), (NOW + 90_000, A)])) == [
        (NOW + 10, "new", 1),
        (NOW + 90_010, "new", 1),
    ]


@pytest.mark.parametrize(("until", "mails"), [(9.9, 0), (10, 1), (909, 1), (910, 2)])
def test_nothing_is_sent_behind_the_end_nor_for_being_the_end(until: float, mails: int) -> None:
    assert len(simulate([(0, A), (20, A), (5_000, B)], until=until)) == mails


def test_records_are_read_up_to_the_end_only() -> None:
    def endless() -> object:
        for time in range(10**9):
            yield time, A

    assert len(simulate(endless(), until=1_000)) == 2  # type: ignore[arg-type] # an iterator


def test_with_at_exit_there_is_one_mail_at_the_end_and_before_it_what_is_urgent() -> None:
    policy = Policy(at_exit=True)
    records = [(0, A), (3, URGENT), (4, A), (5_000, B), (5_001, URGENT)]
    assert told(simulate(records, policy=policy)) == [(3, "new", 2), (5_001, "exit", 3)]
    assert told(simulate(records, policy=policy, until=6_000))[-1] == (6_000, "exit", 3)
    assert told(simulate([(0, URGENT)], policy=policy)) == [(0, "new", 1)]


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        ([5, 4], "a record's time must be 5 or later, got 4"),
        ([-1], "a record's time must be 0.0 or later, got -1"),
        ([float("nan")], "a record's time must be 0.0 or later, got nan"),
        ([float("inf")], "a record's time must be 0.0 or later, got inf"),
    ],
)
def test_a_time_that_cannot_be_is_refused(times: list[float], problem: str) -> None:
    with pytest.raises(ValueError, match="a record's time") as caught:
        simulate((time, A) for time in times)
    assert str(caught.value) == problem


def test_a_policy_is_tried_without_waiting() -> None:
    mails = simulate(
        [(second, A) for second in range(3_600)],
        policy=Policy(group_wait=60, repeat_after=600, repeat_max=600),
    )
    assert [mail.time for mail in mails[:4]] == [60, 660, 1_260, 1_860]
    assert sum(sum(mail.counts.values()) for mail in mails) == 3_600
