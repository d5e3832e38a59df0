"""A whole call of `send`: its deadline, its reports, and calls from many threads at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from email.message import EmailMessage
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
    with_and_without_pipelining,
)
from typing_extensions import override

from tocsin import ConnectError, SendError
from tocsin.mail.envelope import envelopes
from tocsin.testing import Act, Drip, ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.mail import Receipt
    from tocsin.testing import SMTPConnection

A, B, C = "a@example.com", "b@example.com", "c@example.com"


# --- Time -------------------------------------------------------------------------------------


@with_and_without_pipelining
@pytest.mark.parametrize("stage", ["connect", "EHLO", "MAIL", "RCPT", "DATA", ".", "RSET"])
@pytest.mark.parametrize("act", [Act.SILENCE, Drip(b"250-wait\r\n", 0.01)], ids=["silence", "drip"])
def test_the_deadline_bounds_the_whole_call(features: Sequence[str], stage: str, act: Any) -> None:
    """Whatever the server does; a byte now and then doesn't prolong it."""
    script: dict[str, Any] = {stage: act}
    if stage == "RSET":
        script["DATA"] = "451 4.3.0 no"
    with ScriptedSMTPServer(script, features=features) as server:
        started = time.monotonic()
        receipts = send(handler_for(server), [message(A), message(B)], deadline=0.12)
        took = time.monotonic() - started
    assert took < 1.5
    for receipt, name in zip(receipts, (A, B), strict=True):
        assert {*receipt.unknown, *receipt.deferred} == {name}
    assert bool(receipts[0].unknown) == (stage == ".")


def test_a_deadline_that_has_passed_opens_no_connection() -> None:
    with ScriptedSMTPServer() as server:
        (receipt,) = send(handler_for(server), message(A), deadline=0)
    assert "deadline" in receipt.deferred[A].text
    assert receipt.deferred[A].code is None
    assert not server.messages


@with_and_without_pipelining
def test_a_deadline_between_two_transactions(features: Sequence[str]) -> None:
    """Who is still waiting is deferred, also if their commands have left already."""
    over = threading.Event()

    def wait(_: Receipt) -> None:
        over.wait(0.3)

    with ScriptedSMTPServer(features=features) as server:
        handler = handler_for(server, recipients_per_message=2)
        first, second = send(
            handler, [message(*people(5)), message(A)], deadline=0.25, on_transaction=wait
        )
    assert list(first.accepted) == people(5)[:2]
    assert list(first.deferred) == people(5)[2:]
    assert list(second.deferred) == [A]
    assert {reply.text for reply in first.deferred.values()} == {
        "the deadline passed before the message was sent"
    }
    assert len(server.messages) == 1


def test_a_connection_outlives_a_deadline_between_two_messages() -> None:
    """Nothing is sent in vain: the next call can use it."""
    over = threading.Event()

    def wait(_: Receipt) -> None:
        over.wait(0.3)

    with ScriptedSMTPServer(features=PLAIN) as server:
        handler = handler_for(server)
        with handler.connect():
            first, second = send(
                handler,
                [message(A), message(B)],
                deadline=0.25,
                on_transaction=wait,
            )
            handler.send(message(C))
    assert (first.accepted, list(second.deferred)) == ((A,), [B])
    assert len(server.connections) == 1
    assert transactions(server) == [(A,), (C,)]


# --- Losses -----------------------------------------------------------------------------------


def outcomes(script: dict[str, Any], *names: str, **options: Any) -> list[str]:
    """Return the messages that were accepted; the server loses what the script says."""
    with ScriptedSMTPServer(script, features=PLAIN) as server:
        receipts = send(handler_for(server, **options), [message(name) for name in names])
    assert all(receipt.accepted or receipt.deferred for receipt in receipts)
    return [name for receipt in receipts for name in receipt.accepted]


LOST = LOSSES["421"]


def test_a_message_that_loses_two_connections_in_a_row_waits_for_another_call() -> None:
    assert outcomes({"MAIL": [LOST, None]}, A, B) == [A, B]
    assert outcomes({"MAIL": [LOST, LOST, None]}, A, B) == [B]


def test_the_loss_of_a_connection_that_was_of_use_does_not_count() -> None:
    """Some servers take one message at a time, and close."""
    assert outcomes({"MAIL": [None, LOST, LOST, None]}, A, B) == [A, B]


def test_a_message_that_was_sent_begins_the_count_again() -> None:
    """Three losses follow it that count, two of B and one of C; the fourth would end the call."""
    assert outcomes({"MAIL": [None, LOST, LOST, LOST, LOST, None]}, A, B, C) == [A, C]
    assert outcomes({"MAIL": [LOST, LOST, LOST, LOST, None]}, A, B, C) == []


