"""Envelopes: the sender, the recipients and the bytes of a message, as SMTP needs them."""

from __future__ import annotations

import email.message
import re
from dataclasses import dataclass, field
from email.headerregistry import Address
from typing import TYPE_CHECKING, Any

from tocsin.mail.address import one_line, prepare_address
from tocsin.mail.message import Message, stamps
from tocsin.mail.mime import address_header, header, render
from tocsin.mail.receipt import Reply
from tocsin.mail.standard import (
    check_header_names,
    flatten,
    header_addresses,
    header_texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin.mail.base import AnyMessage

_NEWLINE = re.compile(rb"\r\n|\r|\n")
_HIDDEN = ("bcc", "resent-bcc")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Envelope:
    """A message, its sender and its recipients.

    Attributes:
        message: the message as it was given; it is not changed.
        sender: the address of the reverse path (RFC 5321 §3.3).
        recipients: the bare addresses of To, Cc and Bcc, without duplicates, in order.
        invalid: text that is no address → the reason.
        message_id: the message's own Message-ID, or a new one.
        stamp: those of the headers From, Date and Message-ID that the message lacks.
        international: whether an address has other than ASCII letters before the '@'.
    """

    message: AnyMessage
    sender: str
    recipients: tuple[str, ...]
    invalid: dict[str, Reply]
    message_id: str
    stamp: str
    international: bool
    _made: dict[bool, bytes] = field(default_factory=dict, repr=False)

    def data(self, *, utf8: bool = False) -> bytes:
        """Return the bytes that follow DATA, with the final dot. They are made once.

        Every line ends in CRLF, and a dot at the start of a line is doubled (RFC 5321 §4.5.2).

        Args:
            utf8: whether addresses may stand in headers in UTF-8 (RFC 6532).
        """
        if utf8 not in self._made:
            self._made[utf8] = self._data(utf8=utf8)
        return self._made[utf8]

    def forget(self) -> None:
        """Free the bytes: no recipient waits for them any more."""
        self._made.clear()

    def _data(self, *, utf8: bool) -> bytes:
        content = self.stamp.encode() + (
            render(self.message, utf8=utf8)
            if isinstance(self.message, Message)
            else flatten(self.message, utf8=utf8, without=_HIDDEN)
        )
        # Servers disagree on whether a bare CR or LF can end a message ("SMTP smuggling").
        content = _NEWLINE.sub(b"\r\n", content)
        if not content.endswith(b"\r\n"):
            content += b"\r\n"
        if content.startswith(b"."):
            content = b"." + content
        return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"  # RFC 5321 §4.5.2


def envelopes(
    messages: AnyMessage | Iterable[AnyMessage], default_from: Address | None = None
) -> list[Envelope]:
    """Make the envelopes of one message or many.

    Args:
        messages: `Message` objects or the standard library's; one, or an iterable of them.
        default_from: the sender of a message without one.

    Raises:
        ValueError: a message has no sender or no recipients.
        TypeError: one of the objects is no message.
    """
    if isinstance(messages, Message | email.message.Message):
        messages = [messages]
    return [_envelope(message, default_from) for message in messages]


@dataclass(frozen=True, slots=True)
class _Headers:
    """What the headers of a message say about its envelope.

    Attributes:
        sender: the sender; None if the message names none.
        wanted: the addresses of all recipients, unchecked if they are text.
        shown: the local parts of other addresses in the headers.
        date: the Date; "" if the message has none.
        message_id: the Message-ID; "" if the message has none.
    """

    sender: Address | None
    wanted: list[str | Address]
    shown: list[str]
    date: str
    message_id: str


def _of_message(message: Message) -> _Headers:
    present = {name.lower(): one_line(value) for name, value in message.headers.items()}
    return _Headers(
        sender=message.from_addr,
        wanted=list(message.recipients),
        shown=[one.username for one in (*message.to, *message.cc, *message.reply_to)],
        date=present.get("date", ""),
        message_id=present.get("message-id", ""),
    )


def _of_mime(message: email.message.Message[Any, Any]) -> _Headers:
    """Read a message of the standard library. `Sender` wins over `From` (RFC 5322 §3.6.2)."""
    check_header_names(message)
    senders = header_addresses(message, "Sender") or header_addresses(message, "From")
    date, message_id = (
        "".join(one_line(text).strip() for text in header_texts(message, name)[:1])
        for name in ("Date", "Message-ID")
    )
    return _Headers(
        sender=prepare_address(senders[0]) if senders else None,
        wanted=[item for name in ("To", "Cc", "Bcc") for item in header_addresses(message, name)],
        shown=list(_recipients(header_addresses(message, "Reply-To"))[0]),
        date=date,
        message_id=message_id,
    )


def _envelope(message: AnyMessage, default_from: Address | None) -> Envelope:
    if isinstance(message, Message):
        said = _of_message(message)
    elif isinstance(message, email.message.Message):
        said = _of_mime(message)
    else:
        raise TypeError(f"expected a Message or an EmailMessage, got {type(message).__name__}")
    sender = said.sender or default_from
    if sender is None:
        raise ValueError("from_addr: the message has none, and there is no default_from")
    if not said.wanted:
        raise ValueError("to: the message has no recipients")
    recipients, invalid = _recipients(said.wanted)
    date, message_id = stamps(sender)
    # A sender beyond ASCII can't send without SMTPUTF8, so UTF-8 is right for it.
    stamp = "" if said.sender else address_header("From", [sender], utf8=True)
    stamp += "" if said.date else header("Date", date)
    stamp += "" if said.message_id else header("Message-ID", message_id)
    return Envelope(
        message=message,
        sender=sender.addr_spec,
        recipients=recipients,
        invalid=invalid,
        message_id=said.message_id or message_id,
        stamp=stamp,
        international=not all(
            name.isascii() for name in (sender.username, *recipients, *said.shown)
        ),
    )


def _recipients(wanted: Iterable[str | Address]) -> tuple[tuple[str, ...], dict[str, Reply]]:
    """Return the addresses without duplicates, and the text that is no address with the reason.

    The reason has the enhanced status code X.1.3 (RFC 3463 §3.2).
    """
    found: dict[tuple[str, str], str] = {}
    invalid: dict[str, Reply] = {}
    for item in wanted:
        try:
            address = item if isinstance(item, Address) else prepare_address(item)
        except ValueError as error:
            invalid[str(item)] = Reply(None, "5.1.3", str(error))
        else:
            # The local part may be case-sensitive, the domain is not (RFC 5321 §2.4).
            found.setdefault((address.username, address.domain.lower()), address.addr_spec)
    return tuple(found.values()), invalid
