"""Records, events, groups and digests for the tests of the pure part."""

from __future__ import annotations

import datetime as dt
import linecache
import logging
import sys
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tocsin.alerts.digest import Accounts, Audience, Digest, Entry
from tocsin.alerts.grouping import Group, Source
from tocsin.events.capture import Capture
from tocsin.events.event import Event
from tocsin.events.fingerprint import Fingerprints
from tocsin.events.frames import Line, OwnCode
from tocsin.mail.address import prepare_address
from tocsin.redact.base import NoSecrets
from tocsin.render.page import render
from tocsin.render.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.mail.message import Message
    from tocsin.redact.base import Redacts
    from tocsin.render.templating import Templates

NOW = 1_700_000_000.0
ZONE = dt.timezone(dt.timedelta(hours=2))
"""In which NOW is 2023-11-15 00:13:20."""

HOSTILE = [
    "\x1b[31mred\x1b[0m\x07",
    "x\r\nBcc: victim@example.com\r\n\r\nbody",
    "a\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h",
    "<script>alert(1)</script><img src=http://e.example/x>",
    '" onload=\'x\' style="a:b"><b>bold</b><!-- ',
    "</pre></td></tr></table></body></html><p>out",
    "{{ 7*7 }}{% for x in range(9) %}x{% endfor %}{# gone #}",
    "lone \ud800 surrogate \udfff",
    "\u202eturned\u2066 around",
    "\0nul",
    "=?utf-8?q?encoded=20word?= %s %d %(name)s",
    "",
    "." * 3 + "\n.\n..\r\n.\r\n",
    "é" * 300 + "\U0001f525",
]


def record(
    msg: object = "boom",
    *args: object,
    name: str = "app",
    level: int = logging.ERROR,
    exc: BaseException | None = None,
    created: float = NOW,
    extra: dict[str, Any] | None = None,
) -> logging.LogRecord:
    """Return a record, as a logger makes it."""
    info = None if exc is None else (type(exc), exc, exc.__traceback__)
    made = logging.LogRecord(name, level, "/srv/app/main.py", 7, msg, args, info, func="main")
    made.created = created
    made.__dict__.update(extra or {})
    return made


def caught(function: Callable[..., object], *args: object) -> BaseException:
    """Return what a function raises."""
    try:
        function(*args)
    except BaseException as error:  # noqa: BLE001 - any kind is wanted
        return error
    raise AssertionError("nothing was raised")


def fingerprint(of: logging.LogRecord, *packages: str) -> str:
    return Fingerprints(OwnCode(packages)).of(of).fingerprint


def kept(
    of: logging.LogRecord,
    formatter: logging.Formatter | None = None,
    redact: Redacts | None = None,
) -> Event:
    """Return the event that a record becomes."""
    captured = Capture.of(of, formatter=formatter)
    return captured.event(
        own=OwnCode(), host="web-1", source=linecache.getline, redact=redact or NoSecrets()
    )


def event(message: str = "boom", *, time: float = NOW, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "location": "app/main.py:7 in main",
        "traceback": (),
        "extra": (),
        "host": "web-1",
        "pid": 7,
        "thread": "MainThread",
    }
    return Event(time=time, message=message, **{**given, **fields})


def group(name: str = "a", count: int = 1, *, at: float = NOW, **fields: Any) -> Group:
    given: dict[str, Any] = {
        "level": logging.ERROR,
        "level_name": "ERROR",
        "logger": "app",
        "kind": "ValueError",
        "place": "app.main",
        "text": f"ValueError: {name}",
        "first": at,
        "last": at,
        "sources": (Source("web-1", 7, "", count),),
        "samples": (),
    }
    return Group(fingerprint=name, count=count, **{**given, **fields})


def entry(of: Group, reason: str = "new", **fields: Any) -> Entry:
    given: dict[str, Any] = {"total": of.count, "since": of.first}
    return Entry(group=of, reason=reason, **{**given, **fields})


def digest(*groups: Group | Entry, reason: str = "new", **fields: Any) -> Digest:
    entries = tuple(one if isinstance(one, Entry) else entry(one) for one in groups)
    count = sum(one.group.count for one in entries)
    accounts = Accounts(since=NOW, received=count, mailed=0, undelivered=0, tokens=5)
    given: dict[str, Any] = {
        "message_id": "<id@example.com>",
        "date": NOW,
        "next_at": NOW + 900,
        "lost": 0,
        "accounts": accounts,
        "audience": Audience(to=("ops@example.com",)),
    }
    return Digest(reason=reason, entries=entries, **{**given, **fields})


def sender(**fields: Any) -> Sender:
    given: dict[str, Any] = {
        "app": "shop",
        "environment": "production",
        "from_addr": prepare_address("Shop <alerts@example.com>"),
        "footnote": "Counts are those of one process.",
    }
    return Sender(**{**given, **fields})


def mail(made: Digest, templates: Templates | None = None, **fields: Any) -> Message:
    """Return the message that tells a digest, by the clock of ZONE."""
    return render(made, sender(**fields), templates, zone=ZONE)


def text_of(made: Digest, templates: Templates | None = None, **fields: Any) -> str:
    text = mail(made, templates, **fields).text
    assert text is not None
    return text


def html_of(made: Digest, templates: Templates | None = None, **fields: Any) -> str:
    html = mail(made, templates, **fields).html
    assert html is not None
    return html


texts = st.text(st.characters(), max_size=30)
times = st.floats(min_value=0, max_value=4e9, allow_nan=False)
counts = st.integers(min_value=1, max_value=1_000)
lines = st.builds(Line, st.sampled_from(["own", "library", "error", "cause", "more"]), texts)
events = st.builds(
    Event,
    time=times,
    message=texts,
    location=texts,
    traceback=st.lists(lines, max_size=3).map(tuple),
    extra=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    origin=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    host=st.sampled_from(["web-1", "web-2", "web-3"]),
    pid=st.integers(min_value=0, max_value=99_999),
    thread=texts,
)


@st.composite
def groups(draw: st.DrawFn, name: str | None = None) -> Group:
    """Return a group as an intake makes it: from one host, with at most one sample."""
    first, last = sorted((draw(times), draw(times)))
    count = draw(counts)
    level = draw(st.sampled_from([logging.ERROR, logging.CRITICAL]))
    return Group(
        fingerprint=draw(st.sampled_from("abcdef")) if name is None else name,
        level=level,
        level_name=logging.getLevelName(level),
        logger=draw(texts),
        kind=draw(texts),
        place=draw(texts),
        text=draw(texts),
        count=count,
        first=first,
        last=last,
        sources=(
            Source(
                draw(st.sampled_from(["web-1", "web-2", "web-3"])),
                draw(st.integers(min_value=1, max_value=40)),
                draw(st.sampled_from(["", "4.2.0"])),
                count,
            ),
        ),
        samples=tuple(draw(st.lists(events, max_size=1))),
    )


def load_module(name: str, path: str, source: str) -> dict[str, Any]:
    """Return the names of a module that seems to be at a path: it may look like a library's."""
    names: dict[str, Any] = {"__name__": name}
    exec(compile(source, path, "exec"), names)
    return names


LIBRARY = f"{sys.prefix}/lib/python3/site-packages"
