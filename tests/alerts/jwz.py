"""How mail clients put messages together: by references, as Gmail does, as Outlook does.

`thread` is the algorithm of https://www.jwz.org/doc/threading.html, in other words. The other two
follow what Google and Microsoft publish, and say so where something was only observed.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import email.utils
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import EmailMessage

_ID = re.compile(r"<[^<>\s]+>")
_REPLY = re.compile(r"(?i)^(\s*re(\[\d+\])?:\s*)+")
_GMAIL_PREFIX = re.compile(r"(?i)\s*(re|fwd?)(\[\d+\])?:\s*")
_BRACKETS = re.compile(r"\s*\[[^\[\]]*\]\s*")
_OUTLOOK_PREFIX = re.compile(r"[^: 0-9]{1,3}: *")  # MS-OXCMAIL §2.2.3.2.6.1
_WEEK, _MOST = dt.timedelta(days=7), 100  # https://support.google.com/mail/answer/5900
_INDEX_HEADER = 22  # bytes: 1 reserved, 5 of the time, 16 of the GUID, MS-OXOMSG §2.2.1.3


@dataclass(eq=False, slots=True)
class Container:
    """A place in a tree: of a message, or of one that is only referred to.

    Attributes:
        message: the message; None if none of the given ones has this Message-ID.
        parent: what the message answers.
        children: the answers to it, by date.
    """

    message: EmailMessage | None = None
    parent: Container | None = field(default=None, repr=False)
    children: list[Container] = field(default_factory=list)

    def walk(self) -> Iterator[Container]:
        """Iterate over this container and all beneath it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def adopt(self, child: Container) -> None:
        """Move a container under this one."""
        if child.parent is not None:
            child.parent.children.remove(child)
        child.parent = self
        self.children.append(child)

    @property
    def messages(self) -> list[EmailMessage]:
        """All messages of the tree."""
        return [one.message for one in self.walk() if one.message is not None]

    @property
    def subject(self) -> str:
        """The subject of the tree: the message's own, or its first child's."""
        return str(self.messages[0]["Subject"] or "").strip()

    def date(self) -> dt.datetime:
        """When the first message of the tree was written."""
        return min(map(_when, self.messages))

    def rank(self) -> int:
        """How far from the start of a conversation: a missing message, a first one, an answer."""
        return 0 if self.message is None else 1 if _REPLY.match(self.subject) is None else 2


def thread(messages: Iterable[EmailMessage]) -> list[Container]:
    """Return the trees that messages, in any order, make up; by the date of their first one."""
    known: dict[str, Container] = {}
    for number, message in enumerate(messages):
        _place(message, number, known)
    tops = [one for one in known.values() if one.parent is None]
    roots = _gathered([kept for top in tops for kept in _pruned(top)])
    for one in [one for root in roots for one in root.walk()]:
        one.children.sort(key=Container.date)
    return sorted(roots, key=Container.date)


def references(message: EmailMessage) -> list[str]:
    """Return the Message-IDs that a message refers to, the oldest first."""
    found = _ID.findall(str(message["References"] or ""))
    answered = _ID.findall(str(message["In-Reply-To"] or ""))[:1]
    return [one for one in found if one not in answered] + answered


def _place(message: EmailMessage, number: int, known: dict[str, Container]) -> None:
    """Step 1: give a message its container, and link the ones that it names."""
    name = "".join(_ID.findall(str(message["Message-ID"] or ""))[:1])
    if not name or (name in known and known[name].message is not None):
        name = f"{name} {number}"  # none, or a copy: it still is a message of its own
    own = known.setdefault(name, Container())
    own.message, parent = message, None
    for reference in references(message):
        one = known.setdefault(reference, Container())
        if parent is not None and one.parent is None and _apart(parent, one):
            parent.adopt(one)
        parent = one
    if own.parent is not None:  # a guess from another's references: its own count for more
        own.parent.children.remove(own)
    own.parent = None
    if parent is not None and _apart(parent, own):
        parent.adopt(own)


def _apart(parent: Container, child: Container) -> bool:
    """Whether a link from parent to child makes no loop."""
    return all(one is not parent for one in child.walk())


def _pruned(one: Container) -> list[Container]:
    """Step 4: return what takes the place of a container once empty ones are gone."""
    one.children = [kept for child in one.children for kept in _pruned(child)]
    if one.message is not None or (len(one.children) > 1 and one.parent is None):
        return [one]
    for child in one.children:
        child.parent = one.parent
    return one.children


