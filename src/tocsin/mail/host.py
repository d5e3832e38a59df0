"""Hosts: their names and addresses, in options and in EHLO.

Nothing here asks DNS: a name server may not answer.
"""

from __future__ import annotations

import ipaddress
import re
import socket

import idna

from tocsin import options

_LOCAL = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}")  # RFC 5321 §4.1.2
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]+):(\d+)")


def host_option(value: object) -> str:
    """Return the host of the option `host`, in the form in which it is looked up.

    Args:
        value: the option's value: a name or an IP address, without port, scheme, brackets or user.

    Raises:
        ConfigError: the value is something else.
    """
    text = options.text("host", value)
    if "/" in text or "@" in text:  # it may contain a password, so it isn't shown
        options.fail("host", "expected a name alone; a URL, with its scheme, goes into 'url'")
    if found := _WITH_PORT.fullmatch(text):
        host, port = found[1].strip("[]"), found[2]
        options.fail(
            "host", f"expected a name alone, got {text!r}; write host: {host!r} and port: {port}"
        )
    if text.startswith("[") and text.endswith("]"):
        options.fail("host", f"expected an address without brackets, {text[1:-1]!r}, got {text!r}")
    if ":" in text and not _is_address(text):
        options.fail("host", f"expected a name or an address, got {text!r}")
    return word_option("host", value)


def word_option(key: str, value: object) -> str:
    """Return a host's name in ASCII, as EHLO and the look-up need it.

    Args:
        key: the option, for the error.
        value: the option's value. Letters beyond ASCII get their IDNA 2008 form (RFC 5891).

    Raises:
        ConfigError: the value is no host's name.
    """
    word = options.text(key, value)
    if not word.isprintable() or word.split() != [word]:
        options.fail(key, f"expected a name without blanks, got {word!r}")
    try:
        # The standard library's codec is IDNA 2003, by which 'faß.de' is another host.
        return word if word.isascii() else idna.encode(word, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        options.fail(key, f"expected a name, got {word!r}: {error}")


def may_be_this_machine(host: str) -> bool:
    """Return whether a host's name or address may mean the machine that the program runs on.

    The machine's hosts file is not read.
    """
    if _is_address(host):
        return ip_address(host).is_loopback
    name = host.lower().removesuffix(".")
    own = socket.gethostname().lower()
    return name in {*_LOCAL, own, own.partition(".")[0]} or name.endswith(".localhost")


def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IP address of a socket, without its zone.

    An IPv4 address that an IPv6 socket shows in its own form (`::ffff:127.0.0.1`) is returned as
    the IPv4 address.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def own_name(local: str) -> str:
    """Return the name for EHLO: the machine's own name, else an address literal.

    Strict servers refuse a name without a dot, with a "_", or with a "-" at the end of a label.
    RFC 5321 §4.1.4 asks for an address literal then.

    Args:
        local: the IP address of this end of the connection.
    """
    name = socket.gethostname()
    if _DOMAIN.fullmatch(name):
        return name
    address = ip_address(local)
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"  # noqa: PLR2004


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
