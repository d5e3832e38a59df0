"""Transactions against a server that plays a script: each reply, each loss, at each stage."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from conversations import (
    LOSSES,
    commands,
    deliveries,
    everybody_once,
    handler_for,
    kept,
    message,
    people,
    send,
    target_for,
    transactions,
    with_and_without_pipelining,
)
from typing_extensions import override

from tocsin import SendError
from tocsin.mail.opening import open_conversation
from tocsin.mail.pool import Pool
from tocsin.mail.session import Session
from tocsin.testing import Act, ScriptedSMTPServer, SMTPConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin.mail.conversation import Conversation
    from tocsin.testing.script import Action

A, B, C = "a@example.com", "b@example.com", "c@example.com"
BIG = "a line of a message that is too big for any buffer on the way\n" * 260_000  # 16 MB


def unlimited(features: Sequence[str]) -> list[str]:
    """Return the features without a limit of size, and without what else is of no interest."""
    return [feature for feature in features if feature == "PIPELINING"]


def at_recipient(name: str, *actions: Action | None) -> Callable[..., Action | None]:
    """Return a script for RCPT: an action for each time that somebody is named."""
    left = list(actions)

    def script(command: str, _: SMTPConnection) -> Action | None:
        return left.pop(0) if name in command and left else None

    return script


# --- Envelope ---------------------------------------------------------------------------------


@with_and_without_pipelining
def test_recipients_are_named_once_and_in_order(features: Sequence[str]) -> None:
    """To, Cc and Bcc are one list without duplicates; a domain's case makes no difference."""
    with ScriptedSMTPServer(features=features) as server:
        (receipt,) = handler_for(server).send(
            message(C, A, cc=["c@EXAMPLE.com", B], bcc=["A@example.com", A])
        )
    assert receipt.accepted == (C, A, B, "A@example.com")
    assert transactions(server) == [(C, A, B, "A@example.com")]


@with_and_without_pipelining
@pytest.mark.parametrize("reply", ["250 ok", "251 will forward", "252 2.1.5 maybe", "299 sure"])
def test_any_2yz_accepts(features: Sequence[str], reply: str) -> None:
    """The first digit decides (RFC 5321 §4.2.1), at every stage."""
    script: dict[str, Any] = {"MAIL": reply, "RCPT": reply, ".": reply}
    with ScriptedSMTPServer(script, features=features) as server:
        receipts = handler_for(server).send(message(A, B))
    everybody_once(server, receipts)
    assert transactions(server) == [(A, B)]


@with_and_without_pipelining
@pytest.mark.parametrize(
    ("reply", "part"),
    [
        ("450 4.2.1 busy", "deferred"),
        ("499 4.9.9 what", "deferred"),
        ("550 5.1.1 nobody", "refused"),
        ("599 what", "refused"),
        ("550 5.4.5 daily quota exceeded", "deferred"),
    ],
)
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "."])
def test_4yz_may_be_tried_again_and_5yz_is_final(
    features: Sequence[str], reply: str, part: str, stage: str
) -> None:
    """At every stage; a quota of the day clears by itself, whatever its first digit says."""
    with ScriptedSMTPServer({stage: reply}, features=features) as server:
        (receipt,) = send(handler_for(server), message(A, B))
    assert set(getattr(receipt, part)) == {A, B}
    assert not receipt.accepted
    assert not receipt.unknown
    assert str(getattr(receipt, part)[A]) == reply
    assert len(server.connections) == 1
    assert not server.messages


@with_and_without_pipelining
@pytest.mark.parametrize("reply", ["550 5.1.1 nobody", "450 4.2.1 busy", "552 5.2.2 mailbox full"])
def test_a_recipient_that_is_refused_does_not_cost_the_others(
    features: Sequence[str], reply: str
) -> None:
    with ScriptedSMTPServer({"RCPT": at_recipient(B, reply)}, features=features) as server:
        (receipt,) = send(handler_for(server), message(A, B, C))
    assert receipt.accepted == (A, C)
    assert {**receipt.refused, **receipt.deferred}.keys() == {B}
    assert transactions(server) == [(A, C)]


@with_and_without_pipelining
def test_a_message_that_is_refused_does_not_cost_the_others(features: Sequence[str]) -> None:
    with ScriptedSMTPServer({".": [None, "554 5.7.1 spam"]}, features=features) as server:
        receipts = send(handler_for(server), [message(A), message(B), message(C)])
    assert [receipt.complete for receipt in receipts] == [True, False, True]
    assert transactions(server) == [(A,), (C,)]
    assert len(server.connections) == 1


