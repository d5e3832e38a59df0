"""The standard library's messages: the text of their headers, and their bytes.

Their headers are written by the same code as those of a `Message`. The library's own writer loses
blanks between encoded words, encodes the comma between two addresses (CVE-2025-1795), removes the
quotes from a name with a comma, and doesn't encode a body with NUL or with very long lines.

Nothing inside a `multipart/signed` is changed: its signature covers these bytes (RFC 1847 §2.1).
"""

from __future__ import annotations

import contextlib
import copy
import email.message
import email.policy
import re
from email.generator import BytesGenerator
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from tocsin.mail.address import CONTROL, SURROGATE, one_line, prepare_address, split_addresses
from tocsin.mail.mime import (
    address_items,
    format_address,
    format_phrase,
    header,
    is_raw,
    transfer,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_BREAK = re.compile(r"(?:\r\n|\r(?!\n)|\n)(?![ \t])")  # would begin another header
_FOLD = re.compile(r"\r\n|\r|\n")
_LINE_FEED = re.compile(rb"(?<!\r)\n")
_STRUCTURED = re.compile(r"[(:]")  # comments and groups in a list of addresses
_ESCAPED = re.compile(r"[\udc80-\udcff]+")  # bytes as a parser keeps them (PEP 383)
_CODED = frozenset(["quoted-printable", "base64", "x-uuencode", "uuencode", "uue", "x-uue"])


def check_header_names(mime: email.message.Message[Any, Any]) -> None:
    """Raise a ValueError if the name of a header contains control characters."""
    for name in mime.keys():  # noqa: SIM118 - a message isn't iterable
        if CONTROL.search(name):
            raise ValueError(f"{name!r} is not a header's name")


def header_texts(mime: email.message.Message[Any, Any], name: str) -> list[str]:
    """Return the values of all headers with a name, as text; raw bytes are decoded as UTF-8."""
    found: list[str] = []
    for key, value in mime.raw_items():
        if key.lower() == name.lower():
            text = _text(str(value))
            if isinstance(mime.policy, email.policy.EmailPolicy):
                with contextlib.suppress(Exception):  # as in `_written`
                    text = str(mime.policy.header_fetch_parse(key, value))
            found.append(text)
    return found


def header_addresses(mime: email.message.Message[Any, Any], name: str) -> list[str]:
    """Return the addresses in all headers with a name, as unchecked text."""
    found: list[str] = []
    for text in header_texts(mime, name):
        addresses = split_addresses(text)  # the library's parser loses addresses that it can't read
        if _STRUCTURED.search(text):
            with contextlib.suppress(Exception):  # as in `_written`
                parsed = email.policy.default.header_factory(name, text).addresses
                addresses = list(map(str, parsed))
        found.extend(addresses)
    return found


def flatten(
    mime: email.message.Message[Any, Any], *, utf8: bool = False, without: Collection[str] = ()
) -> bytes:
    """Return a message's bytes.

    Args:
        mime: the message; it is not changed.
        utf8: whether addresses may stand in headers in UTF-8 (RFC 6532).
        without: the names of headers to leave out.

    Raises:
        ValueError: the name of a header contains control characters.
    """
    out = BytesIO()
    policy = _Wire(linesep="\r\n", cte_type="8bit", utf8=utf8)
    BytesGenerator(out, mangle_from_=False, policy=policy).flatten(_copy(mime, without))
    return out.getvalue()


class _Wire(email.policy.EmailPolicy):
    """The policy by which the standard library's generator writes headers as this module does."""

    @override
    def fold_binary(self, name: str, value: Any) -> bytes:
        if isinstance(value, str) and not hasattr(value, "name"):
            # The header as a parser has read it, or as it was set in a message of the old API.
            text = f"{name}: {_BREAK.sub(' ', value)}"
            with contextlib.suppress(UnicodeEncodeError):
                data = "\r\n".join(_FOLD.split(text)).encode("ascii", "surrogateescape")
                signed = not self.max_line_length  # the generator's sign for a signed part
                if signed or not is_raw(data):
                    return data + b"\r\n"
        return _written(name, value, utf8=self.utf8).encode("utf-8")


def _text(value: str) -> str:
    """Return text without surrogates; bytes that a parser has kept are decoded as UTF-8."""
    text = _ESCAPED.sub(
        lambda found: found[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace"), value
    )
    return SURROGATE.sub("\ufffd", text)


def _written(name: str, value: Any, *, utf8: bool) -> str:
    """Return a header as `Message` writes it; one with parameters as the library writes it."""
    text = one_line(_FOLD.sub("", _BREAK.sub(" ", _text(str(value)))))
    # The library's parser raises IndexError and AttributeError for some texts.
    with contextlib.suppress(Exception):
        if not hasattr(value, "name"):
            value = email.policy.default.header_factory(name, text)
        if hasattr(value, "groups"):
            return address_items(name, _items(value, utf8=utf8))
        if not hasattr(value, "params"):
            return header(name, str(value))
        folded = str(value.fold(policy=email.policy.SMTP))
        if not is_raw(folded.encode("ascii")):
            return folded
    return header(name, text)


def _items(value: Any, *, utf8: bool) -> Iterator[str]:
    """Yield the items between the commas of a header with addresses; groups keep their names."""
    if all(group.display_name is None for group in value.groups):
        for text in split_addresses(str(value)):
            yield _item(text, utf8=utf8)
        return
    for group in value.groups:
        members = [_item(str(address), utf8=utf8) for address in group.addresses] or [""]
        if group.display_name is not None:
            members[0] = f"{format_phrase(group.display_name)}: {members[0]}".rstrip()
            members[-1] += ";"
        yield from members


def _item(text: str, *, utf8: bool) -> str:
    try:
        return format_address(prepare_address(text), utf8=utf8)
    except ValueError:
        return format_phrase(one_line(text), quote=False)


def _copy(
    part: email.message.Message[Any, Any], without: Collection[str] = (), *, signed: bool = False
) -> email.message.Message[Any, Any]:
    """Return a copy of a message and its parts that is safe to send; signed parts are unchanged."""
    clone = copy.copy(part)
    for name in (*without, ""):
        del clone[name]  # this also gives the copy its own list of headers
    check_header_names(clone)
    signed = signed or part.get_content_type() == "multipart/signed"
    payload = part._payload  # type: ignore[attr-defined] # noqa: SLF001 - `get_payload` decodes it
    if isinstance(payload, list):
        clone.set_payload([_copy(inner, signed=signed) for inner in payload])
        if not signed:
            clone.preamble = clone.epilogue = None  # no reader shows them: RFC 2046 §5.1.1
    elif isinstance(payload, str) and not signed:
        _encode(clone, payload)
    return clone


def _encode(part: email.message.Message[Any, Any], payload: str) -> None:
    """Give a part an encoding that every server accepts, if it hasn't one."""
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if not is_raw(payload.encode("utf-8", "surrogatepass")):
        return
    if encoding in _CODED:
        content = cast("bytes", part.get_payload(decode=True))
    else:  # no encoding, 7bit, 8bit, binary, or an unknown one
        content = _bytes(part, payload)
    text = part.get_content_maintype() == "text"
    if text:
        content = _LINE_FEED.sub(b"\r\n", content)
    encoding, data = transfer(content, text=text)
    del part["Content-Transfer-Encoding"]
    part["Content-Transfer-Encoding"] = encoding
    part.set_payload(data.decode("ascii"))


def _bytes(part: email.message.Message[Any, Any], payload: str) -> bytes:
    """Return a payload without an encoding as bytes, whether it was parsed or set."""
    with contextlib.suppress(UnicodeEncodeError):
        return payload.encode("ascii", "surrogateescape")
    with contextlib.suppress(UnicodeEncodeError, LookupError):
        return payload.encode(part.get_content_charset("ascii"))
    part.set_param("charset", "utf-8")
    return payload.encode("utf-8", "replace")
