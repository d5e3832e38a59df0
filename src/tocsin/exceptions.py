"""What can go wrong, as types: one root, and children that carry what a program needs to act."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.mail.receipt import Receipt, Reply


class TocsinError(Exception):
    """Be the root of all errors of this package."""


class ConfigError(TocsinError, ValueError):
    """Say that an option is wrong: raised only when something is built."""


class StoreError(TocsinError):
    """Say that a store can't take or give what it should."""


class LeaseLost(StoreError):  # noqa: N818 - named for what happened, as in "the lease was lost"
    """Say that another process leads now: what this one was about to commit must not count."""


class SendError(TocsinError):
    """Say that at least one recipient of a message was not accepted.

    Attributes:
        receipts: one `Receipt` a message, in order; each recipient is in exactly one of its parts.
    """

    def __init__(self, message: str, *, receipts: Sequence[Receipt] = ()) -> None:
        super().__init__(message)
        self.receipts: tuple[Receipt, ...] = tuple(receipts)


class ConnectError(SendError):
    """Say that no session could be opened: name, connection, TLS, greeting or login.

    Attributes:
        reply: what the server answered; its `code` is None where no server spoke.
    """

    def __init__(self, message: str, *, reply: Reply, receipts: Sequence[Receipt] = ()) -> None:
        super().__init__(message, receipts=receipts)
        self.reply = reply

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the error picklable although `reply` is keyword-only."""
        return _rebuild, (type(self), str(self), self.reply, self.receipts)


class LoginError(ConnectError):
    """Say that the server refused the login, or that it couldn't be tried."""


def _rebuild(
    kind: type[ConnectError], message: str, reply: Reply, receipts: Sequence[Receipt]
) -> ConnectError:
    return kind(message, reply=reply, receipts=receipts)
