"""The data of a process that works alone: a store in memory, and reports for the usual store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.codec import dump, load
from tocsin.alerts.state import State
from tocsin.exceptions import StoreError

if TYPE_CHECKING:
    from tocsin.alerts.settings import Policy
    from tocsin.stores.base import Store

_LEASE = 10.0  # seconds
_ALL = 1_000_000  # batches


class Alone:
    """Keep what a process that works alone appends.

    Args:
        store: the store in memory.
        owner: the process's name.

    Attributes:
        store: the same.
        reports_for_store: reports about digests that are in the usual store.
    """

    def __init__(self, store: Store, owner: str) -> None:
        self.store: Store = store
        self.reports_for_store: list[Batch] = []
        self._owner = owner
        self._latest: bytes | None = None  # the latest state that was committed

    def append(self, raw: bytes) -> None:
        """Append a batch, without its reports about digests that are in the usual store."""
        try:
            batch = load(Batch, raw)
        except StoreError:
            self.store.append(raw)
            return
        digests = load(State, self._latest).outgoing if self._latest else {}
        reports = [one for one in batch.reports if one.message_id not in digests]
        if reports:
            elsewhere = replace(batch, groups=(), dropped=0, reports=tuple(reports))
            self.reports_for_store.append(elsewhere)
            here = tuple(one for one in batch.reports if one not in reports)
            batch = replace(batch, reports=here)
        if batch.groups or batch.reports or batch.dropped:
            self.store.append(dump(batch))

    def note(self, state: bytes) -> None:
        """Note a state that was committed."""
        self._latest = state

    def state(self, policy: Policy) -> State | None:
        """Return the state with every batch merged; None while another thread leads."""
        lease = self.store.lead(self._owner, _LEASE)
        if lease is None:
            return None
        raw, entries = lease.read(_ALL)
        state = State() if raw is None else load(State, raw)
        for entry in entries:
            receive(state, load(Batch, entry.batch), policy, lease.now)
        lease.commit(dump(state), entries)
        lease.release()
        return state

    def forget(self, state: State) -> None:
        """Forget the digests, the unmailed events, and the reports: the usual store has them."""
        state.outgoing.clear()
        state.withdraw()
        lease = self.store.lead(self._owner, _LEASE)  # a new one, as the usual store may be slow
        if lease is not None:
            lease.commit(dump(state), ())
            lease.release()
        self.reports_for_store, self._latest = [], None