@with_and_without_pipelining
def test_an_invalid_recipient_is_refused_before_it_is_said(features: Sequence[str]) -> None:
    """Control characters, blanks and angle brackets can't stand in a command."""
    mime = EmailMessage()
    mime["From"] = "me@example.com"
    mime["To"] = A
    mime["Bcc"] = '"<script>"@example.com, x@exa_mple..com'
    mime.set_content("hello")
    with ScriptedSMTPServer(features=features) as server:
        (receipt,) = send(handler_for(server), mime)
    assert receipt.accepted == (A,)
    assert receipt.refused
    assert not receipt.deferred
    assert {reply.enhanced for reply in receipt.refused.values()} == {"5.1.3"}
    (said,) = commands(server)
    assert [line for line in said if line.startswith("RCPT")] == [f"RCPT TO:<{A}>"]


# --- Too many recipients ----------------------------------------------------------------------


def limited(limit: int, reply: str) -> Callable[[str, SMTPConnection], str | None]:
    """Return a script for RCPT: so many are accepted in a transaction."""

    def script(_: str, connection: SMTPConnection) -> str | None:
        return reply if len(connection.recipients) >= limit else None

    return script


@with_and_without_pipelining
@pytest.mark.parametrize(
    "reply",
    [
        "452 4.5.3 too many recipients",
        "452 no",
        "552 too many",
        "451 4.5.3 Too many recipients",  # OpenSMTPD, Dovecot
        "550 5.5.3 no",
        "554 too many recipients",
    ],
)
def test_the_rest_follows_in_further_transactions(features: Sequence[str], reply: str) -> None:
    """RFC 5321 §4.5.3.1.10: 452 (552 by old servers) is about the transaction, not the person."""
    with ScriptedSMTPServer({"RCPT": limited(3, reply)}, features=features) as server:
        receipts = handler_for(server).send(message(*people(8)))
    everybody_once(server, receipts)
    assert [len(taken) for taken in transactions(server)] == [3, 3, 2]
    assert len(server.connections) == 1


@with_and_without_pipelining
@pytest.mark.parametrize("limit", [1, 3, 5, 7])
def test_a_server_that_closes_at_one_recipient_too_many(
    features: Sequence[str], limit: int
) -> None:
    """421 instead of 452: fewer over the next connection, until they fit."""

    def script(_: str, connection: SMTPConnection) -> Action | None:
        return LOSSES["421"] if len(connection.recipients) >= limit else None

    with ScriptedSMTPServer({"RCPT": script}, features=features) as server:
        receipts = handler_for(server).send([message(*people(12)), message(*people(12, "q"))])
    everybody_once(server, receipts)
    lost = {1: 3, 3: 2, 5: 2, 7: 1}[limit]  # sizes: 12, 6, 3, 1; 12, 6, 3; 12, 6, 5; 12, 7
    assert len(server.connections) == 1 + lost
    assert max(map(len, transactions(server))) == limit


@with_and_without_pipelining
def test_421_to_the_first_recipient_is_not_about_the_number(features: Sequence[str]) -> None:
    """Nor is one after a refusal, as of a server that counts errors: nothing is learned."""
    script: dict[str, Any] = {"RCPT": [LOSSES["421"], None, "550 5.1.1 nobody", LOSSES["421"]]}
    with ScriptedSMTPServer(script, features=features) as server:
        (receipt,) = send(handler_for(server), message(*people(9)))
    first, refused, *rest = people(9)
    assert list(receipt.refused) == [refused]
    assert transactions(server) == [(first, *rest)]
    assert len(server.connections) == 3


@with_and_without_pipelining
def test_503_after_too_many_is_about_the_number(features: Sequence[str]) -> None:
    """452 at RCPT and then 503 at DATA: nobody has the message, all are named again, fewer."""
    script: dict[str, Any] = {
        "RCPT": limited(4, "452 4.5.3 too many"),
        "DATA": lambda _, connection: (
            "503 5.5.1 too many recipients, start again" if len(connection.recipients) > 3 else None
        ),
    }
    with ScriptedSMTPServer(script, features=features) as server:
        receipts = handler_for(server).send(message(*people(8)))
    everybody_once(server, receipts)
    assert max(map(len, transactions(server))) <= 3


@with_and_without_pipelining
@pytest.mark.parametrize(
    "reply", ["554 Transaction failed: Recipient count exceeds 3.", "452 4.5.3 too many"]
)
def test_too_many_at_the_dot(features: Sequence[str], reply: str) -> None:
    """Amazon SES says it after the message, by words alone: half as many, until it fits."""

    named_before = 0

    def dot(_: str, connection: SMTPConnection) -> str | None:
        named = sum(line.startswith("RCPT") for line in connection.commands)
        return reply if named - named_before > 3 else None

    def mail(_: str, connection: SMTPConnection) -> None:
        nonlocal named_before
        named_before = sum(line.startswith("RCPT") for line in connection.commands)

    script: dict[str, Any] = {"MAIL": mail, ".": dot}
    with ScriptedSMTPServer(script, features=features) as server:
        receipts = handler_for(server).send(message(*people(8)))
    everybody_once(server, receipts)
    assert max(map(len, transactions(server))) <= 3


