"""An email handler for tests: nothing is sent, everything can be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from tocsin.mail.base import EmailHandler
from tocsin.mail.envelope import envelopes
from tocsin.mail.receipt import Receipt
from tocsin.options import reject_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tocsin.mail.base import AnyMessage


class TestEmailHandler(EmailHandler):
    """Keep messages instead of sending them.

    Attributes:
        outbox: what was sent, the oldest first, as it was given to `send`.
    """

    __test__ = False  # pytest collects classes called Test…

    def __init__(self) -> None:
        self.outbox: list[AnyMessage] = []

    @override
    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        reject_unknown("email", config, ())
        return cls()

    @override
    def send(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        receipts = []
        for envelope in envelopes(messages):
            self.outbox.append(envelope.message)
            receipt = Receipt(message_id=envelope.message_id, accepted=envelope.recipients)
            if on_transaction is not None:
                on_transaction(receipt)
            receipts.append(receipt)
        return receipts

    def __repr__(self) -> str:
        return f"<TestEmailHandler with {len(self.outbox)} messages>"
