"""Words about a mail server: what its answers mean, and what to change."""

from __future__ import annotations

import datetime as dt
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any

from tocsin.mail.channel import OutOfStepError
from tocsin.mail.host import ip_address, may_be_this_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tocsin.exceptions import ConnectError
    from tocsin.mail.receipt import Reply
    from tocsin.mail.target import Target

AGAIN = "nothing, if it passes: alerts are tried again by themselves; check again in some minutes"
"""The fix of what may pass by itself."""
_PORTS = "465 with use_tls, 587 with use_starttls, or 25"
_OTHERS = {  # protocol → what it means, and the fix
    "TLS": ("this port wants TLS from the start, as port 465 does", "set use_tls"),
    "HTTP": ("a web server answers on this port", f"set the mail server's port: {_PORTS}"),
}
_MAX_DIGITS = 18  # of a size: a server may say any number
_LOG = "look into the log of the server"
_RELAY = re.compile(r"relay", re.IGNORECASE)


def goes_in_the_clear(host: str, peer: str | None, *, encrypted: bool) -> bool:
    """Return whether mails go unencrypted to another machine.

    Args:
        host: the server's name or IP address.
        peer: its IP address, if there is a connection.
        encrypted: whether the connection is encrypted.
    """
    if encrypted:
        return False
    return not (may_be_this_machine(host) if peer is None else ip_address(peer).is_loopback)


def days_left(not_after: str, now: float) -> int:
    """Return how many whole days a certificate is valid; negative if it has expired.

    Args:
        not_after: as `ssl.SSLSocket.getpeercert` returns it: `Jan  5 09:34:43 2030 GMT`.
        now: the time, in seconds since the epoch.
    """
    return dt.timedelta(seconds=ssl.cert_time_to_seconds(not_after) - now).days


def names_of(certificate: Mapping[str, Any]) -> str:
    """Return a certificate's subject: its common name, or else its first alternative names."""
    subject = dict(pair for part in certificate.get("subject", ()) for pair in part)
    names = [str(name) for _, name in certificate.get("subjectAltName", ())]
    return str(subject.get("commonName") or ", ".join(names[:2]) or "no name")


def _extensions(facts: Mapping[str, Any]) -> str:
    features: Mapping[str, str] = facts["features"]
    found = [name for name in ("PIPELINING", "8BITMIME", "SMTPUTF8") if name in features]
    size = features.get("SIZE", "")
    if size.isdecimal() and 0 < len(size.lstrip("0")) <= _MAX_DIGITS:
        found.append(f"SIZE {int(size) / 1_000_000:,.0f} MB")
    if limits := features.get("LIMITS"):  # RFC 9422
        found.append(f"LIMITS {limits}")
    return ", ".join(found) or "none that matters"


def _addresses(facts: Mapping[str, Any]) -> str:
    count = len(set(facts["addresses"]))
    return f"{count} address" if count == 1 else f"{count} addresses"


FACTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "name": _addresses,
    "connect": lambda facts: str(facts["peer"]),
    "TLS": lambda facts: str(facts["version"]).replace("TLSv", ""),
    "greeting": lambda facts: str(facts["text"])[:40],
    "extensions": _extensions,
    "login": lambda facts: f"{facts['username']}, by {facts['mechanism']}",
}


def split(error: ConnectError, target: Target) -> tuple[str, str]:
    """Return an error's problem and its advice, without the name of the server."""
    text = str(error).removeprefix(f"{target}: ")
    shown = "" if error.reply.code is None else str(error.reply)
    if shown and shown in text:
        before, _, fix = text.partition(shown)
        return before + shown, fix.lstrip(";. ")
    problem, _, fix = text.partition("; ")
    return problem, fix


def may_pass(error: ConnectError) -> bool:
    """Return whether a failed opening may succeed later without a change."""
    cause = error.__cause__
    if error.reply.code is not None:
        return error.reply.code // 100 == 4  # noqa: PLR2004 - the digit
    if isinstance(cause, socket.gaierror):
        return cause.errno == socket.EAI_AGAIN
    return isinstance(cause, TimeoutError | ConnectionError) and not isinstance(
        cause, OutOfStepError
    )


def explained(step: str, error: ConnectError, other: str) -> tuple[str, str]:
    """Return what a failed step means, and the usual fix.

    Args:
        step: the step's name.
        error: why it failed.
        other: what the server speaks instead of SMTP: `HTTP`, `TLS`, or "".
    """
    if other:
        return _OTHERS[other]
    cause = error.__cause__
    later = AGAIN if may_pass(error) else ""
    means, fix = "", later
    if isinstance(cause, ssl.SSLCertVerificationError):
        means = "the server can't prove its name, so no mail is sent to it"
    elif step == "name":
        means = "the name servers don't answer" if later else "no host has this name"
        fix = later or "correct host"
    elif step == "connect":
        means, fix = _of_connection(cause), f"correct host and port: {_PORTS}"
    elif step == "login":
        means, fix = _of_login(error.reply), later or "correct username and password"
    elif isinstance(cause, ssl.SSLError):
        means, fix = _of_tls(cause)
    else:
        means, fix = _of_answer(step, cause, later)
    return means, fix or _LOG


def _of_answer(step: str, cause: BaseException | None, later: str) -> tuple[str, str]:
    """Return what it means that a server's answer is missing or wrong, and the usual fix."""
    if isinstance(cause, OutOfStepError):
        if step == "greeting":
            return "the server on this port speaks no SMTP", f"set its port: {_PORTS}"
        return "its later answers can't be trusted", later
    if step == "greeting" and isinstance(cause, TimeoutError):
        return "the server says nothing: another port, or a slow server", later
    return "the connection can't be encrypted, so no mail is sent" if step == "TLS" else "", later


def _of_tls(cause: ssl.SSLError) -> tuple[str, str]:
    """Return what a failure of TLS means, and the usual fix."""
    reason = str(cause.reason or cause).upper().replace(" ", "_")
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        fix = "set tls_context to one that has loaded the certificate"
        return "the server wants a certificate of this program, or another cipher", fix
    if "PROTOCOL" in reason:
        return "the server has only old versions of TLS", "turn TLS 1.2 or 1.3 on at the server"
    return "the connection can't be encrypted, so no mail is sent", ""


def _of_connection(cause: BaseException | None) -> str:
    if isinstance(cause, ConnectionRefusedError):
        return "no server listens on this port now, or a firewall refuses"
    if isinstance(cause, TimeoutError):
        return "nothing answers: a firewall, or another host or port"
    return "the server can't be reached from here"


def _of_login(reply: Reply) -> str:
    if reply.code == 535:  # noqa: PLR2004 - RFC 4954 §6
        return "the server refuses this user name with this password"
    return "without the login, the server takes no mail"


def fix_of_recipient(reply: Reply) -> str:
    """Return what to do about a recipient that the server refuses."""
    if _RELAY.search(reply.text):
        return "log in (username, password), or use a server that mails for you to this domain"
    return "correct the address, or remove it"
