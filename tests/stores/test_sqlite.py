"""The store in a file: what it is, who may use it, and what it meets that is no store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clocks import NOW, Clock
from processes import all_at_once, in_child, locked

from tocsin.config import build_store
from tocsin.exceptions import ConfigError, LeaseLost, StoreError
from tocsin.stores.base import Entry
from tocsin.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tocsin.stores.base import Lease

NOBODY = 65534
SHARED = 0x40000002, 510  # the bytes of a database's file that stand for its readers
NAMES = ("alerts.db", "alerts.db-wal", "alerts.db-shm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The place of a store."""
    return tmp_path / "alerts.db"


def lead(store: SQLiteStore, owner: str = "me", ttl: float = 60) -> Lease:
    lease = store.lead(owner, ttl)
    assert lease is not None
    return lease


def batches(store: SQLiteStore) -> list[bytes]:
    return [entry.batch for entry in lead(store).read(1_000_000)[1]]


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def fold(path: Path) -> None:
    """Have all that is in the log moved into the file, and the log removed."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("SELECT * FROM sqlite_master")


def pragma(path: Path, name: str) -> object:
    with contextlib.closing(sqlite3.connect(path)) as file:
        (value,) = file.execute(f"PRAGMA {name}").fetchone()
        return value


def change(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        for statement in statements:
            file.execute(statement)


def refusal(path: Path) -> str:
    """Return why there can't be a store."""
    with pytest.raises(ConfigError) as caught:
        SQLiteStore(path, "one", busy=0.1)
    return str(caught.value)


def as_nobody(work: Callable[[], object]) -> object:
    """Return what a function returns in a process that may do little."""

    def run() -> object:
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return work()

    return in_child(run)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Generator[None]:
    """Have a file system of a few bytes in a folder."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# What is refused


def test_a_folder_has_to_exist(path: Path) -> None:
    folder = path / "nowhere"
    assert refusal(folder / "alerts.db") == f"store: the folder '{folder}' does not exist"


def test_a_file_is_no_folder(path: Path) -> None:
    path.touch()
    assert refusal(path / "alerts.db") == f"store: the folder '{path}' does not exist"


def test_a_folder_is_no_file(path: Path) -> None:
    path.mkdir()
    assert refusal(path) == f"store: '{path}' is no regular file"


def test_a_pipe_is_no_file(path: Path) -> None:
    """Nor is it opened: that might wait for ever."""
    os.mkfifo(path)
    assert refusal(path) == f"store: '{path}' is no regular file"


def test_a_name_that_is_too_long_is_said_to_be(path: Path) -> None:
    place = path.with_name("a" * 300)
    assert refusal(place) == f"store: can't use '{place}': File name too long"


@pytest.mark.parametrize("text", [b"hello\n", b"SQLite format 3\0 it says", os.urandom(9000)])
def test_what_is_no_database_is_left_alone(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    assert refusal(path) == f"store: '{path}' can't be used: file is not a database"
    assert path.read_bytes() == text
    assert names(path.parent) == {"alerts.db"}


@pytest.mark.parametrize("statements", [(), ("PRAGMA application_id = 7",)])
def test_another_programs_database_is_left_alone(path: Path, statements: tuple[str, ...]) -> None:
    """It isn't even switched to a write-ahead log."""
    change(path, "CREATE TABLE users (name)", "INSERT INTO users VALUES ('Ada')", *statements)
    before = path.read_bytes()
    assert refusal(path) == f"store: '{path}' is the database of another program"
    assert path.read_bytes() == before


def test_a_newer_releases_file_is_left_alone(path: Path) -> None:
    SQLiteStore(path, "one").append(b"a")
    change(path, "PRAGMA user_version = 2")
    before = path.read_bytes()
    assert refusal(path) == f"store: '{path}' was made by another release: version 2, not 1"
    assert path.read_bytes() == before


