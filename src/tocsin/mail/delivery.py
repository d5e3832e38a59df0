"""The delivery: one call of `send`, from messages to transactions to receipts.

The rules of batches and retries are here:

- A message is sent to its recipients in batches: as many as the option `recipients_per_message`
  allows, or fewer if the server turns out to accept fewer.
- A recipient waits until it has a verdict. If a connection is lost, the waiting recipients are
  tried over a new one.
- A message that loses two connections in a row, with no recipient decided, is deferred to another
  call: it may be the message at which the server fails.
- After four losses in a row, or a connection that can't be opened, all waiting recipients are
  deferred, so that a call ends in bounded time.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from tocsin.exceptions import ConnectError, SendError
from tocsin.mail.advice import of_reply
from tocsin.mail.receipt import Receipt, Reply
from tocsin.mail.transaction import Fate, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tocsin.mail.envelope import Envelope
    from tocsin.mail.session import Session
    from tocsin.mail.transaction import Verdict

_LOST = Reply(None, None, "the connection was lost before the message was sent")
_LATE = Reply(None, None, "the deadline passed before the message was sent")
_LOSSES = 2  # connections in a row that one message may lose
_ALL_LOSSES = 4  # connections in a row that one call may lose


class Delivery:
    """One call of `send`.

    Args:
        take: returns an open session, given the point of `time.monotonic` at which to give up.
        give_back: takes back a session that is no longer used.
        limit: how many recipients a transaction may have; None for no limit.
        until: when the call must end, as a point of `time.monotonic`.
        on_transaction: called after each transaction that has decided something, with a receipt of
            just that.
    """

    def __init__(
        self,
        *,
        take: Callable[[float], Session],
        give_back: Callable[[Session], None],
        limit: int | None,
        until: float,
        on_transaction: Callable[[Receipt], None] | None,
    ) -> None:
        self._take = take
        self._give_back = give_back
        self._size = limit  # or fewer, if the server turns out to accept fewer
        self._until = until
        self._on_transaction = on_transaction
        self._session: Session | None = None
        self._useful = False  # whether the session has decided anything
        self._losses = 0
        self._hopeless: Reply | None = None  # why this call opens no further connection
        self._problem: Exception | None = None

    def send(self, envelopes: Iterable[Envelope]) -> list[Receipt]:
        """Send all the messages.

        Returns:
            A receipt for each message, in order; every recipient was accepted.

        Raises:
            SendError: some recipients were not accepted; it has the same receipts.
        """
        jobs = [_Job(envelope) for envelope in envelopes]
        try:
            self._work_off(deque(job for job in jobs if job.waiting))
        finally:
            if self._session is not None:
                self._give_back(self._session)
        receipts = [job.receipt() for job in jobs]
        if not all(receipt.complete for receipt in receipts):
            text = _summary(receipts, self._problem)
            raise SendError(text, receipts=receipts) from self._problem
        return receipts

    def _work_off(self, jobs: deque[_Job]) -> None:
        """Carry out transactions until no recipient waits, or there is no session any more."""
        current: tuple[_Job, Transaction] | None = None
        while current is not None or jobs:
            session = self._connected(None if current is None else current[1])
            if session is None:
                break
            job, transaction = current or self._next(jobs)
            current = self._next(jobs) if jobs and session.rides else None
            following = None if current is None else current[1]
            verdicts = session.transact(transaction, following, self._until)
            if current is not None and session.announced is not following:
                self._put_back(jobs, *current)
                current = None
            if job.note(transaction, verdicts) and job not in jobs:
                jobs.appendleft(job)
            decided = any(verdict.fate is not Fate.TOO_MANY for verdict in verdicts.values())
            self._lost(jobs, job, session, decided=self._learn(session) or decided)
            if self._on_transaction is not None and decided:
                self._on_transaction(job.receipt(verdicts))
        if current is not None:
            self._put_back(jobs, *current)
        for job in jobs:
            job.defer(self._hopeless or _LOST)

    def _lost(self, jobs: deque[_Job], job: _Job, session: Session, *, decided: bool) -> None:
        """Count the lost connections in a row that decided nothing; after too many, defer.

        A connection that decided something before it was lost doesn't count: some servers accept
        only one message for each connection.
        """
        if decided:
            self._useful = True
            self._losses = job.losses = 0
        if decided or session.alive or self._useful:
            return
        self._losses += 1
        job.losses += 1
        reply = session.farewell or _LOST
        if self._losses >= _ALL_LOSSES:
            self._hopeless = reply
        elif job.losses >= _LOSSES:
            job.defer(reply)
            jobs.remove(job)

    def _next(self, jobs: deque[_Job]) -> tuple[_Job, Transaction]:
        """Return the next batch; its recipients leave the queue."""
        job = jobs[0]
        transaction = job.take(self._size)
        if not job.waiting:
            jobs.popleft()
        return job, transaction

    def _put_back(self, jobs: deque[_Job], job: _Job, transaction: Transaction) -> None:
        """Put a batch back at the start of the queue: its commands have not been sent."""
        job.waiting.extendleft(reversed(transaction.recipients))
        if job not in jobs:
            jobs.appendleft(job)

    def _learn(self, session: Session) -> bool:
        """Note how many recipients the server accepts; return whether that is new."""
        known = self._size
        if session.limit is not None:
            self._size = min(known or session.limit, session.limit)
        return self._size != known

    def _connected(self, transaction: Transaction | None) -> Session | None:
        """Return a session that can be used; None if this call can't get one.

        Args:
            transaction: the next transaction, if its commands may have been sent already.
        """
        if self._session is not None and self._session.stale(transaction):
            self._give_back(self._session)
            self._session = None
        if self._hopeless is None and time.monotonic() >= self._until:
            self._hopeless = _LATE
        if self._session is None and self._hopeless is None:
            try:
                self._session = self._take(self._until)
                self._useful = False
                self._learn(self._session)  # an earlier call may have learned it
            except ConnectError as error:
                # One try for each call: a server that refuses a login may lock the account.
                self._problem = error
                self._hopeless = error.reply
        return None if self._hopeless is not None else self._session


class _Job:
    """One message: the recipients that wait, and the verdicts on the other ones."""

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.waiting = deque(envelope.recipients)
        self._verdicts: dict[str, Verdict] = {}
        self._deferred: Reply | None = None
        self.losses = 0  # lost connections in a row

    def take(self, size: int | None) -> Transaction:
        """Return a transaction for the next `size` recipients, or for all if it is None."""
        count = min(size or len(self.waiting), len(self.waiting))
        return Transaction(self.envelope, [self.waiting.popleft() for _ in range(count)])

    def note(self, transaction: Transaction, verdicts: Mapping[str, Verdict]) -> bool:
        """Keep the verdicts; recipients without one wait on. Return whether any waits."""
        again: list[str] = []
        for recipient in transaction.recipients:
            verdict = verdicts.get(recipient)
            if verdict is None or verdict.fate is Fate.TOO_MANY:
                again.append(recipient)
            else:
                self._verdicts[recipient] = verdict
        self.waiting.extendleft(reversed(again))
        if len(self._verdicts) == len(self.envelope.recipients):
            self.envelope.forget()
        return bool(self.waiting)

    def defer(self, reply: Reply) -> None:
        """Defer the waiting recipients, with this reply as the reason."""
        self._deferred = reply

    def receipt(self, verdicts: Mapping[str, Verdict] | None = None) -> Receipt:
        """Return the receipt of all recipients, or of those in some verdicts only."""
        found: dict[Fate, dict[str, Reply]] = {fate: {} for fate in Fate}
        for recipient, verdict in (self._verdicts if verdicts is None else verdicts).items():
            found[verdict.fate][recipient] = verdict.reply
        if verdicts is None:
            found[Fate.REFUSED].update(self.envelope.invalid)
            if self._deferred is not None:
                found[Fate.DEFERRED].update(dict.fromkeys(self.waiting, self._deferred))
        return Receipt(
            message_id=self.envelope.message_id,
            accepted=tuple(found[Fate.ACCEPTED]),
            refused=found[Fate.REFUSED],
            deferred=found[Fate.DEFERRED],
            unknown=tuple(found[Fate.UNKNOWN]),
            replies=found[Fate.ACCEPTED],
        )


def _summary(receipts: list[Receipt], problem: Exception | None) -> str:
    """Return an error's text: how many recipients were not accepted, and one reason."""
    failed = [
        (recipient, f"{reply}{of_reply(reply)}")
        for receipt in receipts
        for replies in (receipt.refused, receipt.deferred)
        for recipient, reply in replies.items()
    ]
    failed += [(recipient, "no reply") for receipt in receipts for recipient in receipt.unknown]
    total = len(failed) + sum(len(receipt.accepted) for receipt in receipts)
    recipient, reason = failed[0]
    why = f"{recipient}: {reason}" if problem is None else str(problem)
    return f"{len(failed)} of {total} recipients not accepted; {why}"
