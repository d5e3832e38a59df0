"""A file that all processes of one machine share: SQLite, with a write-ahead log.

The file is opened for each use, about once a second: what became of it meanwhile, removed,
replaced, out of space, is met as an error of the next use. A fork waits for a use to end, as a
child would inherit locks that nobody gives back; a child of a fork that could not wait long enough
leaves the file alone.

What is committed survives the process without a sync of the disk; the machine may lose the latest.
The disk is synced only where the log is moved into the file: by background threads about every
4 MB; by the main thread, which has handlers to build and a program to end, only after 16 MB.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tocsin.exceptions import ConfigError, LeaseLost, StoreError
from tocsin.forks import ForkGuard
from tocsin.stores.base import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

_APPLICATION = 0x746F6373  # "tocs": PRAGMA application_id
_SCHEMA = 1  # PRAGMA user_version
_TABLES = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_SCHEMA};
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, data BLOB NOT NULL
);
CREATE INDEX batches_by_scope ON batches (scope, id);
CREATE TABLE states (scope TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE leases (
    scope TEXT PRIMARY KEY, owner TEXT NOT NULL, fence INTEGER NOT NULL,
    ends REAL NOT NULL, now REAL NOT NULL, ticks REAL NOT NULL
) WITHOUT ROWID;
"""
_COUNT = "SELECT count(*) FROM sqlite_master"
_BUSY = 5.0  # seconds to wait for others
_SLICE = 0.05  # seconds of it that SQLite waits at once: a fork has to wait for that
_PAUSE = 0.005  # seconds between tries
_NO_SPACE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
_LOG = 16 << 20  # bytes of the write-ahead log: 16 writers without a pause made it 400 MB in 5 s
_PAGES = 1000  # of the log, after which it is moved into the file
_NO_CHECKPOINT_ON_CLOSE = getattr(sqlite3, "SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE", None)  # since 3.12
_uses: ForkGuard = ForkGuard()  # a child would have locks of a thread that it has not got
_FILES = "", "-wal", "-shm", "-journal"  # SQLite believes what it finds in any of them


