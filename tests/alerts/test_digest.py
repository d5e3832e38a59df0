"""What one mail says, and who gets it."""

from __future__ import annotations

import logging

from samples import digest, entry, group

from tocsin.alerts.digest import rank
from tocsin.alerts.grouping import as_other


def test_a_digest_counts_what_it_tells_and_names_its_worst() -> None:
    made = digest(group("a", 2), group("b", 3, level=50))
    assert made.count == 5
    assert made.level == 50
    assert made.lead is made.entries[0]  # the order is the caller's, by `rank`


def test_a_digest_with_nothing_but_losses_has_no_lead_and_counts_none() -> None:
    made = digest(reason="lost", lost=3)
    assert (made.lead, made.count, made.level) == (None, 0, logging.ERROR)


def test_it_knows_how_many_groups_are_told_as_what() -> None:
    made = digest(entry(group("a")), entry(group("b"), "quiet"), entry(group("c")))
    assert [made.how_many(reason) for reason in ("new", "worse", "quiet")] == [2, 0, 1]


def test_groups_are_ordered_by_level_reason_count_and_at_last_by_name() -> None:
    entries = [
        entry(group(name, count, level=level), why)
        for name, count, level, why in [
            ("h", 9, 40, "quiet"),
            ("g", 1, 40, "still"),
            ("f", 2, 40, "still"),
            ("e", 1, 40, "worse"),
            ("d", 1, 40, "new"),
            ("c", 1, 40, "new"),
            ("b", 5, 40, "new"),
            ("a", 1, 50, "quiet"),
        ]
    ]
    assert [one.group.fingerprint for one in sorted(entries, key=rank)] == list("abcdefgh")


def test_what_is_not_told_apart_comes_behind_what_is_of_its_level() -> None:
    others = [entry(as_other(group("x", 99, level=level))) for level in (40, 50)]
    apart = [entry(group("a"), "quiet"), entry(group("b", level=50), "quiet")]
    order = [(one.group.level, one.group.fingerprint) for one in sorted(others + apart, key=rank)]
    assert order == [(50, "b"), (50, "other"), (40, "a"), (40, "other")]
