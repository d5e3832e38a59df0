"""Fail-over: while the usual store cannot be used, this process works alone, in memory.

A process starts to work alone when a call of the usual store fails. Then it counts in memory the
events that the store did not take, and uses the policy for a process that works alone. Reports
about digests that are in the usual store are kept until that store works.

Each minute the process tries to come back. It comes back when the usual store can be led and read,
and no digest of its own is being sent. Then it appends the unmailed events and the reports to the
usual store. A digest that some recipients still do not have is given up.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from typing import TYPE_CHECKING

from tocsin.alerts.batch import Batch
from tocsin.alerts.codec import dump, load
from tocsin.alerts.settings import alone
from tocsin.alerts.state import State
from tocsin.exceptions import LeaseLost, StoreError
from tocsin.pipeline.alone import Alone
from tocsin.text import attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tocsin.alerts.grouping import Group
    from tocsin.alerts.outgoing import Outgoing
    from tocsin.alerts.settings import Policy
    from tocsin.stores.base import Entry, Lease, Store

_LEASE = 10.0  # seconds for coming back
_RETRY = 60.0  # seconds until the usual store is tried again
_AGAIN = 1.0  # seconds in which an append that failed is repeated once
_LOOK = 200  # batches of the usual store that have to be readable


class FailoverStore:
    """A store that works in memory while the usual one fails.

    Args:
        usual: the usual store.
        spare: a store in memory.
        policy: the usual policy.
        owner: this process's name. The mails of processes that start to work alone together are
            spread by it.
        failed: called with the error when the process starts to work alone; returns its text.
        ticks: returns seconds that pass steadily.

    Attributes:
        usual: the usual store.
        trouble: why the process works alone; "" if it does not.
        left_behind: digests that were given up when the process came back.
    """

    def __init__(
        self,
        usual: Store,
        *,
        spare: Store,
        policy: Policy,
        owner: str,
        failed: Callable[[StoreError], str] = str,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.usual: Store = usual
        self.trouble: str = ""
        self.left_behind: list[Outgoing] = []
        self._alone = Alone(spare, owner)
        self._failed = failed
        self._ticks = ticks
        spread = hashlib.blake2b(owner.encode(), digest_size=2).digest()
        self._policies = policy, alone(policy, int.from_bytes(spread) / 0xFFFF)
        self._lock = threading.RLock()  # held while `trouble` changes
        self._try_at = 0.0
        self._owner = owner
        self._returns = 0
        self._returned: Batch | None = None  # appended when it came back, if the answer was lost

    @property
    def durable(self) -> bool:
        """Whether the store in use outlives this process."""
        return self.usual.durable and not self.trouble

    @property
    def policy(self) -> Policy:
        """The policy for the store in use."""
        return self._policies[bool(self.trouble)]

    @property
    def owes(self) -> bool:
        """Whether there are reports that the usual store does not have."""
        return bool(self._alone.reports_for_store)

    @property
    def retry_in(self) -> float:
        """Seconds until the usual store is tried again."""
        return max(0.0, self._try_at - self._ticks())

    def append(self, batch: bytes) -> None:
        """Append to the usual store, or to the memory while it fails."""
        if not self.trouble:
            try:
                self._append_to_usual(batch)
            except StoreError as error:
                self.go_alone(error)
            else:
                return
        with self._lock:
            if self.trouble:
                self._alone.append(batch)
                return
        self.append(batch)  # it has come back meanwhile

    def lead(self, owner: str, ttl: float) -> Lease | None:
        """Lead the usual store, or the memory while it fails."""
        while not self.trouble:
            try:
                with _store_errors():
                    lease = self.usual.lead(owner, ttl)
            except StoreError as error:
                self.go_alone(error)
            else:
                return None if lease is None else _Lease(lease, self.go_alone, _forget)
        lease = self._alone.store.lead(owner, ttl)
        return None if lease is None else _Lease(lease, self.go_alone, self._alone.note)

    def close(self) -> None:
        """Close both stores."""
        self._alone.store.close()
        with _store_errors():
            self.usual.close()

    def __repr__(self) -> str:
        return f"<FailoverStore {self.usual!r}{', alone: ' if self.trouble else ''}{self.trouble}>"

    # Working alone

    def go_alone(self, error: StoreError) -> None:
        """Work in memory from now on, as the usual store fails."""
        with self._lock:
            if not self.trouble:
                self._try_at = self._ticks() + _RETRY
                self.trouble = self._failed(error) or type(error).__name__

    def _append_to_usual(self, batch: bytes) -> None:
        started = self._ticks()
        with _store_errors():
            try:
                self.usual.append(batch)
            except Exception:
                if self._ticks() - started > _AGAIN:
                    raise
                self.usual.append(batch)  # the answer may have been lost: the batch counts once

    # Coming back

    def come_back(self, *, now: bool = False) -> None:
        """Use the usual store again, if it works.

        Args:
            now: whether it is tried although it failed a short time ago.
        """
        with self._lock:
            if not self.trouble or (self._ticks() < self._try_at and not now):
                return
            self._try_at = self._ticks() + _RETRY
            with contextlib.suppress(StoreError):  # it fails as before
                self._return()

    def _return(self) -> None:
        if not self._is_usable():
            return
        state = self._alone.state(self._policies[True])
        if state is None or any(not one.counted for one in state.outgoing.values()):
            return  # a digest of this process alone is being sent
        for batch in self._alone.reports_for_store:
            self._append_to_usual(dump(batch))
        if state.unmailed or state.lost:
            self._hand_back(state.unmailed, state.lost)
        self.left_behind += state.outgoing.values()
        self._alone.forget(state)
        self.trouble = ""

    def _is_usable(self) -> bool:
        """Return whether the usual store can be led again, and everything in it can be read."""
        with _store_errors():
            lease = self.usual.lead(self._owner, _LEASE)
            if lease is None:
                return False
            raw, entries = lease.read(_LOOK)
            lease.release()
        if raw is not None:
            load(State, raw)
        for entry in entries:
            load(Batch, entry.batch)
        return True

    def _hand_back(self, groups: tuple[Group, ...], dropped: int) -> None:
        """Append what was counted alone; the same as before, if the answer was lost."""
        last = self._returned
        if last is None or (last.groups, last.dropped) != (groups, dropped):
            self._returns += 1
            last = Batch(
                source=f"{self._owner} alone", number=self._returns, groups=groups, dropped=dropped
            )
            self._returned = last
        self._append_to_usual(dump(last))
        self._returned = None


class _Lease:
    """A lease. If it fails, the process starts to work alone. A committed state is noted."""

    def __init__(
        self, lease: Lease, failed: Callable[[StoreError], None], note: Callable[[bytes], None]
    ) -> None:
        self.now: float = lease.now
        self._lease = lease
        self._failed = failed
        self._note = note

    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        with self._watched():
            return self._lease.read(limit)

    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        with self._watched():
            self._lease.commit(state, consumed)
            self._note(state)

    def release(self) -> None:
        with contextlib.suppress(StoreError), _store_errors():  # it ends by itself
            self._lease.release()

    @contextlib.contextmanager
    def _watched(self) -> Generator[None]:
        try:
            with _store_errors():
                yield
        except LeaseLost:
            raise
        except StoreError as error:
            self._failed(error)
            raise


@contextlib.contextmanager
def _store_errors() -> Generator[None]:
    """Raise any error of a store, such as one of its driver, as a `StoreError`."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"{type(error).__name__}: {attempt(error)}") from error


def _forget(_: bytes) -> None:
    """Note nothing."""
