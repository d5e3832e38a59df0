"""What a policy would have sent: records with their times in, mails out, and no waiting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tocsin.alerts import outcome
from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.digest import Audience
from tocsin.alerts.grouping import OTHER
from tocsin.alerts.outgoing import Report
from tocsin.alerts.policy import Urgency, causes, decide
from tocsin.alerts.settings import Policy
from tocsin.alerts.state import State
from tocsin.alerts.taking import take
from tocsin.events.fingerprint import Fingerprints
from tocsin.events.frames import OwnCode
from tocsin.mail.address import prepare_address
from tocsin.pipeline.intake import Intake
from tocsin.render.page import render
from tocsin.render.sender import Sender

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping

    from tocsin.alerts.digest import Digest
    from tocsin.alerts.grouping import Group
    from tocsin.alerts.policy import Decision
    from tocsin.mail.message import Message

_EVER = float("inf")
_RECIPIENTS = ("oncall@example.com",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMail:
    """A mail that would have been sent.

    Attributes:
        time: when, in seconds, as the records' times are.
        reason: why: "new", "worse", "still", "quiet", or "exit".
        counts: fingerprint → events that it tells for the first time.
        subject: its subject.
        message: the whole mail.
    """

    time: float
    reason: str
    counts: Mapping[str, int]
    subject: str
    message: Message


def simulate(
    records: Iterable[tuple[float, logging.LogRecord]],
    *,
    policy: Policy | None = None,
    until: float | None = None,
    app: str = "app",
    environment: str = "",
) -> list[SimulatedMail]:
    """Return the mails that a policy would have sent.

    Times are those of the decisions: in a program, the worker adds up to two seconds, and the mail
    server its own.

    Args:
        records: pairs of a time, in seconds, and what was logged then; earlier ones first.
        policy: when mails go; by default `Policy()`.
        until: when to stop, in seconds; by default, when nothing more can be due. Nothing is sent
            for being the end, but where the policy has `at_exit`.
        app: the application's name, for subjects.
        environment: such as "production".

    Raises:
        ValueError: a time is below zero, or before the one that precedes it.
    """
    sender = Sender(
        app=app,
        environment=environment,
        from_addr=prepare_address("alerts@example.com"),
        policy=policy or Policy(),
    )
    run = _Run(sender)
    end = _EVER if until is None else until
    for time, record in records:
        if time > end:
            break
        if not run.now <= time < _EVER:
            raise ValueError(f"a record's time must be {run.now} or later, got {time}")
        run.go_on(time)
        run.log(time, record)
    run.go_on(end)
    if run.policy.at_exit:
        run.now = max(run.now, until or 0)
        run.send(decide(run.state, run.policy, run.now, Urgency.EXIT))
    return run.mails


class _Run:
    """A handler's middle, and a clock that jumps to where something happens."""

    def __init__(self, sender: Sender) -> None:
        self.policy = sender.policy
        self.state = State()
        self.now = 0.0
        self.mails: list[SimulatedMail] = []
        self._sender = sender
        self._fingerprints = Fingerprints(OwnCode())
        self._intake = Intake(own=OwnCode(), host="simulated", limit=1, urgent_level=0)
        self._groups: dict[str, Group] = {}
        self._next = _EVER

    def go_on(self, until: float) -> None:
        """Send what is due until then."""
        while self._next <= until and self._next < _EVER:
            self.now = max(self.now, self._next)
            decision = decide(self.state, self.policy, self.now)
            self._next = _EVER if decision.next_at is None else decision.next_at
            self.send(decision)

    def log(self, time: float, record: logging.LogRecord) -> None:
        """Let a record reach the handler."""
        self.now = time
        group = replace(self._group(record), first=time, last=time)
        receive(self.state, Batch(groups=(group,)), self.policy, time)
        name = group.fingerprint if group.fingerprint in self.state.groups else OTHER
        found = causes(self.state, self.state.groups[name], self.policy, time)
        self._next = min(self._next, *(cause.at for cause in found), _EVER)
        self.go_on(time)

    def _group(self, record: logging.LogRecord) -> Group:
        """Return the group of one record; with its text where nothing of its kind waits."""
        fingerprint = self._fingerprints.of(record).fingerprint
        known = self.state.groups.get(fingerprint)
        if fingerprint in self._groups and known is not None and known.pending is not None:
            return self._groups[fingerprint]
        self._intake.add(record, None)
        (group,) = self._intake.drain()
        self._groups[fingerprint] = replace(group, samples=())
        return group

    def send(self, decision: Decision) -> None:
        """Note the mail that a decision asks for, and let a server accept it."""
        if decision.reason is None:
            return
        name = f"<{len(self.mails) + 1}@simulated>"
        outgoing = take(
            self.state,
            decision,
            message_id=name,
            policy=self.policy,
            now=self.now,
            audience=Audience(to=_RECIPIENTS),
            owed=_RECIPIENTS,
        )
        report = Report(message_id=name, accepted=outgoing.owed)
        outcome.report(self.state, report, self.policy, self.now)
        self.mails.append(_mail(outgoing.digest, self._sender))
        self._next = self.now  # what the budgets allow now has changed


def _mail(digest: Digest, sender: Sender) -> SimulatedMail:
    message = render(digest, sender)
    return SimulatedMail(
        time=digest.date,
        reason=digest.reason,
        counts={entry.group.fingerprint: entry.group.count for entry in digest.entries},
        subject=message.subject,
        message=message,
    )
