"""The books: what is handed over to a store, and the state in it; or in memory, while it fails.

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

from tocsin.alerts.batch import Batch, Report
from tocsin.alerts.codec import dump, load
from tocsin.alerts.policy import alone
from tocsin.alerts.state import State
from tocsin.exceptions import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tocsin.alerts.grouping import Group
    from tocsin.alerts.policy import Policy
    from tocsin.stores.base import Entry, Lease, Store

_LEASE = 10.0  # seconds for merging and deciding, never for a send
_BATCHES = 1000
_AWAY = 60.0  # seconds until a store that failed is tried again


class Page:
    """The state, while this process leads.

    Attributes:
        state: all that was appended is merged in it.
        now: the store's time.
    """

    def __init__(self, state: State, lease: Lease, books: Books) -> None:
        self.state: State = state
        self.now: float = lease.now
        self._lease = lease
        self._books = books

    def commit(self) -> None:
        """Keep the state as it is now.

        Raises:
            LeaseLost: it took too long, and another process leads.
            StoreError: the store fails.
        """
        self._books.commit(self._lease, self.state, ())


class Books:
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
        self._usual, self._spare = store, spare
        self._store = store
        spread = hashlib.blake2b(f"{host} {os.getpid()}".encode(), digest_size=2).digest()
        self._policies = policy, alone(policy, int.from_bytes(spread) / 0xFFFF)
        self._number = 0
        self._unsent: list[Batch] = []
        self._facts: list[Batch] = []  # reports that wait for the store to come back
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

    def append(
        self,
        groups: tuple[Group, ...] = (),
        dropped: int = 0,
        report: Report | None = None,
    ) -> None:
        """Hand over what was counted, or what a digest has come to.

        Raises:
            StoreError: the store doesn't take it; it is kept, and goes first the next time.
        """
        with self._sending:
            if groups or dropped or report is not None:
                self._number += 1
                self._unsent.append(
                    Batch(
                        source=self.owner,
                        number=self._number,
                        groups=groups,
                        reports=() if report is None else (report,),
                        dropped=dropped,
                    )
                )
            while self._unsent:
                self._put(self._unsent[0])
                del self._unsent[0]

    def _put(self, batch: Batch) -> None:
        self._store.append(dump(batch))
        self.taken += sum(group.count for group in batch.groups)

    @contextlib.contextmanager
    def lead(self) -> Generator[Page | None]:
        """Lead for a moment: merge what was appended, and look at the state; None if others do.

        Raises:
            LeaseLost: it took too long, and another process leads.
            StoreError: the store fails, or another release has written to it.
        """
        with self._leading:
            lease = self._store.lead(self.owner, _LEASE)
            if lease is None:
                yield None
                return
            try:
                yield Page(self._merge(lease), lease, self)
            except BaseException:
                self._cached = None  # it may be ahead of what the store has
                raise
            finally:
                with contextlib.suppress(StoreError):  # it ends by itself
                    lease.release()

    def commit(self, lease: Lease, state: State, consumed: Sequence[Entry]) -> None:
        """Replace the state, and remove what is merged in it."""
        raw = dump(state)
        lease.commit(raw, consumed)
        self._cached = raw, state

    def _merge(self, lease: Lease) -> State:
        while True:
            raw, entries = lease.read(_BATCHES)
            if self._cached is not None and self._cached[0] == raw:
                state = self._cached[1]
            else:
                state = State() if raw is None else load(State, raw)
            for entry in entries:
                state.receive(load(Batch, entry.batch), self.policy, lease.now)
            if entries:
                self.commit(lease, state, entries)
            else:
                self._cached = raw, state
            if len(entries) < _BATCHES:
                return state

    def go_alone(self, error: StoreError) -> None:
        """Go on in memory, as the store fails."""
        with self._leading, self._sending:
            self.trouble = str(error)
            self._store, self._cached = self._spare, None
            self._try_at = self._ticks() + _AWAY
            # What was counted is told by this process; what digests have come to is for the store
            # that has them.
            waiting, self._unsent = self._unsent, []
            self._facts = [replace(one, groups=(), dropped=0) for one in waiting if one.reports]
            for batch in waiting:
                self._put(replace(batch, reports=()))

    def come_back(self) -> None:
        """Use the store again, if it works and no mail of this process alone is on its way.

        Raises:
            StoreError: it fails as before.
        """
        if not self.trouble or self._ticks() < self._try_at:
            return
        self._try_at = self._ticks() + _AWAY
        with self._leading, self._sending, self.lead() as page:
            if page is None or page.state.outgoing or not self._usable():
                return
            self._number += 1
            unmailed = Batch(
                source=self.owner,
                number=self._number,
                groups=page.state.unmailed,
                dropped=page.state.lost,
            )
            for batch in (*self._facts, unmailed):
                self._usual.append(dump(batch))
            page.state.withdraw()
            page.commit()
            self.trouble, self._facts = "", []
            self._store, self._cached = self._usual, None

    def _usable(self) -> bool:
        """Whether the store that failed can be led again."""
        lease = self._usual.lead(self.owner, _LEASE)
        if lease is None:
            return False
        try:
            raw, _ = lease.read(1)
            if raw is not None:
                load(State, raw)
        finally:
            lease.release()
        return True
