"""Replies and receipts: what they mean, and that they can travel."""

from __future__ import annotations

import dataclasses
import pickle  # noqa: TID251 - users may

import pytest

from tocsin import ConnectError, SendError
from tocsin.exceptions import LoginError
from tocsin.mail import Receipt, Reply


@pytest.mark.parametrize(
    ("code", "enhanced", "positive", "final", "intermediate"),
    [
        (250, None, True, False, False),
        (299, None, True, False, False),
        (354, None, False, False, True),
        (421, None, False, False, False),
        (550, None, False, True, False),
        (550, "5.1.1", False, True, False),
        (550, "5.4.5", False, False, False),
        (530, "5.7.0", False, False, False),
        (530, None, False, False, False),
        (None, None, False, False, False),
        (None, "5.1.3", False, False, False),
    ],
)
def test_code_says_what_to_do(
    code: int | None, enhanced: str | None, positive: bool, final: bool, intermediate: bool
) -> None:
    """A quota of the day (5.4.5) clears by itself, whatever its first digit says."""
    reply = Reply(code, enhanced, "")
    assert (reply.positive, reply.final, reply.intermediate) == (positive, final, intermediate)


def test_reply_is_shown_in_one_line() -> None:
    """What a server says goes to terminals and logs."""
    assert str(Reply(550, "5.1.1", "no\nsuch \x1b[31m user\ud800")) == (
        "550 5.1.1 no such [31m user\ufffd"
    )
    assert str(Reply(None, None, "lost")) == "lost"


def test_receipt_is_complete_when_everybody_accepted() -> None:
    reply = Reply(450, None, "later")
    assert Receipt(message_id="<a>", accepted=("a@x",)).complete
    assert not Receipt(message_id="<a>", refused={"a@x": reply}).complete
    assert not Receipt(message_id="<a>", deferred={"a@x": reply}).complete
    assert not Receipt(message_id="<a>", unknown=("a@x",)).complete


def test_receipt_can_be_pickled_and_made_a_dict() -> None:
    receipt = Receipt(message_id="<a>", refused={"a@x": Reply(550, None, "no")})
    assert pickle.loads(pickle.dumps(receipt)) == receipt
    assert dataclasses.asdict(receipt)["deferred"] == {}


@pytest.mark.parametrize("kind", [ConnectError, LoginError])
def test_connect_error_can_be_pickled(kind: type[ConnectError]) -> None:
    """`multiprocessing` and task queues carry errors by pickle."""
    error = kind("text", reply=Reply(535, None, "no"), receipts=[Receipt(message_id="<a>")])
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is kind
    assert (str(copied), copied.reply, copied.receipts) == (str(error), error.reply, error.receipts)


def test_send_error_can_be_pickled() -> None:
    error = SendError("text", receipts=[Receipt(message_id="<a>")])
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.receipts) == ("text", error.receipts)
