"""The scripted server, as the tests of a user's own program would use it."""

from __future__ import annotations

import contextlib
import smtplib  # noqa: TID251 - the client that everybody has
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tocsin.testing import Act, Drip, ReceivedMessage, ScriptedSMTPServer, SMTPConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B = "a@example.com", "b@example.com"
TEXT = "Subject: hello\r\n\r\nline\r\n.\r\n..dots\r\n"


@contextlib.contextmanager
def client(server: ScriptedSMTPServer) -> Iterator[smtplib.SMTP]:
    smtp = smtplib.SMTP("127.0.0.1", server.port, local_hostname="me", timeout=5)
    try:
        yield smtp
    finally:
        smtp.close()


def test_without_a_script_it_takes_everything() -> None:
    with ScriptedSMTPServer() as server:
        with client(server) as smtp:
            assert smtp.sendmail("me@example.com", [A, B], TEXT) == {}
            smtp.quit()
        assert repr(server) == f"<ScriptedSMTPServer on port {server.port}, 1 messages>"
    (taken,) = server.messages
    assert taken == ReceivedMessage(
        sender="me@example.com",
        recipients=(A, B),
        parameters=f"size={len(TEXT)}",
        data=TEXT.encode(),
        tls=False,
        username=None,
    )
    (connection,) = server.connections
    # In lower case: what smtplib writes differs from one Python to the next.
    assert [command.lower() for command in connection.commands] == [
        "ehlo me",
        f"mail from:<me@example.com> size={len(TEXT)}",
        f"rcpt to:<{A}>",
        f"rcpt to:<{B}>",
        "data",
        "quit",
    ]


def test_commands_out_of_order_are_refused() -> None:
    with ScriptedSMTPServer() as server, client(server) as smtp:
        smtp.ehlo()
        said = [
            smtp.docmd(command)[0]
            for command in (
                f"RCPT TO:<{A}>",
                "DATA",
                "MAIL FROM:<me@example.com>",
                "MAIL FROM:<me@example.com>",
                "RSET",
                "MAIL FROM:<>",
                "DATA",
                "NOOP",
                "STARTTLS",
                "VRFY me",
            )
        ]
    assert said == [503, 554, 250, 503, 250, 250, 554, 250, 503, 500]


def test_one_action_is_for_every_time() -> None:
    with ScriptedSMTPServer({"NOOP": "421 no"}) as server, client(server) as smtp:
        assert [smtp.noop()[0] for _ in range(3)] == [421] * 3


def test_a_list_has_an_action_for_each_time_over_all_connections() -> None:
    """None, and the end of the list, stand for what a good server does."""
    with ScriptedSMTPServer({"NOOP": ["450 one", None, "550 three"]}) as server:
        said = []
        for _ in range(2):
            with client(server) as smtp:
                said += [smtp.noop()[0], smtp.noop()[0]]
    assert said == [450, 250, 550, 250]


def test_a_callable_sees_the_command_and_the_connection() -> None:
    seen: list[tuple[str, list[str]]] = []

    def script(command: str, connection: SMTPConnection) -> str | None:
        seen.append((command.lower(), list(connection.recipients)))
        return "452 4.5.3 too many" if connection.recipients else None

    with ScriptedSMTPServer({"RCPT": script}) as server, client(server) as smtp:
        refused = smtp.sendmail("me@example.com", [A, B], TEXT)
    assert seen == [(f"rcpt to:<{A}>", []), (f"rcpt to:<{B}>", [A])]
    assert refused == {B: (452, b"4.5.3 too many")}
    assert server.messages[0].recipients == (A,)


@pytest.mark.parametrize(
    ("action", "kept"),
    [
        (None, True),
        ("250 ok", True),
        (b"250 ok\r\n", True),
        ((b"2", b"50 ok\r\n"), True),
        ((Act.ACCEPT, "451 lost"), True),
        ("451 4.3.0 no", False),
        ("554 5.7.1 spam", False),
    ],
)
def test_a_message_is_kept_if_the_server_says_so(action: Any, kept: bool) -> None:
    with ScriptedSMTPServer({".": action}) as server, client(server) as smtp:
        if kept and not isinstance(action, tuple | None):
            smtp.sendmail("me@example.com", A, TEXT)
        else:
            with contextlib.suppress(smtplib.SMTPException):
                smtp.sendmail("me@example.com", A, TEXT)
    assert len(server.messages) == kept


