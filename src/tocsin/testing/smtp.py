"""A real SMTP server on loopback that plays a script, and notes what it was sent.

Without a script it is a well-behaved server that takes everything. The script says, stage by stage,
what it does instead: another reply, raw bytes, silence, a hang-up in the middle.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

from tocsin.testing.connection import EndedError, ServerConnection
from tocsin.testing.script import Act, ReceivedMessage, SMTPConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from tocsin.testing.script import Action, Script

FEATURES = ("PIPELINING", "SIZE 10485760", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


_REPLIES = {
    **dict.fromkeys(("HELO", "MAIL", "RCPT", "RSET", "NOOP"), "250 2.0.0 ok"),
    "DATA": "354 go ahead",
    "QUIT": "221 2.0.0 bye",
    "STARTTLS": "220 2.0.0 go ahead",
}


class ScriptedSMTPServer:
    """A server in threads of its own, for a `with` block.

    Args:
        script: stage → what to do there. Stages are "connect", the commands ("EHLO", "HELO",
            "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"), and "." for the end
            of a message. One action is for every time; a list has one for each time, over all
            connections, and None in it (and its end) stand for what a good server does; a callable
            gets the command line and the connection, and returns an action or None.
        features: what EHLO offers; STARTTLS and AUTH are added where they can be had.
        tls_context: makes STARTTLS possible, or TLS from the start.
        tls: speak TLS from the start.
        accounts: user name → password or OAuth token; None lets everybody in.
        auth: the mechanisms offered; PLAIN, LOGIN, XOAUTH2 and OAUTHBEARER can be played.
        port: where to listen on 127.0.0.1; 0 for a free one.

    Attributes:
        port: where it listens.
        connections: all connections, in order.
        messages: all messages that it has taken, in order.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        features: Sequence[str] = FEATURES,
        tls_context: ssl.SSLContext | None = None,
        tls: bool = False,
        accounts: Mapping[str, str] | None = None,
        auth: Sequence[str] = ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"),
        port: int = 0,
    ) -> None:
        self.port: int = port
        self.connections: list[SMTPConnection] = []
        self.messages: list[ReceivedMessage] = []
        self._script = dict(script or {})
        self._features = tuple(features)
        self._tls_context = tls_context
        self._tls = tls
        self._accounts = accounts
        self._auth = tuple(auth)
        self._lock = threading.Lock()
        self._times: dict[str, int] = {}
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            # A thread that waits for a connection doesn't notice that its socket is closed.
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                # Not `SSLSocket.shutdown`: it takes the TLS state away from under a reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()

    def __repr__(self) -> str:
        return f"<ScriptedSMTPServer on port {self.port}, {len(self.messages)} messages>"

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, name="scripted-smtp", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._stopped.is_set():
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        connection = SMTPConnection()
        self.connections.append(connection)
        line = ServerConnection(sock, self._stopped)
        # Errors of the connection are what scripts are for; they end it, and nothing else.
        with contextlib.suppress(OSError, EndedError):
            if self._tls and self._tls_context is not None:
                self._secure(line, connection)
            self._act(line, self._planned("connect", "", connection), "220 scripted.test ESMTP")
            while True:
                command = line.read_line()
                connection.commands.append(command)
                self._answer(line, connection, command)
        line.close()

    def _planned(self, stage: str, command: str, connection: SMTPConnection) -> Action | None:
        """Return what the script has for this time, or None."""
        found = self._script.get(stage)
        if callable(found):
            return found(command, connection)
        if isinstance(found, list):
            with self._lock:
                time = self._times.get(stage, 0)
                self._times[stage] = time + 1
            return found[time] if time < len(found) else None
        return found

    def _answer(self, line: ServerConnection, connection: SMTPConnection, command: str) -> None:
        verb = command.partition(" ")[0].upper()
        planned = self._planned(verb, command, connection)
        if verb == "AUTH" and planned is None:
            self._log_in(line, connection, command)
            return
        said = self._act(line, planned, self._usual(verb, connection))
        if verb == "AUTH" and said.startswith("334"):
            self._challenged(line, connection)
        if not said.startswith(("2", "3")):
            return
        if verb in {"EHLO", "HELO", "RSET"}:
            connection.sender, connection.recipients = None, []
        elif verb == "STARTTLS":
            self._secure(line, connection)
        elif verb == "MAIL":
            path, _, connection.parameters = command.partition(">")
            connection.sender = path.partition("<")[2]
            connection.parameters = connection.parameters.strip()
            connection.recipients = []
        elif verb == "RCPT":
            connection.recipients.append(command.partition("<")[2].partition(">")[0])
        elif verb == "DATA":
            self._receive(line, connection)
        elif verb == "QUIT":
            raise EndedError

    def _usual(self, verb: str, connection: SMTPConnection) -> str:
        """Return a good server's reply."""
        secure = self._tls_context is not None and not connection.tls
        if verb == "EHLO":
            offers = [*self._features, f"AUTH {' '.join(self._auth)}"]
            if secure:
                offers.append("STARTTLS")
            return "\n".join(["250-scripted.test", *(f"250-{one}" for one in offers), "250 HELP"])
        if verb == "MAIL" and connection.sender is not None:
            return "503 5.5.1 nested MAIL"
        if verb == "RCPT" and connection.sender is None:
            return "503 5.5.1 MAIL first"
        if verb == "DATA" and not connection.recipients:
            return "554 5.5.1 no valid recipients"
        if verb == "STARTTLS" and not secure:
            return "503 5.5.1 no TLS here"
        return _REPLIES.get(verb, "500 5.5.2 unknown command")

    def _receive(self, line: ServerConnection, connection: SMTPConnection) -> None:
        data = line.read_message()
        message = ReceivedMessage(
            sender=connection.sender or "",
            recipients=tuple(connection.recipients),
            parameters=connection.parameters,
            data=data,
            tls=connection.tls,
            username=connection.username,
        )
        connection.sender, connection.recipients = None, []

        def keep() -> None:
            self.messages.append(message)

        self._act(line, self._planned(".", "", connection), "250 2.0.0 queued", keep)

    def _act(
        self,
        line: ServerConnection,
        planned: Action | None,
        usual: str,
        keep: Callable[[], None] | None = None,
    ) -> str:
        """Do what is planned, else the usual; return the first reply that was given.

        Args:
            line: where to say it.
            planned: what the script has.
            usual: what a good server says.
            keep: takes the message, if it is the reply to one; it does so before it is said.
        """
        said = ""
        if not isinstance(planned, tuple):
            planned = (usual if planned is None else planned,)
        for step in planned:
            text = step.decode("latin-1") if isinstance(step, bytes) else step
            if isinstance(text, str):
                said = said or text
            if keep is not None and (step is Act.ACCEPT or said.startswith("2")):
                keep()
                keep = None
            line.do(step)
        return said

    def _secure(self, line: ServerConnection, connection: SMTPConnection) -> None:
        assert self._tls_context is not None  # noqa: S101 - the reply would have been another one
        sock = line.secure(self._tls_context)
        with self._lock:
            self._sockets.append(sock)
        if self._stopped.is_set():
            raise EndedError
        sock.do_handshake()
        connection.tls = True
        connection.client_certificate = sock.getpeercert()

    def _challenged(self, line: ServerConnection, connection: SMTPConnection) -> None:
        """Take what the client says to a scripted challenge, and go on with the script."""
        connection.commands.append(line.read_line())
        said = self._act(line, self._planned("AUTH", "", connection), "235 2.7.0 welcome")
        if said.startswith("334"):
            self._challenged(line, connection)

    def _log_in(self, line: ServerConnection, connection: SMTPConnection, command: str) -> None:
        _, mechanism, *initial = command.split(" ")
        if mechanism.upper() not in self._auth:
            line.do("504 5.5.4 unknown mechanism")
            return

        def ask(prompt: str) -> str:
            if initial:
                return _decode(initial.pop())
            line.do(f"334 {base64.b64encode(prompt.encode()).decode()}")
            answer = line.read_line()
            connection.commands.append(answer)
            return _decode(answer)

        match mechanism.upper():
            case "LOGIN":
                username, secret = ask("Username:"), ask("Password:")
            case "PLAIN":
                _, username, secret = ask("").split("\0")
            case other:
                head, bearer, _ = ask("").split("\1", 2)
                username = head.partition("user=" if other == "XOAUTH2" else "a=")[2].strip(",")
                username = username.replace("=2C", ",").replace("=3D", "=")
                secret = bearer.partition("Bearer ")[2]
        if self._accounts is None or self._accounts.get(username) == secret:
            connection.username = username
            line.do("235 2.7.0 welcome")
        else:
            line.do("535 5.7.8 wrong user name or password")


def _decode(text: str) -> str:
    return base64.b64decode(text).decode("utf-8")
