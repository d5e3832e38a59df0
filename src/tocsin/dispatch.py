"""One round of all I/O: hand over, merge, decide, send, report. It knows no thread.

What is decided is committed before it is sent, and what became of it is appended like events are:
the store always knows what is on its way.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
import time
from typing import TYPE_CHECKING

from tocsin.alerts.batch import Batch, Report
from tocsin.alerts.codec import dump, load
from tocsin.alerts.digest import Audience
from tocsin.alerts.policy import Decision, Haste, decide
from tocsin.alerts.render import plain, render
from tocsin.alerts.sections import prepare
from tocsin.alerts.state import State
from tocsin.exceptions import LoginError, SendError
from tocsin.mail.address import AddressList
from tocsin.stats import Stats, StoreStats

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tocsin.alerts.heading import Heading
    from tocsin.alerts.sections import Sections
    from tocsin.alerts.state import Outgoing
    from tocsin.intake import Intake
    from tocsin.mail.base import EmailHandler
    from tocsin.mail.receipt import Receipt
    from tocsin.stores.base import Lease, Store

_LEASE = 10.0  # seconds for merging and deciding, never for a send
_BUSY = 1.0  # seconds until the next try to lead, while another process does
_BATCHES = 1000
_LOGIN_PAUSE = 300.0  # after a refused login, so that the account isn't locked
_NOBODY = 60.0  # seconds until the lists are asked again, when nobody is on them
_sending: set[int] = set()
"""The threads in which a mail is sent."""


def sending_here() -> bool:
    """Whether this thread sends a mail: what it logs meanwhile must not cause another one.

    By thread, not by handler: two handlers that alert of each other's mails would never end.
    """
    return bool(_sending) and threading.get_ident() in _sending


@contextlib.contextmanager
def _sending_here() -> Generator[None]:
    _sending.add(threading.get_ident())
    try:
        yield
    finally:
        _sending.discard(threading.get_ident())


def _say(text: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # it may be closed
            sys.stderr.write(f"tocsin: {text}\n")
            sys.stderr.flush()


class Dispatch:
    """Move events from the intake to the store, and digests from the store to the mail server.

    Args:
        intake: where the events are.
        store: where they wait.
        heading: for what application, from whom, and when.
        sections: what a digest looks like.
        audience: tells who gets it now.
        email: sends it.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        store: Store,
        heading: Heading,
        sections: Sections,
        audience: Callable[[], Audience],
        email: EmailHandler,
    ) -> None:
        self._intake = intake
        self._store = store
        self._policy = heading.policy
        self._heading = heading
        self._sections = sections
        self._audience = audience
        self._email = email
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._cached: tuple[bytes | None, State] | None = None
        self._complaints: set[str] = set()
        self._handed_over = 0
        self._dropped = 0  # of which the store has been told
        self._sent = self._failed = self._retries = 0
        self._last_error: str | None = None
        self._next_at: float | None = None
        self._accounts: StoreStats | None = None
        self._done = 0  # records handed over when nothing was left to do
        self._leading = threading.RLock()  # the state is one thread's at a time; never for a send

    @property
    def stats(self) -> Stats:
        """The accounts, now."""
        handed_over = self._handed_over
        dropped = self._intake.dropped
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
            next_mail_at=self._next_at,
            store=self._accounts,
        )

    @property
    def settled(self) -> bool:
        """Whether there is nothing to hand over, to send, or to wait for."""
        return self._intake.seen - self._intake.dropped == self._done

    def run(self, haste: Haste = Haste.NONE, until: float = float("inf")) -> float | None:
        """Do what is to be done now.

        Args:
            haste: whether somebody waits for it.
            until: the point of `time.monotonic` at which sending has to be over.

        Returns:
            Seconds until there is something to do, if nothing happens before; None for never.
        """
        self._hand_over()
        if haste is Haste.EXIT:
            self._finish(until)
            return None
        audience: Audience | None = None
        while True:
            with self._lead() as lease:
                if lease is None:
                    return _BUSY
                due = self._decide(lease, haste, audience)
            if due is None:
                return None if self._next_at is None else max(0.0, self._next_at - lease.now)
            if isinstance(due, Decision):  # who gets it is asked while nobody waits for the lease
                audience = self._audience()
                if not (audience.to or audience.cc or audience.bcc):
                    self.complain("nobody", f"no recipient is known; {'; '.join(audience.notes)}")
                    return _NOBODY
                continue
            self._send(due, until)
            audience = None

    def abandon(self) -> None:
        """Give up what is unmailed, while a send hangs in another thread."""
        self._hand_over()
        self._give_up()

    def load(self) -> None:
        """Load what a mail needs, before it is needed."""
        prepare()
        self._email.prepare()

    def complain(self, kind: str, text: str) -> None:
        """Tell a failure on standard error, once a kind until something succeeds."""
        self._last_error = text
        if kind not in self._complaints:
            self._complaints.add(kind)
            _say(text)

    def _hand_over(self) -> None:
        groups = self._intake.drain()
        dropped = self._intake.dropped - self._dropped
        if groups or dropped:
            self._store.append(dump(Batch(groups=groups, dropped=dropped)))
            self._handed_over += sum(group.count for group in groups)
            self._dropped += dropped

    @contextlib.contextmanager
    def _lead(self) -> Generator[Lease | None]:
        with self._leading:
            lease = self._store.lead(self._owner, _LEASE)
            try:
                yield lease
            except BaseException:
                self._cached = None  # it may be ahead of what the store has
                raise
            finally:
                if lease is not None:
                    lease.release()

    def _decide(
        self, lease: Lease, haste: Haste, audience: Audience | None
    ) -> Outgoing | Decision | None:
        """Merge what was appended, and return the digest to send now, if there is one.

        Where it isn't known yet who gets it, that one is due is all that is returned.
        """
        state = self._merge(lease)
        due: Outgoing | Decision | None = state.due(lease.now)
        self._next_at = None
        if due is None:
            decision = decide(state, self._policy, lease.now, haste)
            self._next_at = decision.next_at
            if decision.reason is not None:
                due = decision if audience is None else self._take(state, decision, audience, lease)
        self._account(state)
        return due

    def _finish(self, until: float) -> None:
        """Try everything once, as there is no later, and give up what could not be mailed."""
        tried: list[str] = []
        audience = self._audience()
        while True:
            with self._lead() as lease:
                if lease is None:
                    return
                state = self._merge(lease)
                if not tried:  # what dissolves must not be tried again and again
                    self._take_all(state, audience, lease)
                left = [one for name, one in state.outgoing.items() if name not in tried]
            if not left:
                break
            tried.append(left[-1].digest.message_id)  # the latest first: most is news in it
            self._send(left[-1], until, last=True)
        self._give_up()

    def _merge(self, lease: Lease) -> State:
        while True:
            raw, entries = lease.read(_BATCHES)
            if self._cached is not None and self._cached[0] == raw:
                state = self._cached[1]
            else:
                state = State() if raw is None else load(State, raw)
            for entry in entries:
                state.receive(load(Batch, entry.batch), self._policy, lease.now)
            if entries:
                raw = dump(state)
                lease.commit(raw, entries)
            self._cached = (raw, state)
            if len(entries) < _BATCHES:
                return state

    def _take_all(self, state: State, audience: Audience, lease: Lease) -> None:
        decision = decide(state, self._policy, lease.now, Haste.EXIT)
        if decision.reason is not None:
            self._take(state, decision, audience, lease)

    def _take(self, state: State, decision: Decision, audience: Audience, lease: Lease) -> Outgoing:
        outgoing = state.take(
            decision,
            message_id=f"<{secrets.token_hex(16)}@{self._heading.domain}>",
            policy=self._policy,
            now=lease.now,
            audience=audience,
        )
        raw = dump(state)
        lease.commit(raw, ())
        self._cached = (raw, state)
        return outgoing

    def _account(self, state: State) -> None:
        if not state.pending and not state.outgoing:
            self._done = self._handed_over
        self._accounts = StoreStats(
            received=state.received,
            mailed=state.mailed,
            pending=state.pending,
            undelivered=state.undelivered,
        )

    def _send(self, outgoing: Outgoing, until: float, *, last: bool = False) -> None:
        """Send a digest to whom it is owed, and report what became of it; `last` if for ever."""
        digest = outgoing.digest
        everybody = outgoing.owed
        if everybody is None:
            everybody = digest.audience.recipients
        else:
            self._retries += 1
        problem: Exception | None = None
        receipts: Sequence[Receipt] = ()
        left = until - time.monotonic()
        try:
            with _sending_here():
                message = render(digest, self._heading, self._sections)
                message.recipients = AddressList(everybody)
                self._email.send(message, deadline=None if left == float("inf") else max(left, 0.1))
        except SendError as error:
            problem, receipts = error, error.receipts
        except Exception as error:  # noqa: BLE001 - whatever an email handler raises
            problem = error
        report = _report(digest.message_id, everybody, problem, receipts)
        self._store.append(dump(Batch(reports=(report,))))
        if report.accepted:
            self._complaints.clear()
        if problem is None:
            self._last_error = None
        else:
            self._failed += 1
            self._complain_of(problem, report, receipts, again=not last)
        if not (report.accepted or report.owed or outgoing.counted):
            _say(f"this alert was refused for good:\n\n{plain(digest, self._heading)}")
        self._sent += report.accepted and not outgoing.counted

    def _complain_of(
        self, problem: Exception, report: Report, receipts: Sequence[Receipt], *, again: bool
    ) -> None:
        """Tell why somebody has no mail; another reason, or a final one, is another kind."""
        replies = [
            reply
            for receipt in receipts
            for reply in (*receipt.refused.values(), *receipt.deferred.values())
        ]
        codes = sorted({str(reply.code) for reply in replies})
        kind = f"{type(problem.__cause__ or problem).__name__} {codes} {bool(report.owed)}"
        what = "was not sent to everybody" if report.accepted else "was not sent"
        later = "; it will be tried again" if report.owed and again else ""
        self.complain(kind, f"an alert mail {what}: {problem}{later}")

    def _give_up(self) -> None:
        """Put on standard error what can't be mailed any more, and close the accounts."""
        with self._lead() as lease:
            if lease is None:
                return
            state = self._merge(lease)
            self._take_all(state, Audience(), lease)
            for message_id, outgoing in list(state.outgoing.items()):
                whom = " to " + ", ".join(outgoing.owed) if outgoing.owed else ""
                told = plain(outgoing.digest, self._heading)
                _say(f"this alert could not be mailed{whom}:\n\n{told}")
                report = Report(
                    message_id=message_id, accepted=False, unknown=False, owed=(), pause=0
                )
                state.report(report, self._policy, lease.now)
            lease.commit(dump(state), ())
            self._cached = None
            self._account(state)


def _report(
    message_id: str,
    everybody: tuple[str, ...],
    problem: Exception | None,
    receipts: Sequence[Receipt],
) -> Report:
    """Return what an attempt means: without receipts a problem is everybody's, and not final."""
    owed: list[str] = [] if problem is None or receipts else list(everybody)
    for receipt in receipts:
        owed += [*receipt.deferred, *receipt.unknown]
    login = problem is not None and isinstance(problem.__cause__ or problem, LoginError)
    return Report(
        message_id=message_id,
        accepted=problem is None or any(receipt.accepted for receipt in receipts),
        unknown=any(receipt.unknown for receipt in receipts),
        owed=tuple(owed),
        pause=_LOGIN_PAUSE if login else 0,
    )
