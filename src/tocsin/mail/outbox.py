"""The email handler for tests: it keeps messages instead of sending them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Never, Self

from typing_extensions import override

from tocsin import options
from tocsin.exceptions import ConfigError, SendError
from tocsin.mail.base import EmailHandler, address_option
from tocsin.mail.envelope import envelopes
from tocsin.mail.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from email.headerregistry import Address

    from tocsin.mail.base import AnyMessage


class TestEmailHandler(EmailHandler):
    """Keep messages instead of sending them.

    Args:
        default_from: the sender of a message without `from_addr`.

    Attributes:
        outbox: the messages that were given to `send`, the oldest first.

    Raises:
        ConfigError: an option is wrong.
    """

    __test__ = False  # otherwise pytest collects it as a test

    def __init__(self, *, default_from: str | Address | None = None, **unknown: Never) -> None:
        self._reject_unknown(unknown)
        self.default_from: Address | None = (
            None if default_from is None else address_option("default_from", default_from)
        )
        self.outbox: list[AnyMessage] = []

    @override
    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        given = options.section("email", config, ("default_from",))
        try:
            return cls(**given)
        except ConfigError as error:
            raise ConfigError(f"email.{error}") from None

    @property
    @override
    def sender(self) -> Address | None:
        return self.default_from

    @override
    def send(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        receipts = []
        for envelope in envelopes(messages, self.default_from):
            self.outbox.append(envelope.message)
            receipt = Receipt(message_id=envelope.message_id, accepted=envelope.recipients)
            if on_transaction is not None:
                on_transaction(receipt)
            receipts.append(dataclasses.replace(receipt, refused=envelope.invalid))
        if not all(receipt.complete for receipt in receipts):
            raise SendError("some recipients are no addresses", receipts=receipts)
        return receipts

    def __repr__(self) -> str:
        return f"<TestEmailHandler with {len(self.outbox)} messages>"
