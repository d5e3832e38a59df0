"""A socket that never keeps its caller longer than allowed: bytes out, replies in.

The socket doesn't block. Replies are taken in while bytes go out, so that neither side waits for
the other, and a reply that comes early isn't lost behind a broken pipe. Each wait ends at a point
of time that was fixed when it began: a byte a second doesn't prolong it.

All that goes wrong is an `OSError`: `TimeoutError`, `ConnectionError`, `ssl.SSLError`.
"""

from __future__ import annotations

import contextlib
import queue
import re
import selectors
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from tocsin.mail.receipt import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 65536
_MAX_REPLY_BYTES = 65536
_MAX_REPLY_LINES = 100
_MAX_UNREAD = 1 << 22  # the replies to some 40,000 pipelined recipients
_DAY = 86_400.0  # seconds; what is longer overflows in some system's call
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux; it doesn't last: tcp(7)
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?")
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")  # RFC 3463 §2


class OutOfStepError(ConnectionError):
    """The other side says what can't be an answer: nothing it says can be trusted any more."""


class Channel:
    """A connected socket with a time-out for each wait and a deadline for all of them.

    Args:
        sock: a connected socket.
        timeout: seconds for each wait.

    Attributes:
        deadline: the point of `time.monotonic` at which every wait ends, and nothing more is sent.
        encrypted: whether TLS is on.
        sent: how many bytes have left.
        heard: whether a byte has come.
    """

    def __init__(self, sock: socket.socket, *, timeout: float) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._timeout = min(timeout, _DAY)
        self._buffer = bytearray()
        self._eof = False
        self._owed = False  # whether something came that isn't acknowledged, as far as is known
        self.deadline: float = float("inf")
        self.encrypted: bool = False
        self.sent: int = 0
        self.heard: bool = False

    @property
    def peer(self) -> str:
        """The other side's IP address."""
        return str(self._sock.getpeername()[0])

    @property
    def local(self) -> str:
        """This side's IP address."""
        return str(self._sock.getsockname()[0])

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Turn on TLS, and verify what the context says is to be verified."""
        self._sock = context.wrap_socket(
            self._sock, server_hostname=host, do_handshake_on_connect=False
        )
        self._retry(self._sock.do_handshake, self._until())
        self.encrypted = True

    def write(
        self, data: bytes, *, until_reply: bool = False, timeout: float | None = None
    ) -> bool:
        """Send all the bytes, and take in what comes meanwhile.

        Args:
            data: what to send.
            until_reply: stop when the other side says something before all is sent.
            timeout: seconds for each wait, if other than for everything else.

        Returns:
            Whether all was sent.

        Raises:
            OSError: the connection is gone or the time is up; replies may have come all the same.
        """
        view = memoryview(data)
        while view:
            if time.monotonic() >= self.deadline:  # the process may have been stopped for long
                raise TimeoutError("timed out")
            if until_reply and len(view) < len(data) and self.unread():
                return False
            until = self._until(timeout)
            chunk = view[:_CHUNK]
            try:
                taken: int = self._retry(lambda chunk=chunk: self._sock.send(chunk), until)  # type: ignore[misc]
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
                raise ConnectionResetError("the server closed the connection") from error
            self._owed = False
            view = view[taken:]
            self.sent += taken
        return True

    def reply(self, timeout: float | None = None) -> Reply:
        """Wait for the next reply. Empty lines before it are skipped: some servers greet with one.

        Args:
            timeout: seconds to wait, if other than for everything else.

        Raises:
            ConnectionError: the connection is gone.
            OutOfStepError: what came isn't a reply, or is longer than any.
            TimeoutError: nothing, or only a part of it, came in time.
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
        """Whether something came that nobody asked for, or the other side has hung up."""
        self._receive()
        self._buffer = self._buffer.lstrip(b"\r\n")  # as `reply` does
        return bool(self._buffer) or self._eof

    @property
    def ended(self) -> bool:
        """Whether the other side is known to have hung up."""
        return self._eof

    def close(self) -> None:
        """Close the socket; no waiting, no errors."""
        with contextlib.suppress(OSError):  # an old error may be reported only now
            self._sock.close()

    def _line(self, until: float) -> bytes:
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
        """Acknowledge what has come, at once, unless bytes that were sent since have done so.

        A server that writes its replies one by one, without TCP_NODELAY, holds each back until the
        one before it is acknowledged (RFC 896). Systems delay that by 40 ms (RFC 1122 §4.2.3.2).
        """
        if self._owed and _QUICK_ACK is not None:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        self._owed = False

    def _receive(self) -> bool:
        """Take in what is there; False if that is nothing."""
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
        self._owed = bool(data)
        self.heard = self.heard or bool(data)
        if len(self._buffer) > _MAX_UNREAD:
            raise OutOfStepError("more replies than commands")
        return True

    def _until(self, timeout: float | None = None) -> float:
        return min(time.monotonic() + (timeout or self._timeout), self.deadline)

    def _retry(self, operation: Callable[[], Any], until: float) -> Any:
        """Call until it doesn't have to wait; what can be read meanwhile is read."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                self._wait(selectors.EVENT_READ, until)
            except (BlockingIOError, ssl.SSLWantWriteError):
                if self._wait(selectors.EVENT_WRITE | selectors.EVENT_READ, until):
                    self._receive()

    def _wait(self, events: int, until: float) -> bool:
        """Wait until the socket is ready; whether it can be read."""
        left = until - time.monotonic()
        if self._eof:  # nothing more can come: only writing is worth waiting for
            events = selectors.EVENT_WRITE
        if left > 0:
            with selectors.DefaultSelector() as selector:
                selector.register(self._sock, events)
                for _, ready in selector.select(left):
                    return bool(ready & selectors.EVENT_READ)
        raise TimeoutError("timed out")


def _reply(code: int, lines: list[bytes]) -> Reply:
    texts = [line.decode("utf-8", "replace") for line in lines]
    enhanced = None
    if match := _ENHANCED.match(texts[0]):
        enhanced = match[1]
        texts = [text.removeprefix(enhanced).strip() for text in texts]
    return Reply(code, enhanced, "\n".join(texts))


def dial(host: str, port: int, until: float) -> socket.socket:
    """Connect to the first of the host's addresses that answers.

    Args:
        host: a name or an IP address.
        port: the TCP port.
        until: the point of `time.monotonic` at which it has to be done.

    Raises:
        OSError: none answered; the last one's error.
    """
    if time.monotonic() >= until:
        raise TimeoutError("timed out")
    addresses = _look_up(host, port, until)
    error: OSError = TimeoutError("timed out")
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        # A silent address must not use up the time of the ones behind it.
        share = max(0.001, (until - time.monotonic()) / (len(addresses) - position))
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(share)
            sock.connect(address)
            # Replies are awaited at once: waiting to fill a packet only costs time.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as problem:
            sock.close()
            error = problem
        else:
            return sock
    raise error


def _addresses(host: str, port: int) -> list[Any] | OSError:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        return error if isinstance(error, OSError) else OSError(str(error))


def _look_up(host: str, port: int, until: float) -> list[Any]:
    """Resolve a name in a thread that can be left behind: `getaddrinfo` knows no time-out."""
    answer: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        found = _addresses(host, port)
        if isinstance(found, OSError) and host.endswith("."):
            # The dot keeps the resolver from adding domains, but /etc/hosts doesn't know it.
            found = _addresses(host.removesuffix("."), port)
        answer.put(found)

    try:
        threading.Thread(target=ask, name="tocsin-look-up", daemon=True).start()
    except RuntimeError:  # the interpreter ends: since 3.12 no thread starts any more
        ask()
    try:
        found = answer.get(timeout=max(0.0, until - time.monotonic()))
    except queue.Empty:
        raise TimeoutError(f"no answer from the name servers for {host!r}") from None
    if isinstance(found, OSError):
        raise found
    return found
