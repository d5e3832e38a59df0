"""How an SMTP conversation begins: connection, greeting, TLS, login (RFC 5321, 3207, 4954).

A protection that was asked for is there, or nothing is said: no STARTTLS, no mail; no TLS, no
credentials; no login, no mail.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tocsin.exceptions import ConnectError, LoginError
from tocsin.mail.address import is_utf8
from tocsin.mail.advice import of_error, of_greeting, of_password, of_reply
from tocsin.mail.channel import Channel, OutOfStepError, dial
from tocsin.mail.login import has_separator, log_in
from tocsin.mail.receipt import Reply

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from tocsin.mail.pipelining import Pipelining

_OPENING = 10.0  # seconds for look-up, connection and TLS together
_LOGIN = 60.0  # seconds for what follows: EHLO, STARTTLS, login
_CLOSING = 421
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}")  # RFC 5321 §4.1.2


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where and how to open sessions.

    Attributes:
        host: a name or an IP address.
        port: the TCP port.
        tls_context: for TLS; None for none.
        starttls: whether TLS starts by the STARTTLS command instead of at once.
        timeout: seconds for each wait.
        local_hostname: the name for EHLO; None for the host's own.
        username: the account; None for no login.
        password: gives the password, at each login.
        access_token: gives an OAuth token instead, at each login.
        login_mechanism: the one to use; None for the first that is offered.
        login_hint: what to do about a refused login; "" if nothing is known.
        plaintext_login: whether credentials may be sent without TLS.
        pipelining: what is known of the server's; it is written to.
        pipeline_messages: whether the next message's commands leave with the end of this one; None
            where the greeting decides.
    """

    host: str
    port: int
    tls_context: ssl.SSLContext | None
    starttls: bool
    timeout: float
    local_hostname: str | None
    username: str | None
    password: Callable[[], str] | None = field(repr=False)
    access_token: Callable[[], str] | None = field(repr=False)
    login_mechanism: str | None
    login_hint: str
    plaintext_login: bool
    pipelining: Pipelining
    pipeline_messages: bool | None

    @property
    def verified_name(self) -> str:
        """The host as a certificate names it: a final dot only says that it is looked up as is."""
        return self.host.removesuffix(".")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Conversation:
    """Commands and replies over a channel, and how to get to where mail can be sent.

    Attributes:
        greeting: what the server says of itself.
        features: the server's extensions (RFC 5321 §4.1.1.1): upper-case keyword → parameters.
        farewell: the 421 with which the server ended it, if it did.
    """

    def __init__(self, channel: Channel, target: Target) -> None:
        self._channel = channel
        self._target = target
        self.greeting: str = ""
        self.features: dict[str, str] = {}
        self.farewell: Reply | None = None

    @classmethod
    def open(cls, target: Target, deadline: float = float("inf")) -> Self:
        """Connect, greet, turn on TLS and log in, as the target says.

        Args:
            target: where and how.
            deadline: the point of `time.monotonic` at which it has to be done.

        Raises:
            ConnectError: one of these failed.
        """
        until = min(time.monotonic() + min(_OPENING, target.timeout), deadline)
        channel = session = None
        step = "connecting"
        try:
            channel = Channel(dial(target.host, target.port, until), timeout=target.timeout)
            channel.deadline = until
            if target.tls_context is not None and not target.starttls:
                step = "TLS"
                channel.start_tls(target.tls_context, target.verified_name)
            session = cls(channel, target)
            step = "greeting"
            # Some servers look at the client for long before they greet it.
            channel.deadline = min(time.monotonic() + target.timeout, deadline)
            session._greeted(channel.reply())
            channel.deadline = min(time.monotonic() + _LOGIN, deadline)
            step = "EHLO"
            session._hello()
            if target.starttls:
                step = "STARTTLS"
                session._start_tls()
            step = "login"
            session._log_in()
        except BaseException as error:
            if session is not None and isinstance(error, LoginError):
                session._take_leave()
            if channel is not None:
                channel.close()
            if isinstance(error, OSError):
                silent = channel is not None and not channel.heard and not channel.encrypted
                text = f"{target}: {of_error(error, step, silent=silent)}"
                said = session.farewell if session is not None else None
                if said is not None and step == "EHLO":
                    text += of_greeting(said)
                raise ConnectError(text, reply=said or Reply(None, None, text)) from error
            raise
        channel.deadline = float("inf")
        return session

    def _command(self, line: str, *, continues: bool = False) -> Reply:
        """Say a command and wait for its reply."""
        self._say(line.encode("utf-8") + b"\r\n")
        return self._reply(continues=continues)

    def _take_leave(self) -> None:
        """Say QUIT; its reply decides nothing, so nobody waits for it."""
        self._channel.deadline = time.monotonic() + 1.0
        with contextlib.suppress(OSError):
            self._channel.write(b"QUIT\r\n")

    def _say(self, data: bytes) -> None:
        if self._channel.unread():
            raise OutOfStepError("the server speaks before it is asked, or has hung up")
        self._channel.write(data)

    def _reply(self, *, continues: bool = False, timeout: float | None = None) -> Reply:
        """Wait for a reply; one that asks for more (3yz) is one only where there is more."""
        reply = self._channel.reply(timeout)
        if reply.code == _CLOSING:
            # What was said before stands; the rest is said over another connection.
            self.farewell = reply
            raise ConnectionAbortedError(str(reply))
        if reply.intermediate and not continues:
            raise OutOfStepError(f"the server asks for more than there is: {reply}")
        return reply

    def _greeted(self, reply: Reply) -> None:
        if not reply.positive:
            raise self._refusal("the server refuses the connection", reply)
        self.greeting = reply.text

    def _hello(self) -> None:
        name = self._target.local_hostname or _own_name(self._channel)
        reply = self._command(f"EHLO {name}")
        # Of the reply's lines the first is a greeting (RFC 5321 §4.1.1.1).
        _, *lines = reply.text.split("\n") if reply.positive else [""]
        self.features = _features(lines)
        secure = self._channel.encrypted or not self._target.starttls
        if not reply.positive and secure and self._target.username is None:
            # HELO offers nothing: neither TLS nor a login.
            reply = self._command(f"HELO {name}")
        if not reply.positive:
            raise self._refusal("the server refuses the greeting", reply, of_greeting(reply))

    def _start_tls(self) -> None:
        context = self._target.tls_context
        if "STARTTLS" not in self.features or context is None:
            raise self._refusal(
                "the server doesn't offer STARTTLS; if it speaks TLS from the start, "
                "as on port 465, set use_tls instead",
                Reply(None, None, "STARTTLS is not offered"),
            )
        reply = self._command("STARTTLS")
        if not reply.positive:
            raise self._refusal("the server refuses STARTTLS", reply)
        if self._channel.unread() and not self._channel.ended:
            # Said in the clear, to be taken as if said under TLS (RFC 3207 §6, CVE-2011-0411).
            raise self._refusal(
                "there are bytes behind the reply to STARTTLS: somebody injects commands",
                Reply(None, None, "bytes behind the reply to STARTTLS"),
            )
        self._channel.start_tls(context, self._target.verified_name)
        self._hello()

    def _log_in(self) -> None:
        target = self._target
        if target.username is None:
            return
        if not (
            self._channel.encrypted
            or target.plaintext_login
            or _address(self._channel.peer).is_loopback
        ):
            text = (
                f"{target}: credentials are not sent over a connection that is not encrypted; "
                "set use_tls (port 465) or use_starttls (port 587)"
            )
            raise LoginError(text, reply=Reply(None, None, "not encrypted"))
        try:
            password = _credential(target.password)
            token = _credential(target.access_token)
        except Exception as error:
            text = f"{target}: no password to log in with: {type(error).__name__}: {error}"
            raise LoginError(text, reply=Reply(None, None, "no password")) from error
        try:
            log_in(
                lambda line: self._command(line, continues=True),
                self.features.get("AUTH", "").split(),
                target.username,
                password=password,
                access_token=token,
                mechanism=target.login_mechanism,
            )
        except LoginError as error:
            advice = self._login_advice(error.reply, password or "")
            raise LoginError(f"{target}: {error}{advice}", reply=error.reply) from None

    def _login_advice(self, reply: Reply, password: str) -> str:
        """Return what to do about a login that was refused or couldn't be tried."""
        if reply.code is None:
            tls = "AUTH" in self.features or self._channel.encrypted
            return "" if tls else "; does it want TLS first?"
        if advice := of_reply(reply):
            return advice
        if not reply.final:
            return ""
        odd = of_password(password) if reply.code == 535 else ""  # noqa: PLR2004 - a wrong password
        hints = [self._target.login_hint, odd]
        if reply.enhanced == "5.7.30":  # Microsoft 365: no passwords any more
            hints = ["Set access_token: passwords are not taken here, OAuth 2 tokens are."]
        return "".join(f". {hint}" for hint in hints if hint)

    def _refusal(self, text: str, reply: Reply, advice: str = "") -> ConnectError:
        said = f": {reply}{advice or of_reply(reply)}" if reply.code is not None else ""
        return ConnectError(f"{self._target}: {text}{said}", reply=reply)


