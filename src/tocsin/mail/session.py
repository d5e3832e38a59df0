"""A session: an open, logged-in conversation, in which one transaction follows another.

Where the server offers PIPELINING (RFC 2920), a transaction's commands are sent together; and where
the server copes with it (see pipelining.py), together with the final dot of the one before.

A session ends when the server and the client may no longer agree on the next reply, after 100
transactions, or after 4 idle minutes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from tocsin.mail.exchange import Exchange
from tocsin.mail.opening import open_conversation
from tocsin.mail.pipelining import allows_rides
from tocsin.mail.plan import plan

if TYPE_CHECKING:
    from tocsin.mail.conversation import Conversation
    from tocsin.mail.plan import Plan
    from tocsin.mail.receipt import Reply
    from tocsin.mail.target import Target
    from tocsin.mail.transaction import Transaction, Verdict

_TRANSACTION = 60.0  # seconds for a transaction up to the final dot
_SLOW_LINE = 16_384  # bytes a second; a larger message gets more time
_IDLE = 240.0  # seconds; a server may close after five minutes: RFC 5321 §4.5.3.2.7
_MOST = 100  # transactions over one connection


class Session:
    """An open, logged-in conversation in which messages are sent.

    Args:
        conversation: the conversation, after the login.

    Attributes:
        alive: whether another transaction can follow.
        limit: how many recipients the server turned out to accept in a transaction; None if it has
            refused none because of their number.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._target = conversation.target
        self._flights = self._target.pipelining.flights
        self._ahead: Plan | None = None  # the plan whose commands were sent already
        self._count = 0
        self._used_at = time.monotonic()
        self.alive: bool = True
        self.limit: int | None = None

    @classmethod
    def open(cls, target: Target, deadline: float = float("inf")) -> Self:
        """Open a conversation and log in.

        Args:
            target: the server, and how to reach it.
            deadline: when to give up, as a point of `time.monotonic`.

        Raises:
            ConnectError: it can't be opened.
        """
        return cls(open_conversation(target, deadline))

    @property
    def farewell(self) -> Reply | None:
        """The 421 reply with which the server ended the session; None without one."""
        return self._conversation.farewell

    @property
    def pipelining(self) -> bool:
        """Whether a transaction's commands are sent together."""
        return self._flights and "PIPELINING" in self._conversation.features

    @property
    def rides(self) -> bool:
        """Whether the next transaction's commands may be sent with the final dot of this one."""
        asked = self._target.pipeline_messages
        allowed = allows_rides(self._conversation.greeting) if asked is None else asked
        return self.pipelining and self._target.pipelining.rides and allowed

    @property
    def announced(self) -> Transaction | None:
        """The transaction whose commands were sent already; None if there is none."""
        return None if self._ahead is None else self._ahead.transaction

    def stale(self, transaction: Transaction | None = None, *, now: float | None = None) -> bool:
        """Return whether the session should not be used: it is lost, or old, or out of step.

        Args:
            transaction: the next transaction. If commands were sent already, they must be its own.
            now: a point of `time.monotonic`; by default its current value.
        """
        if self.alive and self._ahead is not None:
            return self.announced is not transaction
        if self.alive:
            try:
                self.alive = not self._conversation.channel.unread()
            except OSError:
                self.alive = False
        idle = (time.monotonic() if now is None else now) - self._used_at
        return not self.alive or idle > _IDLE or self._count >= _MOST

    def transact(
        self,
        transaction: Transaction,
        following: Transaction | None = None,
        deadline: float = float("inf"),
    ) -> dict[str, Verdict]:
        """Send one message to some recipients.

        Args:
            transaction: the message and the recipients.
            following: the next transaction. Its commands may be sent already: then, while the
                session is alive, the next call must be for it.
            deadline: when the call must end, as a point of `time.monotonic`.

        Returns:
            Recipient → verdict. A recipient without a verdict can be tried over a new connection:
            this one was lost before the final dot, or the server closes it.
        """
        ahead, self._ahead = self._ahead, None
        current = ahead or plan(transaction, self._conversation.features)
        exchange = Exchange(
            self._conversation,
            current,
            pipelined=self.pipelining,
            announced=ahead is not None,
        )
        self._begin(current, deadline)
        try:
            if current.commands:
                self._carry_out(exchange, following, deadline)
            self.alive = True
        except OSError:
            pass  # the exchange has the verdicts that are known by now
        finally:
            self.limit = self.limit if exchange.limit is None else exchange.limit
            if not self.alive:
                self._conversation.channel.close()
        return exchange.verdicts

    def close(self) -> None:
        """Send QUIT, if the server waits for a command, and close the connection."""
        if self.alive and self._ahead is None:
            self._conversation.quit()
        self.abandon()

    def abandon(self) -> None:
        """Close the socket without a word: after a fork, the conversation is the parent's."""
        self.alive = False
        self._conversation.channel.close()

    def __repr__(self) -> str:
        state = "open" if self.alive else "closed"
        tls = " TLS" if self._conversation.channel.encrypted else ""
        return f"<Session {self._target}{tls} {state}>"

    def _begin(self, current: Plan, deadline: float) -> None:
        self._count += 1
        self._used_at = time.monotonic()
        allowance = max(_TRANSACTION, len(current.data) / _SLOW_LINE)
        self._conversation.channel.deadline = min(self._used_at + allowance, deadline)
        self.alive = False  # until the transaction has ended in order, whatever interrupts it

    def _carry_out(
        self, exchange: Exchange, following: Transaction | None, deadline: float
    ) -> None:
        accepted = exchange.name_recipients()
        if accepted:
            ahead = self._planned(following)
            exchange.send_message(accepted, ahead, deadline)
            self._ahead = ahead

    def _planned(self, following: Transaction | None) -> Plan | None:
        """Return the plan whose commands can be sent with this final dot; None if there is none."""
        if following is None or not self.rides or self._count >= _MOST:
            return None
        ahead = plan(following, self._conversation.features)
        return ahead if ahead.commands else None
