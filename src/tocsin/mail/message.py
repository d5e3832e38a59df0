"""A message: what to say, to whom. Built from values, made into MIME, and read back from it."""

from __future__ import annotations

import contextlib
import copy
import email.message
import email.policy
import email.utils
import re
import secrets
import time
from email.header import Header
from typing import TYPE_CHECKING, Any, Self, cast

from tocsin.mail.address import (
    CONTROL,
    SURROGATE,
    AddressList,
    one_line,
    prepare_address,
    split_addresses,
)
from tocsin.mail.attachment import Attachment
from tocsin.mail.mime import (
    HEADER_NAME,
    LONG_WORD,
    address_header,
    check_header_name,
    format_address,
    is_further,
    render,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from email.headerregistry import Address

    Addresses = Iterable[str | Address] | str | Address

_BREAK = re.compile(r"(?:\r\n|\r(?!\n)|\n)(?![ \t])")  # what would begin another header
_ADDRESS_HEADERS = frozenset(["from", "sender", "reply-to", "to", "cc", "bcc"])
_STRUCTURED = re.compile(r"[(:]")  # comments and groups in a list of addresses


class Message:
    """An email. Every argument is optional, and an attribute of the same name.

    Args:
        subject: the subject; control characters become blanks.
        text: the content as plain text; made from `html` where only that is given.
        html: the content as HTML.
        from_addr: who sends it; the email handler's `default_from` if absent.
        reply_to: where answers go.
        to: recipients, as `"a@x"`, `"Name <a@x>"`, several in one string separated by commas, an
            `Address`, or a list of these; always an `AddressList` afterwards. The same holds for
            `reply_to`, `cc` and `bcc`.
        cc: recipients of a copy.
        bcc: recipients whom the others don't see; they never leave in the message.
        attachments: files that go with it.
        inline_attachments: pictures in `html`, named there by their `cid`.
        recipients: who gets it, where that isn't everybody in `to`, `cc` and `bcc`.
        headers: further headers. `Date` and `Message-ID` are set when it is sent, if absent.

    Raises:
        ValueError: an address or a header's name isn't one, or a header has its own argument.
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
        subject: str = "",
        text: str | None = None,
        html: str | None = None,
        from_addr: str | Address | None = None,
        reply_to: Addresses = (),
        to: Addresses = (),
        cc: Addresses = (),
        bcc: Addresses = (),
        attachments: Iterable[Attachment] = (),
        inline_attachments: Iterable[Attachment] = (),
        recipients: Addresses | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.subject: str = subject
        self.text: str | None = text
        self.html: str | None = html
        self.from_addr = from_addr
        self.reply_to = reply_to
        self.to = to
        self.cc = cc
        self.bcc = bcc
        self.attachments: list[Attachment] = list(attachments)
        self.inline_attachments: list[Attachment] = list(inline_attachments)
        self.recipients = recipients
        self.headers = dict(headers or {})

    @property
    def from_addr(self) -> Address | None:
        """Who sends it."""
        return self._from_addr

    @from_addr.setter
    def from_addr(self, value: str | Address | None) -> None:
        self._from_addr = None if value is None else prepare_address(value)

    @property
    def reply_to(self) -> AddressList:
        """Where answers go."""
        return self._reply_to

    @reply_to.setter
    def reply_to(self, value: Addresses) -> None:
        self._reply_to = AddressList(value)

    @property
    def to(self) -> AddressList:
        """The recipients."""
        return self._to

    @to.setter
    def to(self, value: Addresses) -> None:
        self._to = AddressList(value)

    @property
    def cc(self) -> AddressList:
        """The recipients of a copy."""
        return self._cc

    @cc.setter
    def cc(self, value: Addresses) -> None:
        self._cc = AddressList(value)

    @property
    def bcc(self) -> AddressList:
        """The recipients whom the others don't see."""
        return self._bcc

    @bcc.setter
    def bcc(self, value: Addresses) -> None:
        self._bcc = AddressList(value)

    @property
    def recipients(self) -> AddressList:
        """Who gets it: everybody in `to`, `cc` and `bcc`, unless it was set."""
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
        """Return the message as the standard library's `EmailMessage`, Bcc included."""
        data = render(self, utf8=True)
        if self.bcc:
            data = address_header("Bcc", self.bcc, utf8=True).encode() + data
        # The standard library's messages have its own line ends until they are sent.
        return email.message_from_bytes(data.replace(b"\r\n", b"\n"), policy=email.policy.default)

    @classmethod
    def from_mime(cls, mime: email.message.Message[Any, Any]) -> Self:
        """Make a message from the standard library's one.

        Text, HTML, attachments, addresses, subject and all other headers are taken over. What the
        standard structure (mixed, alternative, related) doesn't hold becomes an attachment.
        """
        if isinstance(mime, email.message.EmailMessage):
            parsed = mime
        else:
            parsed = email.message_from_bytes(tidy(mime).as_bytes(), policy=email.policy.SMTP)
        message = cls(subject=str(parsed.get("Subject", "")))
        senders = header_addresses(parsed, "From")
        message.from_addr = next(iter(senders), None)
        message.reply_to = header_addresses(parsed, "Reply-To")
        message.to = header_addresses(parsed, "To")
        message.cc = header_addresses(parsed, "Cc")
        message.bcc = header_addresses(parsed, "Bcc")
        message.headers = {
            name: one_line(str(value))
            for name, value in parsed.items()
            if HEADER_NAME.fullmatch(name) and is_further(name)
        }
        text = parsed.get_body(("plain",))
        html = parsed.get_body(("html",))
        message.text = None if text is None else _text_of(text)
        message.html = None if html is None else _text_of(html)
        for part in _leaves(parsed):
            if part is text or part is html:
                continue
            file = _attachment(part)
            if part.get("Content-ID") and part.get_content_disposition() != "attachment":
                message.inline_attachments.append(file)
            else:
                message.attachments.append(file)
        return message

    def __repr__(self) -> str:
        return f"<Message {self.subject!r} to {len(self.recipients)} recipients>"


def header_addresses(mime: email.message.Message[Any, Any], name: str) -> list[str]:
    """Return the addresses in all headers of a name, as text and unchecked."""
    found: list[str] = []
    for value in mime.get_all(name, []):
        text = str(value)
        structured = _STRUCTURED.search(text) is not None
        parsed = getattr(value, "addresses", None)
        if parsed is None and structured:
            parsed = email.policy.default.header_factory(name, text).addresses
        if parsed is None or not (structured or all(address.domain for address in parsed)):
            found.extend(split_addresses(text))  # the parser keeps nothing of what it can't read
        else:
            found.extend(map(str, parsed))
    return found


def stamps(sender: Address) -> tuple[str, str]:
    """Return a Date of now and a new Message-ID in the sender's domain (RFC 5322 §3.6)."""
    unique = f"{time.time_ns():x}.{secrets.token_hex(8)}"
    return email.utils.formatdate(localtime=True), f"<{unique}@{sender.domain.strip('[]')}>"


def tidy(mime: email.message.Message[Any, Any]) -> email.message.Message[Any, Any]:
    """Return a copy in which each header is one header, and can be written.

    The standard library's older messages take any text, and write a word of any length in one line.
    """
    clone = copy.copy(mime)
    for name in dict.fromkeys(mime.keys()):
        del clone[name]  # which gives the copy a list of headers of its own
    for name, value in mime.raw_items():
        if CONTROL.search(name):
            raise ValueError(f"{name!r} is not a header's name")
        clone.set_raw(name, _tidy_value(mime, name, value))
    return clone


def _tidy_value(mime: email.message.Message[Any, Any], name: str, value: Any) -> Any:
    """Return what is stored for a header: text of the caller's or, from a parser, a `Header`."""
    if isinstance(mime.policy, email.policy.EmailPolicy) or not isinstance(value, str):
        return value  # these have been checked when they were set
    text = _BREAK.sub(" ", value)
    try:
        text.encode("ascii", "surrogateescape")  # such are the bytes that a parser has read
    except UnicodeEncodeError:
        text = SURROGATE.sub("\ufffd", text)
        if name.lower() in _ADDRESS_HEADERS:
            text = _with_names_encoded(text)
    return Header(text, "utf-8", header_name=name) if LONG_WORD.search(text) else text


def _with_names_encoded(addresses: str) -> str:
    """Encode what may be encoded in a list of addresses (RFC 2047 §5), if it is one."""
    try:
        found = AddressList(addresses)
    except ValueError:
        return addresses
    plain = all(address.username.isascii() for address in found)
    return ", ".join(map(format_address, found)) if plain else addresses


def without_bcc(mime: email.message.Message[Any, Any]) -> email.message.Message[Any, Any]:
    """Return a copy that can be changed and sent: the caller's message stays as it is."""
    clone = tidy(mime)
    del clone["Bcc"], clone["Resent-Bcc"]
    return clone


def _leaves(part: email.message.EmailMessage) -> Iterator[email.message.EmailMessage]:
    """Yield the parts that hold content; an attached message is one of them."""
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
    return cast("bytes | None", part.get_payload(decode=True)) or b""  # a message may have none


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
        with contextlib.suppress(ValueError):  # it is the sender's; nothing depends on it
            file.cid = str(cid).strip()
    return file
