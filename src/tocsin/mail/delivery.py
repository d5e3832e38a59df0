"""One call of `send`: messages in, transactions out, and a receipt for every message.

A recipient leaves its queue with a verdict. Who has none when a connection is lost is tried over
another one. A message that loses two in a row, with nothing decided, waits for another call; after
four in a row they all do, so that a call takes bounded time.
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
_LOSSES = 2  # of one message: it may be what the server breaks at
_ALL_LOSSES = 4


class Delivery:
    """The state of one call: its session, who waits, what has become of whom, and whether to go on.

    Args:
        take: returns an open session, given the point of `time.monotonic` at which to give up.
        give_back: takes the session back.
        limit: how many recipients a transaction has at most; None for no limit.
        until: the point of `time.monotonic` at which the call ends.
        on_transaction: called after each transaction that decided something.
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
        self._size = limit  # or what the server turns out to take
        self._until = until
        self._on_transaction = on_transaction
        self._session: Session | None = None
        self._useful = False  # whether this session has decided anything
        self._losses = 0
        self._hopeless: Reply | None = None  # why no further connection is tried
        self._problem: Exception | None = None

    def send(self, envelopes: Iterable[Envelope]) -> list[Receipt]:
        """Send all the messages.

        Returns:
            A receipt for each, in order.

        Raises:
            SendError: somebody was not accepted; it has the same receipts.
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
            news = self._learn(session)
            self._lost(jobs, job, session, decided=decided or news)
            if self._on_transaction is not None and decided:
                self._on_transaction(job.receipt(verdicts))
        if current is not None:
            self._put_back(jobs, *current)
        for job in jobs:
            job.defer(self._hopeless or _LOST)

    def _lost(self, jobs: deque[_Job], job: _Job, session: Session, *, decided: bool) -> None:
        """Count the losses in a row that decided nothing; who waits is deferred if they are many.

        A connection that was of use before it was lost doesn't count: a server may just take one
        message at a time.
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
        job = jobs[0]
        transaction = job.take(self._size)
        if not job.waiting:
            jobs.popleft()
        return job, transaction

    def _put_back(self, jobs: deque[_Job], job: _Job, transaction: Transaction) -> None:
        """Return a transaction's recipients to the queue: its commands have not left."""
        job.waiting.extendleft(reversed(transaction.recipients))
        if job not in jobs:
            jobs.appendleft(job)

    def _learn(self, session: Session) -> bool:
        """Note how many recipients the server takes; return whether that is news."""
        known = self._size
        if session.limit is not None:
            self._size = min(known or session.limit, session.limit)
        return self._size != known

    def _connected(self, transaction: Transaction | None) -> Session | None:
        """Return a session that can be used; None if there is no hope of one in this call.

        Args:
            transaction: what comes next, if that is settled.
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
                self._learn(self._session)  # from earlier calls
            except ConnectError as error:
                # Tried once a call: a server that refuses a login locks who comes back at once.
                self._problem = error
                self._hopeless = error.reply
        return None if self._hopeless is not None else self._session


class _Job:
    """One message: who waits for it, and what became of the others."""

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.waiting = deque(envelope.recipients)
        self._verdicts: dict[str, Verdict] = {}
        self._deferred: Reply | None = None
        self.losses = 0  # of connections, in a row

    def take(self, size: int | None) -> Transaction:
        """Return a transaction for the next `size` recipients; for all, if it is None."""
        count = min(size or len(self.waiting), len(self.waiting))
        return Transaction(self.envelope, [self.waiting.popleft() for _ in range(count)])

    def note(self, transaction: Transaction, verdicts: Mapping[str, Verdict]) -> bool:
        """Keep the verdicts; who has none goes on waiting. Return whether somebody waits."""
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
        """Give up on who waits, for now."""
        self._deferred = reply

    def receipt(self, verdicts: Mapping[str, Verdict] | None = None) -> Receipt:
        """Return what became of everybody, or of those in some verdicts."""
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
        )


def _summary(receipts: list[Receipt], problem: Exception | None) -> str:
    """Return one line: how many recipients were not accepted, and why, or why the first one."""
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
