"""Attempts to send a digest: each is made in the sending thread, and its result is reported.

The report is appended to the store as events are, after each transaction with the mail server. So
the store always knows which recipients have a digest. If a process dies, the next one sends the
digest only to the remaining recipients.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tocsin.alerts.outgoing import Report
from tocsin.exceptions import LoginError, SendError
from tocsin.forks import imports
from tocsin.mail.base import EmailHandler
from tocsin.mail.receipt import Receipt
from tocsin.pipeline.messages import load
from tocsin.pipeline.sending import silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tocsin.alerts.outgoing import Outgoing
    from tocsin.pipeline.claims import Claims
    from tocsin.pipeline.complaints import Complaints
    from tocsin.pipeline.journal import Journal
    from tocsin.pipeline.messages import Messages
    from tocsin.pipeline.sending import SendingThread
    from tocsin.pipeline.undelivered import Undelivered

_TRY = 0.1  # seconds that a mail gets where there is no time left
_LOGIN_PAUSE = 300.0  # seconds after a refused login, so that the account is not locked


class Attempts:
    """Send digests.

    Args:
        email: sends the messages.
        journal: takes the reports.
        claims: says until when a digest may be sent.
        messages: renders the digests.
        complaints: tells failures.
        undelivered: keeps a digest that is refused for good.
        thread: makes the calls.

    Attributes:
        sent: digests that at least one recipient's server accepted.
        failed: attempts that were not accepted for all recipients.
        retries: further attempts to send a digest that a recipient has, or may have.
    """

    def __init__(
        self,
        email: EmailHandler,
        *,
        journal: Journal,
        claims: Claims,
        messages: Messages,
        complaints: Complaints,
        undelivered: Undelivered,
        thread: SendingThread,
    ) -> None:
        self.sent: int = 0
        self.failed: int = 0
        self.retries: int = 0
        self._email = email
        self._journal = journal
        self._claims = claims
        self._messages = messages
        self._complaints = complaints
        self._undelivered = undelivered
        self._thread = thread

    @property
    def last_error(self) -> str | None:
        """Why the latest attempt failed; None if it did not."""
        return self._complaints.last_error

    def load(self) -> None:
        """Load what a mail needs, before it is needed."""
        load()
        if type(self._email).prepare is not EmailHandler.prepare:
            self._thread.run(self._prepare)

    def _prepare(self) -> None:
        with imports:
            self._email.prepare()

    def send(self, outgoing: Outgoing, until: float, *, last: bool = False) -> bool:
        """Send a digest to the recipients to whom it is owed, and report the result.

        Args:
            outgoing: the digest.
            until: when the send has to be over, as a point of `time.monotonic`.
            last: whether there is no further attempt.

        Returns:
            Whether a recipient's server has accepted it.
        """
        recipients, counted = outgoing.owed, outgoing.counted  # they change as reports are merged
        self.retries += outgoing.frozen
        problem = self._attempt(outgoing, until)
        receipts = _receipts(problem)
        text = "" if problem is None else self._complaints.text_of(problem)
        report = _report(outgoing, self._journal.owner, recipients, problem, text)
        owed = {*recipients} - {*report.accepted, *report.refused}
        self._journal.append(report=report)
        if report.accepted:
            self._complaints.got_mail(report.accepted)
            self.sent += not counted
        if problem is None:
            self._complaints.last_error = None
        else:
            self.failed += 1
            self._complain(problem, report, receipts, owed=bool(owed), again=not last)
        if not (report.accepted or owed or counted):
            self._undelivered.keep("this alert was refused for good", outgoing)
        return bool(report.accepted)

    def _attempt(self, outgoing: Outgoing, until: float) -> BaseException | None:
        """Send a digest in the sending thread; return the error, or None."""
        claimed = self._claims.end(outgoing)

        def note(receipt: Receipt) -> None:
            self._journal.append(report=_interim(outgoing, self._journal.owner, receipt))

        def send() -> None:
            with silent():
                self._email.send(message, deadline=max(0.0, left), on_transaction=note)

        try:
            # Made here: where much is allocated, finalizers of the application may run, and log.
            message = self._messages.of(outgoing)
            now = time.monotonic()
            left = min(claimed, max(until, now + _TRY)) - now
            self._thread.run(send)
        except BaseException as error:
            # An email handler may raise anything; but in the main thread a signal ends the program.
            main = threading.current_thread() is threading.main_thread()
            if main and not isinstance(error, Exception):
                raise
            return error
        return None

    def _complain(
        self,
        problem: BaseException,
        report: Report,
        receipts: Sequence[Receipt],
        *,
        owed: bool,
        again: bool,
    ) -> None:
        """Tell why recipients have no mail; another reason, or a final one, is another kind."""
        replies = {
            address: reply
            for receipt in receipts
            for address, reply in (*receipt.refused.items(), *receipt.deferred.items())
        }
        codes = sorted({str(reply.code) for reply in replies.values()})
        kind = f"{type(problem.__cause__ or problem).__name__} {codes} {owed}"
        result = "was not sent to everybody" if report.accepted else "was not sent"
        later = "; it will be tried again" if owed and again else ""
        self._complaints.tell(kind, f"an alert mail {result}: {report.problem}{later}", replies)


def _interim(outgoing: Outgoing, owner: str, receipt: Receipt) -> Report:
    """Return the report about one transaction, after which others may follow."""
    return Report(
        message_id=outgoing.digest.message_id,
        owner=owner,
        accepted=_texts(receipt.accepted),
        refused=_texts(receipt.refused),
        unknown=_texts(receipt.unknown),
        final=False,
    )


def _report(
    outgoing: Outgoing,
    owner: str,
    recipients: tuple[str, ...],
    problem: BaseException | None,
    text: str,
) -> Report:
    """Return the report about an attempt.

    An error without receipts is about all recipients, and not final.
    """
    receipts = _receipts(problem)
    login = problem is not None and isinstance(problem.__cause__ or problem, LoginError)
    return Report(
        message_id=outgoing.digest.message_id,
        owner=owner,
        accepted=recipients
        if problem is None
        else _texts(one for receipt in receipts for one in receipt.accepted),
        refused=_texts(one for receipt in receipts for one in receipt.refused),
        unknown=_texts(one for receipt in receipts for one in receipt.unknown),
        pause=_LOGIN_PAUSE if login else 0,
        problem=text,
    )


def _receipts(problem: BaseException | None) -> list[Receipt]:
    """Return the receipts of an error: an email handler may have put anything there."""
    found = problem.receipts if isinstance(problem, SendError) else ()
    return [one for one in found if isinstance(one, Receipt)]


def _texts(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return addresses as they can be stored: an email handler may put anything in a receipt."""
    return tuple(f"{address}" for address in addresses)
