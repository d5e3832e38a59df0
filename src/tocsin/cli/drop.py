"""`tocsin drop`: unmailed alerts are given up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tocsin.alerts.digest import Audience
from tocsin.cli import configuration
from tocsin.cli.output import ExitCode, UsageError
from tocsin.cli.stored import find_one, lead_until
from tocsin.exceptions import StoreError, TocsinError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection

    from tocsin.alerts.state import State
    from tocsin.cli.output import Output
    from tocsin.cli.stored import Stored

DESCRIPTION = """\
Give up the unmailed alerts of one group, or of all groups: nobody gets a mail about them. They
count as undelivered, and are written to the handler's fallback (standard error, or a folder of
.eml files). The next event of such a group is told as if the dropped ones had never come.

A mail that a process sends at this moment is left alone. A mail that waits with several groups in
it is dropped by --all only."""
EXAMPLES = """\
examples:
  tocsin drop shop.yaml 9f3cab        the group of that name; tocsin status shows the names
  tocsin drop shop.yaml --all --yes   all groups, without a question"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    configuration.add_arguments(parser)
    parser.add_argument(
        "group", metavar="GROUP", nargs="?", help="the first digits of the group's fingerprint"
    )
    parser.add_argument("--all", action="store_true", help="all groups")
    parser.add_argument("--yes", action="store_true", help="don't ask")


def run(args: argparse.Namespace, output: Output) -> ExitCode:
    """Ask, and give the alerts up."""
    if bool(args.group) is args.all:
        raise UsageError("name a group, or write --all for all groups")
    stored = find_one(args)
    state = stored.state(*stored.contents())
    only = None if args.all else {_find(state, args.group)}
    count, groups = _unmailed(state, only)
    owed = _owed(state, only)
    if not count and not owed:
        output.line("Nothing is unmailed, so nothing was dropped.")
        return _end(output, ExitCode.GOOD)
    if not args.yes and not _confirmed(_question(count, groups, owed)):
        output.line("Nothing was dropped.")
        return _end(output, ExitCode.FAULT, left=count)
    return _drop(stored, only, output)


def _drop(stored: Stored, only: Collection[str] | None, output: Output) -> ExitCode:
    round_ = stored.worker().round
    with round_.journal.lead(until=lead_until()) as lead:
        if round_.journal.store.trouble:
            raise StoreError(f"the store can't be used: {round_.journal.store.trouble}")
        if lead is None:
            output.line("Another process leads the store, and doesn't let go of it: try later.")
            return _end(output, ExitCode.LATER, left=None)
        before, owed = lead.state.undelivered, _owed(lead.state, only)
        round_.undelivered.drop(lead, _audience(stored), only)
        dropped = lead.state.undelivered - before
        left, _ = _unmailed(lead.state, only)
        owed -= _owed(lead.state, only)
    if dropped or not owed:
        output.line(f"{_events(dropped)} dropped, and counted as undelivered.")
    if owed:
        output.line(f"{_mails(owed)} not sent any more to the recipients that lack it.")
    if left:
        output.line(
            f"{_events(left)} left: they are in a mail that is being sent, or that waits with "
            "other groups in it; --all drops those that wait"
        )
    code = ExitCode.LATER if left else ExitCode.GOOD
    return _end(output, code, dropped=dropped, left=left, owed=owed)


def _end(
    output: Output, code: ExitCode, *, dropped: int = 0, left: int | None = 0, owed: int = 0
) -> ExitCode:
    """Write the document, and return the exit code.

    Args:
        output: where it is written.
        code: the exit code.
        dropped: how many events were dropped.
        left: how many are left; None if that is unknown.
        owed: how many mails aren't sent any more to the recipients that lack them.
    """
    output.document(
        {"exit_code": int(code), "dropped": dropped, "left": left, "mails_not_completed": owed}
    )
    return code


def _audience(stored: Stored) -> Audience:
    """Return the recipients that a dropped alert names: those that would have got it."""
    try:
        return stored.parts.audience()
    except Exception:  # noqa: BLE001 - a callable of the application
        return Audience()


def _find(state: State, given: str) -> str:
    """Return the fingerprint of the group that the user means."""
    names = {*state.groups}
    for outgoing in state.outgoing.values():
        names.update(entry.group.fingerprint for entry in outgoing.digest.entries)
    found = [given] if given in names else sorted(n for n in names if n.startswith(given.lower()))
    if not found:
        raise TocsinError(f"there is no group {given!r}; tocsin status shows the groups")
    if len(found) > 1:
        raise UsageError(f"{given!r} names several groups: {', '.join(found)}")
    return found[0]


def _unmailed(state: State, only: Collection[str] | None) -> tuple[int, int]:
    """Return how many events of these groups are unmailed, and of how many groups they are."""
    groups = list(state.unmailed)
    for outgoing in state.outgoing.values():
        if not outgoing.counted:
            groups += [entry.group for entry in outgoing.digest.entries]
    kept = [group for group in groups if only is None or group.fingerprint in only]
    return sum(group.count for group in kept), len({group.fingerprint for group in kept})


def _owed(state: State, only: Collection[str] | None) -> int:
    """Return how many mails some of their recipients have, and the others don't."""
    counted = [one for one in state.outgoing.values() if one.counted]
    return sum(
        only is None or {entry.group.fingerprint for entry in one.digest.entries} <= {*only}
        for one in counted
    )


def _question(count: int, groups: int, owed: int) -> str:
    kinds = "1 group" if groups == 1 else f"{groups:,} groups"
    parts = [f"Drop {_events(count)} of {kinds}? Nobody gets a mail about them."] if count else []
    if owed:
        parts.append(f"{_mails(owed)} not sent any more to the recipients that lack it.")
    return " ".join(parts)


def _confirmed(question: str) -> bool:
    """Return whether the user agrees.

    Raises:
        UsageError: there is no terminal to ask.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on; write --yes to drop without a question")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline()
    except UnicodeDecodeError:
        return False
    if not answer.endswith("\n"):  # Ctrl-D
        sys.stderr.write("\n")
    return answer.strip().lower() in {"y", "yes"}


def _mails(count: int) -> str:
    return "1 mail is" if count == 1 else f"{count:,} mails are"


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"
