"""A conversation: SMTP commands and the replies to them (RFC 5321 §4.1 and §4.2).

A reply that no command has asked for ends the conversation: after it, the client would take each
reply for the reply to another command.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from tocsin.mail.channel import OutOfStepError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.mail.channel import Channel
    from tocsin.mail.receipt import Reply
    from tocsin.mail.target import Target

_CLOSING = 421  # RFC 5321 §3.8: the server closes the connection
_QUIT = 1.0  # seconds to send QUIT


class Conversation:
    """Commands and replies over a channel.

    Args:
        channel: the connection.
        target: the server, for error messages and the time-outs.

    Attributes:
        channel: the connection.
        target: the server.
        greeting: the text of the server's greeting; "" before it.
        features: the server's extensions (RFC 5321 §4.1.1.1): upper-case keyword → parameters.
        farewell: the 421 reply with which the server ended the conversation; None without one.
    """

    def __init__(self, channel: Channel, target: Target) -> None:
        self.channel = channel
        self.target = target
        self.greeting: str = ""
        self.features: dict[str, str] = {}
        self.farewell: Reply | None = None

    def command(self, line: str, *, continues: bool = False) -> Reply:
        """Send a command and wait for its reply.

        Args:
            line: the command, without CRLF.
            continues: whether the client has more to send if the reply asks for it (3yz).

        Raises:
            OSError: the connection is lost, or can't be used any more.
        """
        if self.channel.unread():
            raise OutOfStepError("the server has sent a reply to no command, or hung up")
        self.channel.write(line.encode("utf-8") + b"\r\n")
        return self.reply(continues=continues)

    def reply(self, *, continues: bool = False, timeout: float | None = None) -> Reply:
        """Wait for a reply.

        Args:
            continues: whether the client has more to send if the reply asks for it (3yz).
            timeout: the seconds to wait; by default the channel's `timeout`.

        Raises:
            OSError: the connection is lost, or can't be used any more.
        """
        reply = self.channel.reply(timeout)
        if reply.code == _CLOSING:
            self.farewell = reply
            raise ConnectionAbortedError(str(reply))
        if reply.intermediate and not continues:
            raise OutOfStepError(f"the server asks for more input than the command has: {reply}")
        return reply

    def quit(self) -> None:
        """Send QUIT. Its reply changes nothing, so the client doesn't wait for it."""
        self.channel.deadline = time.monotonic() + _QUIT
        with contextlib.suppress(OSError):
            self.channel.write(b"QUIT\r\n")


def flight(commands: Sequence[str]) -> bytes:
    """Return several commands as the bytes that are sent at once (RFC 2920 §3.1)."""
    return "".join(f"{command}\r\n" for command in commands).encode("utf-8")
