"""Scripts: the steps of a scripted server, and the messages and connections that it has seen."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


class Act(enum.Enum):
    """A step other than a reply."""

    SILENCE = "send nothing more, but go on reading"
    STOP_READING = "send nothing more, and read nothing more"
    CLOSE = "close the connection"
    RESET = "close the connection so that the client gets an error (TCP RST)"
    ACCEPT = "at the final dot: keep the message without a reply"


@dataclass(frozen=True, slots=True)
class Drip:
    """Send bytes one at a time, over and over, until the client closes the connection.

    Attributes:
        data: the bytes.
        interval: seconds between two bytes.
    """

    data: bytes
    interval: float


Step: TypeAlias = str | bytes | Act | Drip | threading.Event
"""One of: a reply (without its line end; newlines between its lines), raw bytes, an act, bytes that
drip, or an event that the server waits for."""
Action: TypeAlias = Step | tuple[Step, ...]
"""One step, or several steps in order."""
Script: TypeAlias = Mapping[
    str, Action | list[Any] | Callable[[str, "SMTPConnection"], Action | None]
]
"""Stage → an action, a list of `Action | None`, or a callable that returns one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A message that the server has accepted.

    Attributes:
        sender: the reverse path, without angle brackets.
        recipients: the forward paths that were accepted.
        parameters: the parameters of MAIL, such as `"SIZE=312 BODY=8BITMIME"`.
        data: the message, without doubled dots and without the final dot.
        tls: whether the connection used TLS.
        username: the account that was logged in; None without a login.
    """

    sender: str
    recipients: tuple[str, ...]
    parameters: str
    data: bytes
    tls: bool
    username: str | None


@dataclass(kw_only=True)
class SMTPConnection:
    """A connection, as the server sees it.

    Attributes:
        commands: the command lines in order, with the client's answers to challenges.
        tls: whether TLS is on.
        client_certificate: the client's certificate, as `ssl.SSLSocket.getpeercert` returns it.
        username: the account that is logged in; None without a login.
        sender: the reverse path of the open transaction; None without one.
        parameters: the parameters of its MAIL.
        recipients: its forward paths that were accepted.
    """

    commands: list[str] = field(default_factory=list)
    tls: bool = False
    client_certificate: object = None
    username: str | None = None
    sender: str | None = None
    parameters: str = ""
    recipients: list[str] = field(default_factory=list)