@pytest.fixture
def public() -> Iterator[Path]:
    """The place of a store in a folder that everybody may enter, as pytest's are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder) / "alerts.db"
        Path(folder).chmod(0o777)


def test_a_folder_that_cannot_be_written_to(public: Path) -> None:
    """SQLite has files of its own beside the database."""
    public.touch()
    public.chmod(0o666)
    public.parent.chmod(0o555)
    assert as_nobody(lambda: refusal(public)) == (
        f"store: the folder '{public.parent}' can't be written to; SQLite makes files in it"
    )


def test_a_file_that_cannot_be_written_to(public: Path) -> None:
    SQLiteStore(public, "one")
    public.chmod(0o444)
    assert as_nobody(lambda: refusal(public)) == f"store: '{public}' can't be read and written"


def test_a_folder_that_cannot_be_entered(public: Path) -> None:
    public.parent.chmod(0o600)
    place = public / "deeper" / "alerts.db"
    assert as_nobody(lambda: refusal(place)) == f"store: can't use '{place}': Permission denied"

    def build() -> str:
        with pytest.raises(ConfigError) as caught:
            build_store(f"sqlite:{place}", "one")
        return str(caught.value)

    assert as_nobody(build) == f"store: can't use '{place}': Permission denied"


def test_a_folder_in_which_nothing_can_be_made() -> None:
    place = Path("/proc/alerts.db")
    assert refusal(place) == f"store: can't use '{place}': No such file or directory"


def test_a_file_system_that_cannot_be_written_to(path: Path) -> None:
    with small_disk(path.parent, "1m"):
        SQLiteStore(path, "one").append(b"a")
        command = ["mount", "-o", "remount,ro", str(path.parent)]
        subprocess.run(command, check=True)
        assert refusal(path) == (
            f"store: the folder '{path.parent}' can't be written to; SQLite makes files in it"
        )


def test_links_that_go_round_in_circles(path: Path) -> None:
    path.symlink_to(path)
    assert refusal(path) == f"store: '{path}' is no regular file"


# The file


@pytest.mark.parametrize("mask", [0, 0o777])
def test_it_is_its_owners_alone_whatever_the_umask_is(path: Path, mask: int) -> None:
    """Log records are in it. SQLite's other files, and what they become, are no exception."""
    before = os.umask(mask)
    try:
        store = SQLiteStore(path, "one")
        with store.file.transaction():
            modes = {name: stat.S_IMODE((path.parent / name).stat().st_mode) for name in NAMES}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(NAMES, 0o600)


def test_a_file_of_ones_own_that_others_may_use_becomes_private(path: Path) -> None:
    """A digest that is found in it is mailed, to the recipients that stand in it."""
    SQLiteStore(path, "one").append(b"a")
    for name in NAMES:
        (path.parent / name).chmod(0o666)
    SQLiteStore(path, "one").append(b"b")
    assert {stat.S_IMODE((path.parent / name).stat().st_mode) for name in NAMES} == {0o600}


@pytest.mark.parametrize("name", [*NAMES, "alerts.db-journal"])
def test_a_file_of_another_user_is_refused(path: Path, name: str) -> None:
    """SQLite takes the content of the database also from the files beside it."""
    store = SQLiteStore(path, "one")
    store.append(b"a")
    foreign = path.parent / name
    foreign.touch()
    os.chown(foreign, NOBODY, NOBODY)
    text = f"'{foreign}' belongs to the user {NOBODY}, and this process to {os.geteuid()}"
    assert refusal(path) == f"store: {text}"
    with pytest.raises(StoreError) as caught:
        store.append(b"b")
    assert str(caught.value) == text


def test_a_digest_that_another_user_has_prepared_is_not_read(public: Path) -> None:
    """The attack: to be the first to make the file, in a folder that all may write to."""
    public.parent.chmod(0o1777)
    as_nobody(lambda: SQLiteStore(public, "one").append(b"prepared"))
    assert refusal(public) == (
        f"store: '{public}' belongs to the user {NOBODY}, and this process to {os.geteuid()}"
    )


def test_a_file_of_root_is_used_where_it_is_private(public: Path) -> None:
    """An administrator may have made it; that others may use it is for them to end."""
    public.touch()
    public.chmod(0o666)
    assert as_nobody(lambda: refusal(public)) == (
        f"store: '{public}' belongs to root, and others may use it"
    )


