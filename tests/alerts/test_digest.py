from __future__ import annotations

from samples import digest, group

from tocsin.alerts.digest import Entry, rank


def test_a_digest_counts_what_it_tells_and_names_its_worst() -> None:
    made = digest(group("a", 2), group("b", 3, level=50))
    assert made.count == 5
    assert made.level == 50
    assert made.lead.fingerprint == "a"  # the order is the caller's, by `rank`


def test_groups_are_ordered_by_level_reason_count_and_at_last_by_name() -> None:
    entries = [
        Entry(group=group(name, count, level=level), reason=why, total=count, since=0, told_at=None)
        for name, count, level, why in [
            ("e", 1, 40, "still"),
            ("d", 1, 40, "new"),
            ("c", 1, 40, "new"),
            ("b", 5, 40, "new"),
            ("a", 1, 50, "still"),
        ]
    ]
    assert [entry.group.fingerprint for entry in sorted(entries, key=rank)] == list("abcde")
