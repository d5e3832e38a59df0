"""One call of `send`: messages in, transactions out, and a receipt for every message.

A recipient leaves the queue with a verdict. Who has none when a connection is lost is tried once
more over another one; then the rest of the call is given up, so that it ends in bounded time.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Self

from tocsin.exceptions import ConnectError, SendError
from tocsin.mail.receipt import Receipt, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tocsin.mail.envelope import Envelope
    from tocsin.mail.session import Session, Verdict

_LOST = Reply(None, None, "the connection was lost before the message was sent")
_LATE = Reply(None, None, "the deadline passed before the message was sent")


class Delivery:
    """The state of one call: its session, what has become of whom, and whether there is hope.

    Args:
        take: returns an open session, given the point of `time.monotonic` at which to give up.
        give_back: takes the session back.
        until: that point, for the whole call.
        on_transaction: called after each transaction that decided something.
    """

    def __init__(
        self,
        take: Callable[[float], Session],
        give_back: Callable[[Session], None],
        until: float,
        on_transaction: Callable[[Receipt], None] | None,
    ) -> None:
        self._take = take
        self._give_back = give_back
        self._until = until
        self._on_transaction = on_transaction
        self._session: Session | None = None
        self._hopeless: Reply | None = None  # why no further connection is tried
        self._problem: Exception | None = None
        self._receipts: list[Receipt] = []

    def deliver(self, envelope: Envelope, limit: int | None) -> None:
        """Send one message, in transactions of at most `limit` recipients."""
        parts = [Receipt(message_id=envelope.message_id, refused=envelope.invalid)]
        waiting = deque(envelope.recipients)
        data = envelope.data() if waiting else b""
        size = limit or len(waiting)
        losses = 0
        while waiting:
            session = self._connected()
            if session is None:
                reply = self._hopeless or _LOST
                parts.append(
                    Receipt(message_id=envelope.message_id, deferred=dict.fromkeys(waiting, reply))
                )
                break
            batch = [waiting.popleft() for _ in range(min(size, len(waiting)))]
            verdicts = session.transact(envelope.sender, batch, data, self._until)
            part, again = _sort(envelope.message_id, batch, verdicts)
            waiting.extendleft(reversed(again))
            size = max(1, len(part.accepted)) if again and session.alive else size
            losses = 0 if verdicts else losses + 1
            if losses > 1:
                self._hopeless = _LOST
            parts.append(part)
            self._report(part)
        self._receipts.append(_join(parts))

    def result(self) -> list[Receipt]:
        """Return the receipts if everybody was accepted, else raise a SendError with them."""
        if not all(receipt.complete for receipt in self._receipts):
            text = _summary(self._receipts)
            raise SendError(text, receipts=self._receipts) from self._problem
        return self._receipts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        """Give back the session."""
        if self._session is not None:
            self._give_back(self._session)
            self._session = None

    def _connected(self) -> Session | None:
        """Return a session that can be used; None if there is no hope of one in this call."""
        if self._session is not None and self._session.stale():
            self._end()
        if self._hopeless is None and time.monotonic() >= self._until:
            self._hopeless = _LATE
        if self._session is None and self._hopeless is None:
            try:
                self._session = self._take(self._until)
            except ConnectError as error:
                # Tried once a call: a server that refuses a login locks who comes back at once.
                self._problem = error
                self._hopeless = error.reply
        return None if self._hopeless is not None else self._session

    def _report(self, part: Receipt) -> None:
        if self._on_transaction is not None and _any(part):
            self._on_transaction(part)


def _any(part: Receipt) -> bool:
    return bool(part.accepted or part.refused or part.deferred or part.unknown)


def _sort(
    message_id: str, batch: list[str], verdicts: Mapping[str, Verdict]
) -> tuple[Receipt, list[str]]:
    """Return a transaction's receipt, and who is to be tried in another one."""
    found: dict[str, dict[str, Reply]] = {}
    for recipient, verdict in verdicts.items():
        found.setdefault(verdict.fate.name, {})[recipient] = verdict.reply
    part = Receipt(
        message_id=message_id,
        accepted=tuple(found.get("ACCEPTED", ())),
        refused=found.get("REFUSED", {}),
        deferred=found.get("DEFERRED", {}),
        unknown=tuple(found.get("UNKNOWN", ())),
    )
    too_many = found.get("TOO_MANY", {})
    return part, [item for item in batch if item not in verdicts or item in too_many]


def _join(parts: list[Receipt]) -> Receipt:
    return Receipt(
        message_id=parts[0].message_id,
        accepted=tuple(item for part in parts for item in part.accepted),
        refused={item: reply for part in parts for item, reply in part.refused.items()},
        deferred={item: reply for part in parts for item, reply in part.deferred.items()},
        unknown=tuple(item for part in parts for item in part.unknown),
    )


def _summary(receipts: list[Receipt]) -> str:
    """Return one line: how many recipients were not accepted, and the first reason."""
    failed = [
        (item, str(reply))
        for receipt in receipts
        for replies in (receipt.refused, receipt.deferred)
        for item, reply in replies.items()
    ]
    failed += [(item, "no reply") for receipt in receipts for item in receipt.unknown]
    accepted = sum(len(receipt.accepted) for receipt in receipts)
    recipient, reason = failed[0]
    total = accepted + len(failed)
    return f"{len(failed)} of {total} recipients not accepted; {recipient}: {reason}"
