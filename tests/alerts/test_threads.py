"""Mails of one fault are one conversation, and those of different faults aren't, in mail clients.

What their makers document, and `jwz` follows:

- References and In-Reply-To: most clients, by the algorithm of https://www.jwz.org/doc/threading.html
- Gmail: the same subject, and references that meet, within a week of a message before.
- Outlook: PidTagConversationId, from the GUID in Thread-Index where it is tracked, else from the
  topic: Thread-Topic, or the subject without a prefix (MS-OXOMSG §2.2.1.2, MS-OXCMAIL §2.2.3.2.7).

What is only observed: that Gmail leaves out what stands in brackets at the start of a subject.
Nobody at Google promises it; where it no longer holds, mails of a fault stand one by one.
"""

from __future__ import annotations

import email
import email.policy
import itertools
import random
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
from jwz import gmail_conversations, gmail_subject, outlook_conversations, outlook_topic, thread
from samples import NOW, digest, entry, group, mail

from tocsin.alerts.grouping import Source
from tocsin.alerts.history import Told
from tocsin.mail.mime import render as wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.alerts.digest import Entry

    Mails = list[EmailMessage]
    Client = Callable[[Mails], list[Mails]]

HOUR, DAY = 3_600, 86_400
NUMBERS = itertools.count()


def by_references(messages: Mails) -> list[Mails]:
    """As Thunderbird, Apple Mail, mutt and others do: the algorithm of jwz."""
    return [one.messages for one in thread(messages)]


def by_gmail(messages: Mails) -> list[Mails]:
    """As Gmail documents it, and brackets as they were observed."""
    return gmail_conversations(messages)


def by_outlook_index(messages: Mails) -> list[Mails]:
    """As Outlook documents it, where the index is tracked."""
    return outlook_conversations(messages, tracking=True)


def by_outlook_topic(messages: Mails) -> list[Mails]:
    """As Outlook documents it, where the index is not tracked."""
    return outlook_conversations(messages, tracking=False)


CLIENTS = [by_references, by_gmail, by_outlook_index, by_outlook_topic]
clients = pytest.mark.parametrize("client", CLIENTS)