def test_a_link_in_a_folder_that_all_may_write_to_is_refused(public: Path, path: Path) -> None:
    """Any user can put it there, and exchange it; also where it is the folder that is a link."""
    public.parent.chmod(0o1777)
    public.symlink_to(path)
    (public.parent / "folder").symlink_to(path.parent)
    for link, store in ((public, public), (public.parent / "folder",) * 2):
        named = store if store == public else store / "alerts.db"
        assert refusal(named) == f"store: '{link}' is a link in a folder that any user can write to"
    assert not path.exists()


def test_a_link_in_a_folder_of_ones_own_is_followed(path: Path) -> None:
    (path.parent / "link.db").symlink_to(path)
    SQLiteStore(path.parent / "link.db", "one").append(b"a")
    assert batches(SQLiteStore(path, "one")) == [b"a"]


def test_it_says_what_it_is(path: Path) -> None:
    """`file` and SQLite's shell show it; a copy says so as well."""
    SQLiteStore(path, "one")
    assert pragma(path, "application_id") == int.from_bytes(b"tocs", "big")
    assert pragma(path, "user_version") == 1
    assert pragma(path, "journal_mode") == "wal"


@pytest.mark.parametrize(
    "name",
    [
        "a b?mode=ro&x#y%20%zz.db",
        "störung-警報.db",
        ":memory:",
        "file:alerts.db",
        "'; DROP TABLE batches; --",
        os.fsdecode(b"\xff\xfe.db"),
        "new\nline",
    ],
)
def test_any_name_is_a_name(tmp_path: Path, name: str) -> None:
    SQLiteStore(tmp_path / name, "one").append(b"a")
    assert batches(SQLiteStore(tmp_path / name, "one")) == [b"a"]
    assert names(tmp_path) == {name, f"{name}-wal", f"{name}-shm"}


def test_a_path_may_begin_with_two_slashes(path: Path) -> None:
    """As in `sqlite:////var/lib/shop/alerts.db`, which is how others write it."""
    SQLiteStore(Path(f"/{path}"), "one").append(b"a")
    assert batches(SQLiteStore(path, "one")) == [b"a"]


def test_any_scope_can_be_written(path: Path) -> None:
    """A script's name may be in no encoding."""
    scope = os.fsdecode(b"caf\xe9\x1f\0")
    SQLiteStore(path, scope).append(b"a")
    assert batches(SQLiteStore(path, scope)) == [b"a"]


