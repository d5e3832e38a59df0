"""The journal: what is handed over to a store, and the state in it; or in memory, while it fails.

What a process can't append is kept, in its order, until the store takes it or the process goes on
alone. Batches are numbered, so that one whose answer was lost counts once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.codec import dump, load
from tocsin.alerts.settings import alone
from tocsin.alerts.size import pack
from tocsin.alerts.state import State
from tocsin.exceptions import StoreError
from tocsin.text import attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tocsin.alerts.grouping import Group
    from tocsin.alerts.outgoing import Outgoing, Report
    from tocsin.alerts.settings import Policy
    from tocsin.stores.base import Entry, Lease, Store

_LEASE = 10.0  # seconds for merging and deciding, never for a send
_MERGE = 3.0  # seconds of it for merging; then another one is taken for the rest
_BATCHES = 200  # that are merged at once; each may have a megabyte of samples
_AWAY = 60.0  # seconds until a store that failed is tried again
_AGAIN = 1.0  # seconds in which an answer that failed is worth asking for once more


class Leadership:
    """The state, while this process leads.

    Attributes:
        state: all that was appended is merged in it.
        now: the store's time.
    """

    def __init__(self, state: State, lease: Lease, journal: Journal) -> None:
        self.state: State = state
        self.now: float = lease.now
        self._lease = lease
        self._journal = journal

    def commit(self) -> None:
        """Keep the state as it is now.

        Raises:
            LeaseLost: it took too long, and another process leads.
            StoreError: the store fails.
        """
        self._journal.commit(self._lease, self.state, ())


class Journal:
    """Hand over to a store, and lead it.

    Args:
        store: where events wait.
        spare: where they wait while it fails; the same one if it can't.
        policy: when mails go.
        host: the machine's name.
        ticks: returns seconds that go by steadily.

    Attributes:
        owner: this process's name for itself.
        trouble: why it goes on alone; "" if it doesn't.
        taken: how many events the store has, of those that were counted here.
        dropped: how many were lost on the way, as they can't be written.
    """

    def __init__(
        self,
        *,
        store: Store,
        spare: Store,
        policy: Policy,
        host: str,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.owner: str = f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
        self.trouble: str = ""
        self.taken: int = 0
        self.dropped: int = 0
        self._usual, self._spare = store, spare
        self._store = store
        spread = hashlib.blake2b(f"{host} {os.getpid()}".encode(), digest_size=2).digest()
        self._policies = policy, alone(policy, int.from_bytes(spread) / 0xFFFF)
        self._number = 0
        self._unsent: list[tuple[Batch, bytes]] = []
        self._reports_for_store: list[Batch] = []  # what waits for the store to come back
        self._last: Batch | None = None  # with which it came back, if the answer was clear
        self._sending = threading.RLock()  # held while batches go, in their order
        self._leading = threading.RLock()  # the state is one thread's at a time
        self._cached: tuple[bytes | None, State] | None = None
        self._ticks = ticks
        self._try_at = 0.0

    @property
    def store(self) -> Store:
        """Where events wait, if it works."""
        return self._usual

    @property
    def durable(self) -> bool:
        """Whether what is handed over outlives this process."""
        return self._store.durable

    @property
    def policy(self) -> Policy:
        """When mails go, now."""
        return self._policies[bool(self.trouble)]

    @property
    def unsent(self) -> list[Batch]:
        """What was counted and not taken by the store so far."""
        return [batch for batch, _ in list(self._unsent)]

    @property
    def unmailed(self) -> tuple[Group, ...]:
        """What waits in a store that ends with this process, as far as it is known."""
        return () if self.durable or self._cached is None else self._cached[1].unmailed

    @contextlib.contextmanager
    def free(self, seconds: float) -> Generator[bool]:
        """Keep other threads out; if one of them is in there for so long, the value is false."""
        with contextlib.ExitStack() as stack:
            until, free = self._ticks() + seconds, True
            for lock in (self._leading, self._sending):
                free = free and lock.acquire(timeout=max(0, until - self._ticks()))
                if free:
                    stack.callback(lock.release)
            yield free

    def append(
        self,
        groups: tuple[Group, ...] = (),
        dropped: int = 0,
        report: Report | None = None,
        *,
        alone: bool = False,
    ) -> None:
        """Hand over what was counted, or what a digest has come to.

        Args:
            groups: what was counted.
            dropped: how many events were lost.
            report: what a digest has come to.
            alone: whether the digest is one that this process has sent while it went on alone.

        Raises:
            StoreError: the store doesn't take it; it is kept, and goes first the next time.
        """
        with self._sending:
            if groups or dropped or report is not None:
                batch, raw = self._written(self._batch(groups, dropped, report))
                if self.trouble and report is not None and not alone:
                    self._reports_for_store.append(batch)  # it was on its way when the store failed
                    return
                self._unsent.append((batch, raw))
            while self._unsent:
                self._put(*self._unsent[0])
                del self._unsent[0]

    def _batch(
        self, groups: tuple[Group, ...], dropped: int, report: Report | None = None
    ) -> Batch:
        """Return the next batch of this process."""
        self._number += 1
        return Batch(
            source=self.owner,
            number=self._number,
            groups=groups,
            reports=() if report is None else (report,),
            dropped=dropped,
        )

    def _written(self, batch: Batch) -> tuple[Batch, bytes]:
        """Return a batch and its bytes; groups that can't be written are counted as dropped."""
        try:
            return batch, dump(batch)
        except (TypeError, ValueError, RecursionError):
            good = tuple(group for group in batch.groups if _is_writable(group))
            lost = sum(group.count for group in batch.groups if group not in good)
            self.dropped += lost
            batch = replace(batch, groups=good, dropped=batch.dropped + lost)
            return batch, dump(batch)

    def _put(self, batch: Batch, raw: bytes) -> None:
        self._append(self._store, raw)
        self.taken += sum(group.count for group in batch.groups)

    def _append(self, store: Store, raw: bytes) -> None:
        started = self._ticks()
        try:
            with _as_store_error():
                store.append(raw)
        except StoreError:
            if self._ticks() - started > _AGAIN:
                raise
            with _as_store_error():
                store.append(raw)  # the answer may have been lost: it counts once

    @contextlib.contextmanager
    def lead(self) -> Generator[Leadership | None]:
        """Lead for a moment: merge what was appended, and look at the state; None if others do.

        Raises:
            LeaseLost: it took too long, and another process leads.
            StoreError: the store fails, or another release has written to it.
        """
        with self._leading:
            led = self._lead(self._store, self.policy)
            if led is None:
                yield None
                return
            lease, state = led
            with self._until_released(lease):
                yield Leadership(state, lease, self)

    def _lead(self, store: Store, policy: Policy) -> tuple[Lease, State] | None:
        """Become the leader of a store, and merge what was appended to it; None if others lead."""
        while (lease := self._lease(store)) is not None:
            with self._until_released(lease, only_if_it_fails=True):
                state = self._merge(lease, policy)
            if state is not None:
                return lease, state
        return None

    def _lease(self, store: Store) -> Lease | None:
        with _as_store_error():
            return store.lead(self.owner, _LEASE)

    @contextlib.contextmanager
    def _until_released(self, lease: Lease, *, only_if_it_fails: bool = False) -> Generator[None]:
        failed = True
        try:
            yield
            failed = False
        finally:
            if failed:
                self._cached = None  # it may be ahead of what the store has
            if failed or not only_if_it_fails:
                with contextlib.suppress(StoreError), _as_store_error():  # it ends by itself
                    lease.release()

    def commit(self, lease: Lease, state: State, consumed: Sequence[Entry]) -> None:
        """Replace the state, and remove what is merged in it."""
        raw = pack(state)
        with _as_store_error():
            lease.commit(raw, consumed)
        self._cached = raw, state

    def _merge(self, lease: Lease, policy: Policy) -> State | None:
        """Return the state, with all merged that was appended; None if there was no time for it."""
        started = self._ticks()
        while True:
            with _as_store_error():
                raw, entries = lease.read(_BATCHES)
            if self._cached is None or self._cached[0] != raw:
                self._cached = raw, State() if raw is None else load(State, raw)
            state = self._cached[1]
            for entry in entries:
                receive(state, load(Batch, entry.batch), policy, lease.now)
            if entries:
                self.commit(lease, state, entries)
            if len(entries) < _BATCHES:
                return state
            if self._ticks() - started > _MERGE:
                return None

    def go_alone(self, error: StoreError) -> None:
        """Go on in memory, as the store fails."""
        with self._leading, self._sending:
            self.trouble = str(error)
            self._store, self._cached = self._spare, None
            self._try_at = self._ticks() + _AWAY
            # What was counted is told by this process; what digests have come to is for the store
            # that has them.
            waiting, self._unsent = [batch for batch, _ in self._unsent], []
            self._reports_for_store += [
                replace(one, groups=(), dropped=0) for one in waiting if one.reports
            ]
            for batch in waiting:
                counted = replace(batch, reports=())
                self._put(counted, dump(counted))

    @property
    def owes(self) -> bool:
        """Whether the store has still to be told something, such as what became of digests."""
        return bool(self._reports_for_store or self._unsent)

    @property
    def away(self) -> float:
        """Seconds until the store that fails is tried again."""
        return max(0.0, self._try_at - self._ticks())

    def come_back(self, *, now: bool = False) -> list[Outgoing]:
        """Use the store again, if it works and no mail of this process alone is on its way.

        Args:
            now: whether it is tried although it is a short time since it failed.

        Returns:
            Digests of this process alone that some of their recipients still don't have.

        Raises:
            StoreError: it fails as before.
        """
        if not self.trouble or (self._ticks() < self._try_at and not now):
            return []
        self._try_at = self._ticks() + _AWAY
        with self._leading, self._sending:
            if not self._usable():
                return []
            with self.lead() as page:
                if page is None or any(not one.counted for one in page.state.outgoing.values()):
                    return []
                groups, dropped = page.state.unmailed, page.state.lost
            for batch in self._reports_for_store:
                self._append(self._usual, dump(batch))
            if groups or dropped:
                last = self._last
                if last is None or (last.groups, last.dropped) != (groups, dropped):
                    last = self._last = self._batch(groups, dropped)
                self._append(self._usual, dump(last))  # an unclear answer may have been a yes
                self._last = None
            left: list[Outgoing] = []
            with self.lead() as page:  # again, as the store may have taken its time
                if page is not None:  # nobody else leads in this process's memory
                    left = list(page.state.outgoing.values())
                    page.state.outgoing.clear()
                    page.state.withdraw()
                    page.commit()
            self.trouble, self._reports_for_store = "", []
            self._store, self._cached = self._usual, None
            return left

    def may_wait(self) -> bool:
        """Whether something may wait in the store for somebody to send it. Nothing is merged.

        Raises:
            StoreError: the store fails, or another release has written to it.
        """
        lease = self._lease(self._store)
        if lease is None:
            return True  # who leads knows; it may be dead
        with self._until_released(lease):
            with _as_store_error():
                raw, batches = lease.read(1)
            state = State() if raw is None else load(State, raw)
            return bool(batches or state.pending or state.outgoing)

    def _usable(self) -> bool:
        """Whether the store that failed can be led again, and all that is in it can be read."""
        self._cached = None
        try:
            led = self._lead(self._usual, self._policies[False])
            if led is not None:
                led[0].release()
            return led is not None
        finally:
            self._cached = None


@contextlib.contextmanager
def _as_store_error() -> Generator[None]:
    """Take whatever a store of the application's own raises for a failure of the store."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"{type(error).__name__}: {attempt(error)}") from error


def _is_writable(group: Group) -> bool:
    try:
        dump(group)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
