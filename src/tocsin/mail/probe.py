"""A probe: opens a conversation, and asks whether the server takes a sender and the recipients.

It stops before DATA, so no message is sent. The recipients are asked for in the same transactions
in which a message would be sent to them.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from tocsin.exceptions import ConnectError
from tocsin.mail import advice
from tocsin.mail.envelope import envelopes
from tocsin.mail.opening import Step, open_conversation
from tocsin.mail.plan import plan
from tocsin.mail.receipt import Reply
from tocsin.mail.transaction import Fate, Transaction, of_recipients

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tocsin.mail.conversation import Conversation
    from tocsin.mail.envelope import Envelope
    from tocsin.mail.message import Message
    from tocsin.mail.plan import Plan
    from tocsin.mail.target import Target

ASKING = 120.0
"""Seconds for the sender and all recipients together."""


def probe(
    target: Target,
    message: Message,
    *,
    on_step: Callable[[Step], None],
    limit: int | None = None,
    asking: float = ASKING,
) -> None:
    """Open a conversation, name the sender and the recipients of a message, and take them back.

    Args:
        target: the server, and how to reach it.
        message: the message, which isn't sent.
        on_step: called after each step; a step "sender" or "recipient" may have a negative reply.
        limit: how many recipients a transaction may have; None for no limit.
        asking: the seconds for the sender and all recipients together.

    Raises:
        ConnectError: a step of the opening failed, or the connection was lost.
    """
    (envelope,) = envelopes(message)
    conversation = open_conversation(target, on_step=on_step)
    conversation.channel.deadline = time.monotonic() + asking
    try:
        _Asking(conversation, envelope, on_step).run(limit)
        conversation.quit()
    except OSError as error:
        text = f"{target}: {advice.of_error(error, 'asking', silent=False)}"
        reply = conversation.farewell or Reply(None, None, text)
        raise ConnectError(text, reply=reply) from error
    finally:
        conversation.channel.close()


class _Asking:
    """MAIL and RCPT, as often as the recipients need it."""

    def __init__(
        self, conversation: Conversation, envelope: Envelope, on_step: Callable[[Step], None]
    ) -> None:
        self._conversation = conversation
        self._envelope = envelope
        self._on_step = on_step
        self._named = False  # whether the sender was accepted before

    def run(self, limit: int | None) -> None:
        waiting = deque(self._envelope.recipients)
        while waiting:
            count = min(limit or len(waiting), len(waiting))
            batch = [waiting.popleft() for _ in range(count)]
            current = plan(Transaction(self._envelope, batch), self._conversation.features)
            for recipient, verdict in current.verdicts.items():
                self._note("recipient", recipient, verdict.reply, 0.0)
            if not current.commands:
                continue
            if not self._name_sender(current.commands[0]):
                return
            waiting.extendleft(reversed(self._name_recipients(current)))
            self._conversation.command("RSET")

    def _name_sender(self, command: str) -> bool:
        reply, seconds = self._ask(command)
        if not (self._named and reply.positive):
            self._note("sender", self._envelope.sender, reply, seconds)
        self._named = reply.positive
        return reply.positive

    def _name_recipients(self, current: Plan) -> list[str]:
        """Ask for the recipients; return those that are too many for this transaction."""
        answers: dict[str, tuple[Reply, float]] = {}
        try:
            for recipient, command in zip(current.recipients, current.commands[1:-1], strict=True):
                answers[recipient] = self._ask(command)
        finally:
            again = self._note_recipients(answers)
        return again

    def _note_recipients(self, answers: Mapping[str, tuple[Reply, float]]) -> list[str]:
        again: list[str] = []
        verdicts = of_recipients({one: reply for one, (reply, _) in answers.items()})
        for recipient, verdict in verdicts.items():
            if verdict.fate is Fate.TOO_MANY:
                again.append(recipient)
            else:
                self._note("recipient", recipient, *answers[recipient])
        return again

    def _ask(self, command: str) -> tuple[Reply, float]:
        began = time.monotonic()
        return self._conversation.command(command), time.monotonic() - began

    def _note(self, name: str, address: str, reply: Reply, seconds: float) -> None:
        facts = {"address": address, "reply": reply}
        self._on_step(Step(name=name, seconds=seconds, facts=facts))
