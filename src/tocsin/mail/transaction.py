"""One SMTP transaction: what is said in it, and what the replies mean for each recipient. Pure."""

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
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 §4
_GO_AHEAD = 354
_BAD_SEQUENCE = 503
_TOO_MANY_CODES = (452, 552)  # 552 is an old way of saying 452: RFC 5321 §4.5.3.1.10


class Fate(enum.Enum):
    """What became of a recipient in a transaction."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"
    TOO_MANY = "too many"
    """The server takes no more recipients in this transaction; another one will do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A recipient's fate and the reply that decided it."""

    fate: Fate
    reply: Reply


@dataclass(frozen=True, slots=True, eq=False)
class Transaction:
    """A message for some of its recipients."""

    envelope: Envelope
    recipients: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plan:
    """What a transaction says to a server with certain features.

    Attributes:
        transaction: what it is for.
        recipients: whom it can name.
        commands: MAIL, a RCPT for each of the recipients, and DATA; empty if there is none.
        data: what follows DATA, with the final dot.
        verdicts: about those whom this server can't serve.
    """

    transaction: Transaction
    recipients: Sequence[str]
    commands: Sequence[str]
    data: bytes
    verdicts: Mapping[str, Verdict]


@dataclass(slots=True)
class Answers:
    """The replies to a transaction's commands, as far as they have come.

    Attributes:
        sender: the reply to MAIL.
        recipients: recipient → the reply to RCPT, in the order in which they were named.
        go_ahead: the reply to DATA.
    """

    sender: Reply | None = None
    recipients: dict[str, Reply] = field(default_factory=dict[str, Reply])
    go_ahead: Reply | None = None

    @property
    def named(self) -> bool:
        """Whether the sender was accepted, so that recipients can be named."""
        return self.sender is not None and self.sender.positive

    @property
    def asked(self) -> bool:
        """Whether the server asks for the message."""
        return self.go_ahead is not None and self.go_ahead.code == _GO_AHEAD

    @property
    def too_early(self) -> bool:
        """Whether a command was refused for the moment at which it came.

        503 is to be expected after a refused sender, and at DATA where nobody was accepted, or
        where the recipients are too many.
        """
        if self.sender is None or not self.sender.positive:
            return self.sender is not None and out_of_sequence(self.sender)
        fates = [verdict.fate for verdict in of_recipients(self.recipients).values()]
        replies = list(self.recipients.values())
        if self.go_ahead is not None and Fate.ACCEPTED in fates and Fate.TOO_MANY not in fates:
            replies.append(self.go_ahead)
        return any(map(out_of_sequence, replies))

    def verdicts(self, script: Plan) -> dict[str, Verdict]:
        """Return what the replies to MAIL and RCPT mean."""
        if self.sender is None or self.sender.positive:
            return of_recipients(self.recipients)
        return dict.fromkeys(script.recipients, refused(self.sender))


def plan(transaction: Transaction, features: Mapping[str, str]) -> Plan:
    """Decide what to say, as the server's features allow."""
    envelope = transaction.envelope
    utf8 = envelope.international and "SMTPUTF8" in features
    parameters = ""
    local: dict[str, Verdict] = {}
    problem: Reply | None = None
    data = b""
    try:
        data = envelope.data(utf8=utf8)
    except Exception as error:  # noqa: BLE001 - a message of the caller's making may raise anything
        text = f"the message can't be written: {type(error).__name__}: {error}"
        problem = Reply(None, "5.6.0", text)
    if not utf8:
        plain = Reply(None, "5.6.7", "the server doesn't take addresses beyond ASCII (SMTPUTF8)")
        problem = problem if envelope.sender.isascii() else plain
        local = {
            recipient: Verdict(Fate.REFUSED, plain)
            for recipient in transaction.recipients
            if not recipient.isascii()
        }
    if not data.isascii():
        if "8BITMIME" in features:
            parameters += " BODY=8BITMIME"  # RFC 6152
        else:
            problem = problem or Reply(None, "5.6.3", "the server takes 7-bit messages only")
    if utf8:
        parameters += " SMTPUTF8"  # RFC 6531
    if "SIZE" in features:  # RFC 1870
        # What makes the end of the message known doesn't count, nor do dots that are doubled.
        size = len(data) - len(b".\r\n") - data.count(b"\r\n..")
        parameters += f" SIZE={size}"
        limit = features["SIZE"]
        if _SIZE.fullmatch(limit) and 0 < int(limit) < size:
            text = f"the message has {size:,} bytes; the server takes {int(limit):,}"
            problem = problem or Reply(None, "5.3.4", text)
    if problem is not None:
        local = dict.fromkeys(transaction.recipients, Verdict(Fate.REFUSED, problem))
    recipients = [one for one in transaction.recipients if one not in local]
    commands: list[str] = []
    if recipients:
        commands = [
            f"MAIL FROM:<{envelope.sender}>{parameters}",
            *(f"RCPT TO:<{recipient}>" for recipient in recipients),
            "DATA",
        ]
    return Plan(
        transaction=transaction,
        recipients=recipients,
        commands=commands,
        data=data,
        verdicts=local,
    )


def refused(reply: Reply) -> Verdict:
    """Return what a negative reply means: 5yz is final, 4yz may be tried again."""
    return Verdict(Fate.REFUSED if reply.final else Fate.DEFERRED, reply)


def out_of_sequence(reply: Reply) -> bool:
    """Whether a negative reply says that a command came at a wrong moment.

    By its code (RFC 5321 §4.2.2: 503), its enhanced code (RFC 3463 §3.6: X.5.1), or its words.
    """
    return not (reply.positive or reply.intermediate) and (
        reply.code == _BAD_SEQUENCE
        or (reply.enhanced or "").endswith(".5.1")
        or _SEQUENCE.search(reply.text) is not None
    )


def of_recipients(replies: Mapping[str, Reply]) -> dict[str, Verdict]:
    """Return what the replies to RCPT mean.

    A limit on their number is said by a reply (see `says_too_many`), or shows in 452 for all that
    come after the last one that was accepted. A full mailbox (RFC 3463: X.2.2) is its owner's
    alone. The first recipient is never one too many, so that each transaction decides about one
    recipient at least.

    Args:
        replies: recipient → reply, in the order in which they were named.
    """
    verdicts: dict[str, Verdict] = {}
    full: dict[str, Verdict] = {}
    others = False  # whether a recipient before was answered otherwise
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
        recipients: for whom it is; a limit on their number isn't what refuses a single one.
        full: whether the server said before that they are too many.
    """
    many = full or (len(recipients) > 1 and says_too_many(reply))
    verdict = Verdict(Fate.TOO_MANY, reply) if many else refused(reply)
    return dict.fromkeys(recipients, verdict)


def says_too_many(reply: Reply) -> bool:
    """Whether a reply says that a transaction has too many recipients.

    By its enhanced code (RFC 3463: X.5.3), or by its words: Amazon SES says it after the message,
    by 554 alone.
    """
    return (reply.enhanced or "").endswith(".5.3") or _MANY.search(reply.text) is not None