@with_and_without_pipelining
def test_one_recipient_is_never_too_many(features: Sequence[str]) -> None:
    """A reply of that kind to a single recipient ends it: another try would be the same."""
    with ScriptedSMTPServer({".": "452 4.5.3 too many recipients"}, features=features) as server:
        (receipt,) = send(handler_for(server), message(A, B, C))
    assert set(receipt.deferred) == {A, B, C}
    assert len(server.connections) == 1


@with_and_without_pipelining
def test_a_sender_that_is_refused_in_words_about_recipients(features: Sequence[str]) -> None:
    """What is said to MAIL can't be about the number of recipients: nobody was named yet."""
    reply = "452 4.5.3 too many recipients today"
    with ScriptedSMTPServer({"MAIL": reply}, features=features) as server:
        (receipt,) = send(handler_for(server), message(A, B), deadline=5)
    assert set(receipt.deferred) == {A, B}
    assert str(receipt.deferred[A]) == reply
    assert sum(line.startswith("MAIL") for line in server.connections[0].commands) == 1


@with_and_without_pipelining
def test_too_many_said_early_is_learned(features: Sequence[str]) -> None:
    """The reply comes while the body is being written: half as many over a new connection."""

    def script(_: str, connection: SMTPConnection) -> Action | None:
        if len(connection.recipients) > 1:
            return ("354 go ahead", "452 4.5.3 too many recipients", Act.CLOSE)
        return None

    with ScriptedSMTPServer({"DATA": script}, features=unlimited(features)) as server:
        receipts = handler_for(server).send(message(A, B, C, text=BIG), deadline=20)
    everybody_once(server, receipts)
    assert [len(taken) for taken in transactions(server)] == [1, 1, 1]


@with_and_without_pipelining
def test_the_learned_size_holds_for_the_connection(features: Sequence[str]) -> None:
    """What a server takes isn't found out again with every message."""
    refused: list[str] = []

    def script(command: str, connection: SMTPConnection) -> str | None:
        if len(connection.recipients) < 2:
            return None
        refused.append(command)
        return "452 4.5.3 too many"

    with ScriptedSMTPServer({"RCPT": script}, features=features) as server:
        handler = handler_for(server)
        with handler.connect():
            first = handler.send(message(*people(4)))
            refused.clear()
            second = handler.send([message(*people(4)), message(*people(3))])
    everybody_once(server, [*first, *second])
    assert not refused
    assert len(server.connections) == 1


@with_and_without_pipelining
def test_a_full_mailbox_says_nothing_about_the_number(features: Sequence[str]) -> None:
    """RFC 3463: X.2.2 is the mailbox's; nothing is learned from it."""
    script = {"RCPT": at_recipient(C, "452 4.2.2 mailbox full")}
    with ScriptedSMTPServer(script, features=features) as server:
        receipts = send(handler_for(server), [message(A, B, C), message(*people(5))])
    assert set(receipts[0].deferred) == {C}
    assert [len(taken) for taken in transactions(server)] == [2, 5]


@with_and_without_pipelining
def test_a_server_that_counts_errors(features: Sequence[str]) -> None:
    """Postfix hangs up at the 20th bad recipient; the good ones get the message, once."""

    def script(command: str, connection: SMTPConnection) -> Action | None:
        if "bad" not in command:
            return None
        bad = sum("bad" in line for line in connection.commands)
        return ("421 4.7.0 too many errors", Act.CLOSE) if bad >= 4 else "550 5.1.1 nobody"

    mixed = [name for pair in zip(people(10, "bad"), people(10), strict=True) for name in pair]
    with ScriptedSMTPServer({"RCPT": script}, features=features) as server:
        (receipt,) = send(handler_for(server), message(*mixed))
    assert receipt.accepted == tuple(people(10))
    assert set(receipt.refused) == set(people(10, "bad"))
    assert deliveries(server) == {(receipt.message_id, name): 1 for name in people(10)}


# --- Batches ----------------------------------------------------------------------------------


@with_and_without_pipelining
def test_five_recipients_by_two_are_three_transactions(features: Sequence[str]) -> None:
    with ScriptedSMTPServer(features=features) as server:
        receipts = handler_for(server, recipients_per_message=2).send(message(*people(5)))
    everybody_once(server, receipts)
    assert [len(taken) for taken in transactions(server)] == [2, 2, 1]


