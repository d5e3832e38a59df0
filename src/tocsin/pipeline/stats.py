"""The accounts of a handler and of a store: events and mails, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """The accounts of a store: received = mailed + pending + undelivered.

    Attributes:
        received: events that all processes have handed over.
        mailed: events in a mail that at least one recipient's server accepted.
        pending: events that wait in the store for a mail.
        undelivered: events that were given up.
    """

    received: int
    mailed: int
    pending: int
    undelivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The accounts of a handler in this process: seen = handed_over + pending + dropped.

    Attributes:
        seen: records that reached the handler.
        handed_over: records that were handed over to the store.
        pending: records that were not handed over yet.
        dropped: records that were lost before they reached the store.
        mails_sent: mails that at least one recipient's server accepted.
        mails_failed: attempts to send a mail that failed for at least one recipient.
        retries: further attempts to send a mail to the recipients that don't have it.
        last_error: why the latest attempt failed; None if it succeeded.
        next_mail_at: when the next mail is due, in seconds since the epoch; None if none is.
        store: the store's accounts, as this process last read them; None if it was never the
            leader.
    """

    seen: int
    handed_over: int
    pending: int
    dropped: int
    mails_sent: int
    mails_failed: int
    retries: int
    last_error: str | None
    next_mail_at: float | None
    store: StoreStats | None
