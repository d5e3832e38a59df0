"""Transactions over an open conversation (RFC 5321, and RFC 2920 for PIPELINING).

What is said of a recipient is said by the server or, where it said nothing, by us. A connection
that is lost says nothing: before the final dot nobody has the message, after it nobody knows.

Where the server offers PIPELINING, a transaction's commands leave in one flight, and where it bears
it (pipelining.py), those of the following transaction ride with the final dot. The policy is to
deliver to whoever was accepted.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from typing_extensions import override

from tocsin.mail.channel import Channel, OutOfStepError
from tocsin.mail.conversation import Conversation, Target
from tocsin.mail.pipelining import bears_rides
from tocsin.mail.receipt import Reply
from tocsin.mail.transaction import Answers, Fate, Verdict, of_all, out_of_sequence, plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tocsin.mail.transaction import Plan, Transaction

_TRANSACTION = 60.0  # seconds for a transaction up to the final dot
_SLOW_LINE = 16_384  # bytes a second; a larger message gets more time
_FINAL_DOT = 300.0  # seconds for the reply to it; RFC 5321 §4.5.3.2.6 gives servers ten minutes
_IDLE = 240.0  # seconds after which a server may be about to close: RFC 5321 §4.5.3.2.7
_MOST = 100  # transactions over one connection
_PACKET = 16_384  # bytes that leave at once; a record of TLS holds as many (RFC 8446 §5.1)


class Session(Conversation):
    """An open, logged-in conversation in which messages are sent.

    Attributes:
        alive: whether it can be used for another transaction.
        limit: how many recipients the server has turned out to take in a transaction; None if it
            has refused none for their number.
    """

    def __init__(self, channel: Channel, target: Target) -> None:
        super().__init__(channel, target)
        self._flights = target.pipelining.flights
        self._ahead: Plan | None = None  # its commands have left already
        self._count = 0
        self._used_at = time.monotonic()
        self.alive: bool = True
        self.limit: int | None = None

    @property
    def pipelining(self) -> bool:
        """Whether commands leave without waiting for replies."""
        return self._flights and "PIPELINING" in self.features

    @property
    def rides(self) -> bool:
        """Whether the next transaction's commands may leave with the final dot of this one."""
        asked = self._target.pipeline_messages
        allowed = bears_rides(self.greeting) if asked is None else asked
        return self.pipelining and self._target.pipelining.rides and allowed

    @property
    def announced(self) -> Transaction | None:
        """The transaction whose commands have left already."""
        return None if self._ahead is None else self._ahead.transaction

    def stale(self, transaction: Transaction | None = None) -> bool:
        """Whether it had better not be used: lost, old, or the server says something by itself.

        Args:
            transaction: for what; if commands have left already, they have to be those.
        """
        if self.alive and self._ahead is not None:
            return self.announced is not transaction
        if self.alive:
            try:
                self.alive = not self._channel.unread()
            except OSError:
                self.alive = False
        idle = time.monotonic() - self._used_at
        return not self.alive or idle > _IDLE or self._count >= _MOST

    def transact(
        self,
        transaction: Transaction,
        following: Transaction | None = None,
        deadline: float = float("inf"),
    ) -> dict[str, Verdict]:
        """Send one message to some recipients.

        Args:
            transaction: what to send.
            following: what comes next. Its commands may leave already: while the session is alive,
                the next call has to be for it.
            deadline: the point of `time.monotonic` at which it has to be done.

        Returns:
            Recipient → verdict. Who has none can be tried again over a new connection: this one was
            lost before the final dot, or the server closes it.
        """
        ahead, self._ahead = self._ahead, None
        script = plan(transaction, self.features) if ahead is None else ahead
        verdicts = dict(script.verdicts)
        self._count += 1
        self._used_at = time.monotonic()
        allowance = max(_TRANSACTION, len(script.data) / _SLOW_LINE)
        self._channel.deadline = min(self._used_at + allowance, deadline)
        self.alive = False  # until both sides are in step again, whatever interrupts this
        try:
            if script.commands:
                accepted = self._envelope(script, verdicts, announced=ahead is not None)
                if accepted:
                    self._message(script, accepted, verdicts, following, deadline)
            self.alive = True
        except OSError:
            pass  # what is known by now is in the verdicts
        finally:
            if not self.alive:
                self._channel.close()
        return verdicts

    def close(self) -> None:
        """Say QUIT and hang up; its reply decides nothing, so nobody waits for it."""
        if self.alive and self._ahead is None:
            self._take_leave()
        self.alive = False
        self._channel.close()

    @override
    def __repr__(self) -> str:
        state = "open" if self.alive else "closed"
        tls = " TLS" if self._channel.encrypted else ""
        return f"<Session {self._target}{tls} {state}>"

    def _envelope(
        self, script: Plan, verdicts: dict[str, Verdict], *, announced: bool
    ) -> list[str]:
        """Say from whom and to whom, and ask to send the message; return who was accepted."""
        answers = Answers()
        try:
            self._hear(answers, script, announced=announced)
        except OSError:
            verdicts.update(self._cut_off(answers, script, announced=announced))
            raise
        if announced and answers.too_early:
            # Nothing is decided: the commands are said again, after the reply to a final dot.
            self._target.pipelining.rides = False
            if answers.asked:
                raise OutOfStepError("the server asks for a message of which it refused a part")
            self._command("RSET")
            return []
        if answers.go_ahead is not None and answers.go_ahead.positive:
            raise OutOfStepError(f"the server doesn't ask for the message: {answers.go_ahead}")
        named = answers.verdicts(script)
        accepted = [one for one, verdict in named.items() if verdict.fate is Fate.ACCEPTED]
        if answers.asked and answers.named:
            self._learnt(named)
            verdicts.update(
                {one: found for one, found in named.items() if found.fate is not Fate.ACCEPTED}
            )
            if not accepted:
                self._command(".")  # nobody is to get it: RFC 2920 §3.1
            return accepted
        if answers.go_ahead is not None and accepted:
            full = any(verdict.fate is Fate.TOO_MANY for verdict in named.values())
            named.update(of_all(answers.go_ahead, accepted, full=full))
        verdicts.update(self._learnt(named))
        if answers.asked:
            raise OutOfStepError("the server takes a message without a sender")
        if answers.named:
            self._command("RSET")  # some servers still hold the sender or the recipients
        return []

    def _hear(self, answers: Answers, script: Plan, *, announced: bool) -> None:
        """Say the commands and take in the replies, as far as both make sense."""
        replies = self._answers(script.commands, announced=announced)
        answers.sender = next(replies)
        if not (answers.named or self.pipelining):
            return
        for recipient in script.recipients:
            answers.recipients[recipient] = next(replies)
        if self.pipelining or any(reply.positive for reply in answers.recipients.values()):
            answers.go_ahead = next(replies)

    def _cut_off(self, answers: Answers, script: Plan, *, announced: bool) -> dict[str, Verdict]:
        """Return what is decided though the connection was lost; learn what the server can't bear.

        A refused recipient stays refused; an accepted one has no message yet.
        """
        too_early = announced and answers.too_early
        if too_early or (announced and self.farewell is None):
            self._target.pipelining.rides = False
        elif self.pipelining and self.farewell is None:
            self._target.pipelining.flights = False
        if too_early:
            return {}
        named = self._learnt(answers.verdicts(script))
        taken = [verdict.fate for verdict in named.values()].count(Fate.ACCEPTED)
        if self.farewell is not None and 0 < taken == len(named) < len(script.recipients):
            # It may close at one recipient too many. If not, half as many cost little.
            self.limit = max(taken, len(script.recipients) // 2)
        stands = (Fate.REFUSED, Fate.DEFERRED)
        return {one: verdict for one, verdict in named.items() if verdict.fate in stands}

    def _answers(self, commands: Sequence[str], *, announced: bool) -> Iterator[Reply]:
        """Return the replies to the commands: to one flight, or to each when it is its turn."""
        last = commands[-1]
        if not self.pipelining:
            return (self._command(command, continues=command is last) for command in commands)
        if not announced:
            if self._channel.unread():
                reply = self._reply()  # the reason, if the server closes
                raise OutOfStepError(f"the server speaks before it is asked: {reply}")
            # A server that hangs up in the middle has answered the first ones all the same.
            with contextlib.suppress(ConnectionError):
                self._channel.write(_flight(commands))
        return (self._reply(continues=command is last) for command in commands)

    def _message(
        self,
        script: Plan,
        accepted: Sequence[str],
        verdicts: dict[str, Verdict],
        following: Transaction | None,
        deadline: float,
    ) -> None:
        """Send the message and what rides with it, and say what became of the accepted ones."""
        ahead = self._planned(following)
        flight = b"" if ahead is None else _flight(ahead.commands)
        # In one packet, so that the replies come in one: a server that holds back the second one
        # until the first is acknowledged (RFC 896) would cost 40 ms.
        together = len(script.data) + len(flight) <= _PACKET
        end = self._channel.sent + len(script.data)
        data = script.data + flight if together else script.data
        try:
            self._channel.write(data, until_reply=not together)
        except OSError as error:
            # Whoever hangs up may have said why; and once the dot has left, only a reply tells.
            if self._channel.sent < end and not isinstance(error, ConnectionError):
                raise
        if self._channel.sent < end:
            reply = self._reply()
            if reply.positive:
                raise OutOfStepError("the server takes a message that hasn't ended")
            verdicts.update(self._learnt(of_all(reply, accepted)))
            raise ConnectionAbortedError("the server answered before the message had ended")
        self._channel.deadline = min(time.monotonic() + _FINAL_DOT, deadline)
        try:
            if not together:
                with contextlib.suppress(ConnectionError):
                    self._channel.write(flight, timeout=_FINAL_DOT)
            reply = self._reply(timeout=_FINAL_DOT)
        except OSError as error:
            verdicts.update(self._unanswered(accepted, error, rode=ahead is not None))
            raise
        if reply.positive:
            verdicts.update(dict.fromkeys(accepted, Verdict(Fate.ACCEPTED, reply)))
        elif ahead is not None and out_of_sequence(reply):
            self._target.pipelining.rides = False  # the message is sent again, in step
        else:
            verdicts.update(self._learnt(of_all(reply, accepted)))
        self._ahead = ahead

    def _unanswered(
        self, accepted: Sequence[str], error: OSError, *, rode: bool
    ) -> dict[str, Verdict]:
        """Return what it means that the connection was lost after the final dot."""
        if rode:
            self._target.pipelining.rides = False
        if self.farewell is not None:
            return {}
        lost = Reply(None, None, f"no reply to the message: {error}")
        return dict.fromkeys(accepted, Verdict(Fate.UNKNOWN, lost))

    def _learnt(self, verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
        """Note how many recipients the server takes, if it says that these are too many."""
        fates = [verdict.fate for verdict in verdicts.values()]
        if Fate.TOO_MANY in fates:
            self.limit = fates.count(Fate.ACCEPTED) or max(1, len(fates) // 2)
        return verdicts

    def _planned(self, following: Transaction | None) -> Plan | None:
        """Return what can leave before it is known what became of the message."""
        if following is None or not self.rides or self._count >= _MOST:
            return None
        script = plan(following, self.features)
        return script if script.commands else None


def _flight(commands: Sequence[str]) -> bytes:
    return "".join(f"{command}\r\n" for command in commands).encode("utf-8")