@with_and_without_pipelining
def test_all_batches_and_retries_have_the_same_bytes(features: Sequence[str]) -> None:
    """Also the last batch, over a new connection: the bytes are made once."""
    mime = EmailMessage()
    mime["From"] = "me@example.com"
    mime["To"] = ", ".join(people(5))
    mime.set_content("text")
    mime.add_alternative("<p>html</p>", subtype="html")  # its boundary is made with the bytes
    script = {"DATA": [None, None, ("421 4.3.2 bye", Act.CLOSE)]}
    with ScriptedSMTPServer(script, features=features) as server:
        receipts = handler_for(server, recipients_per_message=2).send(mime)
    everybody_once(server, receipts)
    assert [len(taken) for taken in transactions(server)] == [2, 2, 1]
    assert len({taken.data for taken in server.messages}) == 1


@with_and_without_pipelining
def test_a_batch_that_is_refused_does_not_stop_the_next(features: Sequence[str]) -> None:
    with ScriptedSMTPServer({".": [None, "554 5.7.1 spam"]}, features=features) as server:
        handler = handler_for(server, recipients_per_message=2)
        (receipt,) = send(handler, message(*people(5)))
    assert list(receipt.refused) == people(5)[2:4]
    assert transactions(server) == [tuple(people(5)[:2]), tuple(people(5)[4:])]


# --- Lost connections -------------------------------------------------------------------------


@with_and_without_pipelining
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "RSET"])
def test_a_connection_lost_before_the_dot(features: Sequence[str], stage: str, loss: str) -> None:
    """Nobody has the message yet: all of it goes over another connection, once."""
    script: dict[str, Any] = {stage: [None, LOSSES[loss]]}
    if stage == "RSET":
        script = {"DATA": ["451 4.3.0 not now"], "RSET": [LOSSES[loss]]}
    with ScriptedSMTPServer(script, features=features) as server:
        handler = handler_for(server, timeout=0.2 if loss == "silence" else 5)
        receipts = send(handler, [message(A, B, C), message(A, C), message(B)])
    if stage == "RSET":
        assert set(receipts.pop(0).deferred) == {A, B, C}
    everybody_once(server, receipts)
    assert len(server.connections) == 2


@with_and_without_pipelining
def test_what_was_said_before_a_421_stands(features: Sequence[str]) -> None:
    """Who was refused is not named again; who was accepted has no message yet."""
    script = {"RCPT": [None, "550 5.1.1 nobody", "451 4.3.0 later", LOSSES["421"]]}
    with ScriptedSMTPServer(script, features=features) as server:
        (receipt,) = send(handler_for(server), message(*people(6)))
    first, refused, deferred, *rest = people(6)
    assert list(receipt.refused) == [refused]
    assert list(receipt.deferred) == [deferred]
    assert transactions(server) == [(first, *rest)]
    assert len(server.connections) == 2


@with_and_without_pipelining
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "421"])
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
def test_no_reply_to_the_dot_is_unknown(features: Sequence[str], loss: str, taken: bool) -> None:
    """Neither refused nor delivered, and never tried again by itself: it might arrive twice."""
    action = (Act.ACCEPT, LOSSES[loss]) if taken else LOSSES[loss]
    with ScriptedSMTPServer({".": [action]}, features=features) as server:
        deadline = 0.2 if loss == "silence" else None
        first, second = send(handler_for(server), [message(A, B), message(C)], deadline=deadline)
    assert first.unknown == (A, B)
    assert not first.accepted
    assert not {**first.refused, **first.deferred}
    assert sum(found == (A, B) for found in transactions(server)) == taken
    if loss == "silence":
        assert set(second.deferred) == {C}
    else:
        assert second.accepted == (C,)


@with_and_without_pipelining
def test_421_at_the_dot_is_no_delivery(features: Sequence[str]) -> None:
    """The server says that it closes instead of taking it: over a new connection, once."""
    with ScriptedSMTPServer({".": [LOSSES["421"]]}, features=features) as server:
        receipts = handler_for(server).send([message(A, B), message(C)])
    everybody_once(server, receipts)
    assert len(server.connections) == 2


@with_and_without_pipelining
@pytest.mark.parametrize("loss", ["421", "close", "reset"])
def test_a_server_that_closes_after_each_message(features: Sequence[str], loss: str) -> None:
    """What it says or does between two messages costs nobody anything."""
    end = LOSSES[loss]
    script = {".": ("250 2.0.0 queued", *(end if isinstance(end, tuple) else (end,)))}
    with ScriptedSMTPServer(script, features=features) as server:
        receipts = handler_for(server).send([message(name) for name in people(5)])
    everybody_once(server, receipts)
    assert len(server.connections) >= 5


