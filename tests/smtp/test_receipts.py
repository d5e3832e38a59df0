"""Receipts: every recipient is in exactly one part of exactly its message's receipt."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from conversations import handler_for, message, people, send, with_and_without_pipelining

from tocsin import Message, SendError
from tocsin.mail.receipt import Receipt, Reply
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Sequence

A, B = "a@example.com", "b@example.com"


def everybody(receipt: Receipt) -> list[str]:
    """Return who is in a receipt, as often as they are."""
    return [*receipt.accepted, *receipt.refused, *receipt.deferred, *receipt.unknown]


@with_and_without_pipelining
@pytest.mark.parametrize("size", [None, 1, 2, 3, 100])
def test_receipts_partition_the_recipients(features: Sequence[str], size: int | None) -> None:
    """With each kind of reply, each kind of loss, and somebody who can't be named at all."""
    script: dict[str, Any] = {
        "RCPT": [None, "550 5.1.1 nobody", "450 4.2.1 busy", None, "452 4.5.3 too many"] * 3,
        ".": [None, (Act.ACCEPT, Act.CLOSE), "451 4.3.0 later"],
        "DATA": [None, None, Act.RESET],
    }
    offers = [one for one in features if one != "SMTPUTF8"]
    messages = [message(*people(7, prefix), "jörg@example.com") for prefix in "xyz"]
    with ScriptedSMTPServer(script, features=offers) as server:
        receipts = send(handler_for(server, recipients_per_message=size), messages)
    for prefix, receipt in zip("xyz", receipts, strict=True):
        assert sorted(everybody(receipt)) == sorted([*people(7, prefix), "jörg@example.com"])
        assert receipt.refused["jörg@example.com"].code is None


def test_receipts_are_in_the_order_of_the_messages() -> None:
    """Also where the first one had to wait for a second connection."""
    with ScriptedSMTPServer({"DATA": [Act.CLOSE]}) as server:
        receipts = handler_for(server).send(
            message(name, headers={"Message-ID": f"<{name}>"}) for name in people(5)
        )
    assert [receipt.message_id for receipt in receipts] == [f"<{name}>" for name in people(5)]
    assert [receipt.accepted for receipt in receipts] == [(name,) for name in people(5)]


def test_the_same_message_twice_has_two_receipts() -> None:
    """They are told apart by their Message-ID, which is made for each."""
    one = message(A)
    with ScriptedSMTPServer() as server:
        first, second = handler_for(server).send([one, one])
    assert first.accepted == second.accepted == (A,)
    assert first.message_id != second.message_id
    assert len(server.messages) == 2


def test_the_message_id_is_the_messages_own() -> None:
    one = message(A, headers={"message-id": "<mine@example.com>", "date": "yesterday"})
    with ScriptedSMTPServer() as server:
        (receipt,) = handler_for(server).send(one)
    assert receipt.message_id == "<mine@example.com>"
    data = server.messages[0].data.lower()
    assert data.count(b"message-id:") == data.count(b"date:") == 1


def test_sending_does_not_change_the_message() -> None:
    hidden = "hidden@example.org"
    one = message(A, bcc=[hidden])
    with ScriptedSMTPServer() as server:
        handler_for(server).send(one)
    assert one.headers == {}
    assert one.bcc == Message(bcc=[hidden]).bcc
    assert b"hidden" not in server.messages[0].data
    assert server.messages[0].recipients == (A, hidden)


def test_a_reply_of_several_lines_in_a_receipt() -> None:
    """The enhanced code goes from each line (RFC 2034 §4), the lines stay."""
    reply = "550-5.1.1 no such\n550-5.1.1 person\n550 5.1.1 here"
    with ScriptedSMTPServer({"RCPT": [reply]}) as server:
        (receipt,) = send(handler_for(server), message(A))
    assert receipt.refused[A] == Reply(550, "5.1.1", "no such\nperson\nhere")
    assert str(receipt.refused[A]) == "550 5.1.1 no such person here"


def test_a_reply_in_any_bytes() -> None:
    with ScriptedSMTPServer({"RCPT": [b"550 5.1.1 \xff\xfe\x1b[31m\r\n"]}) as server:
        (receipt,) = send(handler_for(server), message(A))
    assert receipt.refused[A].code == 550
    assert "\x1b" not in str(receipt.refused[A])


def test_an_incomplete_receipt_is_never_returned() -> None:
    """`send` returns when everybody was accepted, and raises otherwise."""
    with ScriptedSMTPServer({"RCPT": [None, "450 4.2.1 busy"]}) as server:
        with pytest.raises(SendError) as caught:
            handler_for(server).send([message(A, B), message(A)])
        receipts = handler_for(server).send([message(A, B), message(A)])
    assert [receipt.complete for receipt in caught.value.receipts] == [False, True]
    assert all(receipt.complete for receipt in receipts)
    assert list(chain.from_iterable(map(everybody, receipts))) == [A, B, A]
