"""Errors: one root, and children whose attributes hold what a program needs to react."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.mail.receipt import Receipt, Reply


class TocsinError(Exception):
    """The root of all errors of this package."""


class ConfigError(TocsinError, ValueError):
    """An option is wrong. Only constructors and functions that build from options raise it."""


class StoreError(TocsinError):
    """A store can't be read or written."""


class LeaseLost(StoreError):  # noqa: N818 - named for what happened, as in "the lease was lost"
    """The lease of a store is lost: another process leads now. Nothing was committed."""


class SendError(TocsinError):
    """At least one recipient of a message was not accepted.

    Args:
        message: the text of the error.
        receipts: as the attribute.

    Attributes:
        receipts: one `Receipt` for each message, in order. It says for each recipient whether it
            was accepted, and whether another try makes sense.
    """

    def __init__(self, message: str, *, receipts: Sequence[Receipt] = ()) -> None:
        super().__init__(message)
        self.receipts: tuple[Receipt, ...] = tuple(receipts)


class ConnectError(SendError):
    """No session with the server could be opened.

    The look-up, the connection, TLS, the greeting or the login has failed.

    Args:
        message: the text of the error.
        reply: as the attribute.
        receipts: as for `SendError`.

    Attributes:
        reply: the server's reply. Its `code` is None if the server has not replied; then its `text`
            is the reason. `reply.final` says whether another try would be refused again.
    """

    def __init__(self, message: str, *, reply: Reply, receipts: Sequence[Receipt] = ()) -> None:
        super().__init__(message, receipts=receipts)
        self.reply = reply

    def __reduce__(self) -> tuple[object, ...]:
        """Make the error picklable: `reply` is keyword-only."""
        return _rebuild, (type(self), str(self), self.reply, self.receipts)


class LoginError(ConnectError):
    """The server has refused the login, or the login couldn't be tried."""


def _rebuild(
    kind: type[ConnectError], message: str, reply: Reply, receipts: Sequence[Receipt]
) -> ConnectError:
    return kind(message, reply=reply, receipts=receipts)
