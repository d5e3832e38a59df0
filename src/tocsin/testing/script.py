"""What a scripted server does and what it has seen, as values."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


class Act(enum.Enum):
    """What a server can do but reply."""

    SILENCE = "say nothing more, but go on reading"
    STOP_READING = "say nothing more, and read nothing more"
    CLOSE = "close the connection"
    RESET = "close the connection so that the other side gets an error (TCP RST)"
    ACCEPT = "at the final dot: keep the message without saying so"


@dataclass(frozen=True, slots=True)
class Drip:
    """Send bytes one at a time, and begin again at the end; until the other side hangs up.

    Attributes:
        data: the bytes.
        interval: seconds between two of them.
    """

    data: bytes
    interval: float


Step: TypeAlias = str | bytes | Act | Drip | threading.Event
"""A reply (without its line end; several lines are separated by newlines), raw bytes, an act, bytes
that drip, or an event that is waited for."""
Action: TypeAlias = Step | tuple[Step, ...]
"""A step, or several that make up one action."""
Script: TypeAlias = Mapping[
    str, Action | list[Any] | Callable[[str, "SMTPConnection"], Action | None]
]
"""Stage → an action, a list of `Action | None`, or what returns one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A message that the server has taken.

    Attributes:
        sender: the reverse path, without angle brackets.
        recipients: the forward paths that were accepted.
        parameters: what stood behind the reverse path: `"SIZE=312 BODY=8BITMIME"`.
        data: the message, without dot-stuffing and without the final dot.
        tls: whether it came under TLS.
        username: who was logged in, or None.
    """

    sender: str
    recipients: tuple[str, ...]
    parameters: str
    data: bytes
    tls: bool
    username: str | None


@dataclass(kw_only=True)
class SMTPConnection:
    """A connection, as it was seen from the server.

    Attributes:
        commands: the command lines, in order; with what was said to a challenge.
        tls: whether TLS is on.
        client_certificate: what the client showed, as `ssl.SSLSocket.getpeercert` has it.
        username: who is logged in, or None.
        sender: the reverse path of the transaction, or None.
        parameters: what stood behind it.
        recipients: the forward paths that were accepted.
    """

    commands: list[str] = field(default_factory=list)
    tls: bool = False
    client_certificate: object = None
    username: str | None = None
    sender: str | None = None
    parameters: str = ""
    recipients: list[str] = field(default_factory=list)
