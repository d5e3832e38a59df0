"""One transaction on the wire: its commands, its message, and the verdicts that follow.

The message is sent if the server accepts at least one recipient. A verdict follows from the reply
of the server. Without a reply, the client decides: a connection that is lost before the final dot
decides nothing, because the server has no message; after the final dot, the client can't know
whether the server has accepted it, and the verdict is "unknown".
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NoReturn

from tocsin.mail.channel import OutOfStepError
from tocsin.mail.conversation import flight
from tocsin.mail.receipt import Reply
from tocsin.mail.transaction import Answers, Fate, Verdict, of_all, out_of_sequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tocsin.mail.conversation import Conversation
    from tocsin.mail.plan import Plan

_FINAL_DOT = 300.0  # seconds to wait for its reply; RFC 5321 §4.5.3.2.6 gives servers ten minutes
_PACKET = 16_384  # bytes that are sent at once; a record of TLS holds as many (RFC 8446 §5.1)


class Exchange:
    """A transaction with the server.

    Args:
        conversation: the open conversation.
        plan: what to send.
        pipelined: whether the commands are sent together, before the first reply.
        announced: whether the commands were sent already, with the previous final dot.

    Attributes:
        verdicts: recipient → verdict, as far as it is decided.
        limit: how many recipients the server turned out to accept in a transaction; None if it has
            refused none because of their number.
    """

    def __init__(
        self, conversation: Conversation, plan: Plan, *, pipelined: bool, announced: bool
    ) -> None:
        self._conversation = conversation
        self._channel = conversation.channel
        self._known = conversation.target.pipelining
        self._plan = plan
        self._pipelined = pipelined
        self._announced = announced
        self.verdicts: dict[str, Verdict] = dict(plan.verdicts)
        self.limit: int | None = None

    def name_recipients(self) -> list[str]:
        """Send MAIL, RCPT and DATA.

        Returns:
            The accepted recipients, if the server now waits for the message; else none, and the
            server is ready for another transaction.

        Raises:
            OSError: the connection is lost, or can't be used any more.
        """
        answers = Answers()
        try:
            self._hear(answers)
        except OSError:
            self.verdicts.update(self._after_loss(answers))
            raise
        if self._announced and answers.too_early:
            self._start_over(answers)
            return []
        if answers.go_ahead is not None and answers.go_ahead.positive:
            raise OutOfStepError(f"the server doesn't ask for the message: {answers.go_ahead}")
        named = answers.verdicts(self._plan.recipients)
        if answers.asked and answers.named:
            return self._prepare_message(named)
        self._end_without_message(answers, named)
        return []

    def send_message(self, accepted: Sequence[str], ahead: Plan | None, deadline: float) -> None:
        """Send the message, and set the verdicts on its recipients.

        Args:
            accepted: the recipients that `name_recipients` returned.
            ahead: the next transaction, if its commands are sent with the final dot.
            deadline: when the call must end, as a point of `time.monotonic`.

        Raises:
            OSError: the connection is lost, or can't be used any more.
        """
        data = self._plan.data
        following = b"" if ahead is None else flight(ahead.commands)
        # In one packet if possible, so that the replies arrive in one: a server that sends the
        # second reply only after the first is acknowledged (RFC 896) would cost 40 ms.
        together = len(data) + len(following) <= _PACKET
        self._write_message(accepted, data + following if together else data, whole=together)
        self._channel.deadline = min(time.monotonic() + _FINAL_DOT, deadline)
        try:
            if not together:
                with contextlib.suppress(ConnectionError):
                    self._channel.write(following, timeout=_FINAL_DOT)
            reply = self._conversation.reply(timeout=_FINAL_DOT)
        except OSError as error:
            self._leave_unknown(accepted, error, rode=ahead is not None)
            raise
        if reply.positive:
            self.verdicts.update(dict.fromkeys(accepted, Verdict(Fate.ACCEPTED, reply)))
        elif ahead is not None and out_of_sequence(reply):
            self._known.rides = False  # the message is sent again, and waits for its reply
        else:
            self.verdicts.update(self._learn(of_all(reply, accepted)))

    def _hear(self, answers: Answers) -> None:
        """Send the commands, and note the replies as they arrive."""
        replies = self._replies(self._plan.commands)
        answers.sender = next(replies)
        if not (answers.named or self._pipelined):
            return
        for recipient in self._plan.recipients:
            answers.recipients[recipient] = next(replies)
        if self._pipelined or any(reply.positive for reply in answers.recipients.values()):
            answers.go_ahead = next(replies)

    def _replies(self, commands: Sequence[str]) -> Iterator[Reply]:
        """Return the replies to the commands, which are sent together or one by one."""
        talk, last = self._conversation, commands[-1]
        if not self._pipelined:
            return (talk.command(command, continues=command is last) for command in commands)
        if not self._announced:
            if self._channel.unread():
                reply = talk.reply()  # it holds the reason, if the server closes the connection
                raise OutOfStepError(f"the server has sent a reply to no command: {reply}")
            # A server that closes the connection in the middle has answered the first commands.
            with contextlib.suppress(ConnectionError):
                self._channel.write(flight(commands))
        return (talk.reply(continues=command is last) for command in commands)

    def _after_loss(self, answers: Answers) -> dict[str, Verdict]:
        """Return what is decided although the connection was lost before the message.

        A refused recipient stays refused; an accepted one has no message yet. What the loss says
        about the server is noted: it may not cope with PIPELINING, or with so many recipients.
        """
        farewell = self._conversation.farewell
        too_early = self._announced and answers.too_early
        if too_early or (self._announced and farewell is None):
            self._known.rides = False
        elif self._pipelined and farewell is None:
            self._known.flights = False
        if too_early:
            return {}
        recipients = self._plan.recipients
        named = self._learn(answers.verdicts(recipients))
        accepted = [verdict.fate for verdict in named.values()].count(Fate.ACCEPTED)
        if farewell is not None and 0 < accepted == len(named) < len(recipients):
            # The server may close at one recipient too many. If not, half as many cost little.
            self.limit = max(accepted, len(recipients) // 2)
        decided = (Fate.REFUSED, Fate.DEFERRED)
        return {one: verdict for one, verdict in named.items() if verdict.fate in decided}

    def _start_over(self, answers: Answers) -> None:
        """Decide nothing: the commands came too early, and are sent again later."""
        self._known.rides = False
        if answers.asked:
            raise OutOfStepError("the server asks for the message, but has refused its commands")
        self._conversation.command("RSET")

    def _prepare_message(self, named: dict[str, Verdict]) -> list[str]:
        """Return the accepted recipients; without any, a lone dot ends it (RFC 2920 §3.1)."""
        self._learn(named)
        accepted = [one for one, verdict in named.items() if verdict.fate is Fate.ACCEPTED]
        self.verdicts.update(
            {one: found for one, found in named.items() if found.fate is not Fate.ACCEPTED}
        )
        if not accepted:
            self._conversation.command(".")
        return accepted

    def _end_without_message(self, answers: Answers, named: dict[str, Verdict]) -> None:
        """Note that no recipient gets the message, and end the transaction."""
        accepted = [one for one, verdict in named.items() if verdict.fate is Fate.ACCEPTED]
        if answers.go_ahead is not None and accepted:
            full = any(verdict.fate is Fate.TOO_MANY for verdict in named.values())
            named.update(of_all(answers.go_ahead, accepted, full=full))
        self.verdicts.update(self._learn(named))
        if answers.asked:
            raise OutOfStepError("the server asks for the message, but has refused its sender")
        if answers.named:
            self._conversation.command("RSET")  # some servers still hold sender and recipients

    def _write_message(self, accepted: Sequence[str], data: bytes, *, whole: bool) -> None:
        """Send the message; a server that answers before its end has refused it."""
        end = self._channel.sent + len(self._plan.data)
        try:
            self._channel.write(data, until_reply=not whole)
        except OSError as error:
            # A server that closes the connection may have sent the reason; and after the final dot,
            # only the reply shows whether the message was accepted.
            if self._channel.sent < end and not isinstance(error, ConnectionError):
                raise
        if self._channel.sent < end:
            self._refuse_early(accepted)

    def _refuse_early(self, accepted: Sequence[str]) -> NoReturn:
        reply = self._conversation.reply()
        if reply.positive:
            raise OutOfStepError("the server accepts the message before its end")
        self.verdicts.update(self._learn(of_all(reply, accepted)))
        raise ConnectionAbortedError("the server answered before the message had ended")

    def _leave_unknown(self, accepted: Sequence[str], error: OSError, *, rode: bool) -> None:
        """Note that the connection was lost after the final dot."""
        if rode:
            self._known.rides = False
        if self._conversation.farewell is None:  # a 421 says that the message was not accepted
            lost = Reply(None, None, f"no reply to the message: {error}")
            self.verdicts.update(dict.fromkeys(accepted, Verdict(Fate.UNKNOWN, lost)))

    def _learn(self, verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
        """Note how many recipients the server accepts, if it says that these are too many."""
        fates = [verdict.fate for verdict in verdicts.values()]
        if Fate.TOO_MANY in fates:
            self.limit = fates.count(Fate.ACCEPTED) or max(1, len(fates) // 2)
        return verdicts
