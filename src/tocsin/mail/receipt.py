"""What became of a message, recipient by recipient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.mail.address import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply, or our own words where no server spoke.

    Attributes:
        code: the three digits (RFC 5321 §4.2); None where no server spoke.
        enhanced: the enhanced status code such as "5.1.1" (RFC 3463), or None.
        text: the text without the codes, a line for each of the reply's.
    """

    code: int | None
    enhanced: str | None
    text: str

    @property
    def positive(self) -> bool:
        """Whether the server did what it was asked for: any 2yz."""
        return self.code is not None and self.code // 100 == 2  # noqa: PLR2004 - the digit

    @property
    def intermediate(self) -> bool:
        """Whether the server waits for more: any 3yz."""
        return self.code is not None and self.code // 100 == 3  # noqa: PLR2004 - the digit

    @property
    def final(self) -> bool:
        """Whether another try is of no use: a 5yz that is neither a quota nor about the options.

        Gmail answers `550 5.4.5` when the day's quota is used up, which clears by itself
        (https://support.google.com/a/answer/3726730). 530 wants STARTTLS (RFC 3207 §4) or a login
        (RFC 4954 §6) first.
        """
        if self.code is None or self.code // 100 != 5:  # noqa: PLR2004 - the digit
            return False
        return self.code != 530 and self.enhanced != "5.4.5"  # noqa: PLR2004 - as above

    def __str__(self) -> str:
        """Return the reply in one line, fit for a terminal."""
        words = (self.code, self.enhanced, " ".join(one_line(self.text).split()))
        return " ".join(str(word) for word in words if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one message. Every recipient is in exactly one of the four parts.

    Attributes:
        message_id: the message's `Message-ID`, with its angle brackets.
        accepted: addresses that a server took responsibility for.
        refused: address → reply that is final.
        deferred: address → reply, or our own words, after which another try makes sense.
        unknown: addresses of which it can't be said: the connection died after the final dot.
    """

    message_id: str
    accepted: tuple[str, ...] = ()
    refused: Mapping[str, Reply] = field(default_factory=dict[str, Reply])
    deferred: Mapping[str, Reply] = field(default_factory=dict[str, Reply])
    unknown: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every recipient was accepted."""
        return not (self.refused or self.deferred or self.unknown)