def _gathered(roots: list[Container]) -> list[Container]:
    """Step 5: put together the trees that have the same subject, as far as that is safe."""
    table: dict[str, Container] = {}
    for root in sorted(roots, key=Container.rank):  # what is rather the first: the lowest rank
        table.setdefault(_REPLY.sub("", root.subject), root)
    table.pop("", None)
    for root in roots:
        subject = _REPLY.sub("", root.subject)
        best = table.get(subject, root)
        if best is root:
            pass
        elif best.message is None and root.message is None:
            for child in list(root.children):
                best.adopt(child)
        elif root.rank() > best.rank():
            best.adopt(root)
        else:  # both are first messages, or both answers: siblings under one that is missing
            table[subject] = empty = Container()
            empty.adopt(best)
            empty.adopt(root)
    trees = dict.fromkeys([*roots, *table.values()])
    return [one for one in trees if one.parent is None and one.messages]


def _when(message: EmailMessage) -> dt.datetime:
    parsed = email.utils.parsedate_to_datetime(str(message["Date"] or "1 Jan 1970 00:00:00 +0000"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)


def gmail_subject(subject: str, *, brackets: bool = True) -> str:
    """Return what has to be the same in all subjects of a conversation.

    Args:
        subject: as it is sent.
        brackets: whether leading text in brackets doesn't count. Google says so nowhere; seen in
            https://github.com/getsentry/sentry/issues/818, https://github.com/TwiN/gatus/issues/1563
    """
    while match := _GMAIL_PREFIX.match(subject) or (brackets and _BRACKETS.match(subject)) or None:
        subject = subject[match.end() :]
    return " ".join(subject.split())


def gmail_conversations(
    messages: Iterable[EmailMessage], *, brackets: bool = True
) -> list[list[EmailMessage]]:
    """Group messages as Gmail documents it for automated mail.

    The same subject; references that name a message of it, or the same one as it does, even if
    that was never sent; within a week of a message before; at most 100.
    https://workspaceupdates.googleblog.com/2019/03/threading-changes-in-gmail-conversation-view.html
    https://support.google.com/mail/answer/5900

    Args:
        messages: in the order of their arrival.
        brackets: see `gmail_subject`.
    """
    conversations: list[list[EmailMessage]] = []
    for message in messages:
        subject = gmail_subject(str(message["Subject"] or ""), brackets=brackets)
        for one in conversations:
            if (
                len(one) < _MOST
                and gmail_subject(str(one[0]["Subject"] or ""), brackets=brackets) == subject
                and any(abs(_when(message) - _when(before)) <= _WEEK for before in one)
                and _related(message, one)
            ):
                one.append(message)
                break
        else:
            conversations.append([message])
    return conversations


def _related(message: EmailMessage, conversation: list[EmailMessage]) -> bool:
    named = set(references(message))
    if not named:  # then people decide: the sender, or the recipients
        return any(message[who] == one[who] for one in conversation for who in ("From", "To"))
    return any(named & {str(one["Message-ID"]), *references(one)} for one in conversation)


def outlook_topic(message: EmailMessage) -> str:
    """Return PidTagConversationTopic, as MS-OXCMAIL §2.2.3.2.7 lets readers compute it."""
    names = [name.lower() for name in message if name.lower() in {"subject", "thread-topic"}]
    subject, topic = str(message["Subject"] or ""), str(message["Thread-Topic"] or "")
    if topic and names[0] == "thread-topic":
        return topic
    if match := _OUTLOOK_PREFIX.match(subject):
        return subject[match.end() :]
    return topic if topic and subject.endswith(topic) else subject


def outlook_conversations(
    messages: Iterable[EmailMessage], *, tracking: bool = True
) -> list[list[EmailMessage]]:
    """Group messages by PidTagConversationId, as MS-OXOMSG §2.2.1.2 computes it.

    Args:
        messages: in the order of their arrival.
        tracking: whether the GUID in Thread-Index counts (PidTagConversationIndexTracking; when
            readers of MIME set it isn't said). References don't: git-multimail's pull 194
    """
    conversations: dict[bytes, list[EmailMessage]] = {}
    for message in messages:
        guid = thread_guid(str(message["Thread-Index"] or "")) if tracking else None
        topic = outlook_topic(message)[:255].upper().encode("utf-16-le")
        key = guid or hashlib.md5(topic, usedforsecurity=False).digest()
        conversations.setdefault(key, []).append(message)
    return list(conversations.values())


def thread_guid(index: str) -> bytes | None:
    """Return the GUID of a Thread-Index; None if Outlook can't read it (MS-OXOMSG §2.2.1.3)."""
    try:
        raw = base64.b64decode(index, validate=True)
    except binascii.Error:
        return None
    whole = len(raw) >= _INDEX_HEADER and (len(raw) - _INDEX_HEADER) % 5 == 0
    return raw[6:_INDEX_HEADER] if whole and raw[0] == 1 else None
