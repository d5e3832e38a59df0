"""What is said in a transaction, and what its replies mean. Pure: no server, no clock."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

from tocsin import Message
from tocsin.mail.envelope import envelopes
from tocsin.mail.plan import plan
from tocsin.mail.receipt import Reply
from tocsin.mail.transaction import (
    Answers,
    Fate,
    Transaction,
    of_all,
    of_recipients,
    refused,
    says_too_many,
)

A, B, C, D = (f"{name}@example.com" for name in "abcd")
J = "jörg@example.com"
OK = Reply(250, "2.1.5", "ok")
BUSY = Reply(450, "4.2.1", "busy")
NOBODY = Reply(550, "5.1.1", "nobody")
MANY = Reply(452, "4.5.3", "too many recipients")


def transaction(*to: str, mime: EmailMessage | None = None, **options: Any) -> Transaction:
    what = mime or Message(**{"from_addr": "me@example.com", "to": list(to), **options})
    (envelope,) = envelopes(what)
    return Transaction(envelope, list(to))


def fates(verdicts: Any) -> dict[str, Fate]:
    return {recipient: verdict.fate for recipient, verdict in verdicts.items()}


# --- What is said -----------------------------------------------------------------------------


def test_the_commands_of_a_plain_server() -> None:
    """Nothing is said that wasn't offered."""
    script = plan(transaction(A, B, text="x"), {})
    assert script.commands == [
        "MAIL FROM:<me@example.com>",
        f"RCPT TO:<{A}>",
        f"RCPT TO:<{B}>",
        "DATA",
    ]
    assert script.recipients == [A, B]
    assert script.data.endswith(b"\r\n.\r\n")
    assert not script.verdicts


def test_the_size_is_that_of_the_message_as_it_arrives() -> None:
    """RFC 1870 §3: neither the final dot nor dots that were doubled count."""
    one = transaction(A, text="a\n.\n..\nb\n")
    script = plan(one, {"SIZE": ""})
    arrives = script.data.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
    assert script.commands[0] == f"MAIL FROM:<me@example.com> SIZE={len(arrives)}"
    assert not plan(one, {"SIZE": str(len(arrives))}).verdicts
    (verdict,) = plan(one, {"SIZE": str(len(arrives) - 1)}).verdicts.values()
    assert verdict.fate is Fate.REFUSED
    assert verdict.reply.enhanced == "5.3.4"
    assert f"{len(arrives):,} bytes" in verdict.reply.text
    assert plan(one, {"SIZE": "1"}).verdicts


@pytest.mark.parametrize("limit", ["", "0", "none", "²", "٣", "-1", "9" * 5000, "10 20", "1.5"])
def test_a_limit_that_is_none(limit: str) -> None:
    """RFC 1870 §4: up to 20 digits; 0 is no limit. What a server says can't raise."""
    script = plan(transaction(A, text="x"), {"SIZE": limit})
    assert script.recipients == [A]


def eight_bit() -> EmailMessage:
    mime = EmailMessage()
    mime["From"] = "jörg@example.com"
    mime["To"] = A
    mime.set_content("x")
    return mime


def test_8_bit_content_is_declared_or_not_sent() -> None:
    """RFC 6152. Headers in UTF-8 are the only such content that leaves."""
    features = {"SMTPUTF8": "", "8BITMIME": ""}
    one = transaction(A, from_addr=J)
    assert plan(one, features).commands[0] == f"MAIL FROM:<{J}> BODY=8BITMIME SMTPUTF8"
    script = plan(one, {"SMTPUTF8": ""})
    assert fates(script.verdicts) == {A: Fate.REFUSED}
    assert script.verdicts[A].reply == Reply(None, "5.6.3", "the server takes 7-bit messages only")
    assert not script.commands


def test_the_parameters_of_mail_are_all_named() -> None:
    features = {"SMTPUTF8": "", "8BITMIME": "", "SIZE": ""}
    script = plan(transaction(A, from_addr=J), features)
    size = len(script.data) - len(b".\r\n")
    assert script.commands[0] == f"MAIL FROM:<{J}> BODY=8BITMIME SMTPUTF8 SIZE={size}"


def test_7_bit_content_is_not_declared() -> None:
    one = transaction(A, text="Grüße", subject="Grüße")
    script = plan(one, {"8BITMIME": "", "SMTPUTF8": ""})
    assert script.commands[0] == "MAIL FROM:<me@example.com>"
    assert script.data.isascii()


def test_a_foreign_messages_8_bit_parts_are_made_7_bit() -> None:
    mime = EmailMessage()
    mime["From"] = "me@example.com"
    mime["To"] = A
    mime.set_content("Grüße", cte="8bit")
    assert plan(transaction(A, mime=mime), {}).data.isascii()


def test_a_recipient_beyond_ascii_without_smtputf8() -> None:
    """Only that one is refused, and the header names them in ASCII."""
    script = plan(transaction(A, J, B), {"8BITMIME": ""})
    assert script.recipients == [A, B]
    assert fates(script.verdicts) == {J: Fate.REFUSED}
    assert script.verdicts[J].reply.enhanced == "5.6.7"
    assert script.data.isascii()
    assert "SMTPUTF8" not in script.commands[0]


def test_nobody_left_says_nothing() -> None:
    script = plan(transaction(J), {})
    assert fates(script.verdicts) == {J: Fate.REFUSED}
    assert script.commands == []


