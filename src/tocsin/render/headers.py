"""The headers of an alert: for mail clients, for mail rules and for scripts.

The subject, and the headers of a conversation, do not depend on which host sends the mail.
"""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import hashlib
import logging
import re
from typing import TYPE_CHECKING

from tocsin.render.times import moment
from tocsin.text import short

if TYPE_CHECKING:
    from tocsin.alerts.digest import Digest
    from tocsin.render.sender import Sender
    from tocsin.render.templating import Templates

# Characters.
_SUBJECT = 120
_TOPIC = 84  # the rest of the subject is for the numbers in front
_NUMBERS = _SUBJECT - _TOPIC - len("[] ")
_IDENTITY = 40  # of the topic; the rest of it is for the error
_ENVIRONMENT = 15  # of the identity: it is not cut off by a long name of the application
_NAME = 100
_FILETIME_EPOCH = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)


def subject(digest: Digest, sender: Sender, templates: Templates) -> tuple[str, str]:
    """Return the subject, and the error of a user's own template for it, or "".

    The subject has numbers in brackets, and then the topic, which is the same in each mail of a
    conversation. Gmail compares subjects to find a conversation, and was seen to ignore brackets at
    the start. Outlook accepts a `Thread-Topic` that is the end of the subject.
    """
    numbers = [f"{digest.lead.group.count}x"] if digest.lead else [f"{digest.lost} lost"]
    if new := digest.how_many("new"):
        numbers.append(f"{new} new")
    if len(digest.entries) > 1:
        numbers.append(f"{len(digest.entries)} kinds")
    while len(", ".join(numbers)) > _NUMBERS and len(numbers) > 1:
        numbers.pop()  # long numbers would cut the topic, so that it differs from mail to mail
    about = topic(digest, sender)
    text, trouble = templates.try_render("subject.txt.j2", about=about, numbers=numbers)
    return short(text, _SUBJECT), trouble


def topic(digest: Digest, sender: Sender) -> str:
    """Return the topic of a digest: application, environment and lead group, without numbers."""
    environment = short(sender.environment, _ENVIRONMENT)
    app = short(sender.app, _IDENTITY - (len(environment) + 1 if environment else 0))
    identity = f"{app} {environment}".strip()
    if digest.lead is None:
        return f"{identity}: errors were lost"
    lead = digest.lead.group
    return short(f"{identity}: {lead.level_name} {lead.kind} in {lead.place}", _TOPIC)


def headers(digest: Digest, sender: Sender) -> dict[str, str]:
    """Return the headers except subject and addresses."""
    root, day = _root(digest, sender)
    domain = _dot_atom(sender.domain)
    thread = f"<{root.hex()}@{domain}>"
    found = {
        "Date": email.utils.format_datetime(moment(digest.date)),
        "Message-ID": digest.message_id,
        "References": thread,
        "In-Reply-To": thread,
        "Thread-Topic": topic(digest, sender),
        "Thread-Index": _thread_index(root, day, digest),
        "Auto-Submitted": "auto-generated",  # RFC 3834 §5
        "X-Auto-Response-Suppress": "OOF, AutoReply",  # MS-OXCMAIL §2.1.3.2.20
        "List-Id": f"<{_label(sender.identity)}.alerts.{domain}>",  # RFC 2919
        **_for_rules(digest, sender),
    }
    if digest.level >= logging.CRITICAL:
        found["Importance"] = "high"
    return found


def _for_rules(digest: Digest, sender: Sender) -> dict[str, str]:
    """Return the headers for mail rules and scripts."""
    level = digest.lead.group.level_name if digest.lead else logging.getLevelName(digest.level)
    return {
        "X-Tocsin-App": short(sender.app, _NAME),
        "X-Tocsin-Environment": short(sender.environment, _NAME),
        "X-Tocsin-Level": short(level, _NAME),
        "X-Tocsin-Reason": digest.reason,
        "X-Tocsin-Groups": str(len(digest.entries)),
        "X-Tocsin-Count": str(digest.count),
    }


def _root(digest: Digest, sender: Sender) -> tuple[bytes, dt.datetime]:
    """Return the id of the conversation, and its day. Each lead group has one for each day."""
    fingerprint, since = "", digest.date
    if digest.lead is not None:
        fingerprint, since = digest.lead.group.fingerprint, digest.lead.since
    day = moment(since).replace(hour=0, minute=0, second=0, microsecond=0)
    names = "\0".join((sender.app, sender.environment, fingerprint, day.date().isoformat()))
    return hashlib.blake2b(names.encode("utf-8", "replace"), digest_size=16).digest(), day


def _thread_index(root: bytes, day: dt.datetime, digest: Digest) -> str:
    """Return the conversation's index for Outlook: MS-OXOMSG §2.2.1.3.

    It has a header: a reserved byte, the upper 40 bits of the start as a FILETIME, and a GUID. Then
    comes the block of an answer: one bit for the unit of time (a longer unit after 1.7 years), 31
    bits for the time since the start, and one byte that differs from answer to answer.
    """
    start = _filetime(day)
    since = max(0, _filetime(moment(digest.date)) - start)
    since = since >> 18 if since < 1 << 49 else 1 << 31 | (since >> 23) & 0x7FFFFFFF
    answer = hashlib.blake2b(digest.message_id.encode("utf-8", "replace"), digest_size=1).digest()
    head = b"\x01" + (start >> 24).to_bytes(5, "big") + root
    return base64.b64encode(head + since.to_bytes(4, "big") + answer).decode("ascii")


def _filetime(time: dt.datetime) -> int:
    return (time - _FILETIME_EPOCH) // dt.timedelta(microseconds=1) * 10


def _dot_atom(domain: str) -> str:
    """Return a domain as a dot-atom (RFC 5322 §3.2.3): a domain literal becomes one."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", domain)


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "app"
