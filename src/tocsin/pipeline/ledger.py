"""The ledger: a handler's accounts, and whether events still wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.pipeline.stats import Stats, StoreStats

if TYPE_CHECKING:
    from tocsin.alerts.state import State
    from tocsin.pipeline.attempts import Attempts
    from tocsin.pipeline.intake import Intake
    from tocsin.pipeline.journal import Journal


class Ledger:
    """Keep the accounts of a handler in this process.

    Args:
        intake: counts the records that were seen.
        journal: counts the events that were handed over.
        attempts: counts the mails.
        has_unmailed: whether the store may have unmailed events from before.
    """

    def __init__(
        self, intake: Intake, journal: Journal, attempts: Attempts, *, has_unmailed: bool
    ) -> None:
        self._intake = intake
        self._journal = journal
        self._attempts = attempts
        self._in_store = has_unmailed  # whether the store has unmailed events, as last read
        self._done = 0  # events handed over up to the time when the store last had none unmailed
        self._next_at: float | None = None  # when the next mail is due, by the store's clock
        self._ahead = 0.0  # seconds that the store's clock is ahead
        self._store: StoreStats | None = None

    @property
    def pending(self) -> int:
        """How many events were not handed over yet."""
        return self._intake.seen - self._journal.taken - self._dropped

    @property
    def has_unmailed(self) -> bool:
        """Whether events are unmailed, as far as this process knows."""
        return self._in_store or self._journal.taken > self._done

    @property
    def settled(self) -> bool:
        """Whether this process has nothing to hand over, to send or to wait for."""
        waits = self.has_unmailed and not self._journal.store.durable
        handed_over = self._intake.seen - self._dropped == self._done
        return handed_over and not waits and not self._journal.owes

    def note(self, state: State) -> None:
        """Note the accounts of the store, from its state."""
        self._in_store = bool(state.pending or state.outgoing)
        if not self._in_store:
            self._done = self._journal.taken
        self._store = StoreStats(
            received=state.received,
            mailed=state.mailed,
            pending=state.pending,
            undelivered=state.undelivered,
        )

    def note_next(self, at: float | None, *, ahead: float) -> None:
        """Note when the next mail is due.

        Args:
            at: the time by the store's clock; None if no mail is due.
            ahead: how many seconds the store's clock is ahead of this process's clock.
        """
        self._next_at, self._ahead = at, ahead

    def pause(self, now: float) -> float | None:
        """Return the seconds until the next mail is due; None if no mail is due."""
        return None if self._next_at is None else max(0.0, self._next_at - now)

    @property
    def nothing_left(self) -> bool:
        """Whether no event is unmailed. It is false while the store can't be used."""
        return not (self.has_unmailed or self._journal.store.trouble or self.pending)

    @property
    def stats(self) -> Stats:
        """The accounts now."""
        return Stats(
            seen=self._intake.seen,
            handed_over=self._journal.taken,
            pending=self.pending,
            dropped=self._dropped,
            mails_sent=self._attempts.sent,
            mails_failed=self._attempts.failed,
            retries=self._attempts.retries,
            last_error=self._attempts.last_error,
            next_mail_at=None if self._next_at is None else self._next_at - self._ahead,
            store=self._store,
        )

    @property
    def _dropped(self) -> int:
        return self._intake.dropped + self._journal.dropped