def test_a_sender_beyond_ascii_without_smtputf8() -> None:
    script = plan(transaction(A, B, from_addr=J), {})
    assert fates(script.verdicts) == {A: Fate.REFUSED, B: Fate.REFUSED}
    assert script.commands == []


class Broken(EmailMessage):
    def get_content_type(self) -> Any:
        raise RuntimeError("mine")


def test_a_message_that_cannot_be_written_is_refused() -> None:
    """The caller's object may raise anything; the other messages are sent all the same."""
    mime = Broken()
    mime["From"] = "me@example.com"
    mime["To"] = A
    script = plan(transaction(A, mime=mime), {"SIZE": "1"})
    assert script.verdicts[A].reply == Reply(
        None, "5.6.0", "the message can't be written: RuntimeError: mine"
    )
    assert script.verdicts[A].fate is Fate.REFUSED


# --- What replies mean ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "fate"),
    [
        (NOBODY, Fate.REFUSED),
        (BUSY, Fate.DEFERRED),
        (Reply(550, "5.4.5", "daily quota"), Fate.DEFERRED),
        (Reply(None, None, "our own words"), Fate.DEFERRED),
    ],
)
def test_5yz_is_final_but_for_a_quota(reply: Reply, fate: Fate) -> None:
    assert refused(reply).fate is fate
    assert refused(reply).reply is reply


@pytest.mark.parametrize(
    ("replies", "wanted"),
    [
        ([OK, NOBODY, BUSY], ["accepted", "refused", "deferred"]),
        ([OK, MANY, MANY], ["accepted", "too many", "too many"]),
        ([OK, Reply(552, None, "too many")], ["accepted", "too many"]),
        ([OK, Reply(452, None, "no"), NOBODY], ["accepted", "too many", "refused"]),
        # Said in so many words, or by the enhanced code, whatever the code (OpenSMTPD, Dovecot).
        ([OK, Reply(451, "4.5.3", "Too many recipients")], ["accepted", "too many"]),
        ([OK, Reply(550, "5.5.3", "no")], ["accepted", "too many"]),
        (
            [OK, Reply(554, None, "Too many recipients"), NOBODY],
            ["accepted", "too many", "refused"],
        ),
        # Those who were refused count, too; one more may be taken where a domain has a limit.
        ([NOBODY, MANY, MANY], ["refused", "too many", "too many"]),
        (
            [NOBODY, Reply(554, None, "too many recipients"), BUSY],
            ["refused", "too many", "deferred"],
        ),
        ([OK, MANY, OK], ["accepted", "too many", "accepted"]),
        ([MANY, OK, MANY], ["deferred", "accepted", "too many"]),
        # The first one isn't too many: another transaction would be the same.
        ([Reply(550, "5.5.3", "no"), Reply(550, "5.5.3", "no")], ["refused", "refused"]),
        ([Reply(451, "4.5.3", "no"), MANY], ["deferred", "deferred"]),
        # Somebody who comes later was accepted: the number isn't it.
        ([OK, Reply(452, None, "no"), OK], ["accepted", "deferred", "accepted"]),
        ([OK, Reply(552, None, "full"), OK], ["accepted", "refused", "accepted"]),
        # Nobody was accepted: another transaction would be the same.
        ([MANY, MANY], ["deferred", "deferred"]),
        ([NOBODY, Reply(552, None, "no")], ["refused", "refused"]),
        # A full mailbox is its owner's alone.
        ([OK, Reply(452, "4.2.2", "full")], ["accepted", "deferred"]),
        ([OK, Reply(552, "5.2.2", "full")], ["accepted", "refused"]),
        ([], []),
    ],
)
def test_replies_to_rcpt(replies: list[Reply], wanted: list[str]) -> None:
    named = dict(zip((A, B, C), replies, strict=False))
    verdicts = of_recipients(named)
    assert list(verdicts) == list(named)
    assert [verdict.fate.value for verdict in verdicts.values()] == wanted
    assert [verdict.reply for verdict in verdicts.values()] == replies


@pytest.mark.parametrize(("reply", "named"), [(None, False), (OK, True), (BUSY, False)])
def test_recipients_are_named_to_a_server_that_accepts_the_sender(
    reply: Reply | None, named: bool
) -> None:
    assert Answers(sender=reply).named is named


@pytest.mark.parametrize(
    ("reply", "yes"),
    [
        (Reply(452, "4.5.3", ""), True),
        (Reply(554, "5.5.3", ""), True),
        (Reply(554, None, "Transaction failed: Recipient count exceeds 50."), True),
        (Reply(451, None, "Too many recipients"), True),
        (Reply(554, None, "number of recipients exceeds the limit"), True),
        (Reply(452, "4.3.1", "insufficient storage"), False),
        (Reply(554, "5.7.1", "spam"), False),
    ],
)
def test_what_says_too_many(reply: Reply, yes: bool) -> None:
    assert says_too_many(reply) is yes
    alone = Fate.REFUSED if reply.final else Fate.DEFERRED
    assert fates(of_all(reply, [A, B])) == dict.fromkeys((A, B), Fate.TOO_MANY if yes else alone)
    assert fates(of_all(reply, [A])) == {A: alone}
    full = of_all(reply, [A], full=True)
    assert fates(full) == {A: Fate.TOO_MANY}
    assert full[A].reply is reply
