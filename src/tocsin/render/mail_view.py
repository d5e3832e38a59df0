"""The view of a mail: what its templates show of a digest as a whole.

Each template gets it as `mail`; the template of a group also gets a `GroupView` as `group`. The
attributes of both are the interface for a user's own templates. Each text is one line. Texts are
cleaned here, as another program may have written the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.render.group_view import GroupView, first_of, view_group
from tocsin.render.sample_view import MAX_NAME, NO_ROOM
from tocsin.render.times import Times, span
from tocsin.text import short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.alerts.digest import Digest
    from tocsin.render.sender import Sender

_BECAUSE = {
    "new": "a new kind of error appeared",
    "worse": "a known error comes much more often than before",
    "still": "known errors go on",
    "quiet": "known errors have ceased for now",
    "lost": "errors were lost before they could be mailed",
    "exit": "the process, or its logging, has ended",
}
_STANDING = (("new", "new"), ("worse", "worse"), ("still", "going on"), ("quiet", "quiet"))
_SHOWN_RECIPIENTS = 20
_SHOWN_NOTES = 10
_MAX_NOTE = 500  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class MailView:
    """The mail as a whole.

    Attributes:
        app: the application's name.
        environment: such as "production"; or "".
        identity: the application's name and the environment.
        reason: why it is sent: "new", "worse", "still", "quiet", "lost" or "exit".
        because: the reason in words.
        lead: the group that the subject names, without samples; None if the mail tells only that
            events were lost.
        kinds: how many groups the mail tells.
        count: events that are told for the first time.
        new: how many groups are new.
        worse: how many got worse.
        still: how many go on.
        quiet: how many have ceased.
        standing: these four numbers in words: "1 new, 2 going on".
        hidden: how many groups are not shown.
        hidden_count: their events.
        lost: events that were dropped or given up since the last mail.
        notes: problems of the alerts themselves.
        offset: the time zone, as "+0200".
        next: the earliest time at which these groups are told again; None if they are not.
        accounts: received = mailed + pending + undelivered, and since when.
        budget: how many more mails may be sent for new and worse groups.
        footnote: a note that all mails of the handler have.
        to: recipients in To and Cc; if they are many, the first ones and how many are left out.
    """

    app: str
    environment: str
    identity: str
    reason: str
    because: str
    lead: GroupView | None
    kinds: int
    count: int
    new: int
    worse: int
    still: int
    quiet: int
    standing: str
    hidden: int
    hidden_count: int
    lost: int
    notes: tuple[str, ...]
    offset: str
    next: str | None
    accounts: str
    budget: str
    footnote: str
    to: tuple[str, ...]


def view_mail(digest: Digest, sender: Sender, times: Times) -> MailView:
    """Return the view of a digest as a whole.

    Args:
        digest: the digest.
        sender: the properties that all mails of the handler have in common.
        times: the format of times.
    """
    return MailView(
        app=short(sender.app, MAX_NAME),
        environment=short(sender.environment, MAX_NAME),
        identity=short(sender.identity, 2 * MAX_NAME + 1),
        reason=digest.reason,
        because=_BECAUSE[digest.reason],
        lead=None if digest.lead is None else view_group(digest.lead, 1, times, room=NO_ROOM),
        kinds=len(digest.entries),
        count=digest.count,
        new=digest.how_many("new"),
        worse=digest.how_many("worse"),
        still=digest.how_many("still"),
        quiet=digest.how_many("quiet"),
        standing=_standing(digest),
        hidden=0,
        hidden_count=0,
        lost=digest.lost,
        notes=first_of([short(note, _MAX_NOTE) for note in _notes(digest, times)], _SHOWN_NOTES),
        offset=times.offset,
        next=None if digest.next_at is None else times.minute(digest.next_at),
        accounts=_accounts(digest, times),
        budget=_budget(digest, sender),
        footnote=short(sender.footnote, _MAX_NOTE),
        to=_recipients(digest),
    )


def _standing(digest: Digest) -> str:
    counts = ((digest.how_many(reason), words) for reason, words in _STANDING)
    return ", ".join(f"{count:,} {words}" for count, words in counts if count)


def _notes(digest: Digest, times: Times) -> Iterator[str]:
    yield from digest.audience.notes
    if (trouble := digest.trouble) is not None:
        often = "1 time" if trouble.count == 1 else f"{trouble.count:,} times"
        since = times.minute(trouble.since)
        yield f"Mails did not reach all recipients, {often} since {since}: {trouble.problem}"
    if any(entry.cut for entry in digest.entries):
        yield "Samples of this mail were dropped to save space, as it could not be sent at once."


def _accounts(digest: Digest, times: Times) -> str:
    """Return the accounts as they are once this mail is accepted."""
    accounts = digest.accounts
    mailed = accounts.mailed + digest.count
    pending = accounts.received - mailed - accounts.undelivered
    return (
        f"Since {times.minute(accounts.since)}: received {accounts.received:,} = "
        f"mailed {mailed:,} + pending {pending:,} + undelivered {accounts.undelivered:,}."
    )


def _budget(digest: Digest, sender: Sender) -> str:
    policy = sender.policy
    return (
        f"Mails for new kinds: {digest.accounts.tokens} of {policy.burst} left, "
        f"one more every {span(policy.refill)}."
    )


def _recipients(digest: Digest) -> tuple[str, ...]:
    visible = (*digest.audience.to, *digest.audience.cc)
    return first_of([short(one, 2 * MAX_NAME) for one in visible], _SHOWN_RECIPIENTS)
