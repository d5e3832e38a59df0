"""Dialling: from a host's name to a TCP connection, within a given time.

Each address of the host gets its share of the time that is left. The name is looked up in a thread
of its own, because `getaddrinfo` takes no time-out.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from typing import Any


def dial(host: str, port: int, until: float) -> socket.socket:
    """Connect to the first of the host's addresses that accepts (RFC 5321 §5.1).

    Args:
        host: a name or an IP address.
        port: the TCP port.
        until: when to give up, as a point of `time.monotonic`.

    Returns:
        The connected socket, with TCP_NODELAY.

    Raises:
        OSError: no address accepted; it is the last address's error.
    """
    return connect(look_up(host, port, until), until)


def look_up(host: str, port: int, until: float) -> list[Any]:
    """Return the host's addresses, as `getaddrinfo` returns them.

    The thread that calls `getaddrinfo` is left behind after `until`.

    Args:
        host: a name or an IP address.
        port: the TCP port.
        until: when to give up, as a point of `time.monotonic`.

    Raises:
        OSError: the host has no address, or the time is up.
    """
    if time.monotonic() >= until:
        raise TimeoutError("timed out")
    answer: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        found = _addresses(host, port)
        if isinstance(found, OSError) and host.endswith("."):
            # The dot keeps the resolver from adding domains, but /etc/hosts has no such names.
            found = _addresses(host.removesuffix("."), port)
        answer.put(found)

    try:
        threading.Thread(target=ask, name="tocsin-look-up", daemon=True).start()
    except RuntimeError:  # no thread starts while the interpreter ends (since Python 3.12)
        ask()
    try:
        found = answer.get(timeout=max(0.0, until - time.monotonic()))
    except queue.Empty:
        raise TimeoutError(f"no answer from the name servers for {host!r}") from None
    if isinstance(found, OSError):
        raise found
    return found


def connect(addresses: list[Any], until: float) -> socket.socket:
    """Connect to the first of the addresses that accepts.

    Args:
        addresses: as `look_up` returns them.
        until: when to give up, as a point of `time.monotonic`.

    Raises:
        OSError: no address accepted; it is the last address's error.
    """
    error: OSError = TimeoutError("timed out")
    for position, address in enumerate(addresses):
        # One address that doesn't answer must not use up the time of the next ones.
        share = max(0.001, (until - time.monotonic()) / (len(addresses) - position))
        try:
            return _connected(*address, timeout=share)
        except OSError as problem:
            error = problem
    raise error


def _connected(
    family: int, kind: int, protocol: int, _name: str, address: Any, *, timeout: float
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout)
        sock.connect(address)
        # The client waits for each reply at once: waiting to fill a packet only costs time.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _addresses(host: str, port: int) -> list[Any] | OSError:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        return error if isinstance(error, OSError) else OSError(str(error))
