"""A channel: a socket on which every wait ends in time, with bytes going out and replies coming in.

The socket is non-blocking. The channel reads replies while it writes, so that client and server
never wait for each other, and an early reply isn't lost when the connection breaks. The end of each
wait is fixed when the wait begins: a server that sends one byte a second doesn't prolong it.

Every failure is an `OSError`: `TimeoutError`, `ConnectionError` or `ssl.SSLError`.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from tocsin.mail.receipt import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CHUNK = 65536
_MAX_REPLY_BYTES = 65536
_MAX_REPLY_LINES = 100
_MAX_UNREAD = 1 << 22  # the replies to some 40,000 pipelined recipients
_DAY = 86_400.0  # seconds; a longer time-out overflows in some system calls
QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""The socket option, on Linux only. It has to be set again each time: tcp(7)."""
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?")
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")  # RFC 3463 §2


class OutOfStepError(ConnectionError):
    """The server sent something that can't be an answer; no later reply can be trusted."""


class Channel:
    """A connected socket with a time-out for each wait and a deadline for all of them.

    Args:
        sock: a connected socket.
        timeout: the seconds that each wait may take.

    Attributes:
        deadline: a point of `time.monotonic`; every wait ends there, and nothing is sent after it.
        encrypted: whether TLS is on.
        sent: how many bytes were sent.
        heard: whether any byte was received.
    """

    def __init__(self, sock: socket.socket, *, timeout: float) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._timeout = min(timeout, _DAY)
        self._buffer, self._eof = bytearray(), False
        self._unacknowledged = False  # whether bytes were received since the last acknowledgement
        self.deadline: float = float("inf")
        self.encrypted: bool = False
        self.heard: bool = False
        self.sent: int = 0

    @property
    def peer(self) -> str:
        """The server's IP address."""
        return str(self._sock.getpeername()[0])

    @property
    def local(self) -> str:
        """The IP address of this end of the connection."""
        return str(self._sock.getsockname()[0])

    @property
    def tls_version(self) -> str:
        """The version of TLS, such as `TLSv1.3`; "" without TLS."""
        return (self._sock.version() or "") if isinstance(self._sock, ssl.SSLSocket) else ""

    @property
    def certificate(self) -> Mapping[str, Any]:
        """The server's certificate, as `ssl.SSLSocket.getpeercert` returns it.

        It is empty without TLS, and if the context doesn't verify certificates.
        """
        found = self._sock.getpeercert() if isinstance(self._sock, ssl.SSLSocket) else None
        return found or {}

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Turn on TLS, and verify what the context says.

        Args:
            context: the context.
            host: the name that the server's certificate must have.

        Raises:
            OSError: the handshake failed or took too long.
        """
        self._sock = context.wrap_socket(
            self._sock, server_hostname=host, do_handshake_on_connect=False
        )
        self._retry(self._sock.do_handshake, self._until())
        self.encrypted = True

    def write(
        self, data: bytes, *, until_reply: bool = False, timeout: float | None = None
    ) -> bool:
        """Send all the bytes, and read replies meanwhile.

        Args:
            data: the bytes to send.
            until_reply: whether to stop when a reply arrives before all bytes are sent.
            timeout: the seconds that each wait may take; by default the channel's `timeout`.

        Returns:
            Whether all bytes were sent.

        Raises:
            OSError: the connection is lost or the time is up.
        """
        view = memoryview(data)
        while view:
            if time.monotonic() >= self.deadline:  # the process may have been stopped for long
                raise TimeoutError("timed out")
            if until_reply and len(view) < len(data) and self.unread():
                return False
            view = view[self._send(view[:_CHUNK], timeout) :]
        return True

    def _send(self, chunk: memoryview, timeout: float | None) -> int:
        """Send some of the bytes; return how many."""
        try:
            taken: int = self._retry(lambda: self._sock.send(chunk), self._until(timeout))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise ConnectionResetError("the server closed the connection") from error
        self._unacknowledged = False
        self.sent += taken
        return taken

    def reply(self, timeout: float | None = None) -> Reply:
        """Wait for the next reply (RFC 5321 §4.2).

        Empty lines before it are skipped: some servers send one before their greeting.

        Args:
            timeout: the seconds to wait for the whole reply; by default the channel's `timeout`.

        Raises:
            ConnectionError: the connection is lost.
            OutOfStepError: the server sent something that is not a reply, or a reply without end.
            TimeoutError: the reply did not arrive, or not all of it.
        """
        until = self._until(timeout)
        lines: list[bytes] = []
        size = 0
        code = b""
        while True:
            line = self._line(until)
            size += len(line) + 1
            if not (line or lines) and size <= _MAX_REPLY_BYTES:
                continue
            match = _REPLY_LINE.fullmatch(line)
            if match is None or (code and match[1] != code):
                raise OutOfStepError(f"not an SMTP reply: {line[:80]!r}")
            code = match[1]
            lines.append((match[3] or b"").strip())
            if size > _MAX_REPLY_BYTES or len(lines) > _MAX_REPLY_LINES:
                raise OutOfStepError("a reply that doesn't end")
            if match[2] != b"-":
                return _reply(int(code), lines)

    def unread(self) -> bool:
        """Return whether unread bytes are there, or the server has closed the connection."""
        self._receive()
        self._buffer = self._buffer.lstrip(b"\r\n")  # as `reply` does
        return bool(self._buffer) or self._eof

    @property
    def ended(self) -> bool:
        """Whether the server is known to have closed the connection."""
        return self._eof

    def close(self) -> None:
        """Close the socket, without waiting and without errors."""
        with contextlib.suppress(OSError):  # the system may report an earlier error here
            self._sock.close()

    def _line(self, until: float) -> bytes:
        """Wait for one line; return it without its end."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > _MAX_REPLY_BYTES:
                raise OutOfStepError("a line that doesn't end")
            if self._eof:
                raise ConnectionResetError("the server closed the connection")
            if not self._receive():
                self._acknowledge()
                self._wait(selectors.EVENT_READ, until)
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def _acknowledge(self) -> None:
        """Have the system acknowledge the received bytes now, if it hasn't done so with sent ones.

        A server that writes its replies one by one, without TCP_NODELAY, sends each one only after
        the one before it is acknowledged (RFC 896). The system would delay that acknowledgement by
        40 ms (RFC 1122 §4.2.3.2).
        """
        if self._unacknowledged and QUICK_ACK is not None:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
        self._unacknowledged = False

    def _receive(self) -> bool:
        """Read the bytes that have arrived; return whether there were any, or the end."""
        if self._eof:
            return False
        try:
            data = self._sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except ConnectionError:
            data = b""
        self._buffer += data
        self._eof = not data
        self._unacknowledged = bool(data)
        self.heard = self.heard or bool(data)
        if len(self._buffer) > _MAX_UNREAD:
            raise OutOfStepError("more replies than commands")
        return True

    def _until(self, timeout: float | None = None) -> float:
        """Return when a wait that begins now must end, as a point of `time.monotonic`."""
        return min(time.monotonic() + (timeout or self._timeout), self.deadline)

    def _retry(self, operation: Callable[[], Any], until: float) -> Any:
        """Call a socket operation until it succeeds; read replies while it has to wait."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                self._wait(selectors.EVENT_READ, until)
            except (BlockingIOError, ssl.SSLWantWriteError):
                if self._wait(selectors.EVENT_WRITE | selectors.EVENT_READ, until):
                    self._receive()

    def _wait(self, events: int, until: float) -> bool:
        """Wait until the socket is ready; return whether there is something to read."""
        if self._eof:  # nothing more can arrive, so only writing is worth a wait
            events = selectors.EVENT_WRITE
        return bool(_ready(self._sock, events, until) & selectors.EVENT_READ)


def _ready(sock: socket.socket, events: int, until: float) -> int:
    """Wait for one of the events of `selectors`; return those that have happened."""
    left = until - time.monotonic()
    if left > 0:
        with selectors.DefaultSelector() as selector:
            selector.register(sock, events)
            for _, happened in selector.select(left):
                return happened
    raise TimeoutError("timed out")


def _reply(code: int, lines: list[bytes]) -> Reply:
    """Return a reply whose enhanced status code (RFC 2034 §4) is taken out of its text."""
    texts = [line.decode("utf-8", "replace") for line in lines]
    enhanced = None
    if match := _ENHANCED.match(texts[0]):
        enhanced = match[1]
        texts = [text.removeprefix(enhanced).strip() for text in texts]
    return Reply(code, enhanced, "\n".join(texts))
