"""Addresses: read from text, checked, and given an ASCII domain.

An address is the standard library's `email.headerregistry.Address`. Every address that this module
returns is safe in a header and in an SMTP command: it has no control characters and no blanks, and
its domain is ASCII.
"""

from __future__ import annotations

import re
import sys
from email.headerregistry import Address
from typing import TYPE_CHECKING, Self, SupportsIndex
from unicodedata import normalize

import idna
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Control characters, and the two separators at which Python's `splitlines` also breaks."""
SURROGATE = re.compile(r"[\ud800-\udfff]")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]")
_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[A-Za-z0-9:.]+\]")
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_BETWEEN = re.compile(r"[,;\s]+")
_LIST = re.compile(r"[,;\r\n]+")
_ONE = re.compile(r"[^@\s]+@[^@\s]+")
_LINE_BREAK = re.compile(r"(?:\r\n?+|\n)(?![ \t])")
_MAX_LENGTH = 254  # a path holds 256 octets with its angle brackets: RFC 5321 §4.5.3.1.3


def one_line(text: str) -> str:
    """Return text that is safe in a header.

    Each run of control characters becomes a blank. Lone surrogates, which no charset can encode,
    become U+FFFD.
    """
    return SURROGATE.sub("\ufffd", CONTROL.sub(" ", text))


def is_utf8(text: str) -> bool:
    """Return whether UTF-8 can encode the text, that is, whether it has no lone surrogate."""
    return SURROGATE.search(text) is None


def prepare_address(address: str | Address) -> Address:
    """Make an address that is safe to send.

    Args:
        address: `"a@example.com"`, `"Name <a@example.com>"`, or an `Address`. A domain with letters
            beyond ASCII gets its IDNA 2008 form (RFC 5891, with the mapping of UTS 46).

    Returns:
        An `Address` whose name is one line and whose domain is ASCII. The part before the '@' may
        be in any script; only servers with SMTPUTF8 (RFC 6531) accept letters beyond ASCII there.

    Raises:
        ValueError: the text is no address, or an address that can't be used.
        TypeError: the argument is neither text nor an `Address`.
    """
    if isinstance(address, Address):
        return _checked(address.display_name, address.username, address.domain, address.addr_spec)
    if not isinstance(address, str):
        raise TypeError(f"expected an address, got {type(address).__name__}")
    if address.count("@") > 1 and several(address):
        raise ValueError(
            f"{address!r} is not an address, but several: separate addresses by commas; in a list, "
            "each is an item"
        )
    name, spec = _split(address)
    username, domain = _split_spec(spec, address)
    return _checked(name, username, domain, address)


def several(text: str) -> bool:
    """Return whether a text holds several addresses, whatever separates them."""
    bare = _QUOTED.sub("", text).strip()
    if not bare.endswith(">"):
        parts = [part for part in _BETWEEN.split(bare) if part]
        return len(parts) > 1 and all(_ONE.fullmatch(part) for part in parts)
    name = bare[: bare.rfind("<")]
    parts = _LIST.split(name)
    return "<" in name or (len(parts) > 1 and any(_ONE.fullmatch(part.strip()) for part in parts))


def reject_line_break(value: object) -> None:
    """Raise a `ValueError` for text with a line break other than folding (RFC 5322 §2.2.3).

    In a configuration, such text is a list without commas, or a mistake.
    """
    if isinstance(value, str) and _LINE_BREAK.search(value.strip()):
        raise ValueError(f"{value!r} is not an address: it has a line break in it")


def _split(text: str) -> tuple[str, str]:
    """Return the display name and the address of `Name <a@x>` or `a@x`."""
    text = text.strip()
    if not text.endswith(">"):
        return "", text
    start = text.rfind("<")
    if start < 0:
        raise ValueError(f"{text!r} is not an address: a '<' is missing")
    name = text[:start].strip()
    if _QUOTED.fullmatch(name):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return name, text[start + 1 : -1].strip()


