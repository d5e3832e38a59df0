"""Receipts: the result of sending a message, recipient by recipient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.mail.address import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply, or the client's own reason if no server has replied.

    Attributes:
        code: the three digits (RFC 5321 §4.2); None if no server has replied.
        enhanced: the enhanced status code such as "5.1.1" (RFC 3463); None if there is none.
        text: the text without the codes; it has as many lines as the reply.
    """

    code: int | None
    enhanced: str | None
    text: str

    @property
    def positive(self) -> bool:
        """Whether the server has done what the command asked for: any 2yz."""
        return self.code is not None and self.code // 100 == 2  # noqa: PLR2004 - the digit

    @property
    def intermediate(self) -> bool:
        """Whether the server waits for more from the client: any 3yz."""
        return self.code is not None and self.code // 100 == 3  # noqa: PLR2004 - the digit

    @property
    def final(self) -> bool:
        """Whether another try would be refused again: any 5yz, with two exceptions.

        Gmail replies `550 5.4.5` when the quota of the day is used up, which ends by itself
        (https://support.google.com/a/answer/3726730). A 530 asks for STARTTLS (RFC 3207 §4) or a
        login (RFC 4954 §6) first: the options are wrong, and not the message.
        """
        if self.code is None or self.code // 100 != 5:  # noqa: PLR2004 - the digit
            return False
        return self.code != 530 and self.enhanced != "5.4.5"  # noqa: PLR2004 - as above

    def __str__(self) -> str:
        """Return the reply in one line, without control characters."""
        words = (self.code, self.enhanced, " ".join(one_line(self.text).split()))
        return " ".join(str(word) for word in words if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The result of sending one message. Every recipient is in exactly one of the four parts.

    Attributes:
        message_id: the message's `Message-ID`, with its angle brackets.
        accepted: the addresses for which a server has taken responsibility.
        refused: address → reply; another try would be refused again.
        deferred: address → reply, or the client's own reason; another try makes sense.
        unknown: the addresses for which the client can't know it, because the connection was lost
            after the final dot. Another try may deliver the message twice.
        replies: accepted address → the server's reply to the message, which often has the number
            under which the server queued it; empty if the email handler tells none.
    """

    message_id: str
    accepted: tuple[str, ...] = ()
    refused: Mapping[str, Reply] = field(default_factory=dict[str, Reply])
    deferred: Mapping[str, Reply] = field(default_factory=dict[str, Reply])
    unknown: tuple[str, ...] = ()
    replies: Mapping[str, Reply] = field(
        default_factory=dict[str, Reply], repr=False, compare=False
    )

    @property
    def complete(self) -> bool:
        """Whether every recipient was accepted."""
        return not (self.refused or self.deferred or self.unknown)
