"""A connection of the scripted server: it reads lines and messages, and carries out steps."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

from tocsin.testing.script import Act, Drip

if TYPE_CHECKING:
    import ssl

    from tocsin.testing.script import Step


class EndedError(Exception):
    """The connection ends as planned: the client, the script or a QUIT has closed it."""


class ServerConnection:
    """A connection from the server's side.

    Args:
        sock: the connected socket.
        stopped: set when the server stops, so that no step waits any longer.
    """

    def __init__(self, sock: socket.socket, stopped: threading.Event) -> None:
        self._sock = sock
        self._stopped = stopped
        self._buffer = bytearray()
        self._mute = False

    def read_line(self) -> str:
        """Wait for a line; return it without its end."""
        return self._read(b"\r\n").decode("utf-8", "surrogateescape")

    def read_message(self) -> bytes:
        """Wait for a message; return it without the final dot and without doubled dots."""
        # A message may be empty: then the final dot is on the first line.
        self._buffer[:0] = b"\r\n"
        data = self._read(b"\r\n.\r\n") + b"\r\n"
        return data.replace(b"\r\n.", b"\r\n")[2:]

    def _read(self, end: bytes) -> bytes:
        start = 0
        while (found := self._buffer.find(end, start)) < 0:
            start = max(0, len(self._buffer) - len(end))
            data = self._sock.recv(65536)
            if not data:
                raise EndedError
            self._buffer += data
        content = bytes(self._buffer[:found])
        del self._buffer[: found + len(end)]
        return content

    def do(self, step: Step) -> None:
        """Carry out one step of a script."""
        match step:
            case str():
                self._say(step.replace("\n", "\r\n").encode() + b"\r\n")
            case bytes():
                self._say(step)
            case Drip():
                self._drip(step)
            case threading.Event():
                while not (step.wait(0.05) or self._stopped.is_set()):
                    pass
            case Act.SILENCE:
                self._mute = True
            case Act.STOP_READING:
                self._stopped.wait()
                raise EndedError
            case Act.CLOSE | Act.RESET:
                self._hang_up(reset=step is Act.RESET)
            case Act.ACCEPT:
                pass  # the server keeps the message, and sends no reply

    def _say(self, data: bytes) -> None:
        if not self._mute:
            self._sock.sendall(data)

    def _drip(self, drip: Drip) -> None:
        while not self._stopped.is_set():
            for byte in drip.data:
                self._say(bytes([byte]))
                self._stopped.wait(drip.interval)

    def _hang_up(self, *, reset: bool) -> None:
        if reset:  # with a linger time of 0, close() sends RST
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise EndedError

    def secure(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Turn on TLS; bytes that came before it are dropped (RFC 3207 §6).

        The caller makes the handshake, and can interrupt a client that stalls in it.

        Args:
            context: the server's context.
        """
        self._buffer.clear()
        self._sock = secured = context.wrap_socket(
            self._sock, server_side=True, do_handshake_on_connect=False
        )
        return secured

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._sock.close()
