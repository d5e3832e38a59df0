"""One round of all I/O: hand over, merge, decide, send, report.

A send never holds up the rest: while the sending thread is at it, what is logged is handed over and
merged as always, and other processes decide.

What is decided is committed, and claimed, before it is sent; what became of it is appended like
events are, after each transaction with the server. So the store always knows what is on its way,
and who comes after a process that died sends the rest, and only that.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from tocsin.alerts import outcome
from tocsin.alerts.digest import Audience
from tocsin.alerts.outgoing import Report
from tocsin.alerts.policy import Decision, Urgency, decide
from tocsin.alerts.taking import take
from tocsin.exceptions import LeaseLost, LoginError, SendError, StoreError
from tocsin.forks import imports, rendering
from tocsin.mail.address import AddressList
from tocsin.mail.base import EmailHandler
from tocsin.mail.receipt import Receipt
from tocsin.pipeline.fallback import say
from tocsin.pipeline.recipients import bare_addresses
from tocsin.pipeline.sending import Call, silent
from tocsin.pipeline.stats import Stats, StoreStats
from tocsin.text import attempt, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Sequence

    from tocsin.alerts.outgoing import Outgoing
    from tocsin.alerts.state import State
    from tocsin.mail.message import Message
    from tocsin.pipeline.fallback import Fallback
    from tocsin.pipeline.intake import Intake
    from tocsin.pipeline.journal import Journal, Leadership
    from tocsin.render.sender import Sender
    from tocsin.render.templating import Templates

_BUSY = 1.0  # seconds until the next try to lead, while another process does
_SEND = 300.0  # seconds for a mail to all its recipients, unless somebody waits for it
_LEAST = 1.0  # seconds of the same, where there is no time left
_TRY = 0.1  # seconds that a mail gets then
_MARGIN = 60.0  # seconds more until another process may take it that it was not sent
_LOGIN_PAUSE = 300.0  # after a refused login, so that the account isn't locked
_NOBODY = 60.0  # seconds until the lists are asked again, when nobody is on them
_TURN = 0.02  # seconds until the next try of somebody who is waited for
_MAX_ERROR = 2_000  # characters of an error that are looked at
_INSTANT = 0.5  # seconds that a lock is waited for once the time is over
T = TypeVar("T")


class Round:
    """Move events from the intake to the store, and digests from the store to the mail server.

    Args:
        intake: where the events are.
        journal: where they wait.
        sender: for what application, and from whom.
        templates: what a digest looks like.
        audience: tells who gets it now.
        email: sends it.
        fallback: takes what can't be mailed.
        give_up_after: seconds after which it is that.
        inherited: whether something may be in the store from before.
        clock: returns the time in seconds since the epoch, as a mail shows it.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        journal: Journal,
        sender: Sender,
        templates: Templates,
        audience: Callable[[], Audience],
        email: EmailHandler,
        fallback: Fallback,
        give_up_after: float,
        inherited: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._intake = intake
        self._journal = journal
        self._sender = sender
        self._templates = templates
        self._audience = audience
        self._email = email
        self._fallback = fallback
        self._give_up_after = give_up_after
        self._complaints: dict[str, set[str]] = {}  # kind: whom it is about, where that is known
        self._dropped = 0  # of which the store has been told
        self._sent = self._failed = self._retries = 0
        self._last_error: str | None = None
        self._next_at: float | None = None
        self._ahead = 0.0  # seconds that the store's clock is ahead
        self._accounts: StoreStats | None = None
        self._done = 0  # records handed over when nothing was left to do
        self._asked = Audience()  # who got the latest digest
        self._claims: dict[str, float] = {}  # Message-ID: when its claim here is over, but a margin
        self._has_unmailed = (
            inherited or journal.durable
        )  # whether something is unmailed, as last seen
        self._handing = threading.RLock()  # held while events go from the intake to the store
        self._call: Call[Any] | None = None  # what the sending thread does
        self._unkept = 0  # the last batch of which it was told that the store may not have it

    @property
    def stats(self) -> Stats:
        """The accounts, now."""
        handed_over = self._journal.taken
        dropped = self._dropped_so_far
        seen = self._intake.seen
        return Stats(
            seen=seen,
            handed_over=handed_over,
            pending=seen - handed_over - dropped,
            dropped=dropped,
            mails_sent=self._sent,
            mails_failed=self._failed,
            retries=self._retries,
            last_error=self._last_error,
            next_mail_at=None if self._next_at is None else self._next_at - self._ahead,
            store=self._accounts,
        )

    @property
    def settled(self) -> bool:
        """Whether there is nothing to hand over, to send, or to wait for."""
        waits = self._has_unmailed and not self._journal.durable
        handed_over = self._intake.seen - self._dropped_so_far == self._done
        return handed_over and not waits and not self._journal.owes

    @property
    def _dropped_so_far(self) -> int:
        return self._intake.dropped + self._journal.dropped

    @property
    def nothing_left(self) -> bool:
        """Whether nothing is unmailed; a store that can't be used may have something."""
        return not (self._has_unmailed or self._journal.trouble or self.stats.pending)

    @property
    def taken(self) -> int:
        """Records handed over."""
        return self._journal.taken

    @property
    def may_give_way(self) -> bool:
        """Whether all that waits is where another handler finds it."""
        return not self._journal.trouble and not self._journal.owes

    def run(self, urgency: Urgency = Urgency.NONE, until: float = float("inf")) -> float | None:
        """Do what is to be done now.

        Args:
            urgency: whether somebody waits for it.
            until: the point of `time.monotonic` at which sending has to be over.

        Returns:
            Seconds until there is something to do, if nothing happens before; None for never.
        """
        self._come_back()
        try:
            pause = self._round(urgency, until)
        except LeaseLost:
            if urgency is not Urgency.EXIT:
                return _BUSY
            pause = self._round(urgency, until)  # there is no later
        except StoreError as error:
            self._go_alone(error)
            pause = self._round(urgency, until)
        if self._journal.owes and urgency is Urgency.EXIT and time.monotonic() < until:
            self._come_back(now=True)
        if self._journal.trouble and (self._has_unmailed or self._journal.owes):
            pause = min(self._journal.away, float("inf") if pause is None else pause)
        return pause

    def _go_alone(self, error: StoreError) -> None:
        if self._journal.trouble:
            raise error
        text = self._text(error)
        self.complain("store", f"the store can't be used, each process goes on alone: {text}")
        self._journal.go_alone(StoreError(text))

    def hurry(self) -> None:
        """Hand over at once, while a mail is being sent."""
        if (call := self._call) is not None:
            call.hurry()

    def waiting(self) -> bool:
        """Whether something may wait in the store for somebody to send it, as far as is known."""
        try:
            return self._journal.may_wait()
        except StoreError:
            return True

    def _come_back(self, *, now: bool = False) -> None:
        with contextlib.suppress(StoreError):  # it fails as before
            for outgoing in self._journal.come_back(now=now):
                self._keep("this alert could not be mailed in time", outgoing)

    def abandon(self) -> None:
        """Give up what is unmailed, as the time is over, while another thread may hang."""
        if not self._handing.acquire(timeout=_INSTANT):
            self._tell_unkept()
            return
        try:
            with self._journal.free(_INSTANT) as free:
                if not free:
                    self._tell_unkept()
                    return
                try:
                    self._hand_over(Urgency.EXIT)
                except StoreError as error:
                    if not self._journal.trouble:
                        self._go_alone(error)
                if not self._journal.durable:
                    with self._journal.lead() as page:
                        if page is not None:
                            self._give_up_all(page)
        finally:
            self._handing.release()

    def _tell_unkept(self) -> None:
        """Tell what the store may not have, as it doesn't answer."""
        drained = self._intake.drain()
        self._intake.dropped += sum(group.count for group in drained)
        waiting = [batch for batch in self._journal.unsent if batch.number > self._unkept]
        self._unkept = max([self._unkept, *(batch.number for batch in waiting)])
        groups = [group for batch in waiting for group in batch.groups]
        groups += [*self._journal.unmailed, *drained]
        if groups:
            lines = [f"\n{group.count} x {group.level_name} {group.text}" for group in groups]
            say(f"the store has not taken these errors in time:{''.join(lines)}")

    def load(self) -> None:
        """Load what a mail needs, before it is needed."""
        if self._journal.durable:  # loading takes long for a process that is about to be killed
            with contextlib.suppress(StoreError):  # the round that follows meets it again
                self._hand_over()
        with imports:
            from tocsin.render import page, templating  # noqa: PLC0415 - what a mail needs, as said

            del page
            templating.prepare()
        if type(self._email).prepare is not EmailHandler.prepare:
            self._beside(self._prepare_email)

    def _prepare_email(self) -> None:
        with imports:
            self._email.prepare()

    def complain_of_unexpected(self, error: BaseException) -> None:
        """Tell an error that nothing here is prepared for."""
        name = type_name(type(error))
        self.complain(name, f"unexpected: {name}: {self._text(error)}")

    def _text(self, error: BaseException) -> str:
        """Return what an error says, without secrets: it is stored, mailed and printed."""
        try:
            return self._intake.redacted(attempt(error)[:_MAX_ERROR])
        except Exception:  # noqa: BLE001 - a redactor that can't be loaded
            return type_name(type(error))

    def complain(self, kind: str, text: str, whom: Collection[str] = ()) -> None:
        """Tell a failure on standard error, once a kind until its recipients have got a mail."""
        self._last_error = text
        told = self._complaints.get(kind)
        if told is None or not told.issuperset(whom):
            self._complaints[kind] = {*whom, *(told or ())}
            with silent():  # standard error may be a logger
                say(text)

    def _round(self, urgency: Urgency, until: float) -> float | None:
        self._hand_over(urgency)
        if urgency is Urgency.EXIT and self._journal.durable and not self._journal.policy.at_exit:
            urgency = Urgency.FLUSH  # what isn't due waits for who comes next
        if urgency >= Urgency.ALL:
            self._finish(urgency, until)
            return None
        audience: Audience | None = None
        while True:
            with self._lead(urgency, until) as page:
                if page is None:
                    return _BUSY
                self._give_up(page)
                due = self._decide(page, urgency, audience, until)
                now = page.now
            if due is None:
                return None if self._next_at is None else max(0.0, self._next_at - now)
            if isinstance(due, Decision):  # who gets it is asked while nobody waits for the lease
                audience = self._ask()
                if not bare_addresses(audience):
                    self.complain("nobody", f"no recipient is known; {'; '.join(audience.notes)}")
                    return _NOBODY
                continue
            self._send(due, until)
            audience = None

    @contextlib.contextmanager
    def _lead(self, urgency: Urgency, until: float) -> Generator[Leadership | None]:
        """Lead; while another process does, wait for it if somebody waits for this one."""
        while True:
            with self._journal.lead() as page:
                if page is not None or urgency is Urgency.NONE or time.monotonic() + _TURN > until:
                    yield page
                    return
            time.sleep(_TURN)

    def _hand_over(self, urgency: Urgency = Urgency.NONE) -> None:
        with self._handing:
            if urgency is not Urgency.EXIT:
                with imports:
                    self._intake.prepare()
            taken = self._intake.take()
            self._has_unmailed = self._has_unmailed or bool(taken)
            groups = self._intake.told(taken)
            dropped = self._intake.dropped - self._dropped
            self._dropped += dropped
            lost = self._journal.dropped
            self._journal.append(groups, dropped)
        if self._journal.dropped > lost:
            self.complain("record", "errors were lost, as their records can't be stored")

    def _meanwhile(self) -> None:
        """Hand over and merge what has come, while a mail is being sent. Nothing is raised."""
        if not self.stats.pending:
            return
        try:
            self._hand_over()
            with self._journal.lead() as page:
                if page is not None:
                    self._account(page.state)
        except LeaseLost:
            pass
        except Exception as error:  # noqa: BLE001 - the mail on its way must not be forgotten
            if isinstance(error, StoreError) and not self._journal.trouble:
                self._go_alone(error)
            else:
                self.complain_of_unexpected(error)

    def _beside(self, call: Callable[[], T]) -> T:
        """Make a call that may take long, in the sending thread."""
        self._call = made = Call(call)
        try:
            return made.run(self._meanwhile)
        finally:
            self._call = None

    def _decide(
        self, page: Leadership, urgency: Urgency, audience: Audience | None, until: float
    ) -> Outgoing | Decision | None:
        """Return the digest to send now, if there is one.

        Where it isn't known yet who gets it, that one is due is all that is returned.
        """
        state = page.state
        decision = decide(state, self._journal.policy, page.now, urgency)
        if state.full:
            next_at = min(map(state.due_at, state.outgoing.values()))
            decision = Decision(reason=None, next_at=next_at, urgency=urgency)
        self._next_at, self._ahead = decision.next_at, page.now - self._clock()
        due: Outgoing | Decision | None = None
        if decision.reason is None:
            due = outcome.due(state, page.now)
            if due is not None:
                self._claim(due, page, until)
        else:
            due = decision if audience is None else self._take(page, decision, audience, until)
        self._account(state)
        return due

    def _finish(self, urgency: Urgency, until: float) -> None:
        """Try everything once; what can't be mailed then is given up if there is no later."""
        tried: list[str] = []
        last = urgency is Urgency.EXIT and not self._journal.durable
        again = True
        audience = self._ask()
        while True:
            with self._lead(urgency, until) as page:
                if page is None:
                    return
                if again and (urgency is Urgency.EXIT or not page.state.full):
                    self._take_all(page, audience, until, urgency)
                waiting = page.state.outgoing.items()
                left = [one for name, one in waiting if name not in tried and self._ours(one, page)]
                if left:  # the latest first: most is news in it
                    self._claim(left[-1], page, until)
                elif last:
                    self._give_up_all(page)
                self._account(page.state)
            if not left:
                return
            tried.append(left[-1].digest.message_id)
            sent = self._send(left[-1], until, last=last)
            # A handler that shares the store may have handed over more; what dissolves must not be
            # tried again and again.
            again = last and sent and time.monotonic() < until

    def _ours(self, outgoing: Outgoing, page: Leadership) -> bool:
        """Whether nobody else sends it now."""
        return (
            outgoing.claimed_by in {"", self._journal.owner} or outgoing.claimed_until <= page.now
        )

    def _take_all(
        self, page: Leadership, audience: Audience, until: float, urgency: Urgency
    ) -> None:
        decision = decide(page.state, self._journal.policy, page.now, urgency)
        if decision.reason is not None:
            self._take(page, decision, audience, until)

    def _take(
        self, page: Leadership, decision: Decision, audience: Audience, until: float
    ) -> Outgoing:
        outgoing = take(
            page.state,
            decision,
            message_id=f"<{secrets.token_hex(16)}@{self._sender.domain}>",
            policy=self._journal.policy,
            now=page.now,
            wall=self._clock(),
            audience=audience,
            owed=bare_addresses(audience),
        )
        self._claim(outgoing, page, until)
        return outgoing

    def _claim(self, outgoing: Outgoing, page: Leadership, until: float) -> None:
        """Let nobody else send it, for as long as that may take."""
        # What isn't known any more was interrupted while it was sent.
        ours = outgoing.claimed_by == self._journal.owner and outgoing.claimed_until > page.now
        if not ours or outgoing.digest.message_id not in self._claims:
            now = time.monotonic()
            longest = max(_LEAST, min(_SEND, until - now))
            outgoing.claim(self._journal.owner, page.now + longest + _MARGIN)
            self._claims[outgoing.digest.message_id] = now + longest
            page.commit()

    def _ask(self) -> Audience:
        """Return who gets a digest now, and what it has to say about the alerts themselves."""
        self._asked = audience = self._beside(self._audience)
        if not self._journal.trouble:
            return audience
        note = f"The store can't be used; these counts are one process's: {self._journal.trouble}"
        return replace(audience, notes=(*audience.notes, note))

    def _account(self, state: State) -> None:
        self._has_unmailed = bool(state.pending or state.outgoing)
        if not self._has_unmailed:
            self._done = self._journal.taken
        self._accounts = StoreStats(
            received=state.received,
            mailed=state.mailed,
            pending=state.pending,
            undelivered=state.undelivered,
        )

    def _send(self, outgoing: Outgoing, until: float, *, last: bool = False) -> bool:
        """Send a digest to the recipients to whom it is owed, and report what became of it.

        Args:
            outgoing: the digest.
            until: the point of `time.monotonic` at which sending has to be over.
            last: whether there is no further attempt.

        Returns:
            Whether a recipient's server has accepted it.
        """
        digest, everybody, counted = outgoing.digest, outgoing.owed, outgoing.counted
        self._retries += outgoing.frozen
        alone = bool(self._journal.trouble)
        problem = self._attempt(outgoing, until)
        found = problem.receipts if isinstance(problem, SendError) else ()
        receipts = [one for one in found if isinstance(one, Receipt)]  # it is the handler's word
        said = "" if problem is None else self._text(problem)
        report = _outcome(digest.message_id, self._journal.owner, everybody, problem, receipts)
        report = replace(report, problem=said)
        owed = {*everybody} - {*report.accepted, *report.refused}
        self._report(report, alone=alone)
        if report.accepted:
            about = list(self._complaints.items())
            left = {kind: whom.difference(report.accepted) for kind, whom in about}
            self._complaints = {kind: whom for kind, whom in left.items() if whom}
            self._sent += not counted
        if problem is None:
            self._last_error = None
        else:
            self._failed += 1
            self._complain_of(problem, report, receipts, owed=bool(owed), again=not last)
        if not (report.accepted or owed or counted):
            self._keep("this alert was refused for good", outgoing)
        return bool(report.accepted)

    def _attempt(self, outgoing: Outgoing, until: float) -> BaseException | None:
        """Send a digest in the sending thread; return what went wrong, or None.

        Args:
            outgoing: the digest.
            until: the point of `time.monotonic` at which sending has to be over.
        """
        message_id, owner = outgoing.digest.message_id, self._journal.owner
        claimed = self._claims.pop(message_id, 0)
        alone = bool(self._journal.trouble)

        def note(receipt: Receipt) -> None:
            self._report(_facts(message_id, owner, receipt), alone=alone)

        def send() -> None:
            with silent():
                self._email.send(message, deadline=max(0.0, left), on_transaction=note)

        try:
            # Made before: the application's finalizers may run, and log, where much is allocated.
            message = self._message(outgoing)
            now = time.monotonic()
            left = min(claimed, max(until, now + _TRY)) - now
            self._beside(send)
        except BaseException as error:
            # Whatever an email handler raises; but in the main thread a signal may end the program.
            main = threading.current_thread() is threading.main_thread()
            if main and not isinstance(error, Exception):
                raise
            return error
        return None

    def _report(self, report: Report, *, alone: bool) -> None:
        """Append what became of a digest; if the store fails, the report waits for it."""
        try:
            self._journal.append(report=report, alone=alone)
        except StoreError as error:
            self.complain("store", f"the store can't be used: {self._text(error)}")

    def _complain_of(
        self,
        problem: BaseException,
        report: Report,
        receipts: Sequence[Receipt],
        *,
        owed: bool,
        again: bool,
    ) -> None:
        """Tell why somebody has no mail; another reason, or a final one, is another kind."""
        replies = {
            whom: reply
            for receipt in receipts
            for whom, reply in (*receipt.refused.items(), *receipt.deferred.items())
        }
        codes = sorted({str(reply.code) for reply in replies.values()})
        kind = f"{type(problem.__cause__ or problem).__name__} {codes} {owed}"
        what = "was not sent to everybody" if report.accepted else "was not sent"
        later = "; it will be tried again" if owed and again else ""
        self.complain(kind, f"an alert mail {what}: {report.problem}{later}", replies)

    def _give_up(self, page: Leadership) -> None:
        """Give up what is too old."""
        state = page.state
        old = outcome.overdue(state, self._give_up_after, page.now)
        if outcome.is_hopeless(state, self._give_up_after, page.now):
            decision = decide(state, self._journal.policy, page.now, Urgency.ALL)
            if decision.reason is not None:
                old.append(self._take(page, decision, self._asked, 0))
        for outgoing in old:  # kept before it counts as given up: told twice is better than never
            self._keep("this alert could not be mailed in time", outgoing)
            outcome.give_up(state, outgoing, page.now)
            self._claims.pop(outgoing.digest.message_id, None)
        if old:
            page.commit()

    def _give_up_all(self, page: Leadership) -> None:
        """Give up what can't be mailed any more, and close the accounts."""
        self._take_all(page, self._asked, 0, Urgency.EXIT)
        # Another handler that shares the store may be sending one.
        given_up = [one for one in page.state.outgoing.values() if self._ours(one, page)]
        for outgoing in given_up:
            # While others wait for the state: the process must not end between these two.
            self._keep("this alert could not be mailed", outgoing)
            outcome.give_up(page.state, outgoing, page.now)
            self._claims.pop(outgoing.digest.message_id, None)
        page.commit()
        self._account(page.state)

    def _keep(self, why: str, outgoing: Outgoing) -> None:
        """Put an alert where somebody may find it."""
        digest, owed = outgoing.digest, outgoing.owed
        if owed and outgoing.frozen:
            why += " to " + ", ".join(owed)
        try:
            from tocsin.render.page import plain  # noqa: PLC0415 - loads with the first mail

            message = self._message(outgoing)
            self._fallback.keep(why, message, lambda: plain(digest, self._sender))
        except Exception as error:  # noqa: BLE001 - there may be no files of ours any more
            groups = [f"\n{one.group.count} x {one.group.text}" for one in digest.entries]
            say(f"{why}, nor be shown ({error!r}):{''.join(groups)}")

    def _message(self, outgoing: Outgoing) -> Message:
        """Return a digest's message, for whom it is owed."""
        with rendering:
            from tocsin.render.page import render  # noqa: PLC0415 - loads with the first mail

            message = render(outgoing.digest, self._sender, self._templates)
        message.recipients = AddressList(outgoing.owed)
        return message


def _facts(message_id: str, owner: str, receipt: Receipt) -> Report:
    """Return what one transaction has come to, while others may follow."""
    return Report(
        message_id=message_id,
        owner=owner,
        accepted=_texts(receipt.accepted),
        refused=_texts(receipt.refused),
        unknown=_texts(receipt.unknown),
        final=False,
    )


def _outcome(
    message_id: str,
    owner: str,
    everybody: tuple[str, ...],
    problem: BaseException | None,
    receipts: Sequence[Receipt],
) -> Report:
    """Return what an attempt has come to: without receipts a problem is everybody's, not final."""
    login = problem is not None and isinstance(problem.__cause__ or problem, LoginError)
    return Report(
        message_id=message_id,
        owner=owner,
        accepted=everybody
        if problem is None
        else _texts(one for receipt in receipts for one in receipt.accepted),
        refused=_texts(one for receipt in receipts for one in receipt.refused),
        unknown=_texts(one for receipt in receipts for one in receipt.unknown),
        pause=_LOGIN_PAUSE if login else 0,
    )


def _texts(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return addresses as they can be stored, whatever an email handler has put in a receipt."""
    return tuple(f"{address}" for address in addresses)
