"""Servers that behave behind the final dot as real ones do; the replies are those seen on the wire.

Each reply is a write of its own, without TCP_NODELAY, as Node.js does it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import ClassVar, Self

from tocsin.testing.script import ReceivedMessage


class Twin:
    """A server that bears commands behind the final dot; a thread for each connection.

    Args:
        greeting: another one than its own.

    Attributes:
        port: where it listens.
        messages: what it has taken, in order.
        early: how many commands came before the reply to a final dot had left.
        connections: how many there were.
    """

    greeting = "mx.example.com ESMTP Postfix (Debian/GNU)"
    offers: ClassVar[tuple[str, ...]] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 26214400")
    said: ClassVar = {
        "MAIL": "250 2.1.0 Ok",
        "RCPT": "250 2.1.5 Ok",
        "DATA": "354 End data with <CR><LF>.<CR><LF>",
        "RSET": "250 2.0.0 Ok",
        ".": "250 2.0.0 Ok: queued as 4CDE512345",
    }

    def __init__(self, greeting: str | None = None) -> None:
        self.greeting = greeting or self.greeting
        self.messages: list[ReceivedMessage] = []
        self.early = 0
        self.connections = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def behind_the_dot(self, line: _Line) -> None:
        """Answer the dot; the commands behind it are read as any other."""
        line.say(self.said["."])

    def _accept(self) -> None:
        threads: list[threading.Thread] = []
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                threads.append(threading.Thread(target=self._serve, args=(sock,), daemon=True))
                threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            line = _Line(sock)
            line.say(f"220 {self.greeting}")
            recipients: list[str] = []
            while (command := line.until(b"\r\n").decode()) != "QUIT":
                verb = command[:4]
                if verb == "EHLO":
                    line.say("\r\n".join(f"250-{one}" for one in ("hello", *self.offers)))
                    line.say("250 HELP")
                    continue
                if verb == "MAIL":
                    recipients = []
                elif verb == "RCPT":
                    recipients.append(command.partition("<")[2].partition(">")[0])
                line.say(self.said[verb])
                if verb == "DATA":
                    data = line.until(b"\r\n.\r\n")
                    line.look()
                    self.early += line.buffer.count(b"\r\n")
                    self._keep(recipients, data)
                    self.behind_the_dot(line)

    def _keep(self, recipients: list[str], data: bytes) -> None:
        self.messages.append(
            ReceivedMessage(
                sender="",
                recipients=tuple(recipients),
                parameters="",
                data=data + b"\r\n",
                tls=False,
                username=None,
            )
        )


class Haraka(Twin):
    """Haraka 3.3.4: refuses each command behind the dot, in one write with the dot's reply."""

    greeting = "haraka.test ESMTP Haraka/3.3.4 ready (557B48)"
    said: ClassVar = {
        "MAIL": "250 sender <me@example.com> OK",
        "RCPT": "250 recipient <somebody@example.com> OK",
        "DATA": "354 go ahead, make my day",
        "RSET": "250 OK",
        ".": "250 Message Queued (3618CDDD-83F6-4C33-8BD7-2DE1EF829338.1)",
    }
    refusal = "503 Bad sequence of commands - pipelined after end of DATA"

    def behind_the_dot(self, line: _Line) -> None:
        """Answer the dot, and refuse what has come behind it."""
        commands = line.buffer.count(b"\r\n")
        line.buffer.clear()
        line.say("\r\n".join([self.said["."], *[self.refusal] * commands]))


class Dovecot(Twin):
    """Dovecot 2.3.19's submission proxy: relays the message, and crashes at MAIL behind the dot."""

    greeting = "mail.example.com Dovecot (Debian) ready."
    said: ClassVar = {
        "MAIL": "250 2.1.0 OK",
        "RCPT": "250 2.0.0 OK",
        "DATA": "354 OK",
        "RSET": "250 2.0.0 OK",
        ".": "250 2.0.0 2.0.0 kept",
    }

    def behind_the_dot(self, line: _Line) -> None:
        """Answer the dot if nothing has come behind it, else end."""
        if line.buffer:
            raise ConnectionAbortedError
        super().behind_the_dot(line)


class _Line:
    """A socket with buffered reading."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.buffer = bytearray()

    def until(self, end: bytes) -> bytes:
        """Return what comes before `end`, which is taken, too."""
        while end not in self.buffer:
            data = self._sock.recv(65536)
            if not data:
                raise ConnectionResetError
            self.buffer += data
        found, _, rest = bytes(self.buffer).partition(end)
        self.buffer = bytearray(rest)
        return found

    def look(self) -> None:
        """Take in what has come."""
        self._sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.buffer += self._sock.recv(65536)
        self._sock.setblocking(True)

    def say(self, text: str) -> None:
        """Write a reply."""
        self._sock.sendall(text.encode() + b"\r\n")
