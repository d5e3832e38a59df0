"""`tocsin retry`: alerts that wait for a later attempt are due now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tocsin.alerts import outcome
from tocsin.alerts.policy import Urgency
from tocsin.cli import configuration
from tocsin.cli.output import ExitCode
from tocsin.cli.store_view import StoreView
from tocsin.cli.stored import find_one, lead_until
from tocsin.exceptions import StoreError
from tocsin.text import short

if TYPE_CHECKING:
    import argparse

    from tocsin.alerts.state import State
    from tocsin.cli.output import Output
    from tocsin.pipeline.journal import Journal

DESCRIPTION = """\
Make the alerts due that wait for a later attempt, because the mail server failed, and send them
from this process. Use it once the cause is mended, such as an expired password.

Each mail is sent by one process, and with the Message-ID that it had before. So no recipient gets
it twice because of this command. New groups are sent without waiting for more of their events;
what is not due by the policy goes on waiting."""
EXAMPLES = """\
examples:
  tocsin retry shop.yaml
  tocsin retry shop.yaml --timeout 60"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    configuration.add_arguments(parser)
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long sending may take; 30 seconds by default",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError(text)
    return seconds


def run(args: argparse.Namespace, output: Output) -> ExitCode:
    """Make everything due, and send it."""
    stored = find_one(args, sends=True)
    worker = stored.worker()
    waiting = _make_due(worker.round.journal)
    sent = 0
    if waiting:
        worker.round.run(Urgency.FLUSH, time.monotonic() + args.timeout)
        sent = worker.round.ledger.stats.mails_sent
    view = StoreView(stored)
    trouble = view.state.trouble
    problem = "" if trouble is None else short(trouble.problem, 300)
    left = _waiting(view.state, view.now) if waiting else 0
    code = ExitCode.LATER if left or waiting is None else ExitCode.GOOD
    if waiting is None:
        problem = "another process leads the store, and doesn't let go of it"
        output.line("Another process leads the store, and doesn't let go of it: try again later.")
    elif not waiting:
        output.line("Nothing waits for a later attempt.")
    else:
        output.line(f"{_events(waiting)} waited for a later attempt; {_mails(sent)} sent now.")
        if left:
            output.line(f"{_events(left)} still wait: {problem or 'tocsin status shows the mails'}")
    output.document(
        {
            "exit_code": int(code),
            "waited": waiting,
            "mails_sent": sent,
            "still_wait": left,
            "pending": view.state.pending,
            "problem": problem or None,
        }
    )
    return code


def _make_due(journal: Journal) -> int | None:
    """Make everything due, and return how many events waited; None if another process leads."""
    with journal.lead(until=lead_until()) as lead:
        _check(journal)
        if lead is None:
            return None
        waiting = _waiting(lead.state, lead.now)
        if waiting:
            outcome.retry_now(lead.state)
            lead.commit()
        return waiting


def _waiting(state: State, now: float) -> int:
    """Return how many events wait because an attempt has failed."""
    free = [one for one in state.outgoing.values() if one.claimed_until <= now]
    digests = sum(one.digest.count for one in free)
    failing = state.failures or state.retry_at > now
    return digests + (sum(group.count for group in state.unmailed) if failing else 0)


def _check(journal: Journal) -> None:
    """Refuse to go on alone where the store fails: only the store has what waits."""
    if journal.store.trouble:
        raise StoreError(f"the store can't be used: {journal.store.trouble}")


def _mails(count: int) -> str:
    return "1 mail was" if count == 1 else f"{count} mails were"


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"
