"""The assembly: builds the worker of a handler from its parts, anew in each process."""

from __future__ import annotations

import os
import platform
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.pipeline import exits
from tocsin.pipeline.attempts import Attempts
from tocsin.pipeline.claims import Claims
from tocsin.pipeline.complaints import Complaints
from tocsin.pipeline.failover import FailoverStore
from tocsin.pipeline.hand_over import HandOver
from tocsin.pipeline.intake import Intake
from tocsin.pipeline.journal import Journal
from tocsin.pipeline.ledger import Ledger
from tocsin.pipeline.messages import Messages
from tocsin.pipeline.round import Round
from tocsin.pipeline.sending import SendingThread
from tocsin.pipeline.undelivered import Undelivered
from tocsin.pipeline.worker import Worker

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tocsin.alerts.digest import Audience
    from tocsin.events.capture import Origin
    from tocsin.events.frames import OwnCode
    from tocsin.mail.base import EmailHandler
    from tocsin.pipeline.context import Context
    from tocsin.pipeline.fallback import Fallback
    from tocsin.redact.base import Redacts
    from tocsin.render.sender import Sender
    from tocsin.render.templating import Templates
    from tocsin.stores.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the options of a handler have made.

    Attributes:
        email: sends the mails.
        sender: the application, and the address that mails come from.
        audience: returns the recipients of a digest.
        templates: the templates of mails.
        redactor: takes secrets out of text.
        own: tells the application's own frames.
        version: the application's version, or "".
        context: keeps the records before an error; None if none are kept.
        origin_of: returns the request or the task in which a record was logged.
        fallback: takes alerts that cannot be mailed.
        give_up_after: seconds after which an alert that was not sent is given up.
        exit_timeout: seconds that the end of the process waits for a mail.
    """

    email: EmailHandler
    sender: Sender
    audience: Callable[[], Audience]
    templates: Templates
    redactor: Redacts
    own: OwnCode
    version: str
    context: Context | None
    origin_of: Callable[[logging.LogRecord], Origin | None]
    fallback: Fallback
    give_up_after: float
    exit_timeout: float


def assemble(
    parts: Parts,
    store: Store,
    *,
    spare: Store,
    place: object = None,
    inherited: bool = False,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
    host: str | None = None,
) -> Worker:
    """Return a worker for this process; nothing runs yet. At the process's end it sends the rest.

    Args:
        parts: what the handler's options have made.
        store: the usual store.
        spare: the store in memory that is used while the usual one fails.
        place: where the events are: equal for two handlers that share them.
        inherited: whether an earlier handler may have left something in the store.
        clock: returns the time in seconds since the epoch, as a mail shows it.
        ticks: returns seconds that pass steadily.
        host: the machine's name, if it is another one.
    """
    round_ = assemble_round(
        parts,
        store,
        spare=spare,
        place=place,
        inherited=inherited,
        clock=clock,
        ticks=ticks,
        host=host,
        thread=SendingThread(),
    )
    worker = Worker(round_, exit_timeout=parts.exit_timeout)
    exits.join(worker)
    return worker


def assemble_round(
    parts: Parts,
    store: Store,
    *,
    spare: Store,
    place: object,
    inherited: bool,
    clock: Callable[[], float],
    thread: SendingThread,
    ticks: Callable[[], float] = time.monotonic,
    host: str | None = None,
    make_intake: Callable[..., Intake] = Intake,
) -> Round:
    """Return the rounds of a worker. The arguments are those of `assemble`, with two more.

    Args:
        parts: what the handler's options have made.
        store: the usual store.
        spare: the store in memory that is used while the usual one fails.
        place: where the events are: equal for two handlers that share them.
        inherited: whether an earlier handler may have left something in the store.
        clock: returns the time in seconds since the epoch, as a mail shows it.
        thread: makes the calls that may take long.
        ticks: returns seconds that pass steadily.
        host: the machine's name, if it is another one.
        make_intake: returns the intake.
    """
    host = host or platform.node() or "localhost"
    owner = f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
    complaints = Complaints(parts.redactor.text)
    policy = parts.sender.policy
    failover = FailoverStore(
        store, spare=spare, policy=policy, owner=owner, failed=complaints.store_failed, ticks=ticks
    )
    journal = Journal(failover, owner=owner, place=place, ticks=ticks)
    intake = _intake(make_intake, parts, host)
    return _round(
        parts, journal, complaints, intake=intake, thread=thread, inherited=inherited, clock=clock
    )


def _round(
    parts: Parts,
    journal: Journal,
    complaints: Complaints,
    *,
    intake: Intake,
    thread: SendingThread,
    inherited: bool,
    clock: Callable[[], float],
) -> Round:
    messages = Messages(parts.sender, parts.templates)
    claims = Claims(journal, domain=parts.sender.domain, clock=clock)
    undelivered = Undelivered(
        parts.fallback, give_up_after=parts.give_up_after, claims=claims, messages=messages
    )
    attempts = Attempts(
        parts.email,
        journal=journal,
        claims=claims,
        messages=messages,
        complaints=complaints,
        undelivered=undelivered,
        thread=thread,
    )
    has_unmailed = inherited or journal.store.durable
    return Round(
        intake=intake,
        journal=journal,
        hand_over=HandOver(intake, journal, complaints),
        claims=claims,
        attempts=attempts,
        undelivered=undelivered,
        ledger=Ledger(intake, journal, attempts, has_unmailed=has_unmailed),
        complaints=complaints,
        thread=thread,
        audience=parts.audience,
        clock=clock,
    )


def _intake(make_intake: Callable[..., Intake], parts: Parts, host: str) -> Intake:
    return make_intake(
        own=parts.own,
        host=host,
        version=parts.version,
        limit=parts.sender.policy.max_groups,
        urgent_level=parts.sender.policy.urgent_level,
        redact=parts.redactor,
        context=parts.context,
        origin_of=parts.origin_of,
    )
