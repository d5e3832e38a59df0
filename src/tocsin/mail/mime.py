"""MIME: a message as bytes (RFC 5322, RFC 2045), in time that is linear in its size.

- The bytes are ASCII, in lines of at most 900 characters that end in CRLF: every server accepts
  them. Only addresses may be in UTF-8, and only for a server with SMTPUTF8.
- Every value is made one line before it is put into a header, so that none can add a header.
- The same message always gives the same bytes, so that a retry sends the same message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from email.header import Header
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from tocsin.mail.address import one_line
from tocsin.mail.plaintext import html_to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from email.headerregistry import Address

    from tocsin.mail.attachment import Attachment

_FOLD = 76
# Without CRLF. RFC 5322 §2.1.1 allows 998, but Sendmail breaks lines at 990 and Haraka at 992.
LINE_LIMIT = 900
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_NEWLINE = re.compile(r"\r\n|\r|\n")
_LONG_WORD = re.compile(r"\S{800}")
_PRINTABLE = bytes([*b"\t\r\n", *range(32, 127)])
HEADER_NAME = re.compile(r"[\x21-\x39\x3b-\x7e]{1,76}")
_OWN_HEADERS = frozenset(
    ["from", "to", "cc", "bcc", "resent-bcc", "reply-to", "subject", "mime-version"]
)


class _Content(Protocol):
    """What `render` reads of a message; `Message` has it."""

    @property
    def from_addr(self) -> Address | None: ...

    @property
    def reply_to(self) -> Sequence[Address]: ...

    @property
    def to(self) -> Sequence[Address]: ...

    @property
    def cc(self) -> Sequence[Address]: ...

    @property
    def subject(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def text(self) -> str | None: ...

    @property
    def html(self) -> str | None: ...

    @property
    def attachments(self) -> Sequence[Attachment]: ...

    @property
    def inline_attachments(self) -> Sequence[Attachment]: ...


def render(message: _Content, *, utf8: bool = False) -> bytes:
    """Return a message's bytes, without its Bcc.

    Args:
        message: the message.
        utf8: whether addresses may stand in headers in UTF-8 (RFC 6532).

    Raises:
        ValueError: a key of `headers` is no header's name, or the message makes this header itself.
    """
    for name in message.headers:
        check_header_name(name)
    addresses = {
        "From": [] if message.from_addr is None else [message.from_addr],
        "Reply-To": message.reply_to,
        "To": message.to,
        "Cc": message.cc,
    }
    lines = [
        address_header(name, addresses[name], utf8=utf8) for name in addresses if addresses[name]
    ]
    if message.subject:
        lines.append(header("Subject", message.subject))
    lines.extend(header(name, value) for name, value in message.headers.items())
    lines.append("MIME-Version: 1.0\r\n")
    return "".join(lines).encode("utf-8") + _content(message)


def check_header_name(name: str) -> None:
    """Raise a ValueError for a name that is no header's, or whose header has its own argument."""
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"headers: {name!r} is not a header's name")
    if not is_further(name):
        raise ValueError(f"headers: {name!r} is made from the message's other arguments")


def is_further(name: str) -> bool:
    """Return whether a header is none of those that a message makes from its other arguments."""
    return name.lower() not in _OWN_HEADERS and not name.lower().startswith("content-")


def header(name: str, value: str) -> str:
    """Return one header with its line end, folded (RFC 5322 §2.2.3).

    Letters beyond ASCII become encoded words (RFC 2047).
    """
    value = one_line(value).strip()
    plain = value.isascii() and "=?" not in value
    if plain and len(name) + 2 + len(value) <= _FOLD:
        return f"{name}: {value}\r\n"
    charset = "us-ascii" if plain and not _LONG_WORD.search(value) else "utf-8"
    folded = Header(value, charset, maxlinelen=_FOLD, header_name=name).encode(linesep="\r\n")
    return f"{name}: {folded}\r\n"


def address_header(name: str, addresses: Iterable[Address], *, utf8: bool = False) -> str:
    """Return a header of addresses with its line end, folded between the addresses."""
    return address_items(name, (format_address(address, utf8=utf8) for address in addresses))


def address_items(name: str, items: Iterable[str]) -> str:
    """Return a header of items, separated by commas and folded between them, with its line end."""
    lines: list[str] = []
    line = f"{name}:"
    for position, text in enumerate(items):
        item = f" {text}"
        used = len(line.rsplit("\r\n", 1)[-1]) + len(item.split("\r\n", 1)[0])
        if position and used >= _FOLD:
            lines.append(line + ",\r\n")
            line = item
        else:
            line += ("," if position else "") + item
    return "".join(lines) + line + "\r\n"


def format_address(address: Address, *, utf8: bool = False) -> str:
    """Return an address as it is written in a header (RFC 5322 §3.4, RFC 2047 §5).

    An address with letters beyond ASCII before the '@', if UTF-8 isn't allowed, becomes the name of
    an empty group, so that readers still see it (RFC 6857 §3.2.2).
    """
    name = address.display_name
    if not (utf8 or address.username.isascii()):
        shown = Header(f"{name} {address.addr_spec}".strip(), "utf-8", maxlinelen=_FOLD - 2)
        return shown.encode(linesep="\r\n") + ":;"
    return f"{format_phrase(name)} <{address.addr_spec}>" if name else address.addr_spec


