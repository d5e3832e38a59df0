"""Against Dovecot's submission proxy, which crashes at commands behind the final dot (2.3.19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tocsin import Message, SendError, SMTPEmailHandler

if TYPE_CHECKING:
    from conftest import Postfix


def handler(port: int, **options: Any) -> SMTPEmailHandler:
    return SMTPEmailHandler(
        host="127.0.0.1", port=port, username="alerts", password="secret", **options
    )


def message(to: list[str]) -> Message:
    return Message(from_addr="alerts@example.com", to=to, subject="Grüße", text="12 errors\n.\n")


def people(count: int) -> list[str]:
    return [f"person.{number}@example.com" for number in range(count)]


def test_two_hundred_messages_arrive_once(dovecot: int, postfix: Postfix) -> None:
    receipts = handler(dovecot).send([message([name]) for name in people(200)])
    for receipt, name in zip(receipts, people(200), strict=True):
        assert receipt.accepted == (name,)
        assert postfix.mailbox.of(receipt.message_id, expected=1) == {name: 1}


@pytest.mark.parametrize("size", [33, 50])
def test_seven_hundred_recipients_get_it_once(dovecot: int, postfix: Postfix, size: int) -> None:
    (receipt,) = handler(dovecot, recipients_per_message=size).send(message(people(700)))
    assert receipt.accepted == tuple(people(700))
    got = postfix.mailbox.of(receipt.message_id, expected=700)
    assert got == dict.fromkeys(people(700), 1)


def test_where_the_option_is_wrong_one_message_is_unknown(dovecot: int, postfix: Postfix) -> None:
    """It has arrived, but nobody says so; nothing rides behind the others."""
    with pytest.raises(SendError) as caught:
        handler(dovecot, pipeline_messages=True).send([message([name]) for name in people(20)])
    first, *others = caught.value.receipts
    assert first.unknown == (people(1)[0],)
    assert all(receipt.complete for receipt in others)
    for receipt, name in zip(caught.value.receipts, people(20), strict=True):
        assert postfix.mailbox.of(receipt.message_id, expected=1) == {name: 1}
