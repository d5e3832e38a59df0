"""What many processes get out of one store in a file: `make bench-stores`, or short with `--short`.

Each process appends as fast as it can while another one leads, as handlers do, with a state of
200 kB. For comparison the same without batches: each process reads, changes and writes the one
state. Printed is a Markdown table; milliseconds of a call, and what was lost, which is nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from tocsin.stores.sqlite import SQLiteStore

BATCH = 500  # bytes: an error that is going on
STATE = 200_000  # bytes: a few hundred kinds of errors
EVERY = 0.05  # seconds between a leader's turns


class Writer:
    """A process that hands over batches."""

    def __init__(self, path: Path) -> None:
        self._store = SQLiteStore(path, "one")

    def write(self) -> None:
        """Hand over one."""
        self._store.append(b"1".ljust(BATCH))


class Rewriter:
    """A process that changes the state by itself."""

    def __init__(self, path: Path) -> None:
        self._file = SQLiteStore(path, "one").file

    def write(self) -> None:
        """Count one more."""
        with self._file.transaction() as sql:
            found = sql.execute("SELECT data FROM states WHERE scope = 'one'").fetchone()
            count = json.loads(found[0]) if found else 0
            state = str(count + 1).encode().ljust(STATE)
            sql.execute("INSERT OR REPLACE INTO states VALUES ('one', ?)", (state,))


def work(kind: type[Writer | Rewriter], path: Path, start: float, seconds: float) -> list[float]:
    """Return how long each call took."""
    writer = kind(path)
    wait_until(start)
    took: list[float] = []
    while (began := time.monotonic()) < start + seconds:
        writer.write()
        took.append(time.monotonic() - began)
    return took


def lead(path: Path, start: float, seconds: float) -> int:
    """Return how many batches were merged, once nobody appends any more."""
    store = SQLiteStore(path, "one")
    wait_until(start)
    merged = 0
    while True:
        over = time.monotonic() > start + seconds + 1
        lease = store.lead("leader", 10)
        assert lease is not None  # noqa: S101 - nobody else leads
        while entries := lease.read(1000)[1]:
            merged += len(entries)
            lease.commit(str(merged).encode().ljust(STATE), entries)
        lease.release()
        if over:
            return merged
        wait_until(time.monotonic() + EVERY)


def wait_until(moment: float) -> None:
    """Begin at the same time as the others."""
    time.sleep(max(0.0, moment - time.monotonic()))


def measure(kind: type[Writer | Rewriter], processes: int, seconds: float) -> list[str]:
    """Return a row of the table."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "alerts.db"
        pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(processes + 1))
        pool.map(abs, range(1000))  # all have started
        start = time.monotonic() + 1
        leader = pool.apply_async(lead, (path, start, seconds)) if kind is Writer else None
        writers = [pool.apply_async(work, (kind, path, start, seconds)) for _ in range(processes)]
        took = sorted(one for writer in writers for one in writer.get())
        kept = leader.get() if leader is not None else count(path)
    return [
        f"{len(took) / seconds:,.0f}",
        *(f"{took[int(len(took) * part)] * 1e3:.2f}" for part in (0.5, 0.99)),
        f"{took[-1] * 1e3:.0f}",
        f"{len(took) - kept}",
    ]


def count(path: Path) -> int:
    """Return what the state has counted."""
    lease = SQLiteStore(path, "one").lead("me", 10)
    assert lease is not None  # noqa: S101 - nobody else leads
    return int(json.loads(lease.read(1)[0] or b"0"))


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="2 seconds each, instead of 10")
    seconds = 2.0 if parser.parse_args().short else 10.0
    ways: list[tuple[str, type[Writer | Rewriter], int]] = [
        ("append, beside a leader", Writer, 1),
        ("append, beside a leader", Writer, 16),
        ("read, change and write one state", Rewriter, 1),
        ("read, change and write one state", Rewriter, 16),
    ]
    print("| what each does | processes | a second | median, ms | 99 %, ms | longest, ms | lost |")
    print("|---|---|---|---|---|---|---|")
    lost = False
    for name, kind, processes in ways:
        row = measure(kind, processes, seconds)
        print(f"| {name} | {processes} | {' | '.join(row)} |", flush=True)
        lost = lost or row[-1] != "0"
    return lost


if __name__ == "__main__":
    sys.exit(main())
