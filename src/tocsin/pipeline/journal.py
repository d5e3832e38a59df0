"""The journal: this process's side of the store, batches that it appends and the state it leads.

Batches are numbered, so that one whose answer was lost counts once. A batch stays in the journal
until the store has it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.codec import dump, load
from tocsin.alerts.size import pack
from tocsin.alerts.state import State
from tocsin.exceptions import LeaseLost, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tocsin.alerts.grouping import Group
    from tocsin.alerts.outgoing import Outgoing, Report
    from tocsin.pipeline.failover import FailoverStore
    from tocsin.stores.base import Entry, Lease

_LEASE = 10.0  # seconds for merging and deciding, never for a send
_MERGE = 3.0  # seconds of it for merging; then another lease is taken for the rest
_TURN = 0.02  # seconds between two tries
_BATCHES = 200  # batches merged at once; each may have a megabyte of samples


class Leadership:
    """The state, while this process leads.

    Attributes:
        state: every batch that was appended is merged in it.
        now: the store's time.
    """

    def __init__(self, state: State, lease: Lease, journal: Journal) -> None:
        self.state: State = state
        self.now: float = lease.now
        self._lease = lease
        self._journal = journal

    def commit(self) -> None:
        """Commit the state as it is now.

        Raises:
            LeaseLost: it took too long, and another process leads.
            StoreError: the store fails.
        """
        self._journal.commit(self._lease, self.state, ())


class Journal:
    """Append to a store, and lead it.

    Args:
        store: the store, with its fail-over.
        owner: this process's name.
        place: what is equal for all handlers whose events are in the same place of a store.
        ticks: returns seconds that pass steadily.

    Attributes:
        taken: events that the store has, of those counted in this process.
        dropped: events that were lost on the way, as they cannot be written.
    """

    def __init__(
        self,
        store: FailoverStore,
        *,
        owner: str,
        place: object = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store: FailoverStore = store
        self.owner: str = owner
        self.place: object = place
        self.taken: int = 0
        self.dropped: int = 0
        self._ticks = ticks
        self._number = 0
        self._unsent: list[tuple[Batch, bytes]] = []
        self._sending = threading.RLock()  # held while batches are appended, in their order
        self._leading = threading.RLock()  # the state is one thread's at a time
        self._cached: tuple[bytes | None, State] | None = None

    @property
    def owes(self) -> bool:
        """Whether there are reports or events that the usual store does not have."""
        return self.store.owes or bool(self._unsent)

    @property
    def may_give_way(self) -> bool:
        """Whether another handler of the same store can go on with everything that waits."""
        return not (self.store.trouble or self.owes)

    @property
    def unsent(self) -> list[Batch]:
        """The batches that the store does not have."""
        return [batch for batch, _ in list(self._unsent)]

    @property
    def unmailed(self) -> tuple[Group, ...]:
        """The unmailed events in a store that ends with this process, as last seen."""
        return () if self.store.durable or self._cached is None else self._cached[1].unmailed

    @contextlib.contextmanager
    def free(self, seconds: float) -> Generator[bool]:
        """Keep other threads out of the journal; the value is false if that takes too long."""
        with contextlib.ExitStack() as stack:
            until, free = self._ticks() + seconds, True
            for lock in (self._leading, self._sending):
                free = free and lock.acquire(timeout=max(0, until - self._ticks()))
                if free:
                    stack.callback(lock.release)
            yield free

    # Appending

    def append(
        self, groups: tuple[Group, ...] = (), dropped: int = 0, report: Report | None = None
    ) -> None:
        """Append events that were counted, or a report about a digest.

        Args:
            groups: the events.
            dropped: how many events were lost.
            report: the report.

        Raises:
            StoreError: the store does not take it; it is kept, and appended first the next time.
        """
        with self._sending:
            if groups or dropped or report is not None:
                self._number_batch(groups, dropped, () if report is None else (report,))
            while self._unsent:
                batch, raw = self._unsent[0]
                self.store.append(raw)
                self.taken += sum(group.count for group in batch.groups)
                del self._unsent[0]

    def _number_batch(
        self, groups: tuple[Group, ...], dropped: int, reports: tuple[Report, ...]
    ) -> None:
        self._number += 1
        batch = Batch(
            source=self.owner, number=self._number, groups=groups, reports=reports, dropped=dropped
        )
        written, raw = _written(batch)
        self.dropped += written.dropped - dropped
        self._unsent.append((written, raw))

    # Leading

    @contextlib.contextmanager
    def lead(self, *, until: float = 0) -> Generator[Leadership | None]:
        """Lead for a moment: every batch is merged in the state. None if another process leads.

        Args:
            until: while another process leads, it is waited for until then, as a point of
                `time.monotonic`.

        Raises:
            LeaseLost: it took too long, and another process leads.
            StoreError: the store fails, or another release has written to it.
        """
        with self._leading:
            while (led := self._lead()) is None and time.monotonic() + _TURN < until:
                time.sleep(_TURN)
            if led is None:
                yield None
                return
            lease, state = led
            with self._until_released(lease):
                yield Leadership(state, lease, self)

    def may_wait(self) -> bool:
        """Return whether something may wait in the store to be sent. Nothing is merged."""
        try:
            lease = self.store.lead(self.owner, _LEASE)
            if lease is None:
                return True  # the leader knows; it may be dead
            with self._until_released(lease):
                raw, batches = lease.read(1)
                state = State() if raw is None else load(State, raw)
                return bool(batches or state.pending or state.outgoing or self.store.trouble)
        except StoreError:
            return True

    def commit(self, lease: Lease, state: State, consumed: Sequence[Entry]) -> None:
        """Replace the state, and remove the batches that are merged in it."""
        raw = pack(state)
        lease.commit(raw, consumed)
        self._cached = raw, state

    def come_back(self, *, now: bool = False) -> None:
        """Use the usual store again, if it works; `now`: although it failed a short time ago."""
        if self.store.trouble:
            with self._leading, self._sending:
                self.store.come_back(now=now)

    def left_behind(self) -> list[Outgoing]:
        """Return the digests that were given up as the process came back, each once."""
        left, self.store.left_behind = self.store.left_behind, []
        return left

    def _lead(self) -> tuple[Lease, State] | None:
        """Become the leader, and merge every batch; None if another process leads."""
        while (lease := self.store.lead(self.owner, _LEASE)) is not None:
            with self._until_released(lease, only_if_it_fails=True):
                state = self._merge(lease)
            if state is not None:
                return lease, state
        return None

    def _merge(self, lease: Lease) -> State | None:
        """Return the state with every batch merged; None if there was no time for all."""
        started = self._ticks()
        while True:
            raw, entries = lease.read(_BATCHES)
            if self._cached is None or self._cached[0] != raw:
                self._cached = raw, State() if raw is None else load(State, raw)
            state = self._cached[1]
            for entry in entries:
                receive(state, load(Batch, entry.batch), self.store.policy, lease.now)
            if entries:
                self.commit(lease, state, entries)
            if len(entries) < _BATCHES:
                return state
            if self._ticks() - started > _MERGE:
                return None

    @contextlib.contextmanager
    def _until_released(self, lease: Lease, *, only_if_it_fails: bool = False) -> Generator[None]:
        """Release a lease in the end. What cannot be read makes this process work alone."""
        failed = True
        try:
            yield
            failed = False
        except LeaseLost:
            raise
        except StoreError as error:
            self.store.go_alone(error)
            raise
        finally:
            if failed:
                self._cached = None  # it may be ahead of the store's
            if failed or not only_if_it_fails:
                lease.release()


def _written(batch: Batch) -> tuple[Batch, bytes]:
    """Return a batch and its bytes; groups that cannot be written are counted as dropped."""
    try:
        return batch, dump(batch)
    except (TypeError, ValueError, RecursionError):
        good = tuple(group for group in batch.groups if _is_writable(group))
        lost = sum(group.count for group in batch.groups if group not in good)
        batch = replace(batch, groups=good, dropped=batch.dropped + lost)
        return batch, dump(batch)


def _is_writable(group: Group) -> bool:
    try:
        dump(group)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