@with_and_without_pipelining
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_in_a_row_end_the_call(features: Sequence[str], loss: str) -> None:
    """It takes bounded time, however many wait, and they are told why."""
    with ScriptedSMTPServer({"DATA": LOSSES[loss]}, features=features) as server:
        handler = handler_for(server, timeout=0.2 if loss == "silence" else 5)
        receipts = send(handler, [message(A, B), message(C), message(A)])
    assert [set(receipt.deferred) for receipt in receipts] == [{A, B}, {C}, {A}]
    assert len(server.connections) == 4
    reply = receipts[0].deferred[A]
    assert reply.code == (421 if loss == "421" else None)
    assert "lost" in reply.text or reply.code == 421


@with_and_without_pipelining
def test_a_message_that_the_server_breaks_at_costs_no_other(features: Sequence[str]) -> None:
    """A filter may hang up whenever it sees it: the next messages go all the same."""

    def filtered(_: str, connection: SMTPConnection) -> Action | None:
        return Act.CLOSE if connection.recipients == [B] else None

    with ScriptedSMTPServer({"DATA": filtered}, features=features) as server:
        receipts = send(handler_for(server), [message(A), message(B), message(C)])
    assert [receipt.accepted for receipt in receipts] == [(A,), (), (C,)]
    assert set(receipts[1].deferred) == {B}
    assert sorted(one.recipients for one in server.messages) == [(A,), (C,)]


@with_and_without_pipelining
@pytest.mark.parametrize("loss", [*LOSSES, "554"])
def test_a_greeting_that_fails_defers_everybody(features: Sequence[str], loss: str) -> None:
    """Nothing was said of a recipient, so that nobody is refused; the error has its cause."""
    script = {"connect": LOSSES.get(loss, "554 5.7.1 go away")}
    with ScriptedSMTPServer(script, features=features) as server:
        handler = handler_for(server, timeout=0.2 if loss == "silence" else 5)
        with pytest.raises(SendError) as caught:
            handler.send([message(A, B), message(C)])
    assert [set(receipt.deferred) for receipt in caught.value.receipts] == [{A, B}, {C}]
    assert isinstance(caught.value.__cause__, SendError)
    assert not server.messages


@with_and_without_pipelining
def test_replies_that_nobody_asked_for_are_no_answers(features: Sequence[str]) -> None:
    """Unread input before a command: the two sides are out of step, nothing said now counts."""
    extra = "250 ok\n250 ok\n354 go ahead\n250 queued"
    said = "\n".join(["250-here", *(f"250-{one}" for one in features), "250 HELP"])
    with ScriptedSMTPServer({"EHLO": [f"{said}\n{extra}"]}, features=features) as server:
        receipts = handler_for(server).send(message(A))
    everybody_once(server, receipts)
    assert len(server.connections) == 2
    assert server.connections[0].commands == [server.connections[0].commands[0]]


@with_and_without_pipelining
def test_a_positive_reply_to_data_is_out_of_step(features: Sequence[str]) -> None:
    """Only 354 asks for the message (RFC 5321 §3.3); after a 2yz nothing can be trusted."""
    with ScriptedSMTPServer({"DATA": [b"250 ok\r\n"]}, features=features) as server:
        (receipt,) = send(handler_for(server), message(A))
    assert receipt.accepted == (A,)
    assert deliveries(server) == {(receipt.message_id, A): 1}


# --- Data -------------------------------------------------------------------------------------


@with_and_without_pipelining
def test_a_message_beyond_the_servers_size_is_not_sent(features: Sequence[str]) -> None:
    """RFC 1870: the server said at EHLO what it takes."""
    offers = [*(one for one in features if not one.startswith("SIZE")), "SIZE 2000"]
    with ScriptedSMTPServer(features=offers) as server:
        receipts = send(handler_for(server), [message(A, text="x\n" * 1000), message(B)])
    assert receipts[0].refused[A].enhanced == "5.3.4"
    assert receipts[1].accepted == (B,)
    assert transactions(server) == [(B,)]
    assert sum(line.startswith("MAIL") for line in server.connections[0].commands) == 1


@with_and_without_pipelining
def test_the_size_is_declared(features: Sequence[str]) -> None:
    with ScriptedSMTPServer(features=features) as server:
        handler_for(server).send(message(A, text="one\n.\n..two\n"))
    (taken,) = server.messages
    assert taken.parameters == f"SIZE={len(taken.data)}"


