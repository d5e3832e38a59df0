"""A digest as a message: subject, headers, text and HTML.

What came from a log is data: the templates escape it, and a header takes one line of it.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tocsin.alerts.text import short
from tocsin.mail.message import Message

if TYPE_CHECKING:
    from email.headerregistry import Address

    import jinja2

    from tocsin.alerts.digest import Digest, Entry
    from tocsin.alerts.event import Event
    from tocsin.alerts.frames import Line
    from tocsin.mail.address import AddressList

_SUBJECT = 120
_TEMPLATES = ("alert.txt.j2", "alert.html.j2")
_MAX_HTML = 90_000  # bytes; clients cut what is longer
_DETAILS = (60_000, 15_000, -1)  # characters of samples: less, if markup makes them too long
_FIRST_DAY, _LAST_DAY = 86_400, 253_402_000_000  # what a datetime can hold in any zone
_SAID = {
    "new": "a new kind of error appeared",
    "still": "known errors go on",
    "exit": "the process, or its logging, has ended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What all mails of a handler have in common.

    Attributes:
        app: the application's name.
        environment: such as "production"; or "".
        from_addr: who sends.
        to: recipients.
        cc: recipients of a copy.
        bcc: recipients whom the others don't see.
        reply_to: where answers go.
        shown_groups: how many groups a mail shows.
        footnote: what the end of each mail says about the counts.
    """

    app: str
    environment: str
    from_addr: Address
    to: AddressList
    cc: AddressList
    bcc: AddressList
    reply_to: AddressList
    shown_groups: int
    footnote: str

    @property
    def identity(self) -> str:
        """The application and its environment."""
        return f"{self.app} {self.environment}".strip()

    @property
    def recipients(self) -> tuple[str, ...]:
        """Everybody's bare addresses."""
        return tuple(item.addr_spec for item in (*self.to, *self.cc, *self.bcc))


def render(digest: Digest, heading: Heading, *, zone: dt.tzinfo | None = None) -> Message:
    """Return the message that tells a digest; the same one each time.

    Args:
        digest: what to say.
        heading: to whom, and for what application.
        zone: the time zone of all times; by default the machine's.
    """
    clock = _Clock(digest.date, zone)
    templates = _templates()
    html = text = ""
    for room in _DETAILS:
        view = _view(digest, heading, clock, room)
        html = templates.get_template("alert.html.j2").render(view)
        text = templates.get_template("alert.txt.j2").render(view)
        if len(html.encode("utf-8", "replace")) <= _MAX_HTML:
            break
    return Message(
        subject=subject(digest, heading),
        text=text,
        html=html,
        from_addr=heading.from_addr,
        reply_to=heading.reply_to,
        to=heading.to,
        cc=heading.cc,
        bcc=heading.bcc,
        headers=_headers(digest, heading, clock),
    )


def prepare() -> None:
    """Load what rendering needs."""
    for name in _TEMPLATES:
        _templates().get_template(name)


def subject(digest: Digest, heading: Heading) -> str:
    """Return the subject: what it is about stays the same, numbers stand in brackets."""
    lead = digest.lead
    new = sum(entry.reason == "new" for entry in digest.entries)
    numbers = [f"{lead.count}x"]
    if new:
        numbers.append(f"{new} new")
    if len(digest.entries) > 1:
        numbers.append(f"{len(digest.entries)} kinds")
    counts = f" [{', '.join(numbers)}]"
    about = f"{heading.identity}: {lead.level_name} {lead.kind} in {lead.place}"
    return short(about, _SUBJECT - len(counts)) + counts


def _headers(digest: Digest, heading: Heading, clock: _Clock) -> dict[str, str]:
    lead = digest.lead
    domain = heading.from_addr.domain
    # One conversation a day and kind, whichever host sends: all name a root that is never sent.
    day = clock.time(lead.first).astimezone(dt.UTC).date().isoformat()
    names = f"{heading.app}\0{heading.environment}\0{lead.fingerprint}\0{day}"
    root = hashlib.blake2b(names.encode("utf-8", "replace"), digest_size=12).hexdigest()
    thread = f"<{root}@{domain.strip('[]')}>"
    headers = {
        "Date": email.utils.format_datetime(clock.time(digest.date)),
        "Message-ID": digest.message_id,
        "References": thread,
        "In-Reply-To": thread,
        "Auto-Submitted": "auto-generated",  # RFC 3834 §5
        "X-Auto-Response-Suppress": "OOF, AutoReply",  # MS-OXCMAIL §2.1.3.2.20
        "List-Id": f"<{_label(heading.identity)}.alerts.{domain.strip('[]')}>",  # RFC 2919
        "X-Tocsin-App": heading.app,
        "X-Tocsin-Environment": heading.environment,
        "X-Tocsin-Level": lead.level_name,
        "X-Tocsin-Reason": digest.reason,
        "X-Tocsin-Groups": str(len(digest.entries)),
        "X-Tocsin-Count": str(digest.count),
    }
    if digest.level >= logging.CRITICAL:
        headers["Importance"] = "high"
    return headers


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "app"


