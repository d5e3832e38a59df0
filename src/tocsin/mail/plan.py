"""The plan of a transaction: what to send, as the server's extensions allow. Pure.

A problem that the client can see by itself (a message that is too large, an address that the server
can't handle) is decided here: nothing is sent for these recipients.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.mail.receipt import Reply
from tocsin.mail.transaction import Fate, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin.mail.envelope import Envelope
    from tocsin.mail.transaction import Transaction

_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 §4
_NO_SMTPUTF8 = Reply(None, "5.6.7", "the server doesn't take addresses beyond ASCII (SMTPUTF8)")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plan:
    """What a transaction sends to a server with certain extensions.

    Attributes:
        transaction: the message, and the recipients that were asked for.
        recipients: the recipients that this server can handle.
        commands: MAIL, a RCPT for each of `recipients`, and DATA; empty if there are none.
        data: the bytes that follow DATA, with the final dot.
        verdicts: recipient → verdict, for the recipients that this server can't handle.
    """

    transaction: Transaction
    recipients: Sequence[str]
    commands: Sequence[str]
    data: bytes
    verdicts: Mapping[str, Verdict]


def plan(transaction: Transaction, features: Mapping[str, str]) -> Plan:
    """Return the plan of a transaction.

    Args:
        transaction: the message and its recipients.
        features: the server's extensions: upper-case keyword → parameters.
    """
    envelope = transaction.envelope
    utf8 = envelope.international and "SMTPUTF8" in features
    data, problem = _data(envelope, utf8=utf8)
    if not (utf8 or envelope.sender.isascii()):
        problem = _NO_SMTPUTF8
    problem = problem or _obstacle(data, features)
    verdicts: dict[str, Verdict] = {}
    for recipient in transaction.recipients:
        if problem is not None:
            verdicts[recipient] = Verdict(Fate.REFUSED, problem)
        elif not (utf8 or recipient.isascii()):
            verdicts[recipient] = Verdict(Fate.REFUSED, _NO_SMTPUTF8)
    recipients = [one for one in transaction.recipients if one not in verdicts]
    mail = f"MAIL FROM:<{envelope.sender}>{_parameters(data, features, utf8=utf8)}"
    named = [f"RCPT TO:<{recipient}>" for recipient in recipients]
    return Plan(
        transaction=transaction,
        recipients=recipients,
        commands=[mail, *named, "DATA"] if recipients else [],
        data=data,
        verdicts=verdicts,
    )


def _data(envelope: Envelope, *, utf8: bool) -> tuple[bytes, Reply | None]:
    """Return the message's bytes; or no bytes, and the reason."""
    try:
        return envelope.data(utf8=utf8), None
    except Exception as error:  # noqa: BLE001 - a message class of the caller's may raise anything
        text = f"the message can't be written: {type(error).__name__}: {error}"
        return b"", Reply(None, "5.6.0", text)


def _obstacle(data: bytes, features: Mapping[str, str]) -> Reply | None:
    """Return why the server can't take the message; None if it can."""
    if not data.isascii() and "8BITMIME" not in features:
        return Reply(None, "5.6.3", "the server takes 7-bit messages only")
    size, limit = _size(data), features.get("SIZE", "")
    if _SIZE.fullmatch(limit) and 0 < int(limit) < size:
        text = f"the message has {size:,} bytes; the server takes {int(limit):,}"
        return Reply(None, "5.3.4", text)
    return None


def _parameters(data: bytes, features: Mapping[str, str], *, utf8: bool) -> str:
    """Return the parameters of MAIL, each behind a blank."""
    found = "" if data.isascii() else " BODY=8BITMIME"  # RFC 6152
    if utf8:
        found += " SMTPUTF8"  # RFC 6531
    if "SIZE" in features:
        found += f" SIZE={_size(data)}"  # RFC 1870
    return found


def _size(data: bytes) -> int:
    """Return a message's size without the final dot, and without dots that were doubled."""
    return len(data) - len(b".\r\n") - data.count(b"\r\n..")
