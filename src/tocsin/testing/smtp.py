"""The scripted SMTP server: a real server on loopback that plays a script and keeps what it gets.

Without a script, it behaves as RFC 5321 asks and accepts every message. The script says, stage by
stage, what it does instead: another reply, raw bytes, silence, the end of the connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

from tocsin.testing.dialogue import Dialogue, Host

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from email.message import EmailMessage

    from tocsin.testing.script import Action, ReceivedMessage, Script, SMTPConnection

FEATURES = ("PIPELINING", "SIZE 10485760", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


class ScriptedSMTPServer:
    """An SMTP server for a `with` block, in threads of its own.

    Args:
        script: stage → action. The stages are "connect", the commands ("EHLO", "HELO", "STARTTLS",
            "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"), and "." for the end of a
            message. A single action is used every time. A list has one action for each time the
            stage is reached, counted over all connections; None in it, and the time after its end,
            stand for the usual behaviour. A callable gets the command line and the connection, and
            returns an action or None.
        features: the extensions that EHLO offers, besides AUTH and STARTTLS.
        tls_context: makes STARTTLS possible, or TLS from the start.
        tls: whether TLS starts with the connection.
        accounts: user name → password or OAuth token; None to accept every login.
        auth: the login mechanisms that EHLO offers. Without a script, the server knows PLAIN,
            LOGIN, XOAUTH2 and OAUTHBEARER.
        port: the port on 127.0.0.1; 0 for a free one.

    Attributes:
        port: the port on which it listens.
        connections: all connections, in order.
        messages: all messages that it has accepted, in order.
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
        self._tls = tls and tls_context is not None
        self._lock = threading.Lock()
        self._times: dict[str, int] = {}  # stage → how often it was reached
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._host = Host(
            features=tuple(features),
            mechanisms=tuple(auth),
            accounts=accounts,
            tls_context=tls_context,
            planned=self._planned,
            keep=self.messages.append,
            track=self._track,
            stopped=self._stopped,
        )

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            # A thread in `accept` notices a connection, but not that its socket is closed.
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                # Not `SSLSocket.shutdown`: it removes the TLS state while another thread reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()

    @property
    def outbox(self) -> list[EmailMessage]:
        """The messages that it has accepted, parsed, in order."""
        import email.policy  # noqa: PLC0415 - loaded only if it is used

        return [
            email.message_from_bytes(message.data, policy=email.policy.default)
            for message in list(self.messages)
        ]

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
            self._track(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        dialogue = Dialogue(self._host, sock)
        self.connections.append(dialogue.connection)
        dialogue.run(tls=self._tls)

    def _planned(self, stage: str, command: str, connection: SMTPConnection) -> Action | None:
        """Return the script's action for a stage, this time; None for the usual behaviour."""
        found = self._script.get(stage)
        if callable(found):
            return found(command, connection)
        if isinstance(found, list):
            with self._lock:
                time = self._times.get(stage, 0)
                self._times[stage] = time + 1
            return found[time] if time < len(found) else None
        return found

    def _track(self, sock: socket.socket) -> None:
        """Note a socket that is shut down at the end of the `with` block."""
        with self._lock:
            self._sockets.append(sock)
