"""A look at an SQLite store: what is in its file, without a change to the file or its folder.

A store in use is opened with `mode=ro`, which makes no file because the shared memory exists. A
store whose log has no reader is copied, because SQLite would make the shared memory beside it.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tocsin.exceptions import StoreError
from tocsin.stores.sqlite_file import APPLICATION, SCHEMA, foreign_owner, refuse_links

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_BUSY = 2.0  # seconds to wait for other processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What the store has under one scope.

    Attributes:
        state: the state; None if there is none yet.
        batches: the batches that no leader has merged yet, the oldest first.
        owner: the latest leader; "" if none led yet.
        ends: when its lease ends, in seconds since the epoch.
        led_at: when the lease was taken, in the store's time.
        led_ticks: the same, in the seconds of `SQLiteStore` that never go back.
    """

    state: bytes | None = None
    batches: tuple[bytes, ...] = ()
    owner: str = ""
    ends: float = 0
    led_at: float = 0
    led_ticks: float = 0

    def now(self, clock: float, ticks: float) -> float:
        """Return the store's time, as `SQLiteStore.lead` would.

        Args:
            clock: the time in seconds since the epoch.
            ticks: seconds that never go back.
        """
        return max(clock, self.led_at + max(0.0, ticks - self.led_ticks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look has found.

    Attributes:
        path: the file as an absolute path.
        exists: whether there is a file; if not, the first process makes it.
        problem: why no process of this user could use the store; "" if one could.
        version: the version of the tables; 0 for an empty file, or none.
        known: the version of the tables that this release writes.
        scopes: scope → its contents; empty if the version is another one.
    """

    path: Path
    exists: bool = False
    problem: str = ""
    version: int = 0
    known: int = SCHEMA
    scopes: Mapping[str, Contents] = field(default_factory=dict[str, Contents])


def look_at(path: Path) -> Look:
    """Return what is in a store's file. Nothing is made or changed.

    Raises:
        StoreError: the file can't be read.
    """
    path = Path(os.path.realpath(path))
    exists = os.path.exists(path)  # noqa: PTH110 - `Path.exists` raises for some paths
    problem = _problem(path, exists=exists)
    if not exists or (problem and not os.access(path, os.R_OK)):
        return Look(path=path, exists=exists, problem=problem)
    try:
        complete = not _has_log(path)
        with _opened(path, complete=complete) as sql:
            version, scopes = _contents(path, sql)
        if complete and _has_log(path):  # a process has begun to write meanwhile
            with _opened(path, complete=False) as sql:
                version, scopes = _contents(path, sql)
    except (sqlite3.Error, OSError, TypeError, ValueError) as error:
        raise StoreError(f"'{path}' can't be read: {error}") from error
    return Look(path=path, exists=True, problem=problem, version=version, scopes=scopes)


def _has_log(path: Path) -> bool:
    """Return whether there is a write-ahead log with something in it."""
    try:
        return os.stat(f"{path}-wal").st_size > 0  # noqa: PTH116 - of a name, not a path
    except FileNotFoundError:
        return False


def _problem(path: Path, *, exists: bool) -> str:
    """Return why a process of this user couldn't use the file; "" if it could."""
    try:
        refuse_links(path)
    except StoreError as error:
        return str(error)
    folder = path.parent
    if not folder.is_dir():
        return f"the folder '{folder}' does not exist"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder '{folder}' can't be written to; SQLite makes files in it"
    if exists and not path.is_file():
        return f"'{path}' is no regular file"
    if exists and not os.access(path, os.R_OK | os.W_OK):
        return f"'{path}' can't be read and written"
    return foreign_owner(path)


@contextlib.contextmanager
def _opened(path: Path, *, complete: bool) -> Generator[sqlite3.Connection]:
    log, memory = Path(f"{path}-wal"), Path(f"{path}-shm")
    if complete:
        with _connected(path, "immutable=1") as sql:  # no other process has it open
            yield sql
    elif memory.exists():
        with _connected(path, "mode=ro") as sql:
            yield sql
    else:
        with tempfile.TemporaryDirectory(prefix="tocsin-") as folder:
            copy = Path(folder) / "store.db"
            shutil.copyfile(path, copy)
            shutil.copyfile(log, f"{copy}-wal")
            with _connected(copy, "mode=rw") as sql:
                yield sql


@contextlib.contextmanager
def _connected(path: Path, mode: str) -> Generator[sqlite3.Connection]:
    place = quote(os.fsencode(path.as_posix()).lstrip(b"/"))
    where = f"file:///{place}?{mode}"
    sql = sqlite3.connect(where, uri=True, timeout=_BUSY, isolation_level=None)
    with contextlib.closing(sql):
        sql.execute("BEGIN")
        yield sql


def _contents(path: Path, sql: sqlite3.Connection) -> tuple[int, dict[str, Contents]]:
    if not _number(sql, "SELECT count(*) FROM sqlite_master"):
        return 0, {}
    if _number(sql, "PRAGMA application_id") != APPLICATION:
        raise StoreError(f"'{path}' is the database of another program")
    version = _number(sql, "PRAGMA user_version")
    if version != SCHEMA:
        return version, {}
    states = dict(sql.execute("SELECT scope, CAST(data AS BLOB) FROM states").fetchall())
    batches: dict[str, list[bytes]] = {}
    for scope, data in sql.execute("SELECT scope, CAST(data AS BLOB) FROM batches ORDER BY id"):
        batches.setdefault(scope, []).append(data)
    query = "SELECT scope, owner, ends, now, ticks FROM leases"
    leases = {scope: _lease(*lease) for scope, *lease in sql.execute(query)}
    none = "", 0, 0, 0
    return version, {
        scope: Contents(
            state=states.get(scope),
            batches=tuple(batches.get(scope, ())),
            owner=leases.get(scope, none)[0],
            ends=leases.get(scope, none)[1],
            led_at=leases.get(scope, none)[2],
            led_ticks=leases.get(scope, none)[3],
        )
        for scope in {**states, **batches, **leases}
    }


def _lease(owner: object, *times: Any) -> tuple[str, float, float, float]:
    """Return a lease; SQLite takes values of any type.

    Raises:
        ValueError: it is no lease.
    """
    ends, now, ticks = map(float, times)
    if not isinstance(owner, str) or not all(map(math.isfinite, (ends, now, ticks))):
        raise ValueError("a lease is damaged")
    return owner, ends, now, ticks


def _number(sql: sqlite3.Connection, query: str) -> int:
    return int(sql.execute(query).fetchone()[0])