@with_and_without_pipelining
def test_a_sender_beyond_ascii_needs_smtputf8(features: Sequence[str]) -> None:
    """RFC 6531: without the extension nobody can get it, and nothing is said."""
    with ScriptedSMTPServer(features=features) as server:
        (receipt,) = handler_for(server).send(message(A, from_addr="jörg@example.com"))
    assert receipt.accepted == (A,)
    assert server.messages[0].sender == "jörg@example.com"
    assert "SMTPUTF8" in server.messages[0].parameters
    assert "BODY=8BITMIME" in server.messages[0].parameters
    assert "From: jörg@example.com\r\n".encode() in server.messages[0].data
    offers = [one for one in features if one != "SMTPUTF8"]
    with ScriptedSMTPServer(features=offers) as server:
        (receipt,) = send(handler_for(server), message(A, from_addr="jörg@example.com"))
    assert receipt.refused[A].enhanced == "5.6.7"
    assert not any(line.startswith("MAIL") for line in server.connections[0].commands)


@with_and_without_pipelining
def test_a_recipient_beyond_ascii_needs_smtputf8(features: Sequence[str]) -> None:
    """Only that recipient fails; for the others the header is written in ASCII (RFC 6857)."""
    with ScriptedSMTPServer(features=features) as server:
        (receipt,) = handler_for(server).send(message(A, "jörg@example.com"))
    assert receipt.accepted == (A, "jörg@example.com")
    assert "jörg@example.com".encode() in server.messages[0].data
    offers = [one for one in features if one != "SMTPUTF8"]
    with ScriptedSMTPServer(features=offers) as server:
        (receipt,) = send(handler_for(server), message(A, "jörg@example.com", B))
    assert receipt.accepted == (A, B)
    assert receipt.refused["jörg@example.com"].enhanced == "5.6.7"
    assert server.messages[0].data.isascii()
    assert "SMTPUTF8" not in server.messages[0].parameters


@with_and_without_pipelining
def test_lines_end_in_crlf_and_dots_are_stuffed(features: Sequence[str]) -> None:
    """No way to write an end of line lets a line with a lone dot end the message."""
    text = "a\n.\nb\r.\rc\r\n.\r\nd\n\n..\n.MAIL FROM:<evil@example.com>\n"
    with ScriptedSMTPServer(features=features) as server:
        handler_for(server).send([message(A, text=text), message(B)])
    assert transactions(server) == [(A,), (B,)]
    data = server.messages[0].data
    assert data.replace(b"\r\n", b"").find(b"\n") < 0
    assert data.replace(b"\r\n", b"").find(b"\r") < 0
    body = data.partition(b"\r\n\r\n")[2]
    wanted = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    assert body == wanted.encode()


@with_and_without_pipelining
def test_an_empty_message_goes_through(features: Sequence[str]) -> None:
    mime = EmailMessage()
    mime["From"] = "me@example.com"
    mime["To"] = A
    with ScriptedSMTPServer(features=features) as server:
        receipts = handler_for(server).send([message(A, text=""), mime, message(B, text=None)])
    everybody_once(server, receipts)
    for taken in server.messages:
        assert not taken.data.partition(b"\r\n\r\n")[2].strip()


@with_and_without_pipelining
def test_a_foreign_messages_lines_are_broken(features: Sequence[str]) -> None:
    """No line is longer than 998 (RFC 5322 §2.1.1), whoever made the message."""
    mime = EmailMessage()
    mime["From"] = "me@example.com"
    mime["To"] = A
    mime.set_content("x" * 5000, cte="7bit")
    with ScriptedSMTPServer(features=features) as server:
        handler_for(server).send(mime)
    data = server.messages[0].data
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert data.partition(b"\r\n\r\n")[2].replace(b"=\r\n", b"").strip() == b"x" * 5000


@with_and_without_pipelining
@pytest.mark.parametrize("reply", ["451 4.3.0 not now", "554 5.6.0 no"])
def test_the_message_after_a_refused_data_goes_through(features: Sequence[str], reply: str) -> None:
    """Some servers still hold the sender; RSET makes them forget it."""

    def keep_sender(_: str, connection: SMTPConnection) -> str | None:
        return "503 5.5.1 nested MAIL" if connection.sender is not None else None

    script: dict[str, Any] = {"DATA": [reply], "MAIL": keep_sender}
    with ScriptedSMTPServer(script, features=features) as server:
        receipts = send(handler_for(server), [message(A), message(B)])
    assert [receipt.complete for receipt in receipts] == [False, True]
    assert transactions(server) == [(B,)]
    assert len(server.connections) == 1


