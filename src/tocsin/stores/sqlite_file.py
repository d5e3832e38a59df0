"""The file of an SQLite store: opened for one transaction at a time, and never trusted blindly.

- The file is opened for each use, about once a second. What happened to it meanwhile (removed,
  replaced, out of space) is an error of the next use.
- A fork waits for a use to end, because a child would inherit locks that no thread releases. If the
  fork could not wait long enough, the child refuses to use the file.
- A committed transaction survives the process without a sync of the disk; a crash of the machine
  may lose the latest ones. The disk is synced only when SQLite moves the write-ahead log into the
  file: by background threads about every 4 MB, and by the main thread only after 16 MB, because it
  builds handlers and ends the program.
- A file that belongs to another user is refused, and the user's own one is made private: a digest
  that is found in the file is mailed, to the recipients that the file names.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tocsin.exceptions import StoreError
from tocsin.forks import ForkGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

APPLICATION = 0x746F6373
"""The number of a store's files, "tocs": PRAGMA application_id."""
SCHEMA = 1
"""The version of the tables: PRAGMA user_version."""
_TABLES = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA};
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
_SLICE = 0.05  # seconds that SQLite waits at once; a fork waits for as long
_PAUSE = 0.005  # seconds between two tries
_NO_SPACE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
# Bytes after which the write-ahead log is cut. Without it, 16 busy writers made 400 MB in 5 s.
_LOG = 16 << 20
_PAGES = 1000  # pages of 4 KB after which SQLite moves the log into the file
_NO_CHECKPOINT_ON_CLOSE = getattr(sqlite3, "SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE", None)  # since 3.12
_uses: ForkGuard = ForkGuard()  # a child would inherit the locks of a thread that it lacks
_FILES = "", "-wal", "-shm", "-journal"  # SQLite trusts the content of each of them


class SQLiteFile:
    """An SQLite file with a store's tables.

    Args:
        path: the file. It is made if it is missing; its folder must exist.
        busy: the seconds to wait for other processes.

    Attributes:
        path: the file as an absolute path without links.

    Raises:
        OSError: the file can't be made.
        StoreError: the file or its folder can't be used.
    """

    def __init__(self, path: Path, busy: float) -> None:
        refuse_links(path.absolute())
        # Absolute, so that a `chdir` changes nothing. `Path.resolve` raises for a circle of links.
        self.path: Path = Path(os.path.realpath(path))
        self._busy = busy
        self._prepared = False
        folder = self.path.parent
        if not _exists(folder, stat.S_ISDIR):
            raise StoreError(f"the folder '{folder}' does not exist")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StoreError(f"the folder '{folder}' can't be written to; SQLite makes files in it")
        with _uses:
            _make(self.path)
        if not _exists(self.path, stat.S_ISREG):
            raise StoreError(f"'{self.path}' is no regular file")
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise StoreError(f"'{self.path}' can't be read and written")

    @contextlib.contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Generator[sqlite3.Connection]:
        """Begin a transaction, and commit it at the end of the `with` block unless it raises.

        Args:
            kind: `IMMEDIATE` for one that writes, `DEFERRED` for one that only reads.

        Yields:
            The connection.

        Raises:
            StoreError: the file can't be used, or is still busy after the time to wait.
        """
        until = time.monotonic() + self._busy
        try:
            while True:
                with _uses, contextlib.closing(self._open()) as sql:
                    if self._begin(sql, kind, until):
                        yield sql
                        sql.execute("COMMIT")  # without it, closing rolls everything back
                        self._shorten(sql)
                        self._leave_log(sql)
                        return
                    self._leave_log(sql)
                time.sleep(_PAUSE)
        # A damaged file has values of wrong types, and errors in no known encoding.
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
            configure: Any = sql  # the type hints are those of Python 3.11
            configure.setconfig(_NO_CHECKPOINT_ON_CLOSE)
        return sql

    def _refuse_foreign(self) -> None:
        """Refuse a file that another user has made, and make the user's own file private."""
        if (user := _user()) is None:
            return
        for ending in _FILES:
            name = f"{self.path}{ending}"
            try:
                found = os.lstat(name)
            except FileNotFoundError:
                continue
            if found.st_uid not in {user, 0}:
                raise StoreError(_belongs(name, found.st_uid, user))
            if found.st_mode & 0o077 and stat.S_ISREG(found.st_mode):
                if found.st_uid != user:
                    raise StoreError(f"'{name}' belongs to root, and others may use it")
                Path(name).chmod(0o600)

    def _leave_log(self, sql: sqlite3.Connection) -> None:
        """Keep `close` from moving the log into the file, which would wait for the disk."""
        if _NO_CHECKPOINT_ON_CLOSE is None:  # interrupting a checkpoint does no harm
            with contextlib.suppress(sqlite3.Error):
                sql.execute("PRAGMA synchronous = OFF")
                sql.interrupt()

    def _begin(self, sql: sqlite3.Connection, kind: str, until: float) -> bool:
        """Begin a transaction; return False if the file is busy and another try is possible."""
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
        """Make the tables in an empty file; other processes may do so at the same moment."""
        made = _number(sql, _COUNT)
        if made:
            self._check(sql)
        else:
            sql.execute("PRAGMA synchronous = OFF")  # an empty file has nothing to lose
            sql.execute("PRAGMA auto_vacuum = FULL")  # the file shrinks again after a backlog
        # SQLite doesn't wait for other processes here. A copy made by VACUUM INTO needs it too.
        (mode,) = sql.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(
                f"'{self.path}' is on a file system where processes can't share memory, "
                "as SQLite's write-ahead log needs it"
            )
        if made:
            return  # the tables exist, so no lock is needed
        sql.execute("BEGIN IMMEDIATE")
        if not _number(sql, _COUNT):
            for statement in _TABLES.split(";"):
                sql.execute(statement)
        sql.execute("COMMIT")
        sql.execute("PRAGMA synchronous = NORMAL")

    def _check(self, sql: sqlite3.Connection) -> None:
        """Check that the file is a store's of this version: it may have been replaced."""
        if _number(sql, "PRAGMA application_id") != APPLICATION:
            raise StoreError(f"'{self.path}' is the database of another program")
        version = _number(sql, "PRAGMA user_version")
        if version != SCHEMA:
            raise StoreError(
                f"'{self.path}' was made by another release: version {version}, not {SCHEMA}"
            )

    def _shorten(self, sql: sqlite3.Connection) -> None:
        """Empty a long log: SQLite itself can't do it while some process is always reading."""
        with contextlib.suppress(sqlite3.Error, OSError):  # the transaction is committed already
            if Path(f"{self.path}-wal").stat().st_size > _LOG:
                sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _exists(path: Path, kind: Callable[[int], bool]) -> bool:
    """Return whether there is a file of that kind. Since 3.14 `Path.is_dir` hides other errors."""
    try:
        return kind(path.stat().st_mode)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return False
        raise


