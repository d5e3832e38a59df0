"""The standard library's messages: what their headers say, and their bytes.

They are written by the same code as a `Message`. The library's own writer loses blanks between
encoded words, encodes the comma between two addresses (CVE-2025-1795), takes the quotes from a name
with a comma, and lets a body with NUL or with a line of any length leave as it is.

Nothing in a `multipart/signed` is changed: a signature is about these very bytes (RFC 1847 §2.1).
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

_BREAK = re.compile(r"(?:\r\n|\r(?!\n)|\n)(?![ \t])")  # what would begin another header
_FOLD = re.compile(r"\r\n|\r|\n")
_LINE_FEED = re.compile(rb"(?<!\r)\n")
_STRUCTURED = re.compile(r"[(:]")  # comments and groups in a list of addresses
_ESCAPED = re.compile(r"[\udc80-\udcff]+")  # bytes that a parser has read (PEP 383)
_CODED = frozenset(["quoted-printable", "base64", "x-uuencode", "uuencode", "uue", "x-uue"])


def check_header_names(mime: email.message.Message[Any, Any]) -> None:
    """Raise a ValueError if a header's name would begin another header."""
    for name in mime.keys():  # noqa: SIM118 - a message isn't iterable
        if CONTROL.search(name):
            raise ValueError(f"{name!r} is not a header's name")


def header_texts(mime: email.message.Message[Any, Any], name: str) -> list[str]:
    """Return the values of all headers of a name, as text; raw bytes are read as UTF-8."""
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
    """Return the addresses in all headers of a name, as text and unchecked."""
    found: list[str] = []
    for text in header_texts(mime, name):
        addresses = split_addresses(text)  # the parser keeps little of what it can't read
        if _STRUCTURED.search(text):
            with contextlib.suppress(Exception):  # as in `_written`
                parsed = email.policy.default.header_factory(name, text).addresses
                addresses = list(map(str, parsed))
        found.extend(addresses)
    return found


def flatten(
    mime: email.message.Message[Any, Any], *, utf8: bool = False, without: Collection[str] = ()
) -> bytes:
    """Return a message's bytes; the caller's message is not changed.

    Args:
        mime: the message.
        utf8: whether addresses may stand in headers in UTF-8 (RFC 6532).
        without: names of headers to leave out.

    Raises:
        ValueError: a header's name can't be one.
    """
    out = BytesIO()
    policy = _Wire(linesep="\r\n", cte_type="8bit", utf8=utf8)
    BytesGenerator(out, mangle_from_=False, policy=policy).flatten(_copy(mime, without))
    return out.getvalue()


class _Wire(email.policy.EmailPolicy):
    """How the standard library's generator is to write headers."""

    @override
    def fold_binary(self, name: str, value: Any) -> bytes:
        if isinstance(value, str) and not hasattr(value, "name"):
            # As a parser has read it or, in an older message, as it was set.
            text = f"{name}: {_BREAK.sub(' ', value)}"
            with contextlib.suppress(UnicodeEncodeError):
                data = "\r\n".join(_FOLD.split(text)).encode("ascii", "surrogateescape")
                signed = not self.max_line_length  # so the generator says it
                if signed or not is_raw(data):
                    return data + b"\r\n"
        return _written(name, value, utf8=self.utf8).encode("utf-8")


def _text(value: str) -> str:
    """Return text without surrogates: the bytes that a parser has read are characters."""
    text = _ESCAPED.sub(
        lambda found: found[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace"), value
    )
    return SURROGATE.sub("\ufffd", text)


def _written(name: str, value: Any, *, utf8: bool) -> str:
    """Return a header as `Message` writes it; parameters as the standard library writes them."""
    text = one_line(_FOLD.sub("", _BREAK.sub(" ", _text(str(value)))))
    # The library's parser raises IndexError and AttributeError for some text that isn't a header.
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
    """Yield what stands between the commas of a header with addresses."""
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
    """Return a copy, with its parts, in which nothing but what is signed is raw."""
    clone = copy.copy(part)
    for name in (*without, ""):
        del clone[name]  # which also gives the copy a list of headers of its own
    check_header_names(clone)
    signed = signed or part.get_content_type() == "multipart/signed"
    payload = part._payload  # type: ignore[attr-defined] # noqa: SLF001 - `get_payload` decodes it
    if isinstance(payload, list):
        clone.set_payload([_copy(inner, signed=signed) for inner in payload])
        if not signed:
            clone.preamble = clone.epilogue = None  # readers ignore these: RFC 2046 §5.1.1
    elif isinstance(payload, str) and not signed:
        _encode(clone, payload)
    return clone


def _encode(part: email.message.Message[Any, Any], payload: str) -> None:
    """Give a part an encoding in which any server takes it, if it hasn't one."""
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if not is_raw(payload.encode("utf-8", "surrogatepass")):
        return
    if encoding in _CODED:
        content = cast("bytes", part.get_payload(decode=True))
    else:  # none, one that changes nothing, or an unknown one
        content = _bytes(part, payload)
    text = part.get_content_maintype() == "text"
    if text:
        content = _LINE_FEED.sub(b"\r\n", content)
    encoding, data = transfer(content, text=text)
    del part["Content-Transfer-Encoding"]
    part["Content-Transfer-Encoding"] = encoding
    part.set_payload(data.decode("ascii"))


def _bytes(part: email.message.Message[Any, Any], payload: str) -> bytes:
    """Return a payload that isn't encoded: what a parser has read, or text that was set."""
    with contextlib.suppress(UnicodeEncodeError):
        return payload.encode("ascii", "surrogateescape")
    with contextlib.suppress(UnicodeEncodeError, LookupError):
        return payload.encode(part.get_content_charset("ascii"))
    part.set_param("charset", "utf-8")
    return payload.encode("utf-8", "replace")
