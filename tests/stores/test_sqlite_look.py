"""A look at a store in a file tells what is there, and changes neither the file nor its folder."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tocsin.exceptions import StoreError
from tocsin.stores.sqlite import SQLiteStore
from tocsin.stores.sqlite_look import look_at


def filled(folder: Path) -> Path:
    path = folder / "alerts.db"
    store = SQLiteStore(path, "shop")
    store.append(b"one")
    lease = store.lead("web1", 60)
    assert lease is not None
    _, entries = lease.read(10)
    lease.commit(b"state", entries)
    store.append(b"two")
    SQLiteStore(path, "other").append(b"three")
    return path


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in folder.iterdir()}


def without_memory(path: Path) -> None:
    """The processes are gone, and the log is left: as after a crash of the machine."""
    Path(f"{path}-shm").unlink(missing_ok=True)


def checkpointed(path: Path) -> None:
    sqlite3.connect(path).close()  # the last one to close moves the log into the file


def untouched(_: Path) -> None:
    pass


@pytest.mark.parametrize("change", [untouched, without_memory, checkpointed])
def test_a_look_finds_everything_and_changes_nothing(tmp_path: Path, change: object) -> None:
    path = filled(tmp_path)
    assert callable(change)
    change(path)
    before = everything(tmp_path)
    found = look_at(path)
    after = everything(tmp_path)
    memory = f"{path.name}-shm"  # locks are in it, in which each reader takes part
    for files in (before, after):
        files.pop(memory, None)
    assert after == before
    assert (found.path, found.exists, found.problem, found.version) == (path, True, "", 1)
    assert sorted(found.scopes) == ["other", "shop"]
    shop = found.scopes["shop"]
    assert (shop.state, shop.batches, shop.owner) == (b"state", (b"two",), "web1")
    assert shop.ends > 0
    assert found.scopes["other"].owner == ""


def test_a_look_while_the_store_is_open_in_a_transaction(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with SQLiteStore(path, "shop").file.transaction() as sql:
        sql.execute("INSERT INTO batches (scope, data) VALUES ('shop', 'x')")
        assert look_at(path).scopes["shop"].batches == (b"two",), "what is committed"


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    found = look_at(tmp_path / "alerts.db")
    assert (found.exists, found.problem, found.scopes) == (False, "", {})
    assert list(tmp_path.iterdir()) == []
    assert look_at(tmp_path / "no" / "alerts.db").problem.endswith("no' does not exist")


def test_an_empty_file_is_a_store_to_be(tmp_path: Path) -> None:
    (tmp_path / "alerts.db").touch()
    assert (look_at(tmp_path / "alerts.db").version, (tmp_path / "alerts.db").stat().st_size) == (
        0,
        0,
    )


def test_a_foreign_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, and long enough" * 9)
    with pytest.raises(StoreError, match="can't be read: file is not a database"):
        look_at(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as sql:
        sql.execute("CREATE TABLE t (x)")
    sql.close()
    with pytest.raises(StoreError, match="is the database of another program"):
        look_at(tmp_path / "other")
    path = filled(tmp_path)
    with sqlite3.connect(path) as sql:
        sql.execute("PRAGMA user_version = 9")
    sql.close()
    assert look_at(path).version == 9


def test_a_folder_in_the_place_of_the_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "alerts.db").mkdir()
    with pytest.raises(StoreError):
        look_at(tmp_path / "alerts.db")
