"""A connection that is kept belongs to the process that has opened it."""

from __future__ import annotations

import os
import sys

import pytest
from conversations import target_for

from tocsin import Message, SMTPEmailHandler
from tocsin.mail.pool import Pool
from tocsin.mail.session import Session
from tocsin.testing import ScriptedSMTPServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_leaves_the_connection_to_its_parent() -> None:
    """Both send inside the same `with` block: the child over a connection of its own."""
    with ScriptedSMTPServer() as server:
        handler = SMTPEmailHandler(host="127.0.0.1", port=server.port, default_from="a@example.com")
        with handler.connect():
            handler.send(Message(to="before@example.com"))
            lock = handler._pool._lock
            lock.acquire()  # as another thread may hold it at the moment of the fork
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    handler.send(Message(to="child@example.com"))
                    code = 0
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            lock.release()
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            handler.send(Message(to="after@example.com"))
        assert [message.recipients for message in server.messages] == [
            ("before@example.com",),
            ("child@example.com",),
            ("after@example.com",),
        ]
    first, second = server.connections
    assert [line for line in first.commands if line.startswith("RCPT")] == [
        "RCPT TO:<before@example.com>",
        "RCPT TO:<after@example.com>",
    ]
    assert "QUIT" in first.commands
    assert "RCPT TO:<child@example.com>" in second.commands


def test_what_a_child_does_first_closes_without_a_word() -> None:
    """A QUIT would end the parent's session."""
    with ScriptedSMTPServer() as server:
        target = target_for(server)
        pool = Pool(lambda until: Session.open(target, until))
        with pool.keep():
            pool.abandon()
            assert len(pool) == 0
            pool.give_back(pool.take(float("inf")))
            assert len(pool) == 1
    first, second = server.connections
    assert "QUIT" not in first.commands
    assert second.commands[-1] == "QUIT"
