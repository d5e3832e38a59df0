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

from tocsin.alerts.batch import Report
from tocsin.alerts.digest import Audience
from tocsin.alerts.policy import Decision, Haste, decide
from tocsin.alerts.text import attempt, type_name
from tocsin.exceptions import LeaseLost, LoginError, SendError, StoreError
from tocsin.fallback import say
from tocsin.forks import imports, rendering
from tocsin.mail.address import AddressList
from tocsin.mail.base import EmailHandler
from tocsin.mail.receipt import Receipt
from tocsin.sending import Call, silent
from tocsin.stats import Stats, StoreStats

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Sequence

    from tocsin.alerts.heading import Heading
    from tocsin.alerts.outgoing import Outgoing
    from tocsin.alerts.sections import Sections
    from tocsin.alerts.state import State
    from tocsin.books import Books, Page
    from tocsin.fallback import Fallback
    from tocsin.intake import Intake
    from tocsin.mail.message import Message

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


class Dispatch:
    """Move events from the intake to the store, and digests from the store to the mail server.

    Args:
        intake: where the events are.
        books: where they wait.
        heading: for what application, and from whom.
        sections: what a digest looks like.
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
        books: Books,
        heading: Heading,
        sections: Sections,
        audience: Callable[[], Audience],
        email: EmailHandler,
        fallback: Fallback,
        give_up_after: float,
        inherited: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._intake = intake
        self._books = books
        self._heading = heading
        self._sections = sections
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
        self._left = inherited or books.durable  # whether something is unmailed, as last seen
        self._handing = threading.RLock()  # held while events go from the intake to the store
        self._call: Call[Any] | None = None  # what the sending thread does
        self._unkept = 0  # the last batch of which it was told that the store may not have it

    @property
    def stats(self) -> Stats:
        """The accounts, now."""
        handed_over = self._books.taken
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
        waits = self._left and not self._books.durable
        handed_over = self._intake.seen - self._dropped_so_far == self._done
        return handed_over and not waits and not self._books.owes

    @property
    def _dropped_so_far(self) -> int:
        return self._intake.dropped + self._books.dropped

    @property
    def nothing_left(self) -> bool:
        """Whether nothing is unmailed; a store that can't be used may have something."""
        return not (self._left or self._books.trouble or self.stats.pending)

    @property
    def taken(self) -> int:
        """Records handed over."""
        return self._books.taken

    @property
    def may_give_way(self) -> bool:
        """Whether all that waits is where another handler finds it."""
        return not self._books.trouble and not self._books.owes

    def run(self, haste: Haste = Haste.NONE, until: float = float("inf")) -> float | None:
        """Do what is to be done now.

        Args:
            haste: whether somebody waits for it.
            until: the point of `time.monotonic` at which sending has to be over.

        Returns:
            Seconds until there is something to do, if nothing happens before; None for never.
        """
        self._come_back()
        try:
            pause = self._round(haste, until)
        except LeaseLost:
            if haste is not Haste.EXIT:
                return _BUSY
            pause = self._round(haste, until)  # there is no later
        except StoreError as error:
            self._go_alone(error)
            pause = self._round(haste, until)
        if self._books.owes and haste is Haste.EXIT and time.monotonic() < until:
            self._come_back(now=True)
        if self._books.trouble and (self._left or self._books.owes):
            pause = min(self._books.away, float("inf") if pause is None else pause)
        return pause

    def _go_alone(self, error: StoreError) -> None:
        if self._books.trouble:
            raise error
        text = self._text(error)
        self.complain("store", f"the store can't be used, each process goes on alone: {text}")
        self._books.go_alone(StoreError(text))

    def hurry(self) -> None:
        """Hand over at once, while a mail is being sent."""
        if (call := self._call) is not None:
            call.hurry()

    def waiting(self) -> bool:
        """Whether something may wait in the store for somebody to send it, as far as is known."""
        try:
            return self._books.may_wait()
        except StoreError:
            return True

    def _come_back(self, *, now: bool = False) -> None:
        with contextlib.suppress(StoreError):  # it fails as before
            for outgoing in self._books.come_back(now=now):
                self._keep("this alert could not be mailed in time", outgoing)

    def abandon(self) -> None:
        """Give up what is unmailed, as the time is over, while another thread may hang."""
        if not self._handing.acquire(timeout=_INSTANT):
            self._tell_unkept()
            return
        try:
            with self._books.free(_INSTANT) as free:
                if not free:
                    self._tell_unkept()
                    return
                try:
                    self._hand_over(Haste.EXIT)
                except StoreError as error:
                    if not self._books.trouble:
                        self._go_alone(error)
                if not self._books.durable:
                    with self._books.lead() as page:
                        if page is not None:
                            self._give_up_all(page)
        finally:
            self._handing.release()

    def _tell_unkept(self) -> None:
        """Tell what the store may not have, as it doesn't answer."""
        drained = self._intake.drain()
        self._intake.dropped += sum(group.count for group in drained)
        waiting = [batch for batch in self._books.unsent if batch.number > self._unkept]
        self._unkept = max([self._unkept, *(batch.number for batch in waiting)])
        groups = [group for batch in waiting for group in batch.groups]
        groups += [*self._books.unmailed, *drained]
        if groups:
            lines = [f"\n{group.count} x {group.level_name} {group.text}" for group in groups]
            say(f"the store has not taken these errors in time:{''.join(lines)}")

    def load(self) -> None:
        """Load what a mail needs, before it is needed."""
        if self._books.durable:  # loading takes long for a process that is about to be killed
            with contextlib.suppress(StoreError):  # the round that follows meets it again
                self._hand_over()
        with imports:
            from tocsin.alerts import render, sections  # noqa: PLC0415 - what a mail needs, as said

            del render
            sections.prepare()
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

    def _round(self, haste: Haste, until: float) -> float | None:
        self._hand_over(haste)
        if haste is Haste.EXIT and self._books.durable and not self._books.policy.at_exit:
            haste = Haste.FLUSH  # what isn't due waits for who comes next
        if haste >= Haste.ALL:
            self._finish(haste, until)
            return None
        audience: Audience | None = None
        while True:
            with self._lead(haste, until) as page:
                if page is None:
                    return _BUSY
                self._give_up(page)
                due = self._decide(page, haste, audience, until)
                now = page.now
            if due is None:
                return None if self._next_at is None else max(0.0, self._next_at - now)
            if isinstance(due, Decision):  # who gets it is asked while nobody waits for the lease
                audience = self._ask()
                if not audience.recipients:
                    self.complain("nobody", f"no recipient is known; {'; '.join(audience.notes)}")
                    return _NOBODY
                continue
            self._send(due, until)
            audience = None

    @contextlib.contextmanager
    def _lead(self, haste: Haste, until: float) -> Generator[Page | None]:
        """Lead; while another process does, wait for it if somebody waits for this one."""
        while True:
            with self._books.lead() as page:
                if page is not None or haste is Haste.NONE or time.monotonic() + _TURN > until:
                    yield page
                    return
            time.sleep(_TURN)

    def _hand_over(self, haste: Haste = Haste.NONE) -> None:
        with self._handing:
            if haste is not Haste.EXIT:
                with imports:
                    self._intake.prepare()
            taken = self._intake.take()
            self._left = self._left or bool(taken)
            groups = self._intake.told(taken)
            dropped = self._intake.dropped - self._dropped
            self._dropped += dropped
            lost = self._books.dropped
            self._books.append(groups, dropped)
        if self._books.dropped > lost:
            self.complain("record", "errors were lost, as their records can't be stored")

    def _meanwhile(self) -> None:
        """Hand over and merge what has come, while a mail is being sent. Nothing is raised."""
        if not self.stats.pending:
            return
        try:
            self._hand_over()
            with self._books.lead() as page:
                if page is not None:
                    self._account(page.state)
        except LeaseLost:
            pass
        except Exception as error:  # noqa: BLE001 - the mail on its way must not be forgotten
            if isinstance(error, StoreError) and not self._books.trouble:
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
        self, page: Page, haste: Haste, audience: Audience | None, until: float
    ) -> Outgoing | Decision | None:
        """Return the digest to send now, if there is one.

        Where it isn't known yet who gets it, that one is due is all that is returned.
        """
        state = page.state
        decision = decide(state, self._books.policy, page.now, haste)
        if state.full:
            next_at = min(map(state.due_at, state.outgoing.values()))
            decision = Decision(reason=None, next_at=next_at, haste=haste)
        self._next_at, self._ahead = decision.next_at, page.now - self._clock()
        due: Outgoing | Decision | None = None
        if decision.reason is None:
            due = state.due(page.now)
            if due is not None:
                self._claim(due, page, until)
        else:
            due = decision if audience is None else self._take(page, decision, audience, until)
        self._account(state)
        return due

    def _finish(self, haste: Haste, until: float) -> None:
        """Try everything once; what can't be mailed then is given up if there is no later."""
        tried: list[str] = []
        last = haste is Haste.EXIT and not self._books.durable
        again = True
        audience = self._ask()
        while True:
            with self._lead(haste, until) as page:
                if page is None:
                    return
                if again and (haste is Haste.EXIT or not page.state.full):
                    self._take_all(page, audience, until, haste)
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

    def _ours(self, outgoing: Outgoing, page: Page) -> bool:
        """Whether nobody else sends it now."""
        return outgoing.claimed_by in {"", self._books.owner} or outgoing.claimed_until <= page.now

    def _take_all(self, page: Page, audience: Audience, until: float, haste: Haste) -> None:
        decision = decide(page.state, self._books.policy, page.now, haste)
        if decision.reason is not None:
            self._take(page, decision, audience, until)

    def _take(self, page: Page, decision: Decision, audience: Audience, until: float) -> Outgoing:
        outgoing = page.state.take(
            decision,
            message_id=f"<{secrets.token_hex(16)}@{self._heading.domain}>",
            policy=self._books.policy,
            now=page.now,
            wall=self._clock(),
            audience=audience,
        )
        self._claim(outgoing, page, until)
        return outgoing

    def _claim(self, outgoing: Outgoing, page: Page, until: float) -> None:
        """Let nobody else send it, for as long as that may take."""
        # What isn't known any more was interrupted while it was sent.
        ours = outgoing.claimed_by == self._books.owner and outgoing.claimed_until > page.now
        if not ours or outgoing.digest.message_id not in self._claims:
            now = time.monotonic()
            longest = max(_LEAST, min(_SEND, until - now))
            outgoing.claim(self._books.owner, page.now + longest + _MARGIN)
            self._claims[outgoing.digest.message_id] = now + longest
            page.commit()

    def _ask(self) -> Audience:
        """Return who gets a digest now, and what it has to say about the alerts themselves."""
        self._asked = audience = self._beside(self._audience)
        if not self._books.trouble:
            return audience
        note = f"The store can't be used; these counts are one process's: {self._books.trouble}"
        return replace(audience, notes=(*audience.notes, note))

    def _account(self, state: State) -> None:
        self._left = bool(state.pending or state.outgoing)
        if not self._left:
            self._done = self._books.taken
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
        alone = bool(self._books.trouble)
        problem = self._attempt(outgoing, until)
        found = problem.receipts if isinstance(problem, SendError) else ()
        receipts = [one for one in found if isinstance(one, Receipt)]  # it is the handler's word
        said = "" if problem is None else self._text(problem)
        report = _outcome(digest.message_id, self._books.owner, everybody, problem, receipts)
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
        message_id, owner = outgoing.digest.message_id, self._books.owner
        claimed = self._claims.pop(message_id, 0)
        alone = bool(self._books.trouble)

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
            self._books.append(report=report, alone=alone)
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

    def _give_up(self, page: Page) -> None:
        """Give up what is too old."""
        state = page.state
        old = state.overdue(self._give_up_after, page.now)
        if state.hopeless(self._give_up_after, page.now):
            decision = decide(state, self._books.policy, page.now, Haste.ALL)
            if decision.reason is not None:
                old.append(self._take(page, decision, self._asked, 0))
        for outgoing in old:  # kept before it counts as given up: told twice is better than never
            self._keep("this alert could not be mailed in time", outgoing)
            state.give_up(outgoing, page.now)
            self._claims.pop(outgoing.digest.message_id, None)
        if old:
            page.commit()

    def _give_up_all(self, page: Page) -> None:
        """Give up what can't be mailed any more, and close the accounts."""
        self._take_all(page, self._asked, 0, Haste.EXIT)
        # Another handler that shares the store may be sending one.
        given_up = [one for one in page.state.outgoing.values() if self._ours(one, page)]
        for outgoing in given_up:
            # While others wait for the state: the process must not end between these two.
            self._keep("this alert could not be mailed", outgoing)
            page.state.give_up(outgoing, page.now)
            self._claims.pop(outgoing.digest.message_id, None)
        page.commit()
        self._account(page.state)

    def _keep(self, why: str, outgoing: Outgoing) -> None:
        """Put an alert where somebody may find it."""
        digest, owed = outgoing.digest, outgoing.owed
        if owed and outgoing.frozen:
            why += " to " + ", ".join(owed)
        try:
            from tocsin.alerts.render import plain  # noqa: PLC0415 - loads with the first mail

            message = self._message(outgoing)
            self._fallback.keep(why, message, lambda: plain(digest, self._heading))
        except Exception as error:  # noqa: BLE001 - there may be no files of ours any more
            groups = [f"\n{one.group.count} x {one.group.text}" for one in digest.entries]
            say(f"{why}, nor be shown ({error!r}):{''.join(groups)}")

    def _message(self, outgoing: Outgoing) -> Message:
        """Return a digest's message, for whom it is owed."""
        with rendering:
            from tocsin.alerts.render import render  # noqa: PLC0415 - loads with the first mail

            message = render(outgoing.digest, self._heading, self._sections)
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
