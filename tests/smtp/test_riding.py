"""Commands that ride behind the final dot: which servers cope with it, and what if one does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conversations import (
    LOSSES,
    deliveries,
    everybody_once,
    handler_for,
    learned,
    message,
    people,
    send,
    target_for,
    transactions,
)
from twins import Dovecot, Haraka, Twin

from tocsin.mail.pipelining import allows_rides
from tocsin.mail.receipt import Reply
from tocsin.mail.session import Session
from tocsin.mail.transaction import out_of_sequence
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from tocsin import Message, SMTPEmailHandler

A, B, C = "a@example.com", "b@example.com", "c@example.com"
POSTFIX, HARAKA, DOVECOT = Twin.greeting, Haraka.greeting, Dovecot.greeting


class Silent(Twin):
    """A server that offers nothing."""

    offers = ()


def choosing(server: Twin, **options: Any) -> SMTPEmailHandler:
    """Return a handler that decides by the greeting, as it does by default."""
    return handler_for(server, **{"pipeline_messages": None, **options})


# --- With whom --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("greeting", "yes"),
    [
        ("mx.example.com ESMTP Postfix", True),
        ("mx.example.com ESMTP Postfix (Debian/GNU)", True),
        ("mx.example.com ESMTP Exim 4.96 Sat, 28 Nov 2026 18:59:31 +0000", True),
        ("mx.example.com ESMTP Sendmail 8.17.1.9/8.17.1.9/Debian-2; Sat, 28 Nov 2026", True),
        ("haraka.test ESMTP Haraka/3.3.4 ready (557B48)", False),
        ("mail.example.com Dovecot (Debian) ready.", False),
        ("vm ESMTP OpenSMTPD", False),
        ("smtp.gmail.com ESMTP 5b1f17b1804b1-4a1 - gsmtp", False),
        ("we are no ESMTP Postfix", False),
        ("mx.example.com ESMTP Postfixed", False),
        ("scripted.test ESMTP", False),
        ("", False),
    ],
)
def test_which_greetings_name_a_server_that_bears_it(greeting: str, yes: bool) -> None:
    assert allows_rides(greeting) is yes


@pytest.mark.parametrize(
    ("greeting", "option", "rides"),
    [
        (POSTFIX, None, True),
        (POSTFIX, True, True),
        (POSTFIX, False, False),
        (HARAKA, None, False),
        (HARAKA, True, True),
        (DOVECOT, None, False),
        ("scripted.test ESMTP", None, False),
    ],
)
def test_they_ride_with_a_known_server_or_by_the_option(
    greeting: str, option: bool | None, rides: bool
) -> None:
    """Of three messages the commands of the second and third: MAIL, RCPT, DATA each."""
    with Twin(greeting) as server:
        handler = choosing(server, pipeline_messages=option)
        receipts = handler.send([message(A), message(B), message(C)])
        everybody_once(server, receipts)
        assert server.early == (6 if rides else 0)
        assert server.connections == 1


def test_without_pipelining_nothing_rides() -> None:
    with Silent() as server:
        receipts = choosing(server, pipeline_messages=True).send([message(A), message(B)])
        everybody_once(server, receipts)
        assert server.early == 0


# --- Who doesn't bear it ----------------------------------------------------------------------

MANY: list[tuple[list[Message], int | None]] = [
    ([message(name) for name in people(200)], None),
    ([message(*people(700))], 33),
    ([message(*people(700))], 50),
]
SIZES = ["200 messages", "batches of 33", "batches of 50"]


@pytest.mark.parametrize(("messages", "size"), MANY, ids=SIZES)
@pytest.mark.parametrize("kind", [Haraka, Dovecot])
def test_a_server_that_does_not_bear_it_takes_all(
    kind: type[Twin], messages: list[Message], size: int | None
) -> None:
    with kind() as server:
        receipts = choosing(server, recipients_per_message=size).send(messages)
        everybody_once(server, receipts)
        assert server.early == 0


@pytest.mark.parametrize(("messages", "size"), MANY, ids=SIZES)
@pytest.mark.parametrize(("greeting", "option"), [(POSTFIX, None), (None, True)])
def test_refused_commands_are_said_again_in_step(
    greeting: str | None, option: bool | None, messages: list[Message], size: int | None
) -> None:
    """Haraka behind another greeting: one flight is refused, which decides nothing."""
    with Haraka(greeting) as server:
        handler = choosing(server, recipients_per_message=size, pipeline_messages=option)
        receipts = handler.send(messages)
        everybody_once(server, receipts)
        assert server.early == (size or 1) + 2
        assert server.connections == (1 if size else 3)
        handler.send([message(A), message(B)])
        assert server.early == (size or 1) + 2


@pytest.mark.parametrize(("messages", "size"), MANY, ids=SIZES)
@pytest.mark.parametrize(("greeting", "option"), [(POSTFIX, None), (None, True)])
def test_a_loss_at_the_dot_costs_one_transaction(
    greeting: str | None, option: bool | None, messages: list[Message], size: int | None
) -> None:
    """Dovecot behind another greeting: the message at the dot is unknown, and all others go."""
    with Dovecot(greeting) as server:
        handler = choosing(server, recipients_per_message=size, pipeline_messages=option)
        receipts = send(handler, messages)
        got = deliveries(server)
        handler.send([message(A), message(B)])
        assert server.early == (size or 1) + 2
    unknown = [one for receipt in receipts for one in receipt.unknown]
    assert unknown == people(size or 1)
    assert sum(len(receipt.accepted) for receipt in receipts) == sum(got.values()) - len(unknown)
    assert not any({**receipt.refused, **receipt.deferred} for receipt in receipts)
    assert set(got.values()) == {1}


def rides(handler: SMTPEmailHandler) -> bool:
    """Whether commands ride behind a final dot the next time."""
    return learned(handler).rides


def always(server: ScriptedSMTPServer, **options: Any) -> SMTPEmailHandler:
    """Return a handler whose commands ride."""
    return handler_for(server, pipeline_messages=True, **options)


@pytest.mark.parametrize(
    "said",
    [
        {"MAIL": [None, "503 5.5.0 MAIL already given"]},
        {"MAIL": [None, "503 no"], "RCPT": [None, "503 no"], "DATA": [None, "503 no"]},
        {"MAIL": [None, "503 no"], "RCPT": [None, "250 ok"], "DATA": [None, "354 go ahead"]},
        {"RCPT": [None, "503 5.5.1 not now"]},
        {"RCPT": [None, None, "503 5.5.1 not now"], "DATA": [None, "354 go ahead"]},
        {"RCPT": [None, None, "554 5.5.0 improper command pipelining"]},
        {"DATA": [None, "554 5.5.0 SMTP synchronization error"]},
        {"DATA": [None, "554 5.5.1 wait for the reply"]},
        {".": ["503 5.5.1 something is behind the dot"]},
        {"MAIL": [None, ("503 no", Act.CLOSE)]},
        {"RCPT": [None, "503 no", Act.CLOSE]},
    ],
)
def test_what_came_too_early_decides_nothing(said: dict[str, Any]) -> None:
    """Wherever the server says it, and whether or not the connection can be used on."""
    with ScriptedSMTPServer(said) as server:
        handler = always(server, recipients_per_message=2)
        receipts = handler.send([message(A), message(*people(3)), message(C)])
        everybody_once(server, receipts)
        assert len(server.connections) <= 2
    assert not rides(handler)
    assert learned(handler).flights


def test_503_to_what_was_said_in_step_is_final() -> None:
    """Some servers refuse a recipient so."""

    def refuse(command: str, _: object) -> str | None:
        return "503 log in first" if B in command else None

    with ScriptedSMTPServer({"RCPT": refuse}) as server:
        handler = always(server)
        first, second, third = send(handler, [message(A), message(B), message(C)])
    assert (first.accepted, third.accepted) == ((A,), (C,))
    assert str(second.refused[B]) == "503 log in first"
    assert sum(line.startswith("MAIL") for line in server.connections[0].commands) == 4


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ({"RCPT": [None, "550 5.1.1 nobody"], "DATA": [None, "503 5.5.1 RCPT first"]}, "refused"),
        ({"RCPT": [None, "450 4.2.1 busy"], "DATA": [None, "554 5.5.1 nobody left"]}, "deferred"),
        (
            {
                "MAIL": [None, "550 5.7.1 no"],
                "RCPT": [None, "503 5.5.1 MAIL first"],
                "DATA": [None, "503 5.5.1 MAIL first"],
            },
            "refused",
        ),
    ],
)
def test_503_after_another_refusal_is_to_be_expected(said: dict[str, Any], part: str) -> None:
    """It says nothing of what the server bears."""
    with ScriptedSMTPServer(said) as server:
        handler = always(server)
        first, second, third = send(handler, [message(A), message(B), message(C)])
    assert (first.accepted, third.accepted) == ((A,), (C,))
    assert set(getattr(second, part)) == {B}
    assert len(server.connections) == 1
    assert rides(handler)


def test_503_after_too_many_recipients_is_to_be_expected() -> None:
    script = {"RCPT": [None, None, "452 4.5.3 too many"], "DATA": [None, "503 5.5.1 start again"]}
    with ScriptedSMTPServer(script) as server:
        handler = always(server)
        everybody_once(server, handler.send([message(A), message(*people(2)), message(C)]))
    assert rides(handler)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "silence"])
@pytest.mark.parametrize("stage", [".", "MAIL", "RCPT", "DATA"])
def test_nothing_rides_after_a_loss_with_something_on_its_way(stage: str, loss: str) -> None:
    """Nor was it the flight's fault. A 421 between two messages is every server's right."""
    script = {stage: [LOSSES[loss]] if stage == "." else [None, LOSSES[loss]]}
    with ScriptedSMTPServer(script) as server:
        handler = always(server)
        receipts = send(handler, [message(A), message(B), message(C)])
    assert (receipts[0].unknown == (A,)) is (stage == "." and loss != "421")
    assert {(B,), (C,)} <= set(transactions(server))
    assert rides(handler) is (stage != "." and loss == "421")
    assert learned(handler).flights


def test_a_session_that_is_open_learns_it_from_another_one() -> None:
    """What one has seen, no other one tries: at most one message is lost to it."""
    with Dovecot(POSTFIX) as server:
        handler = choosing(server)
        other = Session.open(target_for(server, pipelining=learned(handler)))
        seen = [other.rides]
        send(handler, [message(A), message(B)])
        seen.append(other.rides)
        other.close()
    assert seen == [True, False]


@pytest.mark.parametrize(
    ("reply", "yes"),
    [
        (Reply(503, None, "no"), True),
        (Reply(503, "5.5.0", "MAIL already given"), True),
        (Reply(554, "5.5.1", "Error: invalid command"), True),
        (Reply(550, None, "Improper use of SMTP command pipelining"), True),
        (Reply(554, None, "SMTP synchronization error"), True),
        (Reply(550, "5.1.1", "nobody"), False),
        (Reply(452, "4.5.3", "too many"), False),
        (Reply(250, None, "pipelining is fine"), False),
        (Reply(354, None, "pipelining is fine"), False),
    ],
)
def test_what_says_that_a_command_came_too_early(reply: Reply, yes: bool) -> None:
    assert out_of_sequence(reply) is yes
