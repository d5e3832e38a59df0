"""`TestEmailHandler`: what a user's own test relies on."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

import tocsin
from tocsin.exceptions import ConfigError, SendError
from tocsin.mail import Message, Receipt, TestEmailHandler


def test_keeps_what_was_sent() -> None:
    handler = TestEmailHandler()
    first = Message(from_addr="f@x", to="a@x", bcc="b@x")
    second = EmailMessage()
    second["From"], second["To"] = "f@x", "c@x"
    receipts = handler.send([first, second])
    assert handler.outbox == [first, second]
    assert [receipt.accepted for receipt in receipts] == [("a@x", "b@x"), ("c@x",)]
    assert repr(handler) == "<TestEmailHandler with 2 messages>"


def test_says_what_became_of_each_message() -> None:
    said: list[Receipt] = []
    receipts = TestEmailHandler().send(
        Message(from_addr="f@x", to="a@x"), on_transaction=said.append
    )
    assert said == receipts


@pytest.mark.parametrize("message", [Message(to="a@x"), Message(from_addr="f@x")])
def test_refuses_what_the_real_one_refuses(message: Message) -> None:
    handler = TestEmailHandler()
    with pytest.raises(ValueError, match=r"from_addr|recipients"):
        handler.send(message)
    assert handler.outbox == []


def test_wrong_recipient_is_an_error_as_with_the_real_one() -> None:
    """Each recipient is in exactly one part of the receipt."""
    mime = EmailMessage()
    mime["From"], mime["To"] = "f@x", "nonsense, a@x"
    said: list[Receipt] = []
    with pytest.raises(SendError) as caught:
        TestEmailHandler().send(mime, on_transaction=said.append)
    (receipt,) = caught.value.receipts
    assert receipt.accepted == ("a@x",)
    assert list(receipt.refused) == ["nonsense"]
    assert [one.accepted for one in said] == [("a@x",)]


def test_has_a_default_sender() -> None:
    handler = TestEmailHandler.from_config({"default_from": "F <f@x>"})
    assert handler.sender == handler.default_from
    assert str(handler.default_from) == "F <f@x>"
    handler.send(Message(to="a@x"))
    assert len(handler.outbox) == 1
    assert TestEmailHandler().sender is None


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"default_form": "f@x"}, r"^email\.default_form: unknown option; did you mean 'default_f"),
        ({"default_from": "nonsense"}, r"^email\.default_from: 'nonsense' is not an address"),
        ({"default_from": 5}, r"^email\.default_from: expected an address, got int$"),
        (5, r"^email: expected a mapping of options, got int$"),
    ],
)
def test_wrong_option_is_a_config_error(config: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        TestEmailHandler.from_config(config)


def test_is_not_collected_by_pytest() -> None:
    assert tocsin.TestEmailHandler.__test__ is False
