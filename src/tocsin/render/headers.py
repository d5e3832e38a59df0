"""The headers of an alert: what mail clients, mail rules and other programs go by."""

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

_SUBJECT = 120
_TOPIC = 84  # characters: numbers in front of it have room
_NUMBERS = _SUBJECT - _TOPIC - len("[] ")
_IDENTITY = 40  # characters: a long name leaves room for what is wrong
_ENVIRONMENT = 15  # of these: staging and production must look different
_NAME = 100
_THREADS_SINCE = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)  # as a FILETIME counts


def subject(digest: Digest, sender: Sender, templates: Templates) -> tuple[str, str]:
    """Return the subject, and what is wrong with a user's own template of it, or "".

    It is numbers in brackets, and then what doesn't change with them. Gmail is seen to take what
    stands in brackets at the start out of the comparison that puts mails into one conversation, and
    Outlook takes a `Thread-Topic` that the subject ends with.
    """
    numbers = [f"{digest.lead.group.count}x"] if digest.lead else [f"{digest.lost} lost"]
    if new := digest.how_many("new"):
        numbers.append(f"{new} new")
    if len(digest.entries) > 1:
        numbers.append(f"{len(digest.entries)} kinds")
    while len(", ".join(numbers)) > _NUMBERS and len(numbers) > 1:
        numbers.pop()  # else what stands behind them would be cut, and differ from mail to mail
    about = topic(digest, sender)
    text, trouble = templates.attempt("subject.txt.j2", about=about, numbers=numbers)
    return short(text, _SUBJECT), trouble


def topic(digest: Digest, sender: Sender) -> str:
    """Return what a digest is about, without numbers."""
    environment = short(sender.environment, _ENVIRONMENT)
    app = short(sender.app, _IDENTITY - (len(environment) + 1 if environment else 0))
    identity = f"{app} {environment}".strip()
    if digest.lead is None:
        return f"{identity}: errors were lost"
    lead = digest.lead.group
    return short(f"{identity}: {lead.level_name} {lead.kind} in {lead.place}", _TOPIC)


def headers(digest: Digest, sender: Sender) -> dict[str, str]:
    """Return the headers beside subject and addresses."""
    lead = digest.lead
    root, day = _root(digest, sender)
    domain = _dot_atom(sender.domain)
    level = lead.group.level_name if lead else logging.getLevelName(digest.level)
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
        "X-Tocsin-App": short(sender.app, _NAME),
        "X-Tocsin-Environment": short(sender.environment, _NAME),
        "X-Tocsin-Level": short(level, _NAME),
        "X-Tocsin-Reason": digest.reason,
        "X-Tocsin-Groups": str(len(digest.entries)),
        "X-Tocsin-Count": str(digest.count),
    }
    if digest.level >= logging.CRITICAL:
        found["Importance"] = "high"
    return found


def _root(digest: Digest, sender: Sender) -> tuple[bytes, dt.datetime]:
    """Return what names a conversation, and its day: one a day and kind, whichever host sends."""
    fingerprint, since = "", digest.date
    if digest.lead is not None:
        fingerprint, since = digest.lead.group.fingerprint, digest.lead.since
    day = moment(since).replace(hour=0, minute=0, second=0, microsecond=0)
    names = "\0".join((sender.app, sender.environment, fingerprint, day.date().isoformat()))
    return hashlib.blake2b(names.encode("utf-8", "replace"), digest_size=16).digest(), day


def _thread_index(root: bytes, day: dt.datetime, digest: Digest) -> str:
    """Return the conversation's index for Outlook: MS-OXOMSG §2.2.1.3.

    A reserved byte, the upper 40 bits of the start's FILETIME, a GUID; and, as an answer to the
    root, a block of the time since then in 31 bits, behind a bit that says in which unit (after 1.7
    years in a longer one), and a byte that tells answers apart.
    """
    start = _filetime(day)
    since = max(0, _filetime(moment(digest.date)) - start)
    since = since >> 18 if since < 1 << 49 else 1 << 31 | (since >> 23) & 0x7FFFFFFF
    answer = hashlib.blake2b(digest.message_id.encode("utf-8", "replace"), digest_size=1).digest()
    head = b"\x01" + (start >> 24).to_bytes(5, "big") + root
    return base64.b64encode(head + since.to_bytes(4, "big") + answer).decode("ascii")


def _filetime(time: dt.datetime) -> int:
    return (time - _THREADS_SINCE) // dt.timedelta(microseconds=1) * 10


def _dot_atom(domain: str) -> str:
    """Return a domain as it can stand in an identifier (RFC 5322 §3.2.3): a literal may not."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", domain)


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "app"