@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET])
@pytest.mark.parametrize("stage", ["connect", "EHLO", "MAIL", "."])
def test_a_connection_that_ends(stage: str, act: Act) -> None:
    with (
        ScriptedSMTPServer({stage: act}) as server,
        pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)),
        client(server) as smtp,
    ):
        smtp.sendmail("me@example.com", A, TEXT)
    assert not server.messages


def test_several_steps_are_one_action() -> None:
    script = {"NOOP": ("250-one\n250 two", Act.CLOSE)}
    with ScriptedSMTPServer(script) as server, client(server) as smtp:
        assert smtp.noop() == (250, b"one\ntwo")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.noop()


def test_no_bytes_are_no_reply() -> None:
    """The next command's reply is the first that comes."""
    with ScriptedSMTPServer({"NOOP": b"", "RSET": "299 here"}) as server, client(server) as smtp:
        smtp.putcmd("NOOP")
        assert smtp.docmd("RSET") == (299, b"here")


def test_silence_goes_on_reading() -> None:
    with ScriptedSMTPServer({"NOOP": Act.SILENCE}) as server:
        with client(server) as smtp:
            smtp.timeout = 0.1
            assert smtp.sock is not None
            smtp.sock.settimeout(0.1)
            with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
                smtp.noop()
        with client(server) as smtp:
            smtp.putcmd("NOOP")
            smtp.putcmd("RSET")
            smtp.putcmd("QUIT")
    assert server.connections[1].commands == ["NOOP", "RSET", "QUIT"]


def test_an_event_is_waited_for() -> None:
    event = threading.Event()
    with ScriptedSMTPServer({"NOOP": (event, "250 at last")}) as server, client(server) as smtp:
        smtp.putcmd("NOOP")
        assert smtp.sock is not None
        smtp.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            smtp.sock.recv(1)
        smtp.sock.settimeout(5)
        event.set()
        assert smtp.getreply() == (250, b"at last")


@pytest.mark.parametrize(
    "act", [Act.STOP_READING, threading.Event(), Drip(b"250-x\r\n", 0.01), Act.SILENCE]
)
def test_the_end_of_the_block_ends_everything(act: Any) -> None:
    """Whatever the server is doing: no thread and no socket is left."""
    with ScriptedSMTPServer({"NOOP": act}) as server:
        smtp = smtplib.SMTP("127.0.0.1", server.port, local_hostname="me", timeout=5)
        smtp.putcmd("NOOP")
    smtp.close()
    assert not [one for one in threading.enumerate() if one.name == "scripted-smtp"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_what_is_offered_is_said_at_ehlo() -> None:
    offers = ["SIZE 5", "X-MINE"]
    with ScriptedSMTPServer(features=offers, auth=["PLAIN"]) as server, client(server) as smtp:
        smtp.ehlo()
    assert smtp.esmtp_features["size"] == "5"
    assert smtp.has_extn("x-mine")
    assert not smtp.has_extn("starttls")
    assert smtp.esmtp_features["auth"].split() == ["PLAIN"]


@pytest.mark.parametrize(("password", "code"), [("right", 235), ("wrong", 535)])
def test_accounts(password: str, code: int) -> None:
    with ScriptedSMTPServer(accounts={"me": "right"}) as server, client(server) as smtp:
        with contextlib.suppress(smtplib.SMTPAuthenticationError):
            assert smtp.login("me", password)[0] == code
        smtp.sendmail("me@example.com", A, TEXT)
    assert server.connections[0].username == ("me" if code == 235 else None)
    assert server.messages[0].username == ("me" if code == 235 else None)


def test_a_large_message_takes_linear_time() -> None:
    text = "x" * 70 + "\r\n"
    with ScriptedSMTPServer(features=[]) as server, client(server) as smtp:
        smtp.sendmail("me@example.com", A, text * 200_000)
    assert len(server.messages[0].data) == len(text) * 200_000