def test_a_relative_path_is_of_the_folder_at_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that becomes a daemon goes to `/`."""
    monkeypatch.chdir(path.parent)
    store = SQLiteStore(Path("alerts.db"), "one")
    monkeypatch.chdir("/")
    store.append(b"a")
    assert batches(SQLiteStore(path, "one")) == [b"a"]


def test_a_link_and_what_it_points_to_are_the_same_store(path: Path, tmp_path: Path) -> None:
    """Their write-ahead log is the same, beside the file."""
    (tmp_path / "data").mkdir()
    path.symlink_to("data/real.db")
    through, direct = SQLiteStore(path, "one"), SQLiteStore(tmp_path / "data" / "real.db", "one")
    with through.file.transaction() as sql:
        sql.execute("INSERT INTO batches (scope, data) VALUES ('one', x'61')")
        assert names(tmp_path / "data") == {"real.db", "real.db-shm", "real.db-wal"}
    assert batches(direct) == [b"a"]
    assert stat.S_IMODE((tmp_path / "data" / "real.db").stat().st_mode) == 0o600


def test_many_may_make_it_at_once(path: Path) -> None:
    """A server starts its processes at once; SQLite waits for some locks, and not for all."""
    for number in range(10):
        place = path.with_name(f"{number}.db")

        def start(place: Path = place) -> None:
            SQLiteStore(place, "one").append(b"a")

        all_at_once([start] * 8)
        assert batches(SQLiteStore(place, "one")) == [b"a"] * 8
        assert pragma(place, "journal_mode") == "wal"
        assert pragma(place, "auto_vacuum") == 1


@pytest.mark.parametrize("statements", [(), ("PRAGMA journal_mode = WAL",)])
def test_one_that_was_killed_while_it_made_it_is_no_harm(
    path: Path, statements: tuple[str, ...]
) -> None:
    path.touch()
    change(path, *statements)
    store = SQLiteStore(path, "one")
    store.append(b"a")
    assert batches(store) == [b"a"]
    assert pragma(path, "journal_mode") == "wal"


def test_a_copy_by_sqlites_own_means_is_a_store(path: Path) -> None:
    """It has lost the mode of its journal, and gets it again."""
    SQLiteStore(path, "one").append(b"a")
    copy = path.with_name("copy.db")
    change(path, f"VACUUM INTO '{copy}'")
    assert pragma(copy, "journal_mode") == "delete"
    assert batches(SQLiteStore(copy, "one")) == [b"a"]
    assert pragma(copy, "journal_mode") == "wal"


def test_it_is_small_again_after_a_backlog(path: Path) -> None:
    """100,000 batches wait after an outage; they are read in parts, in order."""
    store = SQLiteStore(path, "one")
    with store.file.transaction() as sql:
        rows = ((b"%06d" % number + bytes(1000),) for number in range(100_000))
        sql.executemany("INSERT INTO batches (scope, data) VALUES ('one', ?)", rows)
    assert path.stat().st_size > 100_000_000
    lease = lead(store)
    seen: list[bytes] = []
    while entries := lease.read(5000)[1]:
        seen += [entry.batch[:6] for entry in entries]
        lease.commit(b"%d" % len(seen), entries)
    assert seen == [b"%06d" % number for number in range(100_000)]
    assert path.stat().st_size < 100_000


def test_the_log_is_short_again_after_a_long_reader(path: Path) -> None:
    """Whoever reads keeps it from beginning anew; a shell that stays open, from being removed."""
    store = SQLiteStore(path, "one")
    log = path.with_name("alerts.db-wal")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM batches").fetchall()
        for _ in range(5):
            store.append(bytes(5_000_000))
        assert log.stat().st_size > 20_000_000
        reader.execute("COMMIT")
        store.append(b"a")
        assert log.stat().st_size < 1_000_000
    assert len(batches(store)) == 6


def test_what_is_large_is_kept_and_what_is_too_large_is_an_error(path: Path) -> None:
    """SQLite takes a billion bytes, Python's module two: beyond, each has an error of its own."""
    store = SQLiteStore(path, "one")
    store.append(bytes(30_000_000))
    lease = lead(store)
    for size in (1_000_000_001, 1 << 31):
        with pytest.raises(StoreError):
            store.append(bytes(size))
        with pytest.raises(StoreError):
            lease.commit(bytes(size), lease.read(1)[1])
    state, entries = lease.read(10)
    assert (state, [len(entry.batch) for entry in entries]) == (None, [30_000_000])


# Time


class Times:
    """The clock of a machine: it can be set; and its ticks, which can't."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock, self.ticks = Clock(), Clock()
        self.ticks.now = 1000.0

    def now(self, owner: str = "me") -> float:
        """Return the time of a lease, as a process that has just started takes it."""
        store = SQLiteStore(self.path, "one", clock=self.clock, ticks=self.ticks)
        lease = lead(store, owner)
        lease.release()
        return lease.now

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now += seconds
        self.ticks.now += seconds


def test_time_goes_on_where_the_clock_is_set_back(path: Path) -> None:
    """Also for processes that live for a moment: a mail that is due in a while goes then."""
    times = Times(path)
    assert times.now() == NOW
    times.clock.now -= 3600
    times.go(10)
    assert times.now("you") == NOW + 10
    times.go(10)
    assert times.now("they") == NOW + 20
    times.go(3600)
    assert times.now() == NOW + 3620


def test_a_leader_that_died_before_the_clock_was_set_back_is_followed(path: Path) -> None:
    times = Times(path)
    store = SQLiteStore(path, "one", clock=times.clock, ticks=times.ticks)
    lead(store, "dead", 10)
    times.clock.now -= 86400
    times.go(9)
    assert store.lead("me", 10) is None
    times.go(2)
    assert store.lead("me", 10) is not None


def test_time_goes_on_after_the_machine_was_started_again(path: Path) -> None:
    """Ticks begin anew then: nothing is known by them, until the next."""
    times = Times(path)
    times.now()
    times.clock.now -= 60
    times.ticks.now = 0.0
    assert times.now() == NOW
    times.go(5)
    assert times.now() == NOW + 5
    times.go(60)
    assert times.now() == NOW + 65


def test_the_clock_of_the_machine_is_what_counts_else(path: Path) -> None:
    """It goes on while the machine sleeps, and ticks don't."""
    times = Times(path)
    times.now()
    times.clock.now += 3600
    assert times.now() == NOW + 3600