class _Clock:
    """Times as people read them, in one zone; the day only where it isn't the digest's."""

    def __init__(self, now: float, zone: dt.tzinfo | None) -> None:
        self._zone = zone
        self._today = self.time(now).date()
        self.offset = self.time(now).strftime("%z")

    def time(self, seconds: float) -> dt.datetime:
        # A record says of itself when it is from, and may say anything.
        seconds = max(_FIRST_DAY, min(_LAST_DAY, seconds))
        return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone(self._zone)

    def second(self, seconds: float) -> str:
        """Return `02:10:03`."""
        time = self.time(seconds)
        return time.strftime("%H:%M:%S" if time.date() == self._today else "%Y-%m-%d %H:%M:%S")

    def minute(self, seconds: float) -> str:
        """Return `02:10`."""
        return self.second(seconds)[:-3]

    def exact(self, seconds: float) -> str:
        """Return `02:10:03.412`."""
        return f"{self.second(seconds)}.{self.time(seconds).microsecond // 1000:03d}"


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    import jinja2  # noqa: PLC0415 - loads with the first mail

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tocsin.alerts"),
        autoescape=jinja2.select_autoescape(("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = _number
    return environment


def _number(value: int) -> str:
    return f"{value:,}"


def _view(digest: Digest, heading: Heading, clock: _Clock, room: int) -> dict[str, Any]:
    """Return what the templates show, with samples of so many characters; none if negative."""
    entries = digest.entries[: heading.shown_groups]
    hidden = digest.entries[heading.shown_groups :]
    always = room >= 0  # the lead's samples are shown, also if they are longer
    groups: list[dict[str, Any]] = []
    for entry in entries:
        room -= entry.group.size
        groups.append(_group(entry, clock, detailed=room >= 0 or (always and not groups)))
    return {
        "heading": heading,
        "digest": digest,
        "lead": groups[0],
        "groups": groups,
        "new": sum(entry.reason == "new" for entry in digest.entries),
        "still": sum(entry.reason == "still" for entry in digest.entries),
        "hidden": len(hidden),
        "hidden_count": sum(entry.group.count for entry in hidden),
        "undetailed": sum(not group["detailed"] for group in groups),
        "because": _SAID[digest.reason],
        "next": None if digest.next_at is None else clock.minute(digest.next_at),
        "offset": clock.offset,
        # The accounts as they are once this mail is accepted.
        "mailed": digest.mailed + digest.count,
        "pending": digest.received - digest.mailed - digest.count - digest.undelivered,
    }


def _group(entry: Entry, clock: _Clock, *, detailed: bool) -> dict[str, Any]:
    group = entry.group
    samples: tuple[Event, ...] = group.samples if detailed else ()
    return {
        "reason": entry.reason,
        "level": group.level_name,
        "critical": group.level >= logging.CRITICAL,
        "logger": group.logger,
        "kind": group.kind,
        "place": group.place,
        "text": group.text,
        "count": group.count,
        "first": clock.second(group.first),
        "first_minute": clock.minute(group.first),
        "last": clock.second(group.last),
        "span": _span(group.last - group.first),
        "sources": list(dict.fromkeys(item.host for item in group.sources)),
        "counts": ", ".join(f"{item.host} {item.count:,}" for item in group.sources),
        "total": entry.total,
        "since": clock.minute(entry.since),
        "repeated": entry.total > group.count,
        "detailed": detailed or not group.samples,
        "samples": [
            _sample(event, clock, samples[number - 1] if number else None)
            for number, event in enumerate(samples)
        ],
    }


def _sample(event: Event, clock: _Clock, before: Event | None) -> dict[str, Any]:
    """Return what is shown of an event: the frames only if they aren't those of the one before."""
    same = before is not None and _frames(event) == _frames(before)
    return {
        "which": "First" if before is None else "Latest",
        "time": clock.exact(event.time),
        "where": f"{event.host}, pid {event.pid}, {event.thread}",
        "message": event.message,
        "traceback": () if same else event.traceback,
        "location": event.location,
        "located": not event.traceback,
        "extra": event.extra,
    }


def _frames(event: Event) -> list[Line]:
    return [line for line in event.traceback if line.kind not in {"error", "cause"}]


def _span(seconds: float) -> str:
    """Return a duration in the unit that fits: `10 s`, `12 min`, `3 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
