"""The interface of a store: batches, one state, and the lease of the leader.

A store gives atomicity and nothing else: it knows no group, no digest and no policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch that was appended.

    Attributes:
        key: its place in the order of the store. No later batch gets the same key.
        batch: its bytes.
    """

    key: int
    batch: bytes


class Lease(Protocol):
    """The right to lead a store, that is, to merge and decide, for a short time.

    Attributes:
        now: the store's time when the lease was taken, in seconds since the epoch. It never goes
            back from one lease to the next.
    """

    now: float

    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        """Return the state and the oldest batches.

        It doesn't check whether the lease is lost: `commit` does.

        Args:
            limit: how many batches to return at most.

        Returns:
            The state, None if there is none yet; and the batches, the oldest first.

        Raises:
            StoreError: the store can't be read.
        """
        ...

    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        """Replace the state and remove batches: both or neither. A lease allows several commits.

        Args:
            state: the new state.
            consumed: the batches to remove. Batches that are removed already are no error.

        Raises:
            LeaseLost: another lease was taken since, or the time is up; nothing was changed.
            StoreError: the commit may or may not have happened.
        """
        ...

    def release(self) -> None:
        """Let another process lead. A second or late call does nothing.

        Raises:
            StoreError: the release failed; the lease ends when its time is up.
        """
        ...


@runtime_checkable
class Store(Protocol):
    """Keep batches and one state.

    Any method may be called from any thread, and in the child of a fork. The constructor raises
    `ConfigError`, the methods raise `StoreError`. A method waits for other processes for a few
    seconds at most. `tocsin.testing.StoreContract` holds these rules as tests.

    Attributes:
        durable: whether the batches and the state outlive the process.
    """

    @property
    def durable(self) -> bool:
        """Whether the batches and the state outlive the process."""
        ...

    def append(self, batch: bytes) -> None:
        """Keep a batch until a leader has merged it. No process needs to lead at this moment.

        Raises:
            StoreError: the batch may or may not be kept. The caller may append it again: a batch
                holds its own identity, and is counted once.
        """
        ...

    def lead(self, owner: str, ttl: float) -> Lease | None:
        """Become the leader.

        An owner that leads already gets a new lease, and its older one is lost.

        Args:
            owner: the name of the process that wants to lead.
            ttl: the seconds that the lease lasts.

        Returns:
            The lease; None while another owner leads.

        Raises:
            StoreError: the lease may or may not have been taken.
        """
        ...

    def close(self) -> None:
        """Release what the store holds open. Only further calls of `close` may follow."""
        ...
