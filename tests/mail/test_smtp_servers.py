"""The SMTP email handler from outside: scripted servers, and what is on the wire."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from typing import Any

import pytest

from tocsin.exceptions import ConfigError, SendError
from tocsin.mail import Message, Receipt, SMTPEmailHandler
from tocsin.testing import Act, ScriptedSMTPServer

SECRET = "hunter2-very-secret"


def mail(*to: str) -> Message:
    return Message(subject="s", text="t", from_addr="f@example.com", to=to)


def handler(server: ScriptedSMTPServer, **options: Any) -> SMTPEmailHandler:
    return SMTPEmailHandler(**{"host": "127.0.0.1", "port": server.port, "timeout": 2, **options})


def failure(sender: SMTPEmailHandler, *messages: Message) -> SendError:
    with pytest.raises(SendError) as caught:
        sender.send(messages)
    return caught.value


@pytest.mark.parametrize("line", [b"\x1c", b"\xc2\xa0", b"", b" "])
def test_feature_that_is_blank_is_none(line: bytes) -> None:
    """The text of a reply may be any bytes."""
    greeting = b"250-scripted\r\n250-" + line + b"\r\n250 SIZE 1000\r\n"
    with ScriptedSMTPServer({"EHLO": greeting}) as server:
        handler(server).send(mail("a@x"))
    assert server.messages[0].parameters.startswith("SIZE=")


@pytest.mark.parametrize("given", [SECRET.encode(), None, 5, "", f"{SECRET}\udcff"])
@pytest.mark.parametrize("option", ["password", "access_token"])
def test_callable_that_gives_no_text_is_a_refused_login(option: str, given: Any) -> None:
    """What isn't a password is not sent as one: `None` would be, as four letters."""
    with ScriptedSMTPServer() as server:
        sender = handler(server, username="u", **{option: lambda: given})
        error = failure(sender, mail("a@x"))
    assert list(error.receipts[0].deferred) == ["a@x"]
    assert "no password" in str(error.__cause__)
    assert not any(line.startswith("AUTH") for line in server.connections[0].commands)
    cause = error.__cause__
    assert cause is not None
    assert SECRET not in f"{error!r} {cause!r} {cause.__cause__!r}"


@pytest.mark.parametrize("option", ["username", "password", "access_token"])
def test_text_that_utf8_can_not_carry_is_a_config_error(option: str) -> None:
    options = {"username": "u", "password": "p"}
    if option == "access_token":
        del options["password"]
    with pytest.raises(ConfigError, match=f"^{option}: ") as caught:
        SMTPEmailHandler(**{**options, option: f"{SECRET}\ud800"})  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"])
def test_server_that_repeats_what_it_was_told_puts_no_secret_into_the_error(
    mechanism: str,
) -> None:
    """Sendmail says `500 Command unrecognized: "AUTH PLAIN …"`."""
    option = "password" if mechanism in {"PLAIN", "LOGIN"} else "access_token"

    def repeat(_line: str, connection: Any) -> str:
        if mechanism == "LOGIN" and len(connection.commands) < 4:  # EHLO, AUTH, name, password
            return "334 VXNlcm5hbWU6"
        return f"535 5.7.8 Not taken: {connection.commands[-1]} {SECRET}"

    with ScriptedSMTPServer({"AUTH": repeat}, auth=[mechanism]) as server:
        error = failure(handler(server, username="u", **{option: SECRET}), mail("a@x"))
    shown = f"{error} {error.__cause__} {error.receipts[0]}"
    assert "535 5.7.8 Not taken: " in shown
    assert SECRET not in shown
    assert server.connections[0].commands[-1].split()[-1] not in shown


def test_short_password_leaves_the_words_of_an_error_whole() -> None:
    with ScriptedSMTPServer({"AUTH": "535 5.7.8 not accepted: p"}) as server:
        error = failure(handler(server, username="u", password="p"), mail("a@x"))
    assert "535 5.7.8 not accepted: ***" in str(error.__cause__)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to a thread")