def test_losses_end_the_call_also_where_the_number_of_recipients_is_limited() -> None:
    assert outcomes({"MAIL": LOST}, A, B, recipients_per_message=2) == []


# --- Reports ----------------------------------------------------------------------------------


@with_and_without_pipelining
def test_each_transaction_is_reported_as_it_is_decided(features: Sequence[str]) -> None:
    """The reports' sum is the receipt: what is known after each transaction, and no more."""
    reports: list[Receipt] = []
    script: dict[str, Any] = {
        "RCPT": [None, "550 5.1.1 nobody", None, "450 4.2.1 busy"],
        ".": [None, None, (Act.ACCEPT, Act.CLOSE)],
    }
    with ScriptedSMTPServer(script, features=features) as server:
        handler = handler_for(server, recipients_per_message=2)
        receipts = send(handler, [message(*people(6)), message(A)], on_transaction=reports.append)
    first, second = receipts
    assert [report.message_id for report in reports] == [*[first.message_id] * 3, second.message_id]
    p = people(6)
    assert [report.accepted for report in reports] == [(p[0],), (p[2],), (), (A,)]
    assert [list(report.refused) for report in reports] == [[p[1]], [], [], []]
    assert [list(report.deferred) for report in reports] == [[], [p[3]], [], []]
    assert [report.unknown for report in reports] == [(), (), (p[4], p[5]), ()]
    assert first.accepted == (p[0], p[2])
    assert {**first.refused} == {**reports[0].refused}
    assert {**first.deferred} == {**reports[1].deferred}
    assert first.unknown == reports[2].unknown


@with_and_without_pipelining
def test_a_transaction_that_decides_nothing_is_not_reported(features: Sequence[str]) -> None:
    """Neither one that was lost, nor one that had too many recipients for the server."""
    reports: list[Receipt] = []
    script: dict[str, Any] = {
        "DATA": [LOSSES["421"]],
        ".": ["554 Transaction failed: Recipient count exceeds 1."],
    }
    with ScriptedSMTPServer(script, features=features) as server:
        receipts = handler_for(server).send(message(A, B), on_transaction=reports.append)
    everybody_once(server, receipts)
    assert [report.accepted for report in reports] == [(A,), (B,)]


def test_the_report_comes_before_the_next_transaction_is_decided() -> None:
    """So that the caller can note who has the message before the next one starts."""
    noted: list[int] = []
    with ScriptedSMTPServer() as server:
        handler_for(server).send(
            [message(A), message(B)], on_transaction=lambda _: noted.append(len(server.messages))
        )
    assert noted == [1, 2]


def test_the_error_says_how_many_and_the_first_reason() -> None:
    script = {"RCPT": [None, "550 5.1.1 nobody\u2028here", "451 4.3.0 later"]}
    with ScriptedSMTPServer(script) as server, pytest.raises(SendError) as caught:
        handler_for(server).send(message(A, B, C))
    assert str(caught.value) == (
        "2 of 3 recipients not accepted; b@example.com: 550 5.1.1 nobody here"
    )
    with ScriptedSMTPServer({".": [Act.CLOSE]}) as server, pytest.raises(SendError) as caught:
        handler_for(server).send(message(A))
    assert str(caught.value) == "1 of 1 recipients not accepted; a@example.com: no reply"


def test_the_error_says_why_there_is_no_connection() -> None:
    with (
        ScriptedSMTPServer({"connect": "554 5.3.2 closed today"}) as server,
        pytest.raises(SendError) as caught,
    ):
        handler_for(server).send([message(A), message(B)])
    assert isinstance(caught.value.__cause__, ConnectError)
    for receipt in caught.value.receipts:
        assert set(receipt.deferred.values()) == {caught.value.__cause__.reply}
    assert str(caught.value) == f"2 of 2 recipients not accepted; {caught.value.__cause__}"
    assert f"127.0.0.1:{server.port}" in str(caught.value)


# --- What is sent -----------------------------------------------------------------------------


def test_no_messages_open_no_connection() -> None:
    with ScriptedSMTPServer() as server:
        assert handler_for(server).send([]) == []
    assert not server.connections[:-1]
    assert not any(commands(server))


def test_nothing_is_sent_if_one_of_the_messages_is_none() -> None:
    """It is found out before anything is said."""
    with ScriptedSMTPServer() as server:
        handler = handler_for(server)
        with pytest.raises(ValueError, match="no recipients"):
            handler.send([message(A), message()])
        with pytest.raises(ValueError, match="default_from"):
            handler.send([message(A), message(A, from_addr=None)])
        with pytest.raises(TypeError, match="expected a Message"):
            handler.send([message(A), "hello"])  # type: ignore[list-item]
    assert not any(commands(server))


