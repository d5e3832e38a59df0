"""What a store is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch that was appended.

    Attributes:
        key: its place in the store's order, which no other batch gets later.
        batch: its bytes.
    """

    key: int
    batch: bytes


class Lease(Protocol):
    """The right to merge and decide for a store, for a short time.

    Attributes:
        now: the store's time when the lease was taken, in seconds since the epoch; from one lease
            to the next it never goes back.
    """

    now: float

    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        """Return the state, None if there is none yet, and the oldest `limit` batches.

        Whether the lease is still good is not asked: `commit` says so.

        Raises:
            StoreError: it can't be read.
        """
        ...

    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        """Replace the state and remove these batches, both or neither.

        Batches that are gone already are no error. It may be done several times with a lease.

        Raises:
            LeaseLost: somebody has led since, or the time is up; nothing was changed.
            StoreError: it isn't known whether it was done.
        """
        ...

    def release(self) -> None:
        """Let somebody else lead. Doing it twice, or late, does nothing.

        Raises:
            StoreError: it can't be done; the lease ends when its time is up.
        """
        ...


@runtime_checkable
class Store(Protocol):
    """Keeps batches and one state. Any method may be called from any thread, and in a fork's child.

    What it finds wrong when it is built is a `ConfigError`, and a `StoreError` after that. Nothing
    waits for long: for others a few seconds at most. `tocsin.testing.StoreContract` has the rules
    as tests.

    Attributes:
        durable: whether what it keeps outlives the process.
    """

    @property
    def durable(self) -> bool:
        """Whether what it keeps outlives the process."""
        ...

    def append(self, batch: bytes) -> None:
        """Keep a batch until a leader has merged it. It returns soon, and nobody has to lead.

        Raises:
            StoreError: it isn't known to be kept. It may be appended again: a batch says which one
                it is, and counts once.
        """
        ...

    def lead(self, owner: str, ttl: float) -> Lease | None:
        """Become the leader for `ttl` seconds; None while somebody else is.

        Who leads already gets a new lease, and the older one is lost.

        Raises:
            StoreError: it isn't known who leads.
        """
        ...

    def close(self) -> None:
        """Give back what is held open. It is the last call, or done twice."""
        ...
