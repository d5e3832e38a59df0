"""The store of one process: its content ends with the process."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tocsin.exceptions import LeaseLost
from tocsin.stores.base import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def steady_clock() -> Callable[[], float]:
    """Return a clock that never goes back: it runs on where `time.time` is set back.

    Returns:
        A function that returns seconds since the epoch.
    """
    now, ticks = time.time(), time.monotonic()

    def read() -> float:
        nonlocal now, ticks
        before, ticks = ticks, time.monotonic()
        now = max(time.time(), now + ticks - before)
        return now

    return read


class MemoryStore:
    """Keep batches and the state in the memory of this process.

    Args:
        clock: returns the time, in seconds since the epoch; by default `steady_clock()`.

    Attributes:
        durable: False.
    """

    durable = False

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = steady_clock() if clock is None else clock
        self._lock = threading.Lock()
        self._now = 0.0
        self._entries: list[Entry] = []
        self._appended = 0
        self._state: bytes | None = None
        self._leases = 0
        self._owner = ""
        self._ends = 0.0

    def append(self, batch: bytes) -> None:
        """Keep a batch until a leader has merged it. See `Store.append`."""
        with self._lock:
            self._appended += 1
            self._entries.append(Entry(self._appended, batch))

    def lead(self, owner: str, ttl: float) -> MemoryLease | None:
        """Become the leader; return None while another owner leads. See `Store.lead`."""
        with self._lock:
            now = self._time()
            if self._owner not in {"", owner} and now < self._ends:
                return None
            self._owner, self._ends = owner, now + ttl
            self._leases += 1
            return MemoryLease(self, self._leases, now)

    def close(self) -> None:
        """Do nothing: the store holds nothing open."""

    def _time(self) -> float:
        self._now = max(self._now, self._clock())
        return self._now

    def _read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        with self._lock:
            return self._state, self._entries[:limit]

    def _commit(self, lease: int, state: bytes, consumed: Sequence[Entry]) -> None:
        keys = {entry.key for entry in consumed}
        with self._lock:
            if lease != self._leases or self._time() >= self._ends:
                raise LeaseLost("another owner leads")
            self._state = state
            self._entries = [entry for entry in self._entries if entry.key not in keys]

    def _release(self, lease: int) -> None:
        with self._lock:
            if lease == self._leases:
                self._owner, self._ends = "", 0.0


class MemoryLease:
    """The lease of a `MemoryStore`.

    Args:
        store: the store.
        lease: the number of this lease.
        now: the store's time.
    """

    def __init__(self, store: MemoryStore, lease: int, now: float) -> None:
        self._store = store
        self._lease = lease
        self.now = now

    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        """Return the state and the oldest batches. See `Lease.read`."""
        return self._store._read(limit)  # noqa: SLF001 - two halves of one thing

    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        """Replace the state and remove the batches. See `Lease.commit`."""
        self._store._commit(self._lease, state, consumed)  # noqa: SLF001 - as above

    def release(self) -> None:
        """Let another owner lead. See `Lease.release`."""
        self._store._release(self._lease)  # noqa: SLF001 - as above