def _features(lines: Iterable[str]) -> dict[str, str]:
    """Return what a server offers: keyword → parameters.

    The mechanisms of a login may stand in several lines, also as `AUTH=LOGIN`, as they did before
    there was a standard.
    """
    features: dict[str, str] = {}
    for line in lines:
        words = re.sub(r"^\s*(AUTH)=", r"\1 ", line, flags=re.IGNORECASE).split()
        if words:
            keyword = words[0].upper()
            earlier = [features["AUTH"]] if keyword == "AUTH" and "AUTH" in features else []
            features[keyword] = " ".join([*earlier, *words[1:]])
    return features


def _credential(give: Callable[[], str] | None) -> str | None:
    """Ask for a secret; what isn't one is an error that doesn't show it."""
    if give is None:
        return None
    secret = give()
    if not isinstance(secret, str):
        raise TypeError(f"expected text, got {type(secret).__name__}")
    if not secret or not is_utf8(secret) or has_separator(secret):
        raise ValueError("it is empty, or no text that a login can carry")
    return secret


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address; one of IPv4 in a socket of IPv6 (`::ffff:127.0.0.1`) as that of IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _own_name(channel: Channel) -> str:
    """Return the name for EHLO, without asking DNS: it may stall.

    Strict servers refuse a name that has no dot, a "_", or a "-" at the end of a label; then it is
    an address literal (RFC 5321 §4.1.4).
    """
    name = socket.gethostname()
    if _DOMAIN.fullmatch(name):
        return name
    address = _address(channel.local)
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"  # noqa: PLR2004
