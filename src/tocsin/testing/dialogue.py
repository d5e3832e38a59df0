"""The dialogue of the scripted server with one client: commands, replies, TLS, logins, messages.

Where the script says nothing, the server behaves as RFC 5321 asks.
"""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.testing.connection import EndedError, ServerConnection
from tocsin.testing.script import Act, ReceivedMessage, SMTPConnection

if TYPE_CHECKING:
    import socket
    import ssl
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from tocsin.testing.script import Action

_REPLIES = {
    **dict.fromkeys(("HELO", "MAIL", "RCPT", "RSET", "NOOP"), "250 2.0.0 ok"),
    "DATA": "354 go ahead",
    "QUIT": "221 2.0.0 bye",
    "STARTTLS": "220 2.0.0 go ahead",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a dialogue needs of its server.

    Attributes:
        features: the extensions that EHLO offers, besides AUTH and STARTTLS.
        mechanisms: the login mechanisms that EHLO offers.
        accounts: user name → password or token; None to accept every login.
        tls_context: the context for TLS; None without TLS.
        planned: returns the script's action for a stage, given the stage, the command and the
            connection; None for the usual behaviour.
        keep: keeps an accepted message.
        track: notes a socket that is shut down when the server stops.
        stopped: set when the server stops.
    """

    features: Sequence[str]
    mechanisms: Sequence[str]
    accounts: Mapping[str, str] | None
    tls_context: ssl.SSLContext | None
    planned: Callable[[str, str, SMTPConnection], Action | None]
    keep: Callable[[ReceivedMessage], None]
    track: Callable[[socket.socket], None]
    stopped: threading.Event


class Dialogue:
    """One client's dialogue.

    Args:
        host: the server.
        sock: the connection to the client.

    Attributes:
        connection: what the server knows of the client.
    """

    def __init__(self, host: Host, sock: socket.socket) -> None:
        self._host = host
        self._line = ServerConnection(sock, host.stopped)
        self.connection: SMTPConnection = SMTPConnection()

    def run(self, *, tls: bool) -> None:
        """Talk with the client until one of them closes the connection.

        Args:
            tls: whether TLS starts before the greeting.
        """
        # Scripts provoke errors of the connection on purpose: they end this dialogue only.
        with contextlib.suppress(OSError, EndedError):
            if tls:
                self._secure()
            self._act(self._planned("connect"), "220 scripted.test ESMTP")
            while True:
                command = self._line.read_line()
                self.connection.commands.append(command)
                self._answer(command)
        self._line.close()

    def _planned(self, stage: str, command: str = "") -> Action | None:
        return self._host.planned(stage, command, self.connection)

    def _answer(self, command: str) -> None:
        verb = command.partition(" ")[0].upper()
        planned = self._planned(verb, command)
        if verb == "AUTH" and planned is None:
            self._log_in(command)
            return
        said = self._act(planned, self._usual(verb))
        if verb == "AUTH" and said.startswith("334"):
            self._challenge()
        if said.startswith(("2", "3")):
            self._obey(verb, command)

    def _obey(self, verb: str, command: str) -> None:
        """Do what a command asks for, after a positive reply to it."""
        connection = self.connection
        match verb:
            case "EHLO" | "HELO" | "RSET":
                connection.sender, connection.recipients = None, []
            case "STARTTLS":
                self._secure()
            case "MAIL":
                path, _, parameters = command.partition(">")
                connection.sender = path.partition("<")[2]
                connection.parameters = parameters.strip()
                connection.recipients = []
            case "RCPT":
                connection.recipients.append(command.partition("<")[2].partition(">")[0])
            case "DATA":
                self._receive()
            case "QUIT":
                raise EndedError
            case _:
                pass

    def _usual(self, verb: str) -> str:
        """Return the reply of a server without a script."""
        connection, host = self.connection, self._host
        can_start_tls = host.tls_context is not None and not connection.tls
        if verb == "EHLO":
            offers = [*host.features, f"AUTH {' '.join(host.mechanisms)}"]
            if can_start_tls:
                offers.append("STARTTLS")
            return "\n".join(["250-scripted.test", *(f"250-{one}" for one in offers), "250 HELP"])
        if verb == "MAIL" and connection.sender is not None:
            return "503 5.5.1 nested MAIL"
        if verb == "RCPT" and connection.sender is None:
            return "503 5.5.1 MAIL first"
        if verb == "DATA" and not connection.recipients:
            return "554 5.5.1 no valid recipients"
        if verb == "STARTTLS" and not can_start_tls:
            return "503 5.5.1 no TLS here"
        return _REPLIES.get(verb, "500 5.5.2 unknown command")

    def _receive(self) -> None:
        data = self._line.read_message()
        connection = self.connection
        message = ReceivedMessage(
            sender=connection.sender or "",
            recipients=tuple(connection.recipients),
            parameters=connection.parameters,
            data=data,
            tls=connection.tls,
            username=connection.username,
        )
        connection.sender, connection.recipients = None, []
        self._act(self._planned("."), "250 2.0.0 queued", lambda: self._host.keep(message))

    def _act(
        self, planned: Action | None, usual: str, keep: Callable[[], None] | None = None
    ) -> str:
        """Carry out the planned action, or send the usual reply; return the first reply.

        Args:
            planned: the script's action.
            usual: the reply of a server without a script.
            keep: keeps the message that the reply is about; called before a positive reply.
        """
        said = ""
        action = usual if planned is None else planned
        for step in action if isinstance(action, tuple) else (action,):
            text = step.decode("latin-1") if isinstance(step, bytes) else step
            if isinstance(text, str):
                said = said or text
            if keep is not None and (step is Act.ACCEPT or said.startswith("2")):
                keep()
                keep = None
            self._line.do(step)
        return said

    def _secure(self) -> None:
        context = self._host.tls_context
        assert context is not None  # noqa: S101 - otherwise the reply was negative
        sock = self._line.secure(context)
        self._host.track(sock)
        if self._host.stopped.is_set():
            raise EndedError
        sock.do_handshake()
        self.connection.tls = True
        self.connection.client_certificate = sock.getpeercert()

    def _challenge(self) -> None:
        """Read the client's answer to a scripted challenge, and go on with the script."""
        self.connection.commands.append(self._line.read_line())
        said = self._act(self._planned("AUTH"), "235 2.7.0 welcome")
        if said.startswith("334"):
            self._challenge()

    def _log_in(self, command: str) -> None:
        _, mechanism, *initial = command.split(" ")
        if mechanism.upper() not in self._host.mechanisms:
            self._line.do("504 5.5.4 unknown mechanism")
            return
        username, secret = self._credentials(mechanism.upper(), initial)
        accounts = self._host.accounts
        if accounts is None or accounts.get(username) == secret:
            self.connection.username = username
            self._line.do("235 2.7.0 welcome")
        else:
            self._line.do("535 5.7.8 wrong user name or password")

    def _credentials(self, mechanism: str, initial: list[str]) -> tuple[str, str]:
        """Return the user name and the secret of a login."""
        match mechanism:
            case "LOGIN":
                return self._ask("Username:", initial), self._ask("Password:", initial)
            case "PLAIN":
                _, username, secret = self._ask("", initial).split("\0")
                return username, secret
            case _:
                head, bearer, _ = self._ask("", initial).split("\1", 2)
                field = "user=" if mechanism == "XOAUTH2" else "a="
                username = head.partition(field)[2].strip(",")
                username = username.replace("=2C", ",").replace("=3D", "=")
                return username, bearer.partition("Bearer ")[2]

    def _ask(self, prompt: str, initial: list[str]) -> str:
        """Return the client's initial response, if there is one, else its answer to a prompt."""
        if initial:
            return _decode(initial.pop())
        self._line.do(f"334 {base64.b64encode(prompt.encode()).decode()}")
        answer = self._line.read_line()
        self.connection.commands.append(answer)
        return _decode(answer)


def _decode(text: str) -> str:
    return base64.b64decode(text).decode("utf-8")
