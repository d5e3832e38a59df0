"""One SMTP transaction: the replies to its commands, and what they mean for each recipient. Pure.

What follows from a reply is decided here:

- 2yz accepts, 5yz refuses for good, and 4yz defers: another call of `send` may try again.
- A reply to RCPT is about one recipient, unless it says that there are too many of them. Then the
  remaining ones are sent in another transaction of the same call.
- A reply to MAIL, to DATA or to the message is about all recipients.
- A 503 in a place where no other refusal explains it means that a command came too early: nothing
  is decided, and the commands are sent again.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.mail.receipt import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin.mail.envelope import Envelope

_MANY = re.compile(r"too many recipients|recipient count|recipients exceed", re.IGNORECASE)
_SEQUENCE = re.compile(r"pipelin|synchroni", re.IGNORECASE)
_GO_AHEAD = 354
_BAD_SEQUENCE = 503
_TOO_MANY_CODES = (452, 552)  # 552 is an old form of 452: RFC 5321 §4.5.3.1.10


class Fate(enum.Enum):
    """What became of a recipient in a transaction."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"
    TOO_MANY = "too many"
    """The server accepts no more recipients in this transaction; another one will do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A recipient's fate, and the reply that decided it."""

    fate: Fate
    reply: Reply


@dataclass(frozen=True, slots=True, eq=False)
class Transaction:
    """A message for some of its recipients."""

    envelope: Envelope
    recipients: Sequence[str]


@dataclass(slots=True)
class Answers:
    """The replies to a transaction's commands that have arrived so far.

    Attributes:
        sender: the reply to MAIL.
        recipients: recipient → the reply to its RCPT, in the order of the commands.
        go_ahead: the reply to DATA.
    """

    sender: Reply | None = None
    recipients: dict[str, Reply] = field(default_factory=dict[str, Reply])
    go_ahead: Reply | None = None

    @property
    def named(self) -> bool:
        """Whether the server has accepted the sender, so that recipients can follow."""
        return self.sender is not None and self.sender.positive

    @property
    def asked(self) -> bool:
        """Whether the server asks for the message."""
        return self.go_ahead is not None and self.go_ahead.code == _GO_AHEAD

    @property
    def too_early(self) -> bool:
        """Whether the server has refused a command because it came too early.

        A 503 doesn't say so after a refused sender, nor at DATA if no recipient was accepted or
        there are too many of them: there it only repeats the earlier refusal.
        """
        if self.sender is None or not self.sender.positive:
            return self.sender is not None and out_of_sequence(self.sender)
        fates = [verdict.fate for verdict in of_recipients(self.recipients).values()]
        replies = list(self.recipients.values())
        if self.go_ahead is not None and Fate.ACCEPTED in fates and Fate.TOO_MANY not in fates:
            replies.append(self.go_ahead)
        return any(map(out_of_sequence, replies))

    def verdicts(self, recipients: Sequence[str]) -> dict[str, Verdict]:
        """Return what the replies to MAIL and RCPT mean.

        Args:
            recipients: all recipients of the transaction; a refused sender refuses them all.
        """
        if self.sender is None or self.sender.positive:
            return of_recipients(self.recipients)
        return dict.fromkeys(recipients, refused(self.sender))


def refused(reply: Reply) -> Verdict:
    """Return what a negative reply means: 5yz refuses for good, and 4yz may be tried again.

    See `Reply.final` for the two exceptions.
    """
    return Verdict(Fate.REFUSED if reply.final else Fate.DEFERRED, reply)


def out_of_sequence(reply: Reply) -> bool:
    """Return whether a negative reply says that a command came at the wrong moment.

    It says so by its code (503: RFC 5321 §4.2.2), by its enhanced code (X.5.1: RFC 3463 §3.6), or
    by its words.
    """
    return not (reply.positive or reply.intermediate) and (
        reply.code == _BAD_SEQUENCE
        or (reply.enhanced or "").endswith(".5.1")
        or _SEQUENCE.search(reply.text) is not None
    )


def of_recipients(replies: Mapping[str, Reply]) -> dict[str, Verdict]:
    """Return what the replies to RCPT mean, recipient by recipient.

    A 4yz defers its recipient, with two exceptions that mean "too many recipients" instead:

    - the reply says so (see `says_too_many`);
    - the reply is 452 (or 552, its old form), and so are all replies after the last recipient that
      was accepted. A full mailbox (RFC 3463: X.2.2) concerns its owner alone.

    The first recipient is never one too many, so that each transaction decides about at least one.

    Args:
        replies: recipient → reply, in the order of the commands.
    """
    verdicts: dict[str, Verdict] = {}
    full: dict[str, Verdict] = {}  # since the last recipient that was accepted
    others = False  # whether an earlier recipient got another answer than "too many"
    for recipient, reply in replies.items():
        if reply.positive:
            verdicts[recipient] = Verdict(Fate.ACCEPTED, reply)
            full = {}
        elif others and says_too_many(reply):
            verdicts[recipient] = Verdict(Fate.TOO_MANY, reply)
        else:
            verdicts[recipient] = refused(reply)
            if reply.code in _TOO_MANY_CODES and not (reply.enhanced or "")[1:].startswith(".2."):
                full[recipient] = Verdict(Fate.TOO_MANY, reply)
        others = others or reply.positive or not says_too_many(reply)
    if any(verdict.fate is Fate.ACCEPTED for verdict in verdicts.values()):
        verdicts.update(full)
    return verdicts


def of_all(reply: Reply, recipients: Sequence[str], *, full: bool = False) -> dict[str, Verdict]:
    """Return what a negative reply to DATA or to the message means for its recipients.

    Args:
        reply: the reply.
        recipients: the recipients that the server had accepted. A single one isn't too many.
        full: whether a reply to RCPT has said before that there are too many recipients.
    """
    many = full or (len(recipients) > 1 and says_too_many(reply))
    verdict = Verdict(Fate.TOO_MANY, reply) if many else refused(reply)
    return dict.fromkeys(recipients, verdict)


def says_too_many(reply: Reply) -> bool:
    """Return whether a reply says that a transaction has too many recipients.

    It says so by its enhanced code (X.5.3: RFC 3463 §3.6), or by its words: Amazon SES says it
    after the message, with code 554 and without an enhanced code.
    """
    return (reply.enhanced or "").endswith(".5.3") or _MANY.search(reply.text) is not None
