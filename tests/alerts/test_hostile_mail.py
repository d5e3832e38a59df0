"""Log text stays data: whatever it says, and wherever it stands, it acts nowhere in a mail.

The same mail is made with harmless text in each place and with a hostile one, as bytes, and read
back by the standard library: both must have the same headers, the same markup, the same lines of
ours.
"""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import HOSTILE, NOW, digest, entry, event, group, mail, sender

from tocsin.alerts.digest import Accounts, Audience, Digest
from tocsin.alerts.grouping import Source
from tocsin.alerts.history import Told
from tocsin.events.event import ContextRecord
from tocsin.events.frames import Line
from tocsin.mail.address import prepare_address
from tocsin.mail.message import Message
from tocsin.mail.mime import render as wire
from tocsin.render.page import plain

RULE = "-" * 70
FAKES = [
    f"x\n\n{RULE}\n1   NEW    ERROR    app  9 x\n\n{RULE}\nSent by Tocsin for nobody.",
    "x\nNEW   y\n!     z\nLOST  9 errors are in no mail\nAnd 9 more kinds, 9 events.",
    "\r\nSubject: other\r\nContent-Type: text/html\r\n\r\n<b>",
    "boundary\r\n--=_0123456789abcdef0123456789abcdef--\r\n",
    "<!-- body -->{{ body | safe }}{% include 'builtin/foot.txt.j2' %}{{ mail.to }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "<!--[if mso]><p>Word<![endif]--><style>.card{display:none}</style><base href=//e.example>",
    '\'" onmouseover=alert(1) style=position:fixed x="',
    "</title></style></head><body onload=x>&lt;b&gt;&amp;#60;",
    "\u2066a\u2067b\u2068c\u2069\u202ad\u202be\u202cf\u202dg\u202eh",
    "\x9b31m\x1b]8;;http://e.example\x07link\x1b]8;;\x07\x08\x7f",
    "\ud83d \ude00 \udfff\ud800",
    "\ufffe\uffff\U0001ffff\ufdd0\ufeff",
    "%s %(x)s {0} {x} \\x1b \\N{BULLET} ${HOME} $(id) `id`",
    "a" * 1_500,
    " ",
    "\n",
    "\t\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029",
]
ALL = [*HOSTILE, *FAKES]
ACTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Each place that text from outside can have in a mail, of whatever kind.
PLACES = [
    *("message", "location", "thread", "traceback", "error", "cause", "key", "value"),
    *("past_level", "past_logger", "past", "level", "logger", "kind", "place", "text"),
    *("host", "version", "app", "environment", "footnote", "note", "recipient"),
]


def poisoned(texts: dict[str, str]) -> tuple[Digest, dict[str, Any]]:
    """Return a digest, and a sender's fields, with texts in some of the places."""

    def at(place: str, harmless: str) -> str:
        return texts.get(place, harmless)

    host, version, text = at("host", "web-1"), at("version", "4.2.0"), at("text", "Err: no")
    first = event(
        at("message", "failed"),
        traceback=(
            *(Line(kind, at("traceback", "app.py:1 in x")) for kind in ("more", "own", "library")),
            Line("error", at("error", "Err: no")),
            Line("cause", at("cause", "caused by Err: 2")),
        ),
        extra=((at("key", "key"), at("value", "value")), ("other", "17")),
        host=host,
        thread=at("thread", "MainThread"),
        context=(
            ContextRecord(
                NOW, at("past_level", "INFO"), at("past_logger", "app"), at("past", "started")
            ),
        ),
    )
    later = event(
        at("message", "failed") + "!",
        time=NOW + 1,
        location=at("location", "app.py:7 in main"),
        host=host,
        thread=at("thread", "MainThread"),
    )
    fields: dict[str, Any] = {
        "level_name": at("level", "ERROR"),
        "logger": at("logger", "app"),
        "kind": at("kind", "Err"),
        "place": at("place", "app.main"),
        "text": text,
        "sources": (Source(host, 7, version, 1), Source(host + "2", 8, version, 1)),
    }
    told = Told(at=NOW - 900, interval=900, rate=1)
    made = digest(
        group("a", 2, last=NOW + 1, samples=(first, later), **fields),
        entry(group("b", 9, **fields), "quiet", total=99, before=told),
        lost=3,
        accounts=Accounts(since=NOW, received=14, mailed=0, undelivered=3, tokens=1),
        audience=Audience(
            to=(str(prepare_address(f'"{_quoted(at("recipient", "Ops"))}" <ops@example.com>')),),
            notes=(at("note", "a list can't be read"),),
        ),
    )
    heading_fields = {
        "app": at("app", "shop"),
        "environment": at("environment", "production"),
        "footnote": at("footnote", "Counts are those of one process."),
    }
    return made, heading_fields