@with_and_without_pipelining
@pytest.mark.parametrize("end", [Act.CLOSE, Act.STOP_READING])
def test_a_reply_while_the_body_is_being_written_is_read(features: Sequence[str], end: Act) -> None:
    """It isn't lost behind a broken pipe, nor awaited behind a full one."""
    script = {"DATA": [("354 go ahead", "552 5.3.4 too big", end)]}
    with ScriptedSMTPServer(script, features=unlimited(features)) as server:
        receipts = send(handler_for(server), [message(A, text=BIG), message(B)])
    assert str(receipts[0].refused[A]) == "552 5.3.4 too big"
    assert receipts[1].accepted == (B,)
    assert len(server.connections) == 2


@with_and_without_pipelining
def test_a_reply_after_the_first_chunks_is_read(features: Sequence[str]) -> None:
    """The server reads for a while before it says no."""
    script: dict[str, Any] = {".": "552 5.3.4 too big"}
    with ScriptedSMTPServer(script, features=unlimited(features)) as server:
        (receipt,) = send(handler_for(server), message(A, text=BIG))
    assert str(receipt.refused[A]) == "552 5.3.4 too big"


@with_and_without_pipelining
def test_an_early_2yz_is_not_believed(features: Sequence[str]) -> None:
    """Nobody can have taken a message that hasn't ended: nobody is said to have it."""
    script = {"DATA": [("354 go ahead", "250 2.0.0 queued", Act.STOP_READING)]}
    with ScriptedSMTPServer(script, features=unlimited(features)) as server:
        receipts = handler_for(server).send(message(A, text=BIG))
    everybody_once(server, receipts)
    assert len(server.connections) == 2


@with_and_without_pipelining
def test_a_server_that_stops_reading_times_out(features: Sequence[str]) -> None:
    script = {"DATA": ("354 go ahead", Act.STOP_READING)}
    with ScriptedSMTPServer(script, features=unlimited(features)) as server:
        started = time.monotonic()
        (receipt,) = send(handler_for(server, timeout=0.2), message(A, text=BIG))
        assert time.monotonic() - started < 5
    assert set(receipt.deferred) == {A}
    assert not receipt.unknown


@with_and_without_pipelining
def test_a_server_that_resets_while_the_body_is_being_written(features: Sequence[str]) -> None:
    """No reply, and no final dot either: over a new connection."""
    script = {"DATA": [("354 go ahead", Act.RESET)]}
    with ScriptedSMTPServer(script, features=unlimited(features)) as server:
        receipts = handler_for(server).send(message(A, text=BIG))
    everybody_once(server, receipts)
    assert len(server.connections) == 2


def test_an_early_reply_under_tls() -> None:
    """The same holds where the pipe breaks inside of TLS."""
    ca = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    ca.configure_trust(client_side)
    script = {"DATA": [("354 go ahead", "552 5.3.4 too big", Act.CLOSE)]}
    with ScriptedSMTPServer(
        script, features=["PIPELINING"], tls=True, tls_context=server_side
    ) as server:
        handler = handler_for(server, use_tls=True, tls_context=client_side)
        receipts = send(handler, [message(A, text=BIG), message(B)])
    assert str(receipts[0].refused[A]) == "552 5.3.4 too big"
    assert receipts[1].accepted == (B,)


@with_and_without_pipelining
@pytest.mark.parametrize("quit_", ["500 what", Act.SILENCE, Act.RESET, Act.CLOSE, b"\0"])
def test_quit_changes_nothing(features: Sequence[str], quit_: Any) -> None:
    """2yz to the dot is done; nobody waits for what QUIT is answered with."""
    with ScriptedSMTPServer({"QUIT": quit_}, features=features) as server:
        started = time.monotonic()
        receipts = handler_for(server).send(message(A))
        assert time.monotonic() - started < 3
    everybody_once(server, receipts)
    assert server.connections[0].commands[-1] == "QUIT"


# --- Reuse ------------------------------------------------------------------------------------


@with_and_without_pipelining
def test_connect_keeps_one_connection(features: Sequence[str]) -> None:
    with ScriptedSMTPServer(features=features) as server:
        handler = handler_for(server)
        with handler.connect():
            receipts = [*handler.send(message(A)), *handler.send([message(B), message(C)])]
            assert "1 connections kept" in repr(handler)
        assert "0 connections kept" in repr(handler)
    everybody_once(server, receipts)
    assert len(server.connections) == 1
    assert server.connections[0].commands[-1] == "QUIT"