def _split_spec(spec: str, shown: str) -> tuple[str, str]:
    """Return the part before the '@' and the domain; `shown` is the text to name in an error."""
    if spec.startswith('"') and (quoted := _QUOTED.match(spec)):
        username = re.sub(r"\\(.)", r"\1", quoted[0][1:-1])
        rest = spec[quoted.end() :]
    else:
        username, at, domain = spec.rpartition("@")
        if username and not _DOT_ATOM.fullmatch(username) and username.isascii():
            raise ValueError(f"{shown!r} is not an address: check the part before the '@'")
        rest = at + domain
    if not rest.startswith("@"):
        raise ValueError(f"{shown!r} is not an address: expected name@domain")
    return username, rest[1:]


def _checked(name: str, username: str, domain: str, shown: str) -> Address:
    if not username or not domain:
        raise ValueError(f"{shown!r} is not an address: expected name@domain")
    if _FORBIDDEN.search(username) or _FORBIDDEN.search(domain):
        raise ValueError(
            f"{shown!r} is not an address: it has blanks, control characters, or '<' or '>' in it"
        )
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(f"{shown!r} has no valid domain: {error}") from None
    if not _DOMAIN.fullmatch(domain) or ".." in domain:
        raise ValueError(f"{shown!r} has no valid domain: {domain!r}")
    # RFC 6532 §3.1 asks for the composed form (NFC).
    address = Address(one_line(name).strip(), normalize("NFC", username), domain)
    if len(address.addr_spec.encode()) > _MAX_LENGTH:
        raise ValueError(f"{shown!r} is too long: an address has at most {_MAX_LENGTH} octets")
    return address


def split_addresses(text: str) -> list[str]:
    """Split text such as `a@x, "B, C" <b@y>` at the commas outside of quotes."""
    parts: list[str] = []
    start = 0
    quoted = escaped = False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


class AddressList(list[Address]):
    """A `list[Address]` whose methods also accept text.

    Args:
        values: addresses, or text with addresses that are separated by commas.

    Raises:
        ValueError: a value is no address; all methods that accept an address raise it.
    """

    __slots__ = ()

    def __init__(self, values: Iterable[str | Address] | str | Address = ()) -> None:
        super().__init__()
        self.extend(values)

    @override
    def append(self, value: str | Address) -> None:
        """Add one address at the end."""
        super().append(prepare_address(value))

    @override
    def extend(self, values: Iterable[str | Address] | str | Address) -> None:
        """Add several addresses at the end; text may hold several, separated by commas."""
        if isinstance(values, str):
            values = split_addresses(values)
        elif isinstance(values, Address):
            values = [values]
        super().extend([prepare_address(value) for value in values])

    @override
    def insert(self, index: SupportsIndex, value: str | Address) -> None:
        """Insert one address before the index."""
        super().insert(index, prepare_address(value))

    @override
    def remove(self, value: str | Address) -> None:
        """Remove the first address that is equal to this one."""
        super().remove(prepare_address(value))

    @override
    def index(
        self, value: str | Address, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize
    ) -> int:
        """Return the position of the first address that is equal to this one."""
        return super().index(prepare_address(value), start, stop)

    @override
    def count(self, value: str | Address) -> int:
        """Return how many addresses are equal to this one."""
        return super().count(prepare_address(value))

    @override
    def __contains__(self, value: object) -> bool:
        if isinstance(value, str):
            try:
                value = prepare_address(value)
            except ValueError:
                return False
        return super().__contains__(value)

    @override
    def __setitem__(self, index: SupportsIndex | slice, value: object) -> None:
        if isinstance(index, slice):
            super().__setitem__(index, AddressList(value))  # type: ignore[arg-type] # checked there
        else:
            super().__setitem__(index, prepare_address(value))  # type: ignore[arg-type] # likewise

    @override
    def __iadd__(self, values: Iterable[str | Address] | str) -> Self:  # type: ignore[override]
        # Wider than the method of `list` on purpose: it accepts what `extend` accepts.
        self.extend(values)
        return self
