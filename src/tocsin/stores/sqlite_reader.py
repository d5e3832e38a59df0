"""Reading an SQLite store from outside: nothing is written, and no lease is taken.

A file with a write-ahead log is read by SQLite's mode for reading. Without a log the file is
complete, and is read as one that doesn't change: so SQLite makes no files beside it. A log without
its index is left by a machine that crashed; then copies are read.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote

from tocsin.exceptions import StoreError
from tocsin.stores.sqlite_file import check_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_BUSY = 5.0  # seconds to wait for a lock
T = TypeVar("T")
_TRIES = 5  # where a log appears while the file is read


class Lead(NamedTuple):
    """The latest lease.

    Attributes:
        owner: the process that took it.
        at: when, in the store's time.
        ends: when it ends, in the store's time; 0 if it was released.
    """

    owner: str
    at: float
    ends: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The content of a store at one moment.

    Attributes:
        now: the store's time.
        state: the state; None if there is none.
        batches: the batches that no leader has merged, the oldest first.
        lead: the latest lease; None if no process ever led.
    """

    now: float
    state: bytes | None
    batches: tuple[bytes, ...]
    lead: Lead | None


class SQLiteReader:
    """Read the file of an `SQLiteStore`.

    Args:
        path: the file.
        clock: returns the time, in seconds since the epoch.
        ticks: returns seconds that never go back, the same in all processes of the machine.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path.absolute()
        self._clock = clock
        self._ticks = ticks

    def scopes(self) -> list[str]:
        """Return the scopes that have a state or batches.

        Raises:
            StoreError: the file can't be read, or isn't a store's.
        """
        query = "SELECT scope FROM states UNION SELECT scope FROM batches ORDER BY scope"
        return self._read(lambda sql: [scope for (scope,) in sql.execute(query)])

    def snapshot(self, scope: str) -> Snapshot:
        """Return the content of a scope.

        Raises:
            StoreError: the file can't be read, or isn't a store's.
        """

        def read(sql: sqlite3.Connection) -> Snapshot:
            named = (scope.encode(errors="backslashreplace").decode(),)
            state = sql.execute("SELECT CAST(data AS BLOB) FROM states WHERE scope = ?", named)
            batches = sql.execute(
                "SELECT CAST(data AS BLOB) FROM batches WHERE scope = ? ORDER BY id", named
            )
            leases = sql.execute(
                "SELECT owner, now, ends, ticks FROM leases WHERE scope = ?", named
            )
            (raw,) = state.fetchone() or (None,)
            owner, at, ends, then = leases.fetchone() or ("", 0.0, 0.0, self._ticks())
            return Snapshot(
                now=max(self._clock(), at + max(0.0, self._ticks() - then)),
                state=raw,
                batches=tuple(batch for (batch,) in batches),
                lead=Lead(owner, at, ends) if owner else None,
            )

        return self._read(read)

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a function reads, in one transaction."""
        try:
            for _ in range(_TRIES):
                complete = not self._has("-wal")
                with self._opened(complete=complete) as sql:
                    sql.execute("BEGIN")
                    check_tables(sql, self._path)
                    found = read(sql)
                if not complete or not self._has("-wal"):
                    return found
        except (sqlite3.Error, OSError, OverflowError, TypeError, ValueError) as error:
            raise StoreError(f"'{self._path}' can't be read: {error}") from error
        raise StoreError(f"'{self._path}' changes too often to be read")

    @contextlib.contextmanager
    def _opened(self, *, complete: bool) -> Generator[sqlite3.Connection]:
        with contextlib.ExitStack() as stack:
            path = self._path
            if not complete and not self._has("-shm"):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                for ending in ("-wal", ""):
                    shutil.copyfile(f"{self._path}{ending}", folder / f"copy.db{ending}")
                path = folder / "copy.db"
            options = "mode=ro&immutable=1" if complete else "mode=ro"
            where = f"file:///{quote(path.as_posix().lstrip('/'))}?{options}"
            opened = sqlite3.connect(where, uri=True, timeout=_BUSY, isolation_level=None)
            yield stack.enter_context(contextlib.closing(opened))

    def _has(self, ending: str) -> bool:
        """Return whether the file has a companion that isn't empty."""
        try:
            return Path(f"{self._path}{ending}").stat().st_size > 0
        except FileNotFoundError:
            return False
