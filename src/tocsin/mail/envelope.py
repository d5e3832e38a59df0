"""What SMTP needs of a message: who sends it, to whom, and its bytes."""

from __future__ import annotations

import email.message
import re
from dataclasses import dataclass, field
from email.headerregistry import Address
from typing import TYPE_CHECKING

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
    """A message and where it goes.

    Attributes:
        message: as it was given; it is not changed.
        sender: the address of the reverse path.
        recipients: bare addresses of To, Cc and Bcc, without duplicates, in order.
        invalid: what can't be sent to, with the reason.
        message_id: the message's own, or a new one.
        stamp: the headers that the message lacks: From, Date, Message-ID.
        international: whether an address in it goes beyond ASCII before the '@'.
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
        """Return the bytes that follow DATA: CRLF only, dots stuffed, the final dot included.

        They are made once.

        Args:
            utf8: whether the server takes headers in UTF-8.
        """
        if utf8 not in self._made:
            self._made[utf8] = self._data(utf8=utf8)
        return self._made[utf8]

    def forget(self) -> None:
        """Let go of the bytes: nobody waits for them any more."""
        self._made.clear()

    def _data(self, *, utf8: bool) -> bytes:
        content = self.stamp.encode() + (
            render(self.message, utf8=utf8)
            if isinstance(self.message, Message)
            else flatten(self.message, utf8=utf8, without=_HIDDEN)
        )
        # A bare CR or LF is where servers disagree on what ends a message ("SMTP smuggling").
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
        messages: what to send.
        default_from: who sends a message that doesn't say it.

    Raises:
        ValueError: a message without a sender or without recipients.
        TypeError: something isn't a message.
    """
    if isinstance(messages, Message | email.message.Message):
        messages = [messages]
    return [_envelope(message, default_from) for message in messages]


def _envelope(message: AnyMessage, default_from: Address | None) -> Envelope:
    if isinstance(message, Message):
        present = {name.lower(): one_line(value) for name, value in message.headers.items()}
        sender = message.from_addr
        wanted: list[str | Address] = list(message.recipients)
        addresses = (*message.to, *message.cc, *message.reply_to)
        shown = [address.username for address in addresses]
    elif isinstance(message, email.message.Message):
        check_header_names(message)
        present = {
            name: one_line(text).strip()
            for name in ("date", "message-id")
            for text in header_texts(message, name)[:1]
        }
        senders = header_addresses(message, "Sender") or header_addresses(message, "From")
        sender = prepare_address(senders[0]) if senders else None
        wanted = [item for name in ("To", "Cc", "Bcc") for item in header_addresses(message, name)]
        shown = list(_recipients(header_addresses(message, "Reply-To"))[0])
    else:
        raise TypeError(f"expected a Message or an EmailMessage, got {type(message).__name__}")
    stamp = ""
    if sender is None:
        sender = default_from
        if sender is None:
            raise ValueError("from_addr: the message has none, and there is no default_from")
        # Without SMTPUTF8 a sender beyond ASCII can't send at all.
        stamp = address_header("From", [sender], utf8=True)
    if not wanted:
        raise ValueError("to: the message has no recipients")
    date, message_id = stamps(sender)
    if not present.get("date"):
        stamp += header("Date", date)
    if not present.get("message-id"):
        stamp += header("Message-ID", message_id)
    recipients, invalid = _recipients(wanted)
    return Envelope(
        message=message,
        sender=sender.addr_spec,
        recipients=recipients,
        invalid=invalid,
        message_id=present.get("message-id") or message_id,
        stamp=stamp,
        international=not all(name.isascii() for name in (sender.username, *recipients, *shown)),
    )


def _recipients(wanted: Iterable[str | Address]) -> tuple[tuple[str, ...], dict[str, Reply]]:
    """Return the addresses without duplicates, and what isn't one (RFC 3463: X.1.3)."""
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
