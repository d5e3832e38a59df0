"""A round: hand over, lead, merge, decide, claim, send, report.

- Hand over: the events of the intake are appended to the store.
- Lead and merge: this process becomes the leader, and merges what all processes have appended.
- Decide: the policy says whether a digest is due, or an unsent digest is to be tried again.
- Claim: the digest is taken and claimed, and that is committed before it is sent.
- Send and report: the email handler sends it, and each result is appended to the store.

A send never holds up the rest. While the sending thread works, events are handed over and merged as
always, and other processes decide.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.alerts import outcome
from tocsin.alerts.digest import Audience
from tocsin.alerts.policy import Decision, Urgency, decide
from tocsin.exceptions import LeaseLost, StoreError
from tocsin.pipeline.recipients import bare_addresses

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.alerts.outgoing import Outgoing
    from tocsin.pipeline.attempts import Attempts
    from tocsin.pipeline.claims import Claims
    from tocsin.pipeline.complaints import Complaints
    from tocsin.pipeline.hand_over import HandOver
    from tocsin.pipeline.intake import Intake
    from tocsin.pipeline.journal import Journal, Leadership
    from tocsin.pipeline.ledger import Ledger
    from tocsin.pipeline.sending import SendingThread
    from tocsin.pipeline.undelivered import Undelivered

_BUSY = 1.0  # seconds until the next try to lead, while another process leads
_NO_RECIPIENT = 60.0  # seconds until the lists are asked again, when there is no recipient
_INSTANT = 0.5  # seconds that a lock is waited for once the time is over


class Round:
    """Move events from the intake to the store, and digests from the store to the mail server.

    Args:
        intake: counts the events.
        journal: appends them to the store, and leads it.
        hand_over: does the first step.
        claims: takes and claims digests.
        attempts: sends them, and reports the results.
        undelivered: gives them up.
        ledger: keeps the accounts.
        complaints: tells failures.
        thread: the sending thread.
        audience: returns the recipients of a digest.
        clock: returns the time in seconds since the epoch, as a mail shows it.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        journal: Journal,
        hand_over: HandOver,
        claims: Claims,
        attempts: Attempts,
        undelivered: Undelivered,
        ledger: Ledger,
        complaints: Complaints,
        thread: SendingThread,
        audience: Callable[[], Audience],
        clock: Callable[[], float],
    ) -> None:
        self.intake: Intake = intake
        self.journal: Journal = journal
        self._store = journal.store
        self.ledger: Ledger = ledger
        self.complaints: Complaints = complaints
        self._hand_over = hand_over
        self._claims = claims
        self._attempts = attempts
        self.undelivered: Undelivered = undelivered
        self.thread: SendingThread = thread
        self._audience = audience
        self._clock = clock
        self._asked = Audience()  # the recipients of the latest digest
        thread.meanwhile = self._meanwhile

    def load(self) -> None:
        """Load what a mail needs, before it is needed."""
        if self._store.durable:  # loading takes long for a process that is about to be killed
            with contextlib.suppress(StoreError):  # the round that follows meets it again
                self._hand_over()
        self._attempts.load()

    def run(self, urgency: Urgency = Urgency.NONE, until: float = float("inf")) -> float | None:
        """Run one round.

        Args:
            urgency: how urgent it is.
            until: when sending has to be over, as a point of `time.monotonic`.

        Returns:
            Seconds until there is something to do, if nothing happens before; None for never.
        """
        self._come_back()
        pause = self._try(urgency, until)
        if self.journal.owes and urgency is Urgency.EXIT and time.monotonic() < until:
            self._come_back(now=True)
        if self._store.trouble and (self.ledger.has_unmailed or self.journal.owes):
            pause = min(self._store.retry_in, float("inf") if pause is None else pause)
        return pause

    def _come_back(self, *, now: bool = False) -> None:
        """Come back to the usual store, and keep the alerts that are given up with that."""
        self.journal.come_back(now=now)
        for outgoing in self.journal.left_behind():  # at once: a send may outlast the process
            self.undelivered.keep("this alert could not be mailed in time", outgoing)

    def _try(self, urgency: Urgency, until: float) -> float | None:
        """Run the steps; again if the store fails, or if the lead is lost in the last round."""
        for last in (False, False, True):
            try:
                return self._run(urgency, until)
            except LeaseLost:
                if urgency is not Urgency.EXIT:
                    break  # there is a later round
            except StoreError:  # this process works alone now
                if last:
                    raise
        return _BUSY

    def _run(self, urgency: Urgency, until: float) -> float | None:
        self._hand_over(urgency)
        if urgency is Urgency.EXIT and self._store.durable and not self._store.policy.at_exit:
            urgency = Urgency.FLUSH  # what is not due waits for the next process
        if urgency >= Urgency.ALL:
            self._send_all(urgency, until)
            return None
        audience: Audience | None = None
        while True:
            with self.journal.lead(until=until if urgency else 0) as lead:
                if lead is None:
                    return _BUSY
                self.undelivered.give_up_overdue(lead, self._asked)
                due = self._decide(lead, urgency, audience, until)
            if due is None:
                return self.ledger.pause(lead.now)
            if isinstance(due, Decision):  # the recipients are asked without holding the lease
                audience = self._ask()
                if not bare_addresses(audience):
                    self.complaints.no_recipient(audience.notes)
                    return _NO_RECIPIENT
            else:
                self._attempts.send(due, until)
                audience = None

    def _decide(
        self, lead: Leadership, urgency: Urgency, audience: Audience | None, until: float
    ) -> Outgoing | Decision | None:
        """Return the digest to send now, claimed; None if none is due.

        While its recipients are not known yet, the decision for it is returned instead.
        """
        decision = decide(lead.state, self._store.policy, lead.now, urgency)
        self.ledger.note_next(decision.next_at, ahead=lead.now - self._clock())
        self.ledger.note(lead.state)
        if decision.reason is not None:
            if audience is None:
                return decision
            return self._claims.take(lead, decision, audience, until)
        due = outcome.due(lead.state, lead.now)
        if due is not None:
            self._claims.claim(due, lead, until)
        return due

    def _send_all(self, urgency: Urgency, until: float) -> None:
        """Try to send everything once; if there is no later round, give up the rest."""
        tried: list[str] = []
        last = urgency is Urgency.EXIT and not self._store.durable
        again = True
        audience = self._ask()
        while True:
            with self.journal.lead(until=until if urgency else 0) as lead:
                if lead is None:
                    return
                if again and (urgency is Urgency.EXIT or not lead.state.full):
                    self._claims.take_rest(lead, urgency, audience, until)
                free = self._claims.free(lead)
                left = [one for one in free if one.digest.message_id not in tried]
                if left:  # the latest first: it has most news
                    self._claims.claim(left[-1], lead, until)
                elif last:
                    self.undelivered.give_up_all(lead, self._asked)
                self.ledger.note(lead.state)
            if not left:
                return
            tried.append(left[-1].digest.message_id)
            sent = self._attempts.send(left[-1], until, last=last)
            # A handler that shares the store may have handed over more. What is dissolved must not
            # be tried again and again.
            again = last and sent and time.monotonic() < until

    def _ask(self) -> Audience:
        """Return the recipients of a digest now, and notes about the alerts themselves."""
        self._asked = audience = self.thread.run(self._audience)
        if not self._store.trouble:
            return audience
        note = f"The store can't be used; these counts are one process's: {self._store.trouble}"
        return replace(audience, notes=(*audience.notes, note))

    def _meanwhile(self) -> None:
        """Hand over and merge, while a mail is being sent. It raises nothing."""
        if not self.ledger.pending:
            return
        try:
            self._hand_over()
            with self.journal.lead() as lead:
                if lead is not None:
                    self.ledger.note(lead.state)
        except StoreError:
            pass  # another process leads, or this one works alone: the next call meets it again
        except Exception as error:  # noqa: BLE001 - the mail on its way must not be forgotten
            self.complaints.unexpected(error)

    def abandon(self) -> None:
        """Give up what is unmailed: the time is over, and another thread may hang."""
        with contextlib.ExitStack() as held:
            free = held.enter_context(self._hand_over.free(_INSTANT))
            free = free and held.enter_context(self.journal.free(_INSTANT))
            if not free:
                self.undelivered.tell_unstored(self.intake, self.journal)
                return
            with contextlib.suppress(StoreError):
                self._hand_over(Urgency.EXIT)
            if not self._store.durable:
                with self.journal.lead() as lead:
                    if lead is not None:
                        self.undelivered.give_up_all(lead, self._asked)
                        self.ledger.note(lead.state)