def test_a_message_with_invalid_recipients_only() -> None:
    """The other messages are sent, and this one has its receipt."""
    mime = EmailMessage()
    mime["From"] = "me@example.com"
    mime["To"] = '"<script>"@example.com'
    with ScriptedSMTPServer() as server:
        first, second = send(handler_for(server), [mime, message(A)])
    assert [reply.enhanced for reply in first.refused.values()] == ["5.1.3"]
    assert second.accepted == (A,)
    assert transactions(server) == [(A,)]


class Unwritable(EmailMessage):
    @override
    def get_content_type(self) -> Any:
        raise RuntimeError("mine")


@with_and_without_pipelining
def test_a_message_that_cannot_be_written_does_not_cost_the_others(
    features: Sequence[str],
) -> None:
    mime = Unwritable()
    mime["From"] = "me@example.com"
    mime["To"] = A
    mime.set_payload("x")
    with ScriptedSMTPServer(features=features) as server:
        receipts = send(handler_for(server), [message(A), mime, message(C)])
    assert [receipt.complete for receipt in receipts] == [True, False, True]
    assert "RuntimeError: mine" in receipts[1].refused[A].text
    assert transactions(server) == [(A,), (C,)]
    assert len(server.connections) == 1


def test_the_bytes_are_let_go_when_nobody_waits_for_them() -> None:
    """Many large messages don't stay in memory until the last one is sent."""
    (envelope,) = envelopes(message(A))
    assert envelope.data() is envelope.data()
    before = envelope.data()
    envelope.forget()
    assert envelope.data() is not before
    assert envelope.data() == before


@with_and_without_pipelining
def test_date_message_id_and_content_are_the_same_in_all_batches(features: Sequence[str]) -> None:
    with ScriptedSMTPServer({"DATA": [None, LOSSES["421"]]}, features=features) as server:
        handler = handler_for(server, recipients_per_message=1)
        receipts = handler.send(message(*people(4), html="<p>x</p>", text="x"))
    everybody_once(server, receipts)
    assert len({taken.data for taken in server.messages}) == 1
    assert server.messages[0].data.startswith(b"Date: ")


# --- Threads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False], ids=["inside connect()", "outside"])
def test_eight_threads_send_at_once(kept: bool) -> None:
    """Each message arrives exactly once, and each call gets its own receipts."""
    receipts: list[Receipt] = []
    problems: list[BaseException] = []
    lost = {f"t{thread}.n{number}@example.com" for thread in range(5) for number in (10, 30)}

    def lose_once(_: str, connection: SMTPConnection) -> Any:
        """Lose some connections, but never two of the same message: that would defer it."""
        (name,) = connection.recipients
        if name not in lost:
            return None
        lost.discard(name)
        return LOSSES["421"]

    with ScriptedSMTPServer({"DATA": lose_once}) as server:
        handler = handler_for(server, timeout=20)

        def work(thread: int) -> None:
            try:
                for number in range(50):
                    name = f"t{thread}.n{number}@example.com"
                    (receipt,) = handler.send(message(name))
                    assert receipt.accepted == (name,)
                    receipts.append(receipt)
            except BaseException as problem:  # noqa: BLE001 - shown by the test
                problems.append(problem)

        def run() -> None:
            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        if kept:
            with handler.connect():
                run()
        else:
            run()
    assert not problems
    assert not lost
    assert len(receipts) == 400
    everybody_once(server, receipts)
    used = sum(bool(said) for said in commands(server))
    assert used <= 8 + 10 + 1 if kept else used >= 400
    assert "0 connections kept" in repr(handler)


def test_connect_in_several_threads_at_once() -> None:
    """The connections are kept until the last of them is done."""
    entered = threading.Barrier(4)
    with ScriptedSMTPServer() as server:
        handler = handler_for(server)

        def work() -> None:
            with handler.connect():
                entered.wait(10)
                for _ in range(10):
                    handler.send(message(A))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "0 connections kept" in repr(handler)
    assert sum(deliveries(server).values()) == 40
    assert Counter(transactions(server)) == {(A,): 40}
    assert all(said[-1] == "QUIT" for said in commands(server) if said)


def test_a_handler_that_was_closed_can_be_used_again() -> None:
    with ScriptedSMTPServer() as server:
        handler = handler_for(server)
        with handler.connect():
            handler.send(message(A))
            handler.close()
            receipts = handler.send(message(B))
    assert receipts[0].accepted == (B,)
    assert len(server.connections) == 2