# Others


def test_a_lock_of_another_process_is_waited_for(path: Path) -> None:
    store = SQLiteStore(path, "one")
    with locked(path) as other:
        release = threading.Timer(0.3, other.end, [signal.SIGKILL])
        release.start()
        store.append(b"a")
        release.join()
    assert batches(store) == [b"a"]


def test_nobody_waits_to_open_what_is_there(path: Path) -> None:
    """A program configures logging while somebody makes a backup, and all its threads wait."""
    SQLiteStore(path, "one")
    started = time.monotonic()
    with locked(path):
        SQLiteStore(path, "one", busy=20)
    assert time.monotonic() - started < 10


def test_a_lock_that_stays_is_an_error(path: Path) -> None:
    """What others have is read meanwhile."""
    store = SQLiteStore(path, "one", busy=0.1)
    store.append(b"a")
    lease = lead(store)
    text = f"^'{path}' can't be used: database is locked$"
    with locked(path):
        writes: list[Callable[[], object]] = [
            lambda: store.append(b"b"),
            lambda: store.lead("me", 1),
            lambda: lease.commit(b"b", ()),
            lease.release,
        ]
        for write in writes:
            with pytest.raises(StoreError, match=text):
                write()
        assert [entry.batch for entry in lease.read(10)[1]] == [b"a"]
    store.append(b"c")
    assert batches(store) == [b"a", b"c"]


@pytest.mark.parametrize("made", [True, False])
def test_a_file_that_is_locked_at_the_start_is_used_later(path: Path, made: bool) -> None:
    """Somebody's backup is no reason not to start; if nothing is in it yet, that comes later."""
    if made:
        SQLiteStore(path, "one").append(b"a")
    path.touch()
    with locked(path, "EXCLUSIVE"):
        store = SQLiteStore(path, "one", busy=0.1)
        with pytest.raises(StoreError, match="database is locked"):
            store.append(b"b")
    store.append(b"c")
    assert batches(store) == ([b"a", b"c"] if made else [b"c"])
    assert pragma(path, "journal_mode") == "wal"


