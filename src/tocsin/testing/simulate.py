"""The simulation: the mails that a policy would have sent for records, without any waiting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tocsin.alerts.settings import Policy
from tocsin.events.fingerprint import Fingerprints
from tocsin.events.frames import OwnCode
from tocsin.mail.address import prepare_address
from tocsin.pipeline.intake import Intake
from tocsin.render.page import render
from tocsin.render.sender import Sender
from tocsin.testing.simulation import Simulation

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping

    from tocsin.alerts.digest import Digest
    from tocsin.alerts.grouping import Group
    from tocsin.mail.message import Message

_EVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMail:
    """A mail that would have been sent.

    Attributes:
        time: when it is sent, in seconds, on the same scale as the times of the records.
        reason: why it is sent: "new", "worse", "still", "quiet", or "exit".
        counts: fingerprint of a group → how many unmailed events of the group the mail tells.
        subject: the mail's subject.
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

    The time of a mail is the time of its decision. In a program, a mail arrives later: the worker
    takes up to two seconds, and the mail server takes its own time.

    Args:
        records: pairs of a time in seconds, of 0 or more, and the record logged at that time;
            earlier ones first.
        policy: the policy; by default `Policy()`.
        until: when the simulation stops, in seconds; by default, when no further mail can be due.
            The stop itself causes no mail, unless the policy has `at_exit`.
        app: the application's name, for subjects.
        environment: such as "production".

    Raises:
        ValueError: a time is negative, or earlier than the time before it.
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
        if not run.simulation.now <= time < _EVER:
            raise ValueError(f"a record's time must be {run.simulation.now} or later, got {time}")
        run.log(time, record)
    run.simulation.end(until)
    return run.mails


class _Run:
    """One simulation: each record is handed over as it is logged."""

    def __init__(self, sender: Sender) -> None:
        self.mails: list[SimulatedMail] = []
        self.simulation = Simulation(sender.policy, self._send)
        self._sender = sender
        self._fingerprints = Fingerprints(OwnCode())
        self._intake = Intake(own=OwnCode(), host="simulated", limit=1, urgent_level=0)
        self._groups: dict[str, Group] = {}

    def log(self, time: float, record: logging.LogRecord) -> None:
        """Merge the event of a record in the state, and send the mails that are due."""
        self.simulation.run_until(time)
        group = replace(self._group(record), first=time, last=time)
        self.simulation.merge((group,), time)

    def _group(self, record: logging.LogRecord) -> Group:
        """Return the group of one record; without samples if events of its group are unmailed."""
        fingerprint = self._fingerprints.of(record).fingerprint
        known = self.simulation.state.groups.get(fingerprint)
        if fingerprint in self._groups and known is not None and known.pending is not None:
            return self._groups[fingerprint]
        self._intake.add(record, None)
        (group,) = self._intake.drain()
        self._groups[fingerprint] = replace(group, samples=())
        return group

    def _send(self, digest: Digest) -> None:
        """Note the mail of a digest."""
        message = render(digest, self._sender)
        mail = SimulatedMail(
            time=digest.date,
            reason=digest.reason,
            counts={entry.group.fingerprint: entry.group.count for entry in digest.entries},
            subject=message.subject,
            message=message,
        )
        self.mails.append(mail)
