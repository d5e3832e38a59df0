"""What earlier releases have left in a file is read, and what later ones have is left alone.

The files were written by those releases, not by this one: the README beside them says which.
"""

from __future__ import annotations

import contextlib
import email
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from parts import NOW, Moody, Rounds

from tocsin.alerts.batch import Batch
from tocsin.alerts.codec import VERSION, dump, load
from tocsin.alerts.state import State
from tocsin.exceptions import StoreError
from tocsin.stores.sqlite import SQLiteStore

DATA = Path(__file__).parents[1] / "stores" / "data"
EARLIER = sorted(DATA.glob("version-*.db"))
PARTLY, CLAIMED = 0, 1  # the digests on their way, in their order


@pytest.fixture(params=EARLIER, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a file that an earlier release has written, for its owner alone."""
    copy = tmp_path / "alerts.db"
    shutil.copyfile(request.param, copy)
    copy.chmod(0o600)
    return copy


def rows(path: Path) -> tuple[bytes, list[bytes]]:
    """Return the bytes of the state and the batches that wait."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        ((state,),) = file.execute("SELECT data FROM states").fetchall()
        return state, [batch for (batch,) in file.execute("SELECT data FROM batches ORDER BY id")]


def change(path: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(statement, values)


def process(path: Path) -> tuple[Rounds, Moody]:
    """Return a process of this release that uses the file, three seconds later."""
    sender = Moody(lambda _: None)
    rounds = Rounds(sender, to="Ada <ada@example.com>, bo@example.com")
    clock = rounds.clock
    clock.now = NOW + 540
    store = SQLiteStore(path, "shop", clock=clock, ticks=clock)
    made = Rounds(sender, to="Ada <ada@example.com>, bo@example.com", store=store)
    made.clock = clock
    return made, sender


def is_in(old: Any, new: Any) -> bool:
    """Whether all that is in some JSON is in the other as well."""
    if isinstance(old, dict):
        return all(name in new and is_in(value, new[name]) for name, value in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(is_in, old, new))
    return bool(old == new)


def test_there_is_a_file_of_each_earlier_version_and_it_was_written_by_that() -> None:
    assert [path.stem for path in EARLIER] == [f"version-{one}" for one in range(1, VERSION)]
    for version, path in enumerate(EARLIER, 1):
        state, batches = rows(path)
        assert {json.loads(raw)["version"] for raw in (state, *batches)} == {version}


def test_everything_in_it_is_read(path: Path) -> None:
    state, batches = rows(path)
    assert batches
    for kind, raw in [(State, state), *((Batch, batch) for batch in batches)]:
        read: Any = load(kind, raw)
        assert is_in(json.loads(raw)["data"], json.loads(dump(read))["data"])
        assert load(kind, dump(read)) == read


def test_its_accounts_hold_and_what_was_not_merged_is(path: Path) -> None:
    made, _ = process(path)
    with made.journal.lead() as page:
        assert page is not None
        state = page.state
        accounts = state.received, state.mailed, state.pending, state.undelivered
        assert accounts == (28, 9, 17, 2)
        assert {group.text: group.count for group in state.unmailed} == {
            "the stock is out of step": 6,
            "KeyError: 'an order'": 4,
            "a late kind ✓": 7,
        }
        assert {sample.message for group in state.unmailed for sample in group.samples} == {
            "the stock is out of step",
            "charge failed",
            "not merged yet",
            "a late kind ✓",
        }
        assert all(known.apart for known in state.groups.values())
        assert (state.lost, len(state.sources), len(state.groups)) == (6, 2, 5)
        assert state.trouble is not None
        assert state.trouble.problem == "not everybody"
        assert (state.normal.spent > 2, state.urgent.spent) == (True, 1)
        assert [one.at for one in state.outgoing.values()] == [NOW + 120, NOW + 535]
        assert [one.counted for one in state.outgoing.values()] == [True, True]


def test_its_digests_are_sent_to_whom_they_are_owed_under_their_names(path: Path) -> None:
    names = list(json.loads(rows(path)[0])["data"]["outgoing"])
    made, sender = process(path)
    made.run()
    made.run(after=7)
    made.run(after=1_000)
    sent = [(name, whom) for name, whom, _ in sender.attempts]
    everybody = ["ada@example.com", "bo@example.com"]
    new = sent[1][0]
    assert sent == [
        (names[PARTLY], ["bo@example.com"]),
        (new, everybody),
        (names[CLAIMED], ["bo@example.com"]),
    ]
    heads = [email.message_from_bytes(raw) for _, _, raw in sender.attempts]
    assert [head["X-Tocsin-Count"] for head in heads] == ["4", "17", "2"]
    assert heads[0]["Date"] == "Tue, 14 Nov 2023 22:15:20 +0000"
    store = made.check()
    assert store is not None
    assert (store.received, store.mailed, store.pending, store.undelivered) == (28, 26, 0, 2)
    assert made.round.ledger.settled
    assert json.loads(rows(path)[0])["version"] == VERSION


@pytest.mark.parametrize("table", ["states", "batches"])
def test_what_a_later_release_has_written_is_left_as_it_is(path: Path, table: str) -> None:
    later = json.dumps({"version": VERSION + 1, "data": {"colour": "red"}}).encode()
    change(path, f"UPDATE {table} SET data = ?", later)
    before = rows(path)
    made, sender = process(path)
    found = f"of version {VERSION + 1}, not {VERSION}"
    with pytest.raises(StoreError, match=found), made.journal.lead():
        pass
    made.run()
    assert found in made.journal.store.trouble
    made.log("told by this process alone", level=50)
    made.run()
    assert list(sender.counted.values()) == [1]
    assert rows(path) == before