class SQLiteStore:
    """Keep everything in a file that outlives the process.

    Args:
        path: the file; it is made, for its owner alone, in a folder that has to exist.
        scope: whose batches, state and lease these are: several handlers may share a file.
        clock: returns the time in seconds since the epoch.
        ticks: returns seconds that go on where the clock is set back, the same in all processes.
        busy: seconds to wait for others.

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
        ticks: Callable[[], float] = time.monotonic,
        busy: float = _BUSY,
    ) -> None:
        self._scope = scope.encode(errors="backslashreplace").decode()
        self._clock = clock
        self._ticks = ticks
        try:
            self._file = _File(path, busy)
            with self._file.transaction("DEFERRED"):
                pass
        except OSError as error:
            problem = error.strerror or str(error)
            raise ConfigError(f"store: can't use '{path}': {problem}") from error
        except (ValueError, StoreError) as error:
            # What is busy, or full, may be good later: the program starts all the same.
            if not _is_busy(error.__cause__) and _code(error.__cause__) not in _NO_SPACE:
                raise ConfigError(f"store: {error}") from error

    def append(self, batch: bytes) -> None:
        """Keep a batch."""
        with self._file.transaction() as sql:
            sql.execute("INSERT INTO batches (scope, data) VALUES (?, ?)", (self._scope, batch))

    def lead(self, owner: str, ttl: float) -> SQLiteLease | None:
        """Become the leader; None while somebody else is."""
        with self._file.transaction() as sql:
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
        return SQLiteLease(self._file, self._scope, (owner, fence + 1), now)

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._file.path}>"


class SQLiteLease:
    """The lease of a `SQLiteStore`."""

    def __init__(self, file: _File, scope: str, fence: tuple[str, int], now: float) -> None:
        self._file = file
        self._scope = scope
        self._fence = fence  # the owner belongs to it: a file that was made anew counts anew
        self.now = now

    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        """Return the state and the oldest batches."""
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
        """Replace the state and remove the batches."""
        with self._file.transaction() as sql:
            fence = sql.execute("SELECT owner, fence FROM leases WHERE scope = ?", (self._scope,))
            if fence.fetchone() != self._fence:
                raise LeaseLost("another process leads")
            sql.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (self._scope, state))
            sql.executemany("DELETE FROM batches WHERE id = ?", [(one.key,) for one in consumed])

    def release(self) -> None:
        """Let somebody else lead."""
        with self._file.transaction() as sql:
            sql.execute(
                "UPDATE leases SET ends = 0 WHERE scope = ? AND owner = ? AND fence = ?",
                (self._scope, *self._fence),
            )


class _File:
    """The file, opened for one transaction at a time; what SQLite finds wrong is a `StoreError`."""

    def __init__(self, path: Path, busy: float) -> None:
        _refuse_links(path.absolute())
        # The same after a `chdir`. `Path.resolve` raises RuntimeError for links that go in circles.
        self.path: Path = Path(os.path.realpath(path))
        self._busy = busy
        self._prepared = False
        folder = self.path.parent
        if not folder.is_dir():
            raise StoreError(f"the folder '{folder}' does not exist")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StoreError(f"the folder '{folder}' can't be written to; SQLite makes files in it")
        with _uses:
            _make(self.path)
        if not self.path.is_file():
            raise StoreError(f"'{self.path}' is no file")
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise StoreError(f"'{self.path}' can't be read and written")

    @contextlib.contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Generator[sqlite3.Connection]:
        """Begin a transaction, as soon as others let it, and commit it if nothing is raised."""
        until = time.monotonic() + self._busy
        try:
            while True:
                with _uses, contextlib.closing(self._open()) as sql:
                    if self._begin(sql, kind, until):
                        yield sql
                        sql.execute("COMMIT")  # without it, closing takes everything back
                        self._shorten(sql)
                        self._leave_log(sql)
                        return
                    self._leave_log(sql)
                time.sleep(_PAUSE)
        # Where the file is damaged, values are of wrong types, and messages in no encoding.
        except (sqlite3.Error, OSError, OverflowError, TypeError, ValueError) as error:
            raise StoreError(f"'{self.path}' can't be used: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if _uses.was_cut:
            raise StoreError(
                f"'{self.path}' can't be used in this process: it was forked while another thread "
                "wrote to the file"
            )
        self._refuse_foreign()
        place = quote(os.fsencode(self.path.as_posix()).lstrip(b"/"))
        where = f"file:///{place}?mode=rw"
        sql = sqlite3.connect(where, uri=True, timeout=_SLICE, isolation_level=None)
        if _NO_CHECKPOINT_ON_CLOSE is not None:
            configure: Any = sql  # the types are those of Python 3.11
            configure.setconfig(_NO_CHECKPOINT_ON_CLOSE)
        return sql

    def _refuse_foreign(self) -> None:
        """Refuse what another user has made, or may write to; keep others out of one's own files.

        A digest that is found in the file is mailed, to the recipients that stand in it.
        """
        if (user := _user()) is None:
            return
        for ending in _FILES:
            name = f"{self.path}{ending}"
            try:
                found = os.lstat(name)
            except FileNotFoundError:
                continue
            if found.st_uid not in {user, 0}:
                raise StoreError(
                    f"'{name}' belongs to the user {found.st_uid}, and this process to {user}"
                )
            if found.st_mode & 0o077 and stat.S_ISREG(found.st_mode):
                if found.st_uid != user:
                    raise StoreError(f"'{name}' belongs to root, and others may use it")
                Path(name).chmod(0o600)

    def _leave_log(self, sql: sqlite3.Connection) -> None:
        """Have the log left as it is when the file is closed, without waiting for the disk."""
        if _NO_CHECKPOINT_ON_CLOSE is None:  # an interrupted checkpoint changes nothing
            with contextlib.suppress(sqlite3.Error):
                sql.execute("PRAGMA synchronous = OFF")
                sql.interrupt()

    def _begin(self, sql: sqlite3.Connection, kind: str, until: float) -> bool:
        """Begin, or return False while others are in the way and there is time left."""
        try:
            sql.execute("PRAGMA synchronous = NORMAL")
            sql.execute(f"PRAGMA wal_autocheckpoint = {0 if _in_main_thread() else _PAGES}")
            if not self._prepared:
                self._prepare(sql)
            sql.execute(f"BEGIN {kind}")
            self._check(sql)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= until:
                raise
            return False
        self._prepared = True
        return True

    def _prepare(self, sql: sqlite3.Connection) -> None:
        """Make the tables in an empty file, which others may be about to do as well."""
        made = _number(sql, _COUNT)
        if made:
            self._check(sql)
        else:
            sql.execute("PRAGMA synchronous = OFF")  # where nothing is in it, nothing can be lost
            sql.execute("PRAGMA auto_vacuum = FULL")  # it is small again after a backlog
        # SQLite doesn't wait here. A copy that was made with VACUUM INTO needs it as well.
        (mode,) = sql.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(f"'{self.path}' is where processes can't share memory")
        if made:
            return  # nobody is waited for
        sql.execute("BEGIN IMMEDIATE")
        if not _number(sql, _COUNT):
            for statement in _TABLES.split(";"):
                sql.execute(statement)
        sql.execute("COMMIT")
        sql.execute("PRAGMA synchronous = NORMAL")

    def _check(self, sql: sqlite3.Connection) -> None:
        """See whether the file is ours: it may have been replaced since."""
        if _number(sql, "PRAGMA application_id") != _APPLICATION:
            raise StoreError(f"'{self.path}' is another program's database")
        version = _number(sql, "PRAGMA user_version")
        if version != _SCHEMA:
            raise StoreError(
                f"'{self.path}' is another release's: version {version}, not {_SCHEMA}"
            )

    def _shorten(self, sql: sqlite3.Connection) -> None:
        """Begin the log anew when it is long: SQLite itself can't while a process always reads."""
        with contextlib.suppress(sqlite3.Error, OSError):  # what was committed stays so
            if Path(f"{self.path}-wal").stat().st_size > _LOG:
                sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _make(path: Path) -> None:
    """Make an empty file for its owner alone, whatever the umask is, unless there is one.

    It isn't opened, where that can be: closing it would drop the locks that SQLite has on it, if
    another thread was faster.
    """
    with contextlib.suppress(FileExistsError):
        try:
            os.mknod(path, stat.S_IFREG | 0o600)
        except (AttributeError, PermissionError):  # Windows; macOS
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        path.chmod(0o600)  # SQLite's other files do the same


def _refuse_links(path: Path) -> None:
    """Refuse a path with a link that another user may have put there, or can exchange."""
    for part in (path, *path.parents):
        if part.is_symlink() and _is_open_to_all(part.parent):
            raise StoreError(f"'{part}' is a link in a folder that any user can write to")


def _is_open_to_all(folder: Path) -> bool:
    return _user() is not None and bool(folder.stat().st_mode & stat.S_IWOTH)


def _user() -> int | None:
    """Return the user that this process acts for; None on Windows."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _code(error: BaseException | None) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)


def _is_busy(error: BaseException | None) -> bool:
    return _code(error) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL}


def _number(sql: sqlite3.Connection, query: str) -> int:
    return int(sql.execute(query).fetchone()[0])
