"""One SMTP conversation: greeting, TLS, login, and transactions (RFC 5321, 3207, 4954).

What is said of a recipient is said by the server or, where it said nothing, by us. A connection
that is lost says nothing: before the final dot nobody has the message, after it nobody knows.
"""

from __future__ import annotations

import enum
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tocsin.exceptions import ConnectError, LoginError
from tocsin.mail.channel import Channel, OutOfStepError, dial
from tocsin.mail.login import log_in
from tocsin.mail.receipt import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OPENING = 10.0  # seconds for look-up, connection, TLS and greeting together
_TRANSACTION = 60.0  # seconds for a transaction up to the final dot
_SLOW_LINE = 16_384  # bytes a second; a larger message gets more time
_FINAL_DOT = 300.0  # seconds for the reply to it; RFC 5321 §4.5.3.2.6 gives servers ten minutes
_GO_AHEAD = 354
_CLOSING = 421


class Fate(enum.Enum):
    """What became of a recipient in a transaction."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"
    TOO_MANY = "too many"
    """The server takes no more recipients in this transaction; another one will do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A recipient's fate and the reply that decided it."""

    fate: Fate
    reply: Reply


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
        plaintext_login: whether credentials may be sent without TLS.
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
    plaintext_login: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Session:
    """An open, logged-in conversation with a server.

    Attributes:
        features: the server's extensions (RFC 5321 §4.1.1.1): upper-case keyword → parameters.
        alive: whether it can be used for another transaction.
    """

    def __init__(self, channel: Channel, target: Target) -> None:
        self._channel = channel
        self._target = target
        self.features: dict[str, str] = {}
        self.alive = True

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
        channel = None
        step = "connecting"
        try:
            channel = Channel(dial(target.host, target.port, until), timeout=target.timeout)
            channel.deadline = until
            if target.tls_context is not None and not target.starttls:
                step = "TLS"
                channel.start_tls(target.tls_context, target.host)
            session = cls(channel, target)
            step = "greeting"
            session._greeted(channel.reply())
            channel.deadline = min(time.monotonic() + _TRANSACTION, deadline)
            step = "EHLO"
            session._hello()
            if target.starttls:
                step = "STARTTLS"
                session._start_tls()
            step = "login"
            session._log_in()
        except BaseException as error:
            if channel is not None:
                channel.close()
            if isinstance(error, OSError):
                text = f"{target}: {_explain(error, step)}"
                raise ConnectError(text, reply=Reply(None, None, text)) from error
            raise
        channel.deadline = float("inf")
        return session

    def transact(
        self,
        sender: str,
        recipients: Sequence[str],
        data: bytes,
        deadline: float = float("inf"),
    ) -> dict[str, Verdict]:
        """Send one message to some recipients, in one transaction.

        Args:
            sender: the reverse path, ASCII.
            recipients: the forward paths, ASCII.
            data: what follows DATA, with the final dot.
            deadline: the point of `time.monotonic` at which it has to be done.

        Returns:
            Recipient → verdict. Who has none can be tried again over a new connection: this one was
            lost before the final dot, or the server closes it.
        """
        verdicts: dict[str, Verdict] = {}
        allowance = max(_TRANSACTION, len(data) / _SLOW_LINE)
        self._channel.deadline = min(time.monotonic() + allowance, deadline)
        try:
            accepted = self._envelope(sender, recipients, verdicts)
            if accepted:
                self._data(accepted, data, verdicts, deadline)
            elif self.alive:
                self._command("RSET")
        except OSError:
            self.alive = False
        if not self.alive:
            self._channel.close()
        return verdicts

    def stale(self) -> bool:
        """Whether the server has hung up, or said that it will (a queued 421)."""
        try:
            self.alive = self.alive and not self._channel.unread()
        except OSError:
            self.alive = False
        return not self.alive

    def close(self) -> None:
        """Say QUIT and hang up; its reply decides nothing, so nobody waits for it."""
        if self.alive:
            self.alive = False
            self._channel.deadline = time.monotonic() + 1.0
            try:
                self._channel.write(b"QUIT\r\n")
            except OSError:
                pass
            finally:
                self._channel.close()

    def __repr__(self) -> str:
        state = "open" if self.alive else "closed"
        tls = " TLS" if self._channel.encrypted else ""
        return f"<Session {self._target}{tls} {state}>"

    def _command(self, line: str) -> Reply:
        if self._channel.unread():
            # An answer before the question: a 421, or the two sides are out of step.
            reply = self._channel.reply()
            self.alive = False
            return reply
        self._channel.write(line.encode("utf-8") + b"\r\n")
        reply = self._channel.reply()
        if reply.code == _CLOSING:
            self.alive = False
        return reply

    def _greeted(self, reply: Reply) -> None:
        if not reply.positive:
            raise self._refusal("the server refuses the connection", reply)

    def _hello(self) -> None:
        name = self._target.local_hostname or _own_name(self._channel)
        reply = self._command(f"EHLO {name}")
        # Of the reply's lines the first is a greeting (RFC 5321 §4.1.1.1).
        _, *lines = reply.text.split("\n") if reply.positive else [""]
        words = [line.split() for line in lines if line]
        self.features = {first.upper(): " ".join(rest) for first, *rest in words}
        if not reply.positive and self.alive:
            reply = self._command(f"HELO {name}")
        if not reply.positive:
            raise self._refusal("the server refuses the greeting", reply)

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
        if self._channel.unread():
            # Said in the clear, to be taken as if said under TLS (RFC 3207 §6, CVE-2011-0411).
            raise self._refusal(
                "there are bytes behind the reply to STARTTLS: somebody injects commands",
                Reply(None, None, "bytes behind the reply to STARTTLS"),
            )
        self._channel.start_tls(context, self._target.host)
        self._hello()

    def _log_in(self) -> None:
        target = self._target
        if target.username is None:
            return
        if not (
            self._channel.encrypted or target.plaintext_login or _is_loopback(self._channel.peer)
        ):
            text = (
                f"{target}: credentials are not sent over a connection that is not encrypted; "
                "set use_tls (port 465) or use_starttls (port 587)"
            )
            raise LoginError(text, reply=Reply(None, None, "not encrypted"))
        log_in(
            self._command,
            self.features.get("AUTH", "").split(),
            target.username,
            password=target.password() if target.password else None,
            access_token=target.access_token() if target.access_token else None,
        )

    def _refusal(self, text: str, reply: Reply) -> ConnectError:
        said = f": {reply}" if reply.code is not None else ""
        return ConnectError(f"{self._target}: {text}{said}", reply=reply)

    def _envelope(
        self, sender: str, recipients: Sequence[str], verdicts: dict[str, Verdict]
    ) -> list[str]:
        """Name the sender and the recipients; return who was accepted."""
        reply = self._command(f"MAIL FROM:<{sender}>{self._parameters()}")
        if not reply.positive:
            if self.alive or reply.final:
                verdicts.update(dict.fromkeys(recipients, _refused(reply)))
            return []
        accepted: list[str] = []
        for recipient in recipients:
            reply = self._command(f"RCPT TO:<{recipient}>")
            if reply.positive:
                accepted.append(recipient)
            elif not self.alive:
                return []
            else:
                # 552 is an old way of saying 452 (RFC 5321 §4.5.3.1.10).
                full = reply.code in (452, 552) and accepted
                fate = Fate.TOO_MANY if full else None
                verdicts[recipient] = _refused(reply) if fate is None else Verdict(fate, reply)
        return accepted

    def _parameters(self) -> str:
        return ""

    def _data(
        self,
        accepted: Sequence[str],
        data: bytes,
        verdicts: dict[str, Verdict],
        deadline: float,
    ) -> None:
        reply = self._command("DATA")
        if reply.code != _GO_AHEAD:
            if self.alive or reply.final:
                verdicts.update(dict.fromkeys(accepted, _refused(reply)))
            if self.alive:
                self._command("RSET")  # some servers still hold the recipients
            return
        dotted = False
        try:
            self._channel.write(data)
            dotted = True
            self._channel.deadline = min(time.monotonic() + _FINAL_DOT, deadline)
            reply = self._channel.reply()
        except OSError as error:
            self.alive = False
            if dotted:
                lost = Reply(None, None, f"no reply to the message: {error}")
                verdicts.update(dict.fromkeys(accepted, Verdict(Fate.UNKNOWN, lost)))
            return
        if reply.code == _CLOSING:
            self.alive = False
        verdict = Verdict(Fate.ACCEPTED, reply) if reply.positive else _refused(reply)
        verdicts.update(dict.fromkeys(accepted, verdict))


def _refused(reply: Reply) -> Verdict:
    return Verdict(Fate.REFUSED if reply.final else Fate.DEFERRED, reply)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _own_name(channel: Channel) -> str:
    """Return the name for EHLO, without asking DNS: it may stall (RFC 5321 §4.1.4)."""
    name = socket.gethostname()
    if "." in name and name.isascii() and not name.endswith("."):
        return name
    address = channel.local.partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _explain(error: OSError, step: str) -> str:
    """Return what went wrong and what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not trusted: {error.verify_message}; "
            "for a private CA set tls_ca_file"
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        hint = "if the server speaks STARTTLS, as on port 587, set use_starttls instead of use_tls"
        return f"{step} failed: {reason}" + (f"; {hint}" if step == "TLS" else "")
    reason = error.strerror or str(error)
    if step == "greeting" and isinstance(error, TimeoutError | OutOfStepError):
        reason += "; if the server speaks TLS from the start, as on port 465, set use_tls"
    return f"{step} failed: {reason}"
