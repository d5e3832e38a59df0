"""Against a real Postfix: TLS, login, limits of recipients, its counting of errors, a slow line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from link import Link
from tocsin import LoginError, Message, SendError, SMTPEmailHandler

if TYPE_CHECKING:
    from conftest import Postfix


def message(to: list[str]) -> Message:
    return Message(from_addr="alerts@example.com", to=to, subject="Grüße", text="12 errors\n.\n")


def people(count: int) -> list[str]:
    return [f"person.{number}@example.com" for number in range(count)]


def test_tls_from_the_start(postfix: Postfix) -> None:
    handler = SMTPEmailHandler(
        host="localhost", port=postfix.tls, use_tls=True, tls_context=postfix.context()
    )
    (receipt,) = handler.send(message(["good@example.com"]))
    assert postfix.mailbox.of(receipt.message_id, expected=1) == {"good@example.com": 1}


def test_starttls_and_login(postfix: Postfix) -> None:
    handler = SMTPEmailHandler(
        host="localhost",
        port=postfix.login,
        use_starttls=True,
        tls_context=postfix.context(),
        username=postfix.username,
        password=lambda: postfix.password,
    )
    (receipt,) = handler.send(message(["good@example.com"]))
    assert postfix.mailbox.of(receipt.message_id, expected=1) == {"good@example.com": 1}


def test_a_wrong_password_is_a_login_error_and_nothing_is_sent(postfix: Postfix) -> None:
    handler = SMTPEmailHandler(
        host="localhost",
        port=postfix.login,
        use_starttls=True,
        tls_context=postfix.context(),
        username=postfix.username,
        password="wrong",
    )
    with pytest.raises(SendError) as caught:
        handler.send(message(["good@example.com"]))
    assert isinstance(caught.value.__cause__, LoginError)
    assert caught.value.receipts[0].deferred["good@example.com"].code == 535


@pytest.mark.parametrize("count", [1500, 2200])
def test_more_recipients_than_a_transaction_takes(postfix: Postfix, count: int) -> None:
    """Postfix takes 1,000 (smtpd_recipient_limit); the rest goes in further transactions."""
    handler = SMTPEmailHandler(host="localhost", port=postfix.plain)
    (receipt,) = handler.send(message(people(count)))
    assert set(receipt.accepted) == set(people(count))
    got = postfix.mailbox.of(receipt.message_id, expected=count)
    assert got == dict.fromkeys(people(count), 1)


@pytest.mark.parametrize("order", ["bad first", "good first", "mixed"])
def test_bad_recipients_cost_the_good_ones_nothing(postfix: Postfix, order: str) -> None:
    """Postfix hangs up at the 20th error (smtpd_hard_error_limit)."""
    bad = [f"nobody.{number}@example.com" for number in range(30)]
    good = [f"good.{number}@example.com" for number in range(5)]
    to = bad + good
    if order == "good first":
        to = good + bad
    elif order == "mixed":
        to = [name for number in range(5) for name in (*bad[number * 6 :][:6], good[number])]
    handler = SMTPEmailHandler(host="localhost", port=postfix.plain)
    with pytest.raises(SendError) as caught:
        handler.send(message(to))
    (receipt,) = caught.value.receipts
    assert set(receipt.accepted) == set(good)
    assert set(receipt.refused) == set(bad)
    assert {reply.code for reply in receipt.refused.values()} == {550}
    assert not receipt.deferred
    assert not receipt.unknown
    got = postfix.mailbox.of(receipt.message_id, expected=5)
    assert got == dict.fromkeys(good, 1)


def test_a_hundred_messages_over_a_slow_line(postfix: Postfix) -> None:
    """The next envelope rides with the final dot: about one round trip a message (RFC 2920)."""
    messages = [message([f"good.{number}@example.com"]) for number in range(100)]
    with Link(postfix.plain, delay=0.02) as link:
        handler = SMTPEmailHandler(host="127.0.0.1", port=link.port)
        started = time.monotonic()
        receipts = handler.send(messages)
        trips = (time.monotonic() - started) / 0.04
    assert len(receipts) == 100
    assert trips < 150, f"{trips:.0f} round trips"
    for number, receipt in enumerate(receipts):
        got = postfix.mailbox.of(receipt.message_id, expected=1)
        assert got == {f"good.{number}@example.com": 1}
