"""The accounts: what a handler has seen, sent and lost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """The accounts of a store: received = mailed + pending + undelivered.

    Attributes:
        received: events that were handed over, by all processes.
        mailed: events in a mail that at least one recipient's server accepted.
        pending: events that wait.
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
        handed_over: records that the store has.
        pending: records on the way there.
        dropped: records that were lost on the way.
        mails_sent: mails that at least one recipient's server accepted.
        mails_failed: attempts after which a mail is still owed to somebody, or was given up.
        retries: attempts to send a mail again to whom it is owed.
        last_error: why the latest attempt failed; None if it didn't.
        next_mail_at: when the next mail is due, in seconds since the epoch; None if none is.
        store: the store's accounts as last seen; None until this process has led.
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