def format_phrase(text: str, *, quote: bool = True) -> str:
    """Return the name of an address or a group as it is written in a header.

    Args:
        text: the name.
        quote: whether an ASCII name with special characters is put in quotes; else it is written
            as it is. A name with letters beyond ASCII becomes encoded words in any case.
    """
    if text.isascii() and "=?" not in text and len(text) <= _FOLD - 2:
        if not quote or _ATOMS.fullmatch(text):
            return text
        return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return Header(text, "utf-8", maxlinelen=_FOLD - 2).encode(linesep="\r\n")


def _content(message: _Content) -> bytes:
    """Return the headers of the content, and the body.

    The structure is mixed(alternative(text, related(html, pictures…)), attachments…). A level with
    a single part is left out.
    """
    parts: list[bytes] = []
    if message.text is not None:
        parts.append(_text("plain", message.text))
    elif message.html is not None:
        parts.append(_text("plain", html_to_text(message.html)))
    if message.html is not None:
        html = _text("html", message.html)
        inline = [_file(item, inline=True) for item in message.inline_attachments]
        parts.append(_multipart("related", [html, *inline]))
    body = _multipart("alternative", parts or [_text("plain", "")])
    files = [_file(item, inline=False) for item in message.attachments]
    if message.html is None:
        files += [_file(item, inline=True) for item in message.inline_attachments]
    return _multipart("mixed", [body, *files])


def _multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    if len(parts) == 1:
        return parts[0]
    # The boundary occurs in no part: "=_" can't occur in quoted-printable (RFC 2045 §6.7), and no
    # text contains its own hash.
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    boundary = f"=_{digest.hexdigest()}".encode()
    head = b'Content-Type: multipart/%s;\r\n boundary="%s"\r\n\r\n' % (subtype.encode(), boundary)
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts)
    return head + body + b"--%s--\r\n" % boundary


def _text(subtype: str, text: str) -> bytes:
    text = _NEWLINE.sub("\r\n", text)
    if text and not text.endswith("\n"):
        text += "\r\n"
    charset = "us-ascii" if text.isascii() else "utf-8"
    encoding, data = transfer(text.encode("utf-8", "replace"))
    head = (
        f'Content-Type: text/{subtype}; charset="{charset}"\r\n'
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    return head.encode() + data


def is_raw(data: bytes) -> bool:
    """Return whether a server may change or refuse bytes: not printable ASCII, or long lines."""
    if data.translate(None, _PRINTABLE) or _has_bare_cr(data):
        return True
    lines = data.replace(b"\r", b"").split(b"\n") if len(data) > LINE_LIMIT else [b""]
    return max(map(len, lines)) > LINE_LIMIT


def _has_bare_cr(data: bytes) -> bool:
    return data.count(b"\r") != data.count(b"\r\n")


def transfer(data: bytes, *, text: bool = True) -> tuple[str, bytes]:
    """Choose a transfer encoding (RFC 2045 §6) for some content.

    Args:
        data: the content.
        text: whether it consists of lines that end in CRLF.

    Returns:
        The name of the shortest encoding that is safe, and the encoded content.
    """
    if not is_raw(data):
        return "7bit", data
    few = sum(byte > 126 for byte in data) * 6 <= len(data)  # noqa: PLR2004 - "~"; shorter as QP
    if text and few and not _has_bare_cr(data):
        return "quoted-printable", binascii.b2a_qp(data, istext=True)
    return "base64", _base64(data)


def _base64(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def _file(attachment: Attachment, *, inline: bool) -> bytes:
    mimetype = attachment.mimetype
    if mimetype.lower().startswith(("message/", "multipart/")):
        mimetype = "application/octet-stream"  # these types don't allow base64: RFC 2045 §6.4
    lines = [
        f"Content-Type: {mimetype}\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        f"Content-Disposition: {'inline' if inline else 'attachment'}",
    ]
    if attachment.filename:
        lines.append(";\r\n " + _filename(attachment.filename))
    lines.append("\r\n")
    if inline:
        lines.append(f"Content-ID: <{attachment.cid}>\r\n")
    return "".join(lines).encode() + b"\r\n" + _base64(attachment.data)


def _filename(name: str) -> str:
    """Return the parameter `filename`: quoted, or by RFC 2231 if it is long or not ASCII."""
    if name.isascii() and len(name) < _FOLD - 12:
        return 'filename="' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    encoded = quote(name, safe="", errors="replace")
    if len(encoded) < _FOLD - 20:
        return f"filename*=utf-8''{encoded}"
    # Continuations (RFC 2231 §3), cut between the escapes.
    pieces = re.findall(r"(?:%..|[^%]){1,18}", encoded)
    first = f"filename*0*=utf-8''{pieces[0]}"
    rest = (f"filename*{number}*={piece}" for number, piece in enumerate(pieces[1:], 1))
    return ";\r\n ".join([first, *rest])