def sent(*entries: Entry, at: float = 0, lost: int = 0, **fields: Any) -> EmailMessage:
    """Return a mail, so many seconds after NOW, as it comes from the wire."""
    made = digest(
        *entries,
        date=NOW + at,
        lost=lost,
        reason=entries[0].reason if entries else "lost",
        message_id=f"<{next(NUMBERS)}@example.com>",
    )
    parsed = email.message_from_bytes(wire(mail(made, **fields)), policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def fault(
    name: str = "a", count: int = 1, reason: str = "new", *, at: float = 0, **fields: Any
) -> Entry:
    """Return a fault that was first seen at NOW, as it is told so many seconds later."""
    given: dict[str, Any] = {"kind": f"Error_{name}", "place": f"shop.{name}", "at": NOW + at}
    before = None if reason == "new" else Told(at=NOW, interval=900, rate=1)
    return entry(group(name, count, **{**given, **fields}), reason, since=NOW, before=before)


def one_conversation(client: Client, *messages: EmailMessage) -> None:
    """Assert that messages are one conversation, in whatever order they arrive."""
    for seed in range(4):
        mixed = list(messages)
        random.Random(seed).shuffle(mixed)
        found = client(mixed)
        assert [len(one) for one in found] == [len(messages)]


def apart(client: Client, *messages: EmailMessage) -> None:
    """Assert that each message is a conversation of its own."""
    assert len(client(list(messages))) == len(messages)


@clients
def test_a_fault_on_several_hosts_is_one(client: Client) -> None:
    """Each may have a store of its own, and send by itself."""
    hosts = [
        sent(fault(count=number, at=number, sources=(Source(f"web-{number}", 7, "4", number),)))
        for number in range(1, 6)
    ]
    one_conversation(client, *hosts)


@clients
def test_a_fault_that_goes_on_is_one(client: Client) -> None:
    """Whatever else is told beside it, and however often it came."""
    one_conversation(
        client,
        sent(fault()),
        sent(fault(count=412, reason="still", at=900), at=900),
        sent(fault(count=9_000, reason="worse", at=960), fault("b"), fault("c"), at=960),
        sent(fault(count=2, reason="quiet", at=4_000), fault("b", reason="still"), at=4_000),
        sent(fault(count=3, reason="still", at=5_000), lost=7, at=5_000),
    )


@clients
def test_the_next_days_are_the_same_conversation(client: Client) -> None:
    """As long as it is the same known group: its first event counts, not its last."""
    days = range(0, 20 * DAY, 20 * HOUR)
    mails = [sent(fault(count=5, reason="still", at=day), at=day) for day in days]
    assert len(client(mails)) == 1


@clients
def test_a_fault_with_a_long_name_is_one(client: Client) -> None:
    """A subject is cut behind the same characters, however long its numbers are."""
    one_conversation(
        client,
        *(
            sent(fault(count=10**power, kind="Ошибка " * 30, place="p" * 80, at=power))
            for power in range(0, 12, 3)
        ),
    )


@clients
def test_an_application_with_a_short_name_is_one(client: Client) -> None:
    """ "api: " at the start of a subject were a prefix such as "Re: " (MS-OXCMAIL §2.2.3.2.6.1)."""
    fields: dict[str, Any] = {"app": "api", "environment": ""}
    one_conversation(client, *(sent(fault(count=n + 1, at=n), at=n, **fields) for n in range(3)))
    others: dict[str, Any] = {"app": "www", "environment": ""}
    apart(client, sent(fault(), **fields), sent(fault(), **others))


@clients
def test_lost_events_of_a_day_are_one(client: Client) -> None:
    one_conversation(client, sent(lost=1), sent(lost=90, at=900), sent(lost=9_000, at=1_800))


@clients
def test_different_faults_are_apart(client: Client) -> None:
    apart(client, sent(fault("a")), sent(fault("b"), fault("a"), at=60), sent(lost=1, at=90))


@clients
def test_different_applications_and_environments_are_apart(
    client: Client,
) -> None:
    apart(
        client,
        sent(fault()),
        sent(fault(), environment="staging"),
        sent(fault(), app="bank"),
        sent(fault(), environment=""),
    )


@clients
def test_a_higher_level_is_another_fault(client: Client) -> None:
    """The level is a part of the fingerprint, and of the subject."""
    apart(
        client, sent(fault("a")), sent(fault("A", level=50, level_name="CRITICAL", kind="Error_a"))
    )


@pytest.mark.parametrize("client", [by_references, by_gmail, by_outlook_index])
def test_a_fault_that_comes_back_when_it_was_forgotten_is_a_new_one(
    client: Client,
) -> None:
    """By its topic alone Outlook can't tell; the day of its first event is in all else."""
    again = entry(
        group("a", 2, at=NOW + 3 * DAY, kind="Error_a", place="shop.a"), since=NOW + 3 * DAY
    )
    apart(client, sent(fault()), sent(again, at=3 * DAY))


@pytest.mark.parametrize("client", [by_references, by_gmail, by_outlook_index])
def test_faults_that_are_cut_to_the_same_subject_are_apart(
    client: Client,
) -> None:
    """By its topic alone Outlook can't tell these either."""
    apart(client, sent(fault("a", kind="K" * 100)), sent(fault("b", 2, kind="K" * 100)))


def test_without_the_observation_mails_stand_one_by_one() -> None:
    """If Gmail compared all of a subject, numbers would keep mails apart: what is at stake."""
    mails = [sent(fault(count=number, at=number), at=number) for number in range(1, 4)]
    assert len(gmail_conversations(mails, brackets=True)) == 1
    assert len(gmail_conversations(mails, brackets=False)) == 3


def test_the_root_is_never_sent() -> None:
    """All mails answer one that there isn't: it doesn't matter which comes first, or is lost."""
    (tree,) = thread([sent(fault(count=number), at=number) for number in range(1, 4)])
    assert tree.message is None
    assert [len(child.children) for child in tree.children] == [0, 0, 0]


@pytest.mark.parametrize("app", ["shop", "api", "[shop]", "Re", "магазин", "a: b"])
def test_what_clients_compare_is_the_same_in_each_mail(app: str) -> None:
    few, many = sent(fault(), app=app), sent(fault(count=9_999), fault("b"), at=60, app=app)
    assert outlook_topic(few) == outlook_topic(many) == few["Thread-Topic"]
    assert gmail_subject(few["Subject"]) == gmail_subject(many["Subject"])
    assert few["Subject"].endswith(few["Thread-Topic"])
