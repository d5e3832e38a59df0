"""The outcome of an attempt to send a digest: done, tried again, dissolved, or given up.

A digest that certainly no recipient has is dissolved: its events are unmailed again, so that one
later digest tells everything. A digest that a recipient has, or may have, stays as it is, and is
sent only to the recipients that don't have it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.alerts.digest import Trouble

if TYPE_CHECKING:
    from tocsin.alerts.outgoing import Outgoing, Report
    from tocsin.alerts.settings import Policy
    from tocsin.alerts.state import State

_FIRST_PAUSE = 1.0  # seconds
_LAST_PAUSE = 300.0
_MAX_PROBLEM = 1_000  # characters


def report(state: State, report: Report, policy: Policy, now: float) -> None:
    """Apply a report about an attempt to send a digest."""
    outgoing = state.outgoing.get(report.message_id)
    if outgoing is None:  # the digest is done
        return
    state.sent_at = now
    done = {*report.accepted, *report.refused}
    outgoing.owed = tuple(one for one in outgoing.owed if one not in done)
    if report.accepted:
        state.failures, state.retry_at = 0, 0
        if not outgoing.counted:
            outgoing.counted = True
            outgoing.before = {}  # never needed: a counted digest is never dissolved
            state.mailed += outgoing.digest.count
    outgoing.frozen = outgoing.frozen or bool(report.accepted or report.unknown)
    if report.final or not outgoing.owed:
        _end_attempt(state, outgoing, report, policy, now)


def _end_attempt(
    state: State, outgoing: Outgoing, report: Report, policy: Policy, now: float
) -> None:
    if outgoing.owed and outgoing.claimed_by != report.owner:
        return  # the attempt took too long: another process has claimed the digest since
    outgoing.release(report.owner)
    _note_trouble(state, report.problem, now)
    if not outgoing.owed:
        del state.outgoing[report.message_id]
        if not outgoing.counted:
            give_up(state, outgoing, now)
    elif outgoing.frozen:
        # Only this digest waits: one full mailbox must not delay later digests for all recipients.
        outgoing.failures += 1
        outgoing.retry_at = now + max(report.pause, pause(outgoing.failures))
    else:
        state.failing_since = state.failing_since if state.failures else now
        state.failures += 1
        state.retry_at = now + pause(state.failures)
        del state.outgoing[report.message_id]
        _dissolve(state, outgoing, policy, now)
    if report.pause:
        state.retry_at = max(state.retry_at, now + report.pause)


def _note_trouble(state: State, problem: str, now: float) -> None:
    """Note the problem of the latest attempt; the next mail shows it."""
    problem = problem[:_MAX_PROBLEM]
    if not problem:
        state.trouble = None
    elif state.trouble is None:
        state.trouble = Trouble(since=now, count=1, problem=problem)
    else:
        state.trouble = replace(state.trouble, count=state.trouble.count + 1, problem=problem)


def pause(failures: int) -> float:
    """Return the seconds until the next attempt: 1 after one failure, then 2, 4 ... 300."""
    return min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 10), _LAST_PAUSE)


def due(state: State, now: float) -> Outgoing | None:
    """Return the digest that is to be sent again now, the one due first; None if there is none."""
    found = [one for one in state.outgoing.values() if state.due_at(one) <= now]
    return min(found, key=state.due_at, default=None)


def overdue(state: State, after: float, now: float) -> list[Outgoing]:
    """Return the digests to give up: those that are too old, and the oldest if there are too many.

    If there are too many, only digests that a recipient has are given up: so no event is lost.

    Args:
        state: the state.
        after: the age, in seconds, at which a digest is given up.
        now: the store's time.
    """
    waiting = [one for one in state.outgoing.values() if one.claimed_until <= now]
    waiting.sort(key=lambda one: one.at)
    old = [one for one in waiting if one.at + after <= now]
    had = [one for one in waiting[len(old) :] if one.counted]
    return old + had[: max(0, state.excess - len(old))]


def is_hopeless(state: State, after: float, now: float) -> bool:
    """Return whether all attempts failed for so long that all unmailed events are given up."""
    return state.failures > 0 and state.failing_since + after <= now


def give_up(state: State, outgoing: Outgoing, now: float) -> None:
    """Give up a digest; if no recipient has it, its groups count as not told by it."""
    state.outgoing.pop(outgoing.digest.message_id, None)
    if outgoing.counted:
        return
    digest = outgoing.digest
    state.undelivered += digest.count
    state.lose(digest.count + digest.lost, now)
    state.failures, state.retry_at = 0, now + _LAST_PAUSE
    _untell(state, outgoing)


def drop(state: State, outgoing: Outgoing, policy: Policy, now: float) -> None:
    """Give up a digest because a person asks for it: later mails don't wait, and don't tell it."""
    state.outgoing.pop(outgoing.digest.message_id, None)
    if not outgoing.counted:
        state.undelivered += outgoing.digest.count
        _undo(state, outgoing, policy, now)


def retry_now(state: State) -> None:
    """Make all digests due that wait for a later attempt, and the events of dissolved ones."""
    state.retry_at = 0
    for outgoing in state.outgoing.values():
        outgoing.retry_at = 0


def _dissolve(state: State, outgoing: Outgoing, policy: Policy, now: float) -> None:
    """Make the events of a digest unmailed again, as if it had never been taken."""
    _undo(state, outgoing, policy, now)
    # Groups that have a history come first: to make room for new ones, idle groups are forgotten.
    groups = [entry.group for entry in outgoing.digest.entries]
    for group in sorted(groups, key=lambda group: group.fingerprint not in state.groups):
        placed = state.place(group, policy, now)
        since = outgoing.before[group.fingerprint].pending_since
        state.groups[placed.fingerprint].put(placed, since)


def _undo(state: State, outgoing: Outgoing, policy: Policy, now: float) -> None:
    """Restore what the taking of a digest has changed, apart from the events that it took."""
    if outgoing.spent:
        state.budget(outgoing.spent).give_back(policy, now)
    if state.mail_at == outgoing.at:
        state.mail_at = outgoing.mail_before
    for later in state.outgoing.values():
        if later.mail_before == outgoing.at:
            later.mail_before = outgoing.mail_before
    state.lose(outgoing.digest.lost, outgoing.lost_before)
    _untell(state, outgoing)


def _untell(state: State, outgoing: Outgoing) -> None:
    """Restore what was noted of the groups before this digest told them.

    If a later digest has told a group since, the facts that it keeps from before are corrected.
    """
    for name, before in outgoing.before.items():
        history = state.groups.get(name)
        if history is not None and history.told is not None and history.told.at == outgoing.at:
            history.told = before.told
        for later in state.outgoing.values():
            other = later.before.get(name)
            if other is not None and other.told is not None and other.told.at == outgoing.at:
                later.before[name] = replace(other, told=before.told)