def _make(path: Path) -> None:
    """Make an empty file with mode 600, whatever the umask is, unless the file exists.

    Where the system allows it, the file isn't opened for this: closing it would release the locks
    that SQLite holds on it in another thread.
    """
    with contextlib.suppress(FileExistsError):
        try:
            os.mknod(path, stat.S_IFREG | 0o600)
        except (AttributeError, PermissionError):  # Windows; macOS
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        path.chmod(0o600)  # SQLite gives its other files the same mode


def refuse_links(path: Path) -> None:
    """Refuse a path with a link that another user may have made, or can replace."""
    for part in (path, *path.parents):
        if part.is_symlink() and _is_open_to_all(part.parent):
            raise StoreError(f"'{part}' is a link in a folder that any user can write to")


def foreign_owner(path: Path) -> str:
    """Return whose file it is, if neither this user nor root has made it; else ""."""
    user = _user()
    with contextlib.suppress(OSError):
        owner = path.lstat().st_uid
        if user is not None and owner not in {user, 0}:
            return _belongs(str(path), owner, user)
    return ""


def _belongs(name: str, owner: int, user: int) -> str:
    return f"'{name}' belongs to the user {owner}, and this process to {user}"


def _is_open_to_all(folder: Path) -> bool:
    return _user() is not None and bool(folder.stat().st_mode & stat.S_IWOTH)


def _user() -> int | None:
    """Return the effective user ID of this process; None on Windows."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _code(error: BaseException | None) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)


def may_pass(error: BaseException | None) -> bool:
    """Return whether an error of SQLite may pass by itself: a busy file, or a full disk."""
    return _is_busy(error) or _code(error) in _NO_SPACE


def _is_busy(error: BaseException | None) -> bool:
    return _code(error) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL}


def _number(sql: sqlite3.Connection, query: str) -> int:
    return int(sql.execute(query).fetchone()[0])
