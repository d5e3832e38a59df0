"""A file that all processes of one machine share: SQLite, with a write-ahead log.

The file is opened for each use, which takes about a millisecond and happens once a second at most:
so there is no connection that a fork could share, and what happens to the file in the meantime,
removed, replaced, out of space, is met as an error of the next use.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from tocsin.exceptions import ConfigError, LeaseLost, StoreError
from tocsin.stores.base import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

_APPLICATION = 0x746F6373  # "tocs": PRAGMA application_id
_SCHEMA = 1  # PRAGMA user_version
_TABLES = """
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, data BLOB NOT NULL
);
CREATE INDEX batches_by_scope ON batches (scope, id);
CREATE TABLE states (scope TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE leases (
    scope TEXT PRIMARY KEY, owner TEXT NOT NULL, fence INTEGER NOT NULL,
    ends REAL NOT NULL, now REAL NOT NULL
) WITHOUT ROWID;
"""
_BUSY = 5.0  # seconds to wait for another process's short transaction


class SQLiteStore:
    """Keep everything in a file that outlives the process.

    Args:
        path: the file; it is made, for its owner alone, in a folder that has to exist.
        scope: whose batches, state and lease these are: several handlers may share a file.
        clock: returns the time in seconds since the epoch.
        busy: seconds to wait while another process writes.

    Raises:
        ConfigError: the file can't be made or written to, or is something else.
    """

    durable = True

    def __init__(
        self,
        path: Path,
        scope: str,
        *,
        clock: Callable[[], float] = time.time,
        busy: float = _BUSY,
    ) -> None:
        self._path = path.absolute()
        self._scope = scope
        self._clock = clock
        self._busy = busy
        self._make()

    def append(self, batch: bytes) -> None:
        """Keep a batch."""
        with self._transaction("IMMEDIATE") as file:
            file.execute("INSERT INTO batches (scope, data) VALUES (?, ?)", (self._scope, batch))

    def lead(self, owner: str, ttl: float) -> SQLiteLease | None:
        """Become the leader; None while somebody else is."""
        with self._transaction("IMMEDIATE") as file:
            row = file.execute(
                "SELECT owner, fence, ends, now FROM leases WHERE scope = ?", (self._scope,)
            ).fetchone()
            leader, fence, ends, before = row or ("", 0, 0.0, 0.0)
            now = max(before, self._clock())
            if leader not in {"", owner} and now < ends:
                return None
            file.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)",
                (self._scope, owner, fence + 1, now + ttl, now),
            )
            return SQLiteLease(self, fence + 1, now)

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._path}>"

    def _make(self) -> None:
        """Make the file if there is none, and see whether it can be used."""
        where = f"store: {str(self._path)!r}"
        if not self._path.parent.is_dir():
            raise ConfigError(f"store: the folder {str(self._path.parent)!r} does not exist")
        if self._path.is_dir():
            raise ConfigError(f"{where} is a folder; name a file in it")
        try:
            # SQLite gives its other files the permissions of this one.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise ConfigError(f"{where} can't be written to: {error.strerror}") from error
        try:
            with self._open() as file:
                self._prepare(file)
        except StoreError as error:
            if isinstance(error.__cause__, sqlite3.OperationalError) and "locked" in str(error):
                return  # it is somebody's for a moment: what is wrong with it shows later
            raise ConfigError(f"{where} can't be used: {error}") from error

    def _prepare(self, file: sqlite3.Connection) -> None:
        if file.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION:
            self._check(file)
            return
        with _transaction(file, "EXCLUSIVE"):
            if file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._check(file)  # another process may have been faster
                return
            for statement in _TABLES.split(";"):
                file.execute(statement)
            file.execute(f"PRAGMA application_id = {_APPLICATION}")
            file.execute(f"PRAGMA user_version = {_SCHEMA}")
        (mode,) = file.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError("its file system can't share memory between processes")

    def _check(self, file: sqlite3.Connection) -> None:
        """See whether the file is ours: it may have been replaced since."""
        if file.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            raise StoreError("it is no store of Tocsin's")
        (version,) = file.execute("PRAGMA user_version").fetchone()
        if version != _SCHEMA:
            raise StoreError(f"it has version {version} of the tables, this release has {_SCHEMA}")

    @contextlib.contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """Open the file; whatever SQLite finds wrong is a `StoreError`."""
        try:
            with contextlib.closing(
                sqlite3.connect(
                    f"file:{quote(str(self._path))}?mode=rw",
                    uri=True,
                    timeout=self._busy,
                    isolation_level=None,
                )
            ) as file:
                # What a process has written is safe when it ends; the machine may lose the latest.
                file.execute("PRAGMA synchronous = NORMAL")
                yield file
        except sqlite3.Error as error:
            raise StoreError(f"{self._path.name}: {error}") from error

    @contextlib.contextmanager
    def _transaction(self, kind: str) -> Generator[sqlite3.Connection]:
        with self._open() as file, _transaction(file, kind):
            self._check(file)
            yield file

    def _read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        with self._transaction("DEFERRED") as file:
            state = file.execute(
                "SELECT data FROM states WHERE scope = ?", (self._scope,)
            ).fetchone()
            batches = file.execute(
                "SELECT id, data FROM batches WHERE scope = ? ORDER BY id LIMIT ?",
                (self._scope, limit),
            )
            return state and state[0], [Entry(key, batch) for key, batch in batches]

    def _commit(self, fence: int, state: bytes, consumed: Sequence[Entry]) -> None:
        with self._transaction("IMMEDIATE") as file:
            found = file.execute("SELECT fence FROM leases WHERE scope = ?", (self._scope,))
            if found.fetchone() != (fence,):
                raise LeaseLost("another process leads")
            file.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (self._scope, state))
            file.executemany("DELETE FROM batches WHERE id = ?", [(one.key,) for one in consumed])

    def _release(self, fence: int) -> None:
        with self._transaction("IMMEDIATE") as file:
            file.execute(
                "UPDATE leases SET ends = 0 WHERE scope = ? AND fence = ?", (self._scope, fence)
            )


@contextlib.contextmanager
def _transaction(file: sqlite3.Connection, kind: str) -> Generator[None]:
    file.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # it may have been rolled back already
            file.execute("ROLLBACK")
        raise
    file.execute("COMMIT")


class SQLiteLease:
    """The lease of a `SQLiteStore`."""

    def __init__(self, store: SQLiteStore, fence: int, now: float) -> None:
        self._store = store
        self._fence = fence
        self.now = now

    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        """Return the state and the oldest batches."""
        return self._store._read(limit)  # noqa: SLF001 - two halves of one thing

    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        """Replace the state and remove the batches."""
        self._store._commit(self._fence, state, consumed)  # noqa: SLF001 - as above

    def release(self) -> None:
        """Let somebody else lead."""
        self._store._release(self._fence)  # noqa: SLF001 - as above