@pytest.mark.parametrize("features", [(), ("PIPELINING",)])
def test_interrupted_transaction_leaves_no_connection_behind(features: tuple[str, ...]) -> None:
    """Ctrl-C while waiting for a reply: the reply that comes late isn't the next message's."""
    waiting, main = threading.Event(), threading.main_thread().ident

    def interrupt(_line: str, _connection: Any) -> threading.Event:
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
        return waiting

    with (
        ScriptedSMTPServer({".": interrupt}, features=features) as server,
        handler(server).connect() as sender,
    ):
        with pytest.raises(KeyboardInterrupt):
            sender.send(mail("a@x"))
        assert "0 connections kept" in repr(sender)


@pytest.mark.parametrize("features", [(), ("PIPELINING",)])
def test_send_that_is_given_up_sends_nothing_more(features: tuple[str, ...]) -> None:
    """The commands of the following message have left: they must not become another call's."""
    with ScriptedSMTPServer(features=features) as server, handler(server).connect() as sender:

        def stop(_receipt: Receipt) -> None:
            raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            sender.send([mail("a@x"), mail("b@x")], on_transaction=stop)
        (receipt,) = sender.send(mail("c@x"))
        assert receipt.accepted == ("c@x",)
    assert [message.recipients for message in server.messages] == [("a@x",), ("c@x",)]


def test_message_that_came_too_late_is_not_sent_with_a_later_call() -> None:
    """It was reported as deferred, and its sender sends it again."""

    def late(_receipt: Receipt) -> None:
        threading.Event().wait(0.3)  # longer than the deadline of the call

    with ScriptedSMTPServer() as server, handler(server).connect() as sender:
        with pytest.raises(SendError) as caught:
            sender.send([mail("a@x"), mail("b@x")], deadline=0.2, on_transaction=late)
        assert list(caught.value.receipts[1].deferred) == ["b@x"]
        sender.send(mail("c@x"))
    assert [message.recipients for message in server.messages] == [("a@x",), ("c@x",)]


def test_five_recipients_by_two_are_three_transactions() -> None:
    people = [f"{letter}@x" for letter in "abcde"]
    with ScriptedSMTPServer() as server:
        handler(server, recipients_per_message=2).send(mail(*people))
    found = [message.recipients for message in server.messages]
    assert found == [("a@x", "b@x"), ("c@x", "d@x"), ("e@x",)]
    assert len({message.data for message in server.messages}) == 1
    assert len(server.connections) == 1


def test_connection_that_breaks_after_the_dot_is_neither_yes_nor_no() -> None:
    with ScriptedSMTPServer({".": [Act.RESET]}) as server:
        error = failure(handler(server), mail("a@x"), mail("b@x"))
    assert error.receipts[0].unknown == ("a@x",)
    assert error.receipts[1].accepted == ("b@x",)
    assert [message.recipients for message in server.messages] == [("b@x",)]


def test_host_beyond_ascii_is_looked_up_by_its_idna_2008_name() -> None:
    """The standard codec would connect to `fass.de`, and trust its certificate."""
    assert SMTPEmailHandler(host="faß.de").host == "xn--fa-hia.de"
    assert SMTPEmailHandler(local_hostname="bücher.example").local_hostname == (
        "xn--bcher-kva.example"
    )
    with pytest.raises(ConfigError, match=r"^host: expected a name, got 'ü\.\.de'"):
        SMTPEmailHandler(host="ü..de")


def test_defaults_are_those_of_the_standard_library() -> None:
    plain, secure = SMTPEmailHandler(), SMTPEmailHandler(use_tls=True)
    assert (plain.host, plain.port, plain.use_tls, plain.use_starttls) == (
        "localhost",
        25,
        False,
        False,
    )
    assert (secure.port, SMTPEmailHandler(port=465).use_tls) == (465, True)
    both = SMTPEmailHandler(port=587, use_tls=True, use_starttls=True)
    assert (both.use_tls, both.use_starttls) == (True, False)
    assert socket.getservbyname("smtp") == plain.port
