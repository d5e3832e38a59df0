"""What a store is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch that was appended.

    Attributes:
        key: its place in the store's order.
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
        """Return the state, None if there is none yet, and the oldest `limit` batches."""
        ...

    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        """Replace the state and remove the batches that are merged in it, both or neither.

        Raises:
            LeaseLost: the time was up and somebody else leads; nothing was changed.
        """
        ...

    def release(self) -> None:
        """Let somebody else lead. Doing it twice, or late, does nothing."""
        ...


class Store(Protocol):
    """Keeps batches and one state. Any method may be called from any thread.

    Attributes:
        durable: whether what it keeps outlives the process.
    """

    durable: bool

    def append(self, batch: bytes) -> None:
        """Keep a batch until a leader has merged it. It returns soon, and nobody has to lead.

        Raises:
            StoreError: it isn't kept.
        """
        ...

    def lead(self, owner: str, ttl: float) -> Lease | None:
        """Become the leader for `ttl` seconds; None while somebody else is."""
        ...

    def close(self) -> None:
        """Give back what is held open."""
        ...