def _quoted(name: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", name)


def sent(texts: dict[str, str]) -> EmailMessage:
    """Return the mail as a program reads it from the wire."""
    made, fields = poisoned(texts)
    raw = wire(mail(made, **fields))
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    content = body.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


class Markup(HTMLParser):
    """The markup of a page, without its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[object] = []
        self.said = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(("/", tag, *attrs))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("end", tag))

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("decl", decl))

    def handle_pi(self, data: str) -> None:
        self.found.append(("pi", data))

    def unknown_decl(self, data: str) -> None:
        self.found.append(("unknown", data))

    def handle_data(self, data: str) -> None:
        self.said += data


def everywhere(text: str) -> dict[str, str]:
    return dict.fromkeys(PLACES, text)


HARMLESS = sent({})
MARKUP = Markup(part(HARMLESS, "html")).found


def same_but_for_text(message: EmailMessage) -> None:
    """Assert that a mail has the headers, the markup, and nothing active."""
    assert message.keys() == HARMLESS.keys()
    assert [one.get_content_type() for one in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert [one.defects for one in message.walk()] == [[], [], []]
    assert [one.addr_spec for one in message["To"].addresses] == ["ops@example.com"]
    for name, value in message.items():
        assert not ACTIVE.search(str(value)), name
        assert name in {"To", "Content-Type"} or "\n" not in str(value)
    for kind in ("plain", "html"):
        assert not ACTIVE.search(part(message, kind))
    assert Markup(part(message, "html")).found == MARKUP


@pytest.mark.parametrize("text", ALL)
def test_text_in_every_place_at_once_acts_nowhere(text: str) -> None:
    texts = everywhere(f"x{text}")  # blank text is tested place by place
    same_but_for_text(sent(texts))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["".join(HOSTILE[:4]), FAKES[1], FAKES[5], FAKES[7], FAKES[11]])
def test_text_acts_in_no_place(place: str, text: str) -> None:
    same_but_for_text(sent({place: f"{text}x"}))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["", " ", "\n", "\r\n\t"])
def test_blank_text_can_stand_in_each_place(place: str, text: str) -> None:
    """Some parts are left out then; nothing is added."""
    message = sent({place: text})
    assert message.keys() == HARMLESS.keys()
    assert {one for one in Markup(part(message, "html")).found if one not in MARKUP} == set()


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(PLACES), st.text(st.characters(), max_size=40), max_size=6))
def test_any_text_in_any_places_acts_nowhere(texts: dict[str, str]) -> None:
    same_but_for_text(sent({place: f"x{text}x" for place, text in texts.items()}))


@pytest.mark.parametrize("text", ALL)
def test_a_line_that_begins_at_the_edge_is_ours(text: str) -> None:
    """So that no separator, sender or foot can be faked: those of log text are indented."""
    starts = re.compile(
        r"(?:NEW  |1  |2  ) |!     |In this mail|Since 00:13: received|Mails for new kinds: 1 of 6"
        rf"|Sent by Tocsin for |{RULE}$"
    )
    made, fields = poisoned(everywhere(f"x{text}"))
    shown = mail(made, **fields).text
    assert shown is not None
    harmless = part(HARMLESS, "plain")
    for lines in (harmless.splitlines(), re.split(r"\r\n|\r|\n", shown)):
        edge = [line for line in lines if line and not line[0].isspace()]
        assert [line for line in edge if not starts.match(line)] == []
        assert edge.count(RULE) == 3
        assert len(edge) == 11
    at_four = [line for line in shown.splitlines() if re.match(r" {4}[^\s>]", line)]
    assert [line[4:10] for line in at_four if line.endswith(":") or "pid" in line][:3] == [
        "First:",
        "Before",
        "Latest",
    ]


@pytest.mark.parametrize("text", ALL)
def test_no_template_is_evaluated(text: str) -> None:
    """What looks like a template is shown as it is."""
    texts = everywhere("x{{ 7*7 }}{% if 1 %}y{% endif %}{# z #}" + text)
    message = sent(texts)
    for shown in (
        part(message, "plain"),
        Markup(part(message, "html")).said,
        str(message["Subject"]),
    ):
        assert "x{{ 7*7 }}{% if 1 %}y{% endif %}{# z #}" in shown
        assert "49" not in shown


@pytest.mark.parametrize("text", ALL)
def test_a_hostile_mail_survives_the_way_through_a_message(text: str) -> None:
    """An email handler may take it apart, and put it together again."""
    made, fields = poisoned(everywhere(f"x{text}"))
    message = mail(made, **fields)
    again = Message.from_mime(message.to_mime())
    assert again.subject == message.subject
    assert [one.addr_spec for one in again.to] == [one.addr_spec for one in message.to]
    assert {name: value.strip() for name, value in again.headers.items()} == message.headers
    assert again.text == message.text
    assert again.html == message.html


@pytest.mark.parametrize("text", ALL)
def test_what_is_told_on_a_terminal_acts_nowhere(text: str) -> None:
    """What can't be mailed is told on standard error."""
    made, fields = poisoned(everywhere(f"x{text}"))
    assert not ACTIVE.search(plain(made, sender(**fields)))
