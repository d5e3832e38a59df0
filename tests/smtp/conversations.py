"""What the tests of transactions share: a handler for a scripted server, and who got what."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tocsin import Message, SendError, SMTPEmailHandler
from tocsin.mail.target import Target
from tocsin.testing import Act
from tocsin.testing.smtp import FEATURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tocsin.mail import Receipt
    from tocsin.mail.base import AnyMessage
    from tocsin.mail.pipelining import Pipelining
    from tocsin.mail.session import Session
    from tocsin.testing import ReceivedMessage, ScriptedSMTPServer

    class Server(Protocol):
        """What takes messages at a port."""

        port: int
        messages: list[ReceivedMessage]


PLAIN = tuple(feature for feature in FEATURES if feature != "PIPELINING")

with_and_without_pipelining = pytest.mark.parametrize(
    "features", [FEATURES, PLAIN], ids=["pipelining", "one by one"]
)

LOSSES: dict[str, Any] = {
    "421": ("421 4.3.2 shutting down", Act.CLOSE),
    "close": Act.CLOSE,
    "reset": Act.RESET,
    "garbage": b"\0\xff what?\r\n",
    "silence": Act.SILENCE,
}
"""What ends a connection, in the words of a script."""


def handler_for(server: Server, **options: Any) -> SMTPEmailHandler:
    """Return a handler that waits for no longer than a test can, and waits for no reply in vain."""
    given = {"host": "127.0.0.1", "port": server.port, "timeout": 5, "pipeline_messages": True}
    return SMTPEmailHandler(**{**given, **options})


def target_for(server: Server, **options: Any) -> Target:
    """Return the target of a session with the server."""
    return Target(**{"host": "127.0.0.1", "port": server.port, "timeout": 5, **options})


def kept(handler: SMTPEmailHandler) -> Session:
    """Return the session that a handler keeps, or a new one."""
    pool = handler._pool
    session = pool.take(float("inf"))
    pool.give_back(session)
    return session


def learned(handler: SMTPEmailHandler) -> Pipelining:
    """Return what a handler has learned about its server's PIPELINING."""
    return handler._pipelining


def people(count: int, prefix: str = "p") -> list[str]:
    """Return different addresses."""
    return [f"{prefix}{number}@example.com" for number in range(count)]


def message(*to: str, **options: Any) -> Message:
    """Return a message to somebody."""
    return Message(**{"from_addr": "me@example.com", "to": list(to), "text": "hello", **options})


def send(
    handler: SMTPEmailHandler,
    messages: AnyMessage | Iterable[AnyMessage],
    *,
    deadline: float | None = None,
    on_transaction: Callable[[Receipt], None] | None = None,
) -> list[Receipt]:
    """Send, and return the receipts whether or not everybody was accepted."""
    try:
        return handler.send(messages, deadline=deadline, on_transaction=on_transaction)
    except SendError as error:
        return list(error.receipts)


def message_id(data: bytes) -> str:
    """Return the Message-ID in a message's bytes."""
    found = re.search(rb"^message-id: *(\S+)\r$", data, re.IGNORECASE | re.MULTILINE)
    assert found, data[:500]
    return found[1].decode()


def deliveries(server: Server) -> Counter[tuple[str, str]]:
    """Return how often the server has taken which message for whom."""
    return Counter(
        (message_id(taken.data), recipient)
        for taken in server.messages
        for recipient in taken.recipients
    )


def transactions(server: Server) -> list[tuple[str, ...]]:
    """Return for whom the server has taken messages, message by message."""
    return [taken.recipients for taken in server.messages]


def commands(server: ScriptedSMTPServer) -> list[list[str]]:
    """Return each connection's commands."""
    return [connection.commands for connection in server.connections]


def everybody_once(server: Server, receipts: Iterable[Receipt]) -> None:
    """Check that all were accepted, and have the message exactly once."""
    expected: Counter[tuple[str, str]] = Counter()
    for receipt in receipts:
        assert receipt.complete, receipt
        expected.update((receipt.message_id, one) for one in receipt.accepted)
    assert deliveries(server) == expected
