"""The store of one machine: an SQLite file that all its processes share.

This module holds the statements; the file itself is the job of sqlite_file.py.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tocsin.exceptions import ConfigError, LeaseLost, StoreError
from tocsin.stores.base import Entry
from tocsin.stores.sqlite_file import SQLiteFile, may_pass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_BUSY = 5.0  # seconds to wait for other processes


class SQLiteStore:
    """Keep batches and the state in a file that outlives the process.

    Args:
        path: the file. It is made if it is missing, private to its owner; its folder must exist.
        scope: the name under which batches, state and lease are kept: several handlers may share a
            file.
        clock: returns the time, in seconds since the epoch.
        ticks: returns seconds that never go back, the same in all processes of the machine.
        busy: the seconds to wait for other processes.

    Attributes:
        durable: True.
        file: the file.

    Raises:
        ConfigError: the file can't be made or written to, or isn't a store's.
    """

    durable = True

    def __init__(
        self,
        path: Path,
        scope: str,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        busy: float = _BUSY,
    ) -> None:
        self._scope = scope.encode(errors="backslashreplace").decode()
        self._clock = clock
        self._ticks = ticks
        try:
            self.file: SQLiteFile = SQLiteFile(path, busy)
            with self.file.transaction("DEFERRED"):
                pass
        except OSError as error:
            problem = error.strerror or str(error)
            raise ConfigError(f"store: can't use '{path}': {problem}") from error
        except (ValueError, StoreError) as error:
            # A busy file or a full disk may be good later: the program starts all the same.
            if not may_pass(error.__cause__):
                raise ConfigError(f"store: {error}") from error

    def append(self, batch: bytes) -> None:
        """Keep a batch until a leader has merged it. See `Store.append`."""
        with self.file.transaction() as sql:
            sql.execute("INSERT INTO batches (scope, data) VALUES (?, ?)", (self._scope, batch))

    def lead(self, owner: str, ttl: float) -> SQLiteLease | None:
        """Become the leader; return None while another owner leads. See `Store.lead`."""
        with self.file.transaction() as sql:
            found = sql.execute(
                "SELECT owner, fence, ends, now, ticks FROM leases WHERE scope = ?", (self._scope,)
            )
            ticks = self._ticks()
            leader, fence, ends, before, then = found.fetchone() or (owner, 0, 0.0, 0.0, ticks)
            now = max(self._clock(), before + max(0.0, ticks - then))
            if leader != owner and now < ends:
                return None
            sql.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)",
                (self._scope, owner, fence + 1, now + ttl, now, ticks),
            )
        return SQLiteLease(self.file, self._scope, (owner, fence + 1), now)

    def close(self) -> None:
        """Do nothing: the file is open only while it is used."""

    def __repr__(self) -> str:
        return f"<SQLiteStore {self.file.path}>"


class SQLiteLease:
    """The lease of a `SQLiteStore`.

    Args:
        file: the store's file.
        scope: the store's scope.
        fence: the owner, and the number of this lease. The owner is a part of it because a file
            that was removed and made again counts from 1.
        now: the store's time.
    """

    def __init__(self, file: SQLiteFile, scope: str, fence: tuple[str, int], now: float) -> None:
        self._file = file
        self._scope = scope
        self._fence = fence
        self.now = now

    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        """Return the state and the oldest batches. See `Lease.read`."""
        with self._file.transaction("DEFERRED") as sql:
            found = sql.execute(
                "SELECT CAST(data AS BLOB) FROM states WHERE scope = ?", (self._scope,)
            )
            (state,) = found.fetchone() or (None,)
            batches = sql.execute(
                "SELECT id, CAST(data AS BLOB) FROM batches WHERE scope = ? ORDER BY id LIMIT ?",
                (self._scope, limit),
            )
            return state, [Entry(key, batch) for key, batch in batches]

    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        """Replace the state and remove the batches. See `Lease.commit`."""
        with self._file.transaction() as sql:
            fence = sql.execute("SELECT owner, fence FROM leases WHERE scope = ?", (self._scope,))
            if fence.fetchone() != self._fence:
                raise LeaseLost("another process leads")
            sql.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (self._scope, state))
            sql.executemany("DELETE FROM batches WHERE id = ?", [(one.key,) for one in consumed])

    def release(self) -> None:
        """Let another process lead. See `Lease.release`."""
        with self._file.transaction() as sql:
            sql.execute(
                "UPDATE leases SET ends = 0 WHERE scope = ? AND owner = ? AND fence = ?",
                (self._scope, *self._fence),
            )
