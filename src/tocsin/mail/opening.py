"""The opening of a conversation: connection, greeting, TLS, login (RFC 5321, 3207, 4954).

If a protection that the user asked for is missing, the client goes no further: no mail without
that STARTTLS or that login. Credentials are not sent without TLS.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tocsin.exceptions import ConnectError, LoginError
from tocsin.mail import advice
from tocsin.mail.channel import Channel
from tocsin.mail.conversation import Conversation
from tocsin.mail.credentials import reveal
from tocsin.mail.dial import connect, look_up
from tocsin.mail.host import ip_address, own_name
from tocsin.mail.login import log_in
from tocsin.mail.receipt import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tocsin.mail.target import Target

OPENING = 10.0
"""Seconds for the look-up, the connection and TLS together; less if the time-out is shorter."""
LOGIN = 60.0
"""Seconds for everything after the greeting: EHLO, STARTTLS and the login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a conversation, which has succeeded, or whose reply says whether it has.

    Attributes:
        name: one of these; `facts` has what is in parentheses:

            - "name": the look-up (`addresses`: the IP addresses);
            - "connect" (`peer`: the server's IP address);
            - "TLS" (`version`; `certificate`: as `ssl.SSLSocket.getpeercert` returns it);
            - "greeting" (`text`);
            - "extensions": EHLO, with STARTTLS the one after it (`features`: keyword →
              parameters);
            - "login" (`username`, `mechanism`);
            - "sender" and "recipient" (`address`, `reply`), as a probe asks for them.
        seconds: how long it took.
        facts: what was found.
    """

    name: str
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


def open_conversation(
    target: Target,
    deadline: float = float("inf"),
    *,
    on_step: Callable[[Step], None] | None = None,
) -> Conversation:
    """Connect, greet, turn on TLS and log in, as the target says.

    Args:
        target: the server, and how to reach it.
        deadline: when to give up, as a point of `time.monotonic`.
        on_step: called after each step.

    Returns:
        The conversation, in which the server now waits for a transaction.

    Raises:
        ConnectError: one of these steps failed.
    """
    opening = _Opening(target, deadline, on_step)
    try:
        return opening.run()
    except BaseException as error:
        opening.abandon(by_quit=isinstance(error, LoginError))
        if isinstance(error, OSError):
            raise opening.failure(error) from error
        raise


class _Opening:
    """One try to open a conversation. It knows its current step, for the error message."""

    def __init__(
        self, target: Target, deadline: float, on_step: Callable[[Step], None] | None
    ) -> None:
        self._target = target
        self._deadline = deadline
        self._on_step = on_step
        self._began = time.monotonic()
        self._step = "connecting"
        self._channel: Channel | None = None
        self._conversation: Conversation | None = None

    def run(self) -> Conversation:
        target = self._target
        channel = self._connected()
        conversation = self._conversation = Conversation(channel, target)
        self._step = "greeting"
        # Some servers examine a client for 12 to 20 seconds before they greet it (Postfix's
        # postscreen, Exim), so the greeting has its own time.
        channel.deadline = self._within(target.timeout)
        _greeting(conversation)
        self._note("greeting", text=conversation.greeting)
        channel.deadline = self._within(LOGIN)
        self._step = "EHLO"
        _hello(conversation)
        if target.starttls:
            self._step = "STARTTLS"
            _start_tls(conversation)
            self._note_tls(channel)
            _hello(conversation)
        self._note("extensions", features=conversation.features)
        self._step = "login"
        if target.username is not None:
            mechanism = _log_in(conversation, target.username)
            self._note("login", username=target.username, mechanism=mechanism)
        channel.deadline = float("inf")
        return conversation

    def abandon(self, *, by_quit: bool) -> None:
        """Close the connection, if there is one."""
        if self._conversation is not None and by_quit:
            self._conversation.quit()
        if self._channel is not None:
            self._channel.close()

    def failure(self, error: OSError) -> ConnectError:
        """Return the error that names the server and the step that failed."""
        channel = self._channel
        silent = channel is not None and not channel.heard and not channel.encrypted
        text = f"{self._target}: {advice.of_error(error, self._step, silent=silent)}"
        farewell = None if self._conversation is None else self._conversation.farewell
        if farewell is not None and self._step == "EHLO":
            text += advice.of_greeting(farewell)
        return ConnectError(text, reply=farewell or Reply(None, None, text))

    def _connected(self) -> Channel:
        target = self._target
        until = self._within(min(OPENING, target.timeout))
        addresses = look_up(target.host, target.port, until)
        self._note("name", addresses=[str(found[4][0]) for found in addresses])
        self._channel = Channel(connect(addresses, until), timeout=target.timeout)
        if self._on_step is not None:
            self._note("connect", peer=self._channel.peer)
        self._channel.deadline = until
        if target.tls_context is not None and not target.starttls:
            self._step = "TLS"
            self._channel.start_tls(target.tls_context, target.verified_name)
            self._note_tls(self._channel)
        return self._channel

    def _note(self, name: str, **facts: object) -> None:
        began, self._began = self._began, time.monotonic()
        if self._on_step is not None:
            self._on_step(Step(name=name, seconds=self._began - began, facts=facts))

    def _note_tls(self, channel: Channel) -> None:
        if self._on_step is not None:
            self._note("TLS", version=channel.tls_version, certificate=channel.certificate)

    def _within(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self._deadline)


def _greeting(conversation: Conversation) -> None:
    reply = conversation.channel.reply()
    if not reply.positive:
        raise _refusal(conversation, "the server refuses the connection", reply)
    conversation.greeting = reply.text


def _hello(conversation: Conversation) -> None:
    """Send EHLO, and HELO to a server that doesn't know it (RFC 5321 §3.2)."""
    target, channel = conversation.target, conversation.channel
    name = target.local_hostname or own_name(channel.local)
    reply = conversation.command(f"EHLO {name}")
    # The first line of the reply is a greeting (RFC 5321 §4.1.1.1).
    _, *lines = reply.text.split("\n") if reply.positive else [""]
    conversation.features = _features(lines)
    secure = channel.encrypted or not target.starttls
    if not reply.positive and secure and target.username is None:
        # HELO offers no extensions: neither TLS nor a login.
        reply = conversation.command(f"HELO {name}")
    if not reply.positive:
        text = "the server refuses the greeting"
        raise _refusal(conversation, text, reply, advice.of_greeting(reply))


def _features(lines: Iterable[str]) -> dict[str, str]:
    """Return the extensions that a server offers: keyword → parameters.

    A server may name its login mechanisms in several lines, and also in the old form `AUTH=LOGIN`,
    which is older than RFC 4954.
    """
    features: dict[str, str] = {}
    for line in lines:
        words = re.sub(r"^\s*(AUTH)=", r"\1 ", line, flags=re.IGNORECASE).split()
        if words:
            keyword = words[0].upper()
            earlier = [features["AUTH"]] if keyword == "AUTH" and "AUTH" in features else []
            features[keyword] = " ".join([*earlier, *words[1:]])
    return features


def _start_tls(conversation: Conversation) -> None:
    target, channel = conversation.target, conversation.channel
    if "STARTTLS" not in conversation.features or target.tls_context is None:
        raise _refusal(
            conversation,
            "the server doesn't offer STARTTLS; if it speaks TLS from the start, "
            "as on port 465, set use_tls instead",
            Reply(None, None, "STARTTLS is not offered"),
        )
    reply = conversation.command("STARTTLS")
    if not reply.positive:
        raise _refusal(conversation, "the server refuses STARTTLS", reply)
    if channel.unread() and not channel.ended:
        # Such bytes were sent unencrypted, and would be read as if they came under TLS
        # (RFC 3207 §6, CVE-2011-0411).
        raise _refusal(
            conversation,
            "there are bytes behind the reply to STARTTLS: an attacker may have injected commands",
            Reply(None, None, "bytes behind the reply to STARTTLS"),
        )
    channel.start_tls(target.tls_context, target.verified_name)


def _log_in(conversation: Conversation, username: str) -> str:
    """Log in; return the mechanism that was used."""
    target, channel = conversation.target, conversation.channel
    if not (channel.encrypted or target.plaintext_login or ip_address(channel.peer).is_loopback):
        text = (
            f"{target}: credentials are not sent over a connection that is not encrypted; "
            "set use_tls (port 465) or use_starttls (port 587)"
        )
        raise LoginError(text, reply=Reply(None, None, "not encrypted"))
    try:
        password, token = reveal(target.password), reveal(target.access_token)
    except Exception as error:
        text = f"{target}: no password to log in with: {type(error).__name__}: {error}"
        raise LoginError(text, reply=Reply(None, None, "no password")) from error
    offered = conversation.features.get("AUTH")
    try:
        return log_in(
            lambda line: conversation.command(line, continues=True),
            (offered or "").split(),
            username,
            password=password,
            access_token=token,
            mechanism=target.login_mechanism,
        )
    except LoginError as error:
        needs_tls = offered is None and not channel.encrypted
        hint = advice.of_login(error.reply, password or "", target.login_hint, needs_tls=needs_tls)
        raise LoginError(f"{target}: {error}{hint}", reply=error.reply) from None


def _refusal(conversation: Conversation, text: str, reply: Reply, hint: str = "") -> ConnectError:
    said = "" if reply.code is None else f": {reply}{hint or advice.of_reply(reply)}"
    return ConnectError(f"{conversation.target}: {text}{said}", reply=reply)
