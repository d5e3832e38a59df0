"""PIPELINING (RFC 2920): what leaves in one flight, and what servers make of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from conversations import (
    LOSSES,
    PLAIN,
    commands,
    deliveries,
    everybody_once,
    handler_for,
    message,
    people,
    send,
    transactions,
)

from tocsin.testing import Act, ScriptedSMTPServer, SMTPConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.testing.script import Action

A, B, C = "a@example.com", "b@example.com", "c@example.com"
NOTHING = b""  # no reply, for now


def at_the_end(count: int) -> dict[str, Any]:
    """Return a script that answers the envelope when all of it has come."""
    return {
        "MAIL": NOTHING,
        "RCPT": NOTHING,
        "DATA": b"250 ok\r\n" * (count + 1) + b"354 go ahead\r\n",
    }


def test_an_envelope_leaves_in_one_flight() -> None:
    """The server answers nothing before it has MAIL, all RCPT and DATA."""
    with ScriptedSMTPServer({**at_the_end(2), "DATA": "250 ok\n250 ok\n250 ok\n354 go"}) as server:
        (receipt,) = handler_for(server).send(message(A, B))
    assert receipt.accepted == (A, B)
    assert len(server.messages) == 1
    (said,) = commands(server)
    assert [line.split(" SIZE")[0] for line in said[1:]] == [
        "MAIL FROM:<me@example.com>",
        f"RCPT TO:<{A}>",
        f"RCPT TO:<{B}>",
        "DATA",
        "QUIT",
    ]


def test_without_the_offer_each_command_waits_for_its_reply() -> None:
    """After a refused MAIL nothing else was said."""
    with ScriptedSMTPServer({"MAIL": "550 no"}, features=PLAIN) as server:
        (receipt,) = send(handler_for(server), message(A, B))
    assert set(receipt.refused) == {A, B}
    assert [line.split()[0] for line in commands(server)[0]] == ["EHLO", "MAIL", "QUIT"]


def test_without_the_offer_data_is_not_asked_for_nobody() -> None:
    with ScriptedSMTPServer({"RCPT": "550 no"}, features=PLAIN) as server:
        (receipt,) = send(handler_for(server), message(A, B))
    assert set(receipt.refused) == {A, B}
    assert "DATA" not in commands(server)[0]


def test_the_next_envelope_rides_with_the_dot() -> None:
    """The server answers the dot when MAIL, RCPT and DATA of the next message have come."""
    script: dict[str, Any] = {
        "MAIL": [None, NOTHING],
        "RCPT": [None, NOTHING],
        ".": [Act.ACCEPT],
        "DATA": [None, "250 queued\n250 ok\n250 ok\n354 go ahead"],
    }
    with ScriptedSMTPServer(script) as server:
        first, second = handler_for(server).send([message(A), message(B)])
    assert first.accepted == (A,)
    assert second.accepted == (B,)
    assert len(server.messages) == 2
    assert len(server.connections) == 1


def test_the_next_batch_of_a_message_rides_too() -> None:
    script: dict[str, Any] = {
        "MAIL": [None, "250 queued\n250 ok"],
        ".": [Act.ACCEPT],
    }
    with ScriptedSMTPServer(script) as server:
        receipts = handler_for(server, recipients_per_message=1).send(message(A, B))
    everybody_once(server, receipts)
    assert transactions(server) == [(A,), (B,)]


@pytest.mark.parametrize("when", ["at once", "at the end"])
def test_thousands_of_recipients_do_not_block(when: str) -> None:
    """Replies are taken in while commands go out: neither side waits for the other."""
    count = 20_000
    reply = "250 2.1.5 " + "accepted as recipient of this message " * 3
    script: dict[str, Any] = {"RCPT": reply} if when == "at once" else at_the_end(count)
    with ScriptedSMTPServer(script) as server:
        (receipt,) = handler_for(server, timeout=20).send(message(*people(count)))
    assert len(receipt.accepted) == count
    assert len(server.messages) == 1
    if when == "at once":
        assert len(transactions(server)[0]) == count


def test_a_server_that_reads_late_does_not_block() -> None:
    """Nothing is read before the test says so; the flight is larger than any buffer."""
    ready = threading.Event()
    names = [f"{number}@{'x' * 60}.{'y' * 60}.{'z' * 60}.example" for number in range(10_000)]
    with ScriptedSMTPServer({"MAIL": (ready, "250 ok")}) as server:
        handler = handler_for(server, timeout=20)
        timer = threading.Timer(0.1, ready.set)
        timer.start()
        receipts = handler.send(message(*names))
        timer.join()
    everybody_once(server, receipts)
    assert len(server.messages[0].recipients) == len(names)


def test_the_next_envelope_may_wait_as_long_as_the_dot() -> None:
    """A server that thinks about a message reads nothing; its reply is awaited all the same."""
    ready = threading.Event()
    domain = ".".join(letter * 60 for letter in "wxyz") + ".org"
    names = [f"{number}@{domain}" for number in range(50_000)]  # 13 MB: more than any buffer takes
    timer = threading.Timer(0.6, ready.set)

    def think(_: str, __: SMTPConnection) -> Action:
        timer.start()
        return (ready, "250 2.0.0 queued")

    script: dict[str, Any] = {".": think, "MAIL": [None, *[LOSSES["421"]] * 3]}
    with ScriptedSMTPServer(script) as server:
        first, _ = send(handler_for(server, timeout=0.3), [message(A), message(bcc=names)])
        timer.join()
    assert first.accepted == (A,)


def test_nobody_accepted_and_asked_for_the_message_all_the_same() -> None:
    """A lone dot ends it (RFC 2920 §3.1); nobody gets it, and the next message goes through."""
    script = {"RCPT": ["550 5.1.1 nobody", "450 4.2.1 busy"], "DATA": ["354 go ahead"]}
    with ScriptedSMTPServer(script) as server:
        receipts = send(handler_for(server), [message(A, B), message(C)])
    assert set(receipts[0].refused) == {A}
    assert set(receipts[0].deferred) == {B}
    assert receipts[1].accepted == (C,)
    assert transactions(server) == [(), (C,)]
    assert server.messages[0].data == b""
    assert len(server.connections) == 1


@pytest.mark.parametrize("loss", ["421", "close", "reset"])
def test_a_loss_at_the_lone_dot_changes_nothing(loss: str) -> None:
    script: dict[str, Any] = {"RCPT": ["550 no"], "DATA": ["354 go ahead"], ".": [LOSSES[loss]]}
    with ScriptedSMTPServer(script) as server:
        receipts = send(handler_for(server), [message(A), message(C)])
    assert set(receipts[0].refused) == {A}
    assert receipts[1].accepted == (C,)
    assert len(server.connections) == 2


@pytest.mark.parametrize("reply", ["550 5.7.1 no", "451 4.7.1 later"])
def test_a_refused_sender_and_asked_for_the_message_all_the_same(reply: str) -> None:
    """The connection is dropped: whoever was accepted must not get an empty mail."""
    script = {"MAIL": [reply], "RCPT": ["250 ok"], "DATA": ["354 go ahead"]}
    with ScriptedSMTPServer(script) as server:
        receipts = send(handler_for(server), [message(A), message(B)])
    assert {**receipts[0].refused, **receipts[0].deferred}.keys() == {A}
    assert receipts[1].accepted == (B,)
    assert transactions(server) == [(B,)]
    assert len(server.connections) == 2


def test_a_refused_sender_costs_no_connection() -> None:
    """The replies to what has left already are taken in, and mean nothing."""
    with ScriptedSMTPServer({"MAIL": ["550 5.7.1 no"]}) as server:
        receipts = send(handler_for(server), [message(A), message(B)])
    assert str(receipts[0].refused[A]) == "550 5.7.1 no"
    assert transactions(server) == [(B,)]
    assert len(server.connections) == 1


def test_one_of_several_refused_and_data_refused() -> None:
    """Each is told what was said to them, and the others what was said to DATA."""
    script: dict[str, Any] = {"RCPT": [None, "550 5.1.1 nobody"], "DATA": ["451 4.3.0 not now"]}
    with ScriptedSMTPServer(script) as server:
        (receipt,) = send(handler_for(server), message(A, B, C))
    assert str(receipt.refused[B]) == "550 5.1.1 nobody"
    assert {name: str(reply) for name, reply in receipt.deferred.items()} == {
        A: "451 4.3.0 not now",
        C: "451 4.3.0 not now",
    }


def test_a_server_that_loses_what_comes_early() -> None:
    """Once again without pipelining, and the handler remembers it."""
    with ScriptedSMTPServer({"MAIL": [("250 ok", Act.SILENCE)]}) as server:
        handler = handler_for(server, timeout=0.3)
        receipts = handler.send([message(A), message(B), message(C)])
        receipts += handler.send([message(A, B)])
    everybody_once(server, receipts)
    assert len(server.connections) == 3
    with ScriptedSMTPServer({"MAIL": "550 no"}, port=server.port) as again:
        send(handler, message(A))
    assert [line.split()[0] for line in commands(again)[0]] == ["EHLO", "MAIL", "QUIT"]


def test_a_server_that_loses_what_comes_behind_the_dot() -> None:
    """Once again in step, in one flight, as the first envelope came: nothing else was shown."""
    with ScriptedSMTPServer({"MAIL": [None, ("250 ok", Act.SILENCE)]}) as server:
        handler = handler_for(server, timeout=0.3)
        everybody_once(server, handler.send([message(A), message(B), message(C)]))
    assert len(server.connections) == 2
    with ScriptedSMTPServer(at_the_end(1), port=server.port) as again:
        handler.send(message(A))
    assert len(again.messages) == 1


def test_who_closes_after_each_message_still_gets_flights() -> None:
    """That commands which rode with a dot were lost says nothing about pipelining."""
    script: dict[str, Any] = {".": ("250 2.0.0 queued", Act.CLOSE)}
    with ScriptedSMTPServer(script) as server:
        handler = handler_for(server)
        everybody_once(server, handler.send([message(A), message(B), message(C)]))
    with ScriptedSMTPServer(at_the_end(1), port=server.port) as again:
        handler.send(message(A))
    assert len(again.messages) == 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
def test_the_next_transaction_outlives_the_connection(loss: str, taken: bool) -> None:
    """Its commands have left, the connection is lost at the dot: over another one, once."""
    end: Any = (Act.ACCEPT, LOSSES[loss]) if taken else LOSSES[loss]
    if loss == "421":
        end = ("250 2.0.0 queued", *LOSSES["421"]) if taken else LOSSES["421"]
    with ScriptedSMTPServer({".": [end]}) as server:
        handler = handler_for(server, recipients_per_message=2, timeout=5)
        deadline = 0.2 if loss == "silence" else None
        receipts = send(handler, [message(*people(3)), message(B)], deadline=deadline)
    first, second = people(3)[:2], people(3)[2]
    if loss == "421":
        assert receipts[0].complete
    else:
        assert list(receipts[0].unknown) == first
    got = deliveries(server)
    assert max(got.values(), default=1) == 1
    for receipt, rest in zip(receipts, [{second}, {B}], strict=True):
        if loss == "silence":
            assert set(receipt.deferred) == rest
            assert not any((receipt.message_id, name) in got for name in rest)
        else:
            assert rest <= set(receipt.accepted)
            assert all(got[receipt.message_id, name] == 1 for name in rest)


def test_the_first_replies_of_a_server_that_hangs_up_are_heard() -> None:
    """It has answered before it broke the pipe."""

    def script(_: str, connection: SMTPConnection) -> Action:
        said = sum(line.startswith("RCPT") for line in connection.commands)
        return "550 5.1.1 nobody" if said < 3 else ("421 4.7.0 too many errors", Act.CLOSE)

    bad: Callable[[str, SMTPConnection], Action] = script
    with ScriptedSMTPServer({"RCPT": bad}) as server:
        (receipt,) = send(handler_for(server), message(*people(6)))
    assert list(receipt.refused) == people(6)
    assert len(server.connections) == 3