def test_to_build_another_store_drops_no_lock(path: Path) -> None:
    """Closing any descriptor of a file drops a process's locks on it: POSIX has it so."""
    SQLiteStore(path, "one")

    def lock() -> bool:
        with path.open("rb+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, SHARED[1], SHARED[0])
            except BlockingIOError:
                return False
            return True

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM batches").fetchall()
        assert not in_child(lock)
        SQLiteStore(path, "two")
        assert not in_child(lock)
    assert in_child(lock)


def test_a_fork_in_the_middle_of_another_threads_call(path: Path) -> None:
    """What SQLite remembers of that thread's lock would keep the child from ever writing."""
    store = SQLiteStore(path, "one")
    over = threading.Event()
    appended = 0

    def work() -> None:
        nonlocal appended
        while not over.is_set():
            store.append(b"parent")
            appended += 1

    before = descriptors()

    def append() -> int:
        SQLiteStore(path, "one", busy=1).append(b"child")
        store.append(b"child")
        return len(descriptors() - before)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert [in_child(append) for _ in range(40)] == [1] * 40, "they have but their pipe"
    finally:
        over.set()
        thread.join()
    found = batches(store)
    assert (found.count(b"child"), found.count(b"parent")) == (80, appended)


def descriptors() -> set[str]:
    return names(Path("/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd"))


# What becomes of the file


def fails(path: Path, store: SQLiteStore, lease: Lease) -> set[str]:
    """Return what is said by all that a store can do: errors of its own, and no others."""
    said = set()
    works: list[Callable[[], object]] = [
        lambda: store.append(b"b"),
        lambda: store.lead("me", 1),
        lambda: lease.read(10),
        lambda: lease.commit(b"b", ()),
        lease.release,
    ]
    for work in works:
        with pytest.raises(StoreError) as caught:
            work()
        said.add(str(caught.value).replace(str(path), "FILE"))
    return said


def remove(path: Path) -> None:
    path.unlink()


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def replace_by_text(path: Path) -> None:
    path.write_text("a note\n" * 1000)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_database(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE users (name)")


def replace_by_nothing(path: Path) -> None:
    os.truncate(path, 0)


def replace_by_newer(path: Path) -> None:
    change(path, "PRAGMA user_version = 2")


@pytest.mark.parametrize(
    ("happens", "text"),
    [
        (remove, "'FILE' can't be used: unable to open database file"),
        (remove_folder, "'FILE' can't be used: unable to open database file"),
        (replace_by_text, "'FILE' can't be used: file is not a database"),
        (replace_by_folder, "'FILE' can't be used: unable to open database file"),
        (replace_by_database, "'FILE' is the database of another program"),
        (replace_by_nothing, "'FILE' is the database of another program"),
        (replace_by_newer, "'FILE' was made by another release: version 2, not 1"),
    ],
)
def test_what_becomes_of_the_file_is_an_error_of_the_next_use(
    tmp_path: Path, happens: Callable[[Path], None], text: str
) -> None:
    """And nothing is made in its place: a disk that isn't mounted would get a file underneath."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "alerts.db"
    store = SQLiteStore(path, "one", busy=0.1)
    lease = lead(store)
    fold(path)
    happens(path)
    assert fails(path, store, lease) == {text}


def test_who_starts_makes_a_removed_file_again_and_the_others_go_on_with_it(path: Path) -> None:
    """A log that one has left behind who was killed belongs to the file that is gone."""
    store = SQLiteStore(path, "one")
    store.append(b"before")

    def die() -> None:
        with store.file.transaction() as sql:
            sql.execute("INSERT INTO batches (scope, data) VALUES ('one', 'killed')")
            sql.execute("COMMIT")
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(AssertionError, match="it has died"):
        in_child(die)
    assert path.with_name("alerts.db-wal").stat().st_size
    path.unlink()
    SQLiteStore(path, "one").append(b"new")
    store.append(b"after")
    assert batches(store) == [b"new", b"after"]


def test_who_leads_in_a_file_that_was_removed_does_not_lead_in_the_next_one(path: Path) -> None:
    """There the leases are counted from one again, and the batches."""
    first = lead(SQLiteStore(path, "one"))
    for one in path.parent.iterdir():
        one.unlink()
    other = SQLiteStore(path, "one")
    other.append(b"of another file")
    second = other.lead("another process", 60)
    assert second is not None
    with pytest.raises(LeaseLost):
        first.commit(b"old", [Entry(1, b"")])
    first.release()
    second.commit(b"new", ())
    assert second.read(9) == (b"new", [Entry(1, b"of another file")])


def test_a_damaged_file_has_errors_of_the_store_and_no_others(path: Path) -> None:
    """Bytes change, pages are zeroed or swapped: SQLite and Python say it in many ways."""
    store = SQLiteStore(path, "one", busy=0.1)
    for number in range(60):
        store.append(b"%d" % number * 500)
    lease = lead(store)
    lease.commit(b"state" * 3000, lease.read(10)[1])
    fold(path)
    good = path.read_bytes()
    spots = [100, 107, *range(60, 72), *range(120, 400, 7)]  # the header, and the tables' text
    pages = range(0, len(good), 4096)
    damages = [(spot, b"\xff") for spot in spots]
    damages += [(page, bytes(4096)) for page in pages]
    damages += [(page, good[-4096:]) for page in pages]
    damages += [(page + offset, b"\x0d\xb0") for page in pages for offset in (0, 5, 8, 4000, 4090)]
    failed = 0
    for place, damage in damages:
        for name in NAMES:
            (path.parent / name).unlink(missing_ok=True)
        path.write_bytes(good[:place] + damage + good[place + len(damage) :])
        try:
            lease = lead(SQLiteStore(path, "one", busy=0.1))
            state, entries = lease.read(100)
            assert isinstance(state, bytes | None)
            assert all(isinstance(entry.batch, bytes) for entry in entries)
            lease.commit(b"new" * 1000, entries[:20])
            store.append(b"x" * 100)
        except (StoreError, ConfigError):
            failed += 1
    assert failed > len(damages) / 4


# No space, no descriptors


def fill(path: Path, enough: int) -> tuple[list[int], str]:
    """Append until there is no space; return what was kept, and what is said."""
    store = SQLiteStore(path, "one")
    kept: list[int] = []
    for number in range(enough):
        try:
            store.append(b"%d " % number + bytes(10_000))
        except StoreError as error:
            return kept, str(error)
        kept.append(number)
    raise AssertionError("it is never full")


def numbers(path: Path) -> list[int]:
    return [int(batch.split()[0]) for batch in batches(SQLiteStore(path, "one"))]


def test_a_full_disk_is_an_error_and_what_was_kept_is_there(path: Path) -> None:
    with small_disk(path.parent, "512k"):
        kept, said = fill(path, 100)
        assert said == f"'{path}' can't be used: database or disk is full"
        with pytest.raises(StoreError):
            SQLiteStore(path, "one").append(bytes(500_000))
        subprocess.run(["mount", "-o", "remount,size=4m", str(path.parent)], check=True)
        assert kept
        assert numbers(path) == kept
        SQLiteStore(path, "one").append(b"100 more")
        assert numbers(path) == [*kept, 100]


@pytest.mark.parametrize("made", [True, False])
def test_a_disk_that_is_full_at_the_start_is_used_later(path: Path, made: bool) -> None:
    """A program starts all the same, and goes on alone."""
    with small_disk(path.parent, "256k"):
        if made:
            SQLiteStore(path, "one").append(b"a")
        ballast = path.with_name("ballast")
        with contextlib.suppress(OSError):
            ballast.write_bytes(bytes(1 << 20))
        store = SQLiteStore(path, "one")
        with pytest.raises(StoreError):
            store.append(b"b")
        ballast.unlink()
        store.append(b"c")
        assert batches(store) == ([b"a", b"c"] if made else [b"c"])


def test_a_limit_of_file_sizes_is_an_error_and_what_was_kept_is_there(path: Path) -> None:
    import resource  # noqa: PLC0415 - no other test needs it

    def run() -> object:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        kept, said = fill(path, 100)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        found = numbers(path)
        SQLiteStore(path, "one").append(b"100 more")
        return [kept, said, found, numbers(path)]

    kept, said, found, more = in_child(run)
    assert kept
    assert said.startswith(f"'{path}' can't be used: disk I/O error")
    assert found == kept
    assert more == [*kept, 100]


def test_a_process_without_descriptors_gets_an_error(path: Path) -> None:
    import resource  # noqa: PLC0415 - as above

    def run() -> object:
        store = SQLiteStore(path, "one")
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, descriptors())) + 10, hard))
        used: list[int] = []
        with contextlib.suppress(OSError):
            while True:
                used.append(os.dup(0))
        with pytest.raises(StoreError) as caught:
            store.append(b"a")
        for number in used:
            os.close(number)
        store.append(b"b")
        return str(caught.value)

    assert in_child(run) == f"'{path}' can't be used: unable to open database file"
    assert batches(SQLiteStore(path, "one")) == [b"b"]


def test_it_shows_where_it_is(path: Path) -> None:
    store = SQLiteStore(path, "one")
    assert repr(store) == f"<SQLiteStore {path}>"
    store.close()
