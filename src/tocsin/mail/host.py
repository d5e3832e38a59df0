"""A host, as an option names it: a name or an address, and nothing else."""

from __future__ import annotations

import ipaddress
import re
import socket

import idna

from tocsin import options

_LOCAL = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]+):(\d+)")


def host_option(value: object) -> str:
    """Return the host that an option says, as a look-up takes it.

    Raises:
        ConfigError: no name, or one with a port, a scheme, brackets or a user around it.
    """
    text = options.text("host", value)
    if "/" in text or "@" in text:  # there may be a password in it: it isn't shown
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
    """Return a host's name as a command or a look-up takes it: without blanks, and ASCII.

    Raises:
        ConfigError: it is none.
    """
    word = options.text(key, value)
    if not word.isprintable() or word.split() != [word]:
        options.fail(key, f"expected a name without blanks, got {word!r}")
    try:
        # What the standard library makes of other letters is IDNA 2003: another host.
        return word if word.isascii() else idna.encode(word, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        options.fail(key, f"expected a name, got {word!r}: {error}")


def may_be_this_machine(host: str) -> bool:
    """Whether a host is, by its name, the machine that the program runs on. Nothing is looked up.

    A name of the machine's own hosts file isn't known here.
    """
    if _is_address(host):
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback
    name = host.lower().removesuffix(".")
    own = socket.gethostname().lower()
    return name in {*_LOCAL, own, own.partition(".")[0]} or name.endswith(".localhost")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