@with_and_without_pipelining
@pytest.mark.parametrize("loss", ["421", "close", "reset", "garbage"])
def test_what_came_while_idle_is_noticed(features: Sequence[str], loss: str) -> None:
    """A queued 421 or an EOF is looked for before a message; nothing is said to a dead server."""
    idle = threading.Event()
    over = threading.Event()
    end = LOSSES[loss]
    ends: list[Action | None] = [
        ("250 2.0.0 queued", idle, *(end if isinstance(end, tuple) else (end,)))
    ]
    with ScriptedSMTPServer({".": ends}, features=features) as server:
        handler = handler_for(server)
        with handler.connect():
            first = handler.send(message(A))
            session = kept(handler)
            assert not session.stale()
            idle.set()
            until = time.monotonic() + 5
            while not session.stale() and time.monotonic() < until:
                over.wait(0.001)
            second = handler.send(message(B))
    everybody_once(server, [*first, *second])
    assert len(server.connections) == 2
    assert sum(line.startswith("MAIL") for line in server.connections[0].commands) == 1


@with_and_without_pipelining
def test_a_connection_ends_after_a_hundred_messages(features: Sequence[str]) -> None:
    with ScriptedSMTPServer(features=features) as server:
        receipts = handler_for(server).send([message(name) for name in people(205)])
    everybody_once(server, receipts)
    counts = [sum(line == "DATA" for line in said) for said in commands(server)]
    assert counts == [100, 100, 5]


def test_a_connection_that_was_idle_for_long_is_not_used() -> None:
    """Servers hang up after five minutes (RFC 5321 §4.5.3.2.7)."""
    with ScriptedSMTPServer() as server:
        session = Session.open(target_for(server))
        assert not session.stale()
        assert not session.stale(now=time.monotonic() + 239)
        assert session.stale(now=time.monotonic() + 241)
        session.close()
    assert server.connections[0].commands[-1] == "QUIT"


def test_a_callback_that_raises_leaves_no_connection_out_of_step() -> None:
    """The next envelope has left already: what is sent later goes over another connection."""
    with ScriptedSMTPServer() as server:
        handler = handler_for(server)

        def fail(_: object) -> None:
            raise LookupError("mine")

        with handler.connect():
            with pytest.raises(LookupError, match="mine"):
                handler.send([message(A), message(B)], on_transaction=fail)
            receipts = handler.send(message(C, text="only for C"))
    assert receipts[0].accepted == (C,)
    assert transactions(server) == [(A,), (C,)]
    assert b"only for C" in server.messages[1].data


def test_a_deadline_between_two_messages_leaves_no_connection_out_of_step() -> None:
    with ScriptedSMTPServer() as server:
        handler = handler_for(server)
        with handler.connect():
            over = threading.Event()
            receipts = send(
                handler,
                [message(A), message(B)],
                deadline=0.3,
                on_transaction=lambda _: bool(over.wait(0.4)),  # type: ignore[arg-type]
            )
            assert set(receipts[1].deferred) == {B}
            (receipt,) = handler.send(message(C, text="only for C"))
    assert transactions(server) == [(A,), (C,)]
    assert b"only for C" in server.messages[1].data
    assert receipt.accepted == (C,)


class Interrupting(EmailMessage):
    """A message that the user's Ctrl-C hits while it is made into bytes."""

    @override
    def get_content_type(self) -> Any:
        raise KeyboardInterrupt


def test_an_interrupted_transaction_leaves_no_connection_out_of_step() -> None:
    """The following message is made into bytes while the server waits for this one."""
    mime = Interrupting()
    mime["From"] = "me@example.com"
    mime["To"] = B
    mime.set_payload("x")
    with ScriptedSMTPServer() as server:
        handler = handler_for(server)
        with handler.connect():
            with pytest.raises(KeyboardInterrupt):
                handler.send([message(A), mime])
            (receipt,) = handler.send(message(C, text="only for C"))
    assert receipt.accepted == (C,)
    assert transactions(server) == [(C,)]
    assert len(server.connections) == 2


def test_a_session_says_what_it_is() -> None:
    with ScriptedSMTPServer() as server:
        session = Session.open(target_for(server))
        assert repr(session) == f"<Session 127.0.0.1:{server.port} open>"
        session.close()
        assert repr(session) == f"<Session 127.0.0.1:{server.port} closed>"
        with contextlib.suppress(OSError):
            session.close()


def test_a_connection_that_was_closed_under_the_session_is_not_used() -> None:
    """As by a daemon that closes all file descriptors when it starts."""
    with ScriptedSMTPServer() as server:
        target = target_for(server)
        opened: list[Conversation] = []

        def connect(until: float) -> Session:
            opened.append(open_conversation(target, until))
            return Session(opened[-1])

        pool = Pool(connect)
        with pool.keep():
            opened[0].channel.close()
            pool.give_back(pool.take(float("inf")))
            assert len(opened) == 2
    assert len(server.connections) == 2
