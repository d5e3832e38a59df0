"""Messages: made from values, turned into the standard library's messages, and made from them."""

from __future__ import annotations

import contextlib
import email.message
import email.policy
import email.utils
import secrets
import time
from typing import TYPE_CHECKING, Any, Self, cast

from tocsin.mail.address import AddressList, one_line, prepare_address
from tocsin.mail.attachment import Attachment
from tocsin.mail.mime import HEADER_NAME, address_header, check_header_name, is_further, render
from tocsin.mail.standard import flatten, header_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from email.headerregistry import Address

    Addresses = Iterable[str | Address] | str | Address


class Message:
    """An email. Every argument is optional, and an attribute of the same name.

    Args:
        subject: the subject, "" if there is none; control characters become blanks.
        text: the content as plain text; made from `html` where only that is given.
        html: the content as HTML.
        from_addr: the sender; by default the email handler's `default_from`.
        reply_to: the addresses for answers.
        to: the recipients: `"a@x"`, `"Name <a@x>"`, several in one text separated by commas, an
            `Address`, a list of these, or None. The attribute is always an `AddressList`. The same
            holds for `reply_to`, `cc`, `bcc` and `recipients`.
        cc: the recipients of a copy.
        bcc: the recipients of a hidden copy; they are never in the message that is sent.
        attachments: the attached files.
        inline_attachments: the pictures in `html`, which names them by their `cid`.
        recipients: the addresses to which the message is sent; by default all of `to`, `cc` and
            `bcc`.
        headers: further headers. `Date` and `Message-ID` are added when the message is sent, if
            they are absent.

    Raises:
        ValueError: an address or a header's name is wrong, or a header has an argument of its own.
    """

    __slots__ = (
        "_bcc",
        "_cc",
        "_from_addr",
        "_headers",
        "_recipients",
        "_reply_to",
        "_to",
        "attachments",
        "html",
        "inline_attachments",
        "subject",
        "text",
    )

    def __init__(
        self,
        *,
        subject: str | None = None,
        text: str | None = None,
        html: str | None = None,
        from_addr: str | Address | None = None,
        reply_to: Addresses | None = None,
        to: Addresses | None = None,
        cc: Addresses | None = None,
        bcc: Addresses | None = None,
        attachments: Iterable[Attachment] | None = None,
        inline_attachments: Iterable[Attachment] | None = None,
        recipients: Addresses | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.subject: str = subject or ""
        self.text: str | None = text
        self.html: str | None = html
        self.from_addr = from_addr
        self.reply_to = reply_to
        self.to = to
        self.cc = cc
        self.bcc = bcc
        self.attachments: list[Attachment] = list(attachments or ())
        self.inline_attachments: list[Attachment] = list(inline_attachments or ())
        self.recipients = recipients
        self.headers = dict(headers or {})

    @property
    def from_addr(self) -> Address | None:
        """The sender; None for the email handler's default."""
        return self._from_addr

    @from_addr.setter
    def from_addr(self, value: str | Address | None) -> None:
        self._from_addr = None if value is None else prepare_address(value)

    @property
    def reply_to(self) -> AddressList:
        """The addresses for answers."""
        return self._reply_to

    @reply_to.setter
    def reply_to(self, value: Addresses | None) -> None:
        self._reply_to = _list(value)

    @property
    def to(self) -> AddressList:
        """The recipients."""
        return self._to

    @to.setter
    def to(self, value: Addresses | None) -> None:
        self._to = _list(value)

    @property
    def cc(self) -> AddressList:
        """The recipients of a copy."""
        return self._cc

    @cc.setter
    def cc(self, value: Addresses | None) -> None:
        self._cc = _list(value)

    @property
    def bcc(self) -> AddressList:
        """The recipients of a hidden copy."""
        return self._bcc

    @bcc.setter
    def bcc(self, value: Addresses | None) -> None:
        self._bcc = _list(value)

    @property
    def recipients(self) -> AddressList:
        """The addresses to which it is sent: all of `to`, `cc` and `bcc`, unless it was set."""
        if self._recipients is not None:
            return self._recipients
        return AddressList([*self.to, *self.cc, *self.bcc])

    @recipients.setter
    def recipients(self, value: Addresses | None) -> None:
        self._recipients = None if value is None else AddressList(value)

    @property
    def headers(self) -> dict[str, str]:
        """The further headers."""
        return self._headers

    @headers.setter
    def headers(self, value: Mapping[str, str]) -> None:
        for name in value:
            check_header_name(name)
        self._headers = dict(value)

    def to_mime(self) -> email.message.EmailMessage:
        """Return the message as the standard library's `EmailMessage`, with its Bcc.

        Its policy has `utf8` set (RFC 6532) if an address has letters beyond ASCII before the '@'.
        """
        data = render(self, utf8=True)
        if self.bcc:
            data = address_header("Bcc", self.bcc, utf8=True).encode() + data
        policy = email.policy.default
        if not data.isascii():
            policy = policy.clone(utf8=True)
        # Inside the standard library's messages, lines end in LF.
        return email.message_from_string(data.decode().replace("\r\n", "\n"), policy=policy)

    @classmethod
    def from_mime(cls, message: email.message.Message[Any, Any]) -> Self:
        """Make a message from one of the standard library's.

        Text, HTML, attachments, addresses, subject and all other headers are kept. A part that is
        in no place of the usual structure (mixed, alternative, related) becomes an attachment.

        Raises:
            ValueError: an address in a header can't be used.
        """
        if isinstance(message, email.message.EmailMessage):
            parsed = message
        else:
            parsed = email.message_from_bytes(flatten(message, utf8=True), policy=email.policy.SMTP)
        made = cls(
            subject=str(parsed.get("Subject", "")),
            from_addr=next(iter(header_addresses(parsed, "From")), None),
            reply_to=header_addresses(parsed, "Reply-To"),
            to=header_addresses(parsed, "To"),
            cc=header_addresses(parsed, "Cc"),
            bcc=header_addresses(parsed, "Bcc"),
            headers={
                name: one_line(str(value))
                for name, value in parsed.items()
                if HEADER_NAME.fullmatch(name) and is_further(name)
            },
        )
        made._read_content(parsed)
        return made

    def _read_content(self, parsed: email.message.EmailMessage) -> None:
        """Take text, HTML and files from a message of the standard library."""
        text = parsed.get_body(("plain",))
        html = parsed.get_body(("html",))
        self.text = None if text is None else _text_of(text)
        self.html = None if html is None else _text_of(html)
        for part in _leaves(parsed):
            if part is text or part is html:
                continue
            file = _attachment(part)
            if part.get("Content-ID") and part.get_content_disposition() != "attachment":
                self.inline_attachments.append(file)
            else:
                self.attachments.append(file)

    def __repr__(self) -> str:
        return f"<Message {self.subject!r} to {len(self.recipients)} recipients>"


def _list(value: Addresses | None) -> AddressList:
    return AddressList(() if value is None else value)


def stamps(sender: Address) -> tuple[str, str]:
    """Return a Date (now) and a new Message-ID in the sender's domain (RFC 5322 §3.6)."""
    unique = f"{time.time_ns():x}.{secrets.token_hex(8)}"
    return email.utils.formatdate(localtime=True), f"<{unique}@{sender.domain.strip('[]')}>"


def _leaves(part: email.message.EmailMessage) -> Iterator[email.message.EmailMessage]:
    """Yield the parts that have content; an attached message counts as one part."""
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        for inner in part.iter_parts():
            yield from _leaves(cast("email.message.EmailMessage", inner))
    else:
        yield part


def _text_of(part: email.message.Message[Any, Any]) -> str:
    payload = _content_of(part)
    try:
        text = payload.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        text = payload.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def _content_of(part: email.message.Message[Any, Any]) -> bytes:
    return (
        cast("bytes | None", part.get_payload(decode=True)) or b""
    )  # a message may have no content


def _attachment(part: email.message.EmailMessage) -> Attachment:
    mimetype = part.get_content_type()
    if part.is_multipart():
        inner = cast("email.message.EmailMessage", part.get_payload(0))
        file = Attachment(inner.as_bytes(), filename="message.eml", mimetype=mimetype)
    else:
        if charset := part.get_content_charset():
            mimetype += f"; charset={charset}"
        file = Attachment(_content_of(part), filename=part.get_filename(), mimetype=mimetype)
    if cid := part.get("Content-ID"):
        with contextlib.suppress(ValueError):  # a wrong identifier does no harm
            file.cid = str(cid).strip()
    return file
