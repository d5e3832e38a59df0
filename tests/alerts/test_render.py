"""What a mail says, and that log text stays data in it."""

from __future__ import annotations

import datetime as dt
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import HOSTILE, NOW, digest, event, group, groups, heading, texts

from tocsin.alerts.digest import Digest, Entry
from tocsin.alerts.frames import Line
from tocsin.alerts.grouping import Source
from tocsin.alerts.render import render, subject
from tocsin.alerts.text import clean
from tocsin.mail.address import AddressList

if TYPE_CHECKING:
    from tocsin.mail.message import Message

UTC = dt.UTC
ZONE = dt.timezone(dt.timedelta(hours=2))


def rendered(made: Digest, **fields: Any) -> Message:
    return render(made, heading(**fields), zone=ZONE)


def text_of(message: Message) -> str:
    assert message.text is not None
    return message.text


def html_of(message: Message) -> str:
    assert message.html is not None
    return message.html


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.said: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", ((data, None),)))


def poisoned(text: str) -> Digest:
    """Return a digest with a text in every place that data has."""
    sample = event(
        clean(text),
        location=text,
        traceback=tuple(Line(kind, text) for kind in ("own", "library", "error", "cause", "more")),
        extra=((text, text),),
        host=text,
        thread=text,
    )
    lead = group(
        "a",
        2,
        level_name=text,
        logger=text,
        kind=text,
        place=text,
        text=text,
        sources=(Source(text, 7, "", 2),),
        samples=(sample,),
    )
    return digest(lead)


def test_the_first_lines_say_what_how_often_since_when_and_where() -> None:
    made = digest(
        group(
            "a",
            412,
            last=NOW + 8,
            sources=(Source("web-1", 7, "", 400), Source("web-2", 7, "", 12)),
            text="Err: no",
        ),
        group("b", 1),
    )
    lines = text_of(rendered(made)).splitlines()
    assert lines[0] == "NEW   Err: no"
    assert "412 times from 00:13:20 to 00:13:28 +0200, on web-1 web-2" in lines[1]
    assert "2 kinds of errors, 413 events; 2 new." in lines[2]
    assert lines[3].strip() == "Sent because a new kind of error appeared."
    assert "not before 00:28" in lines[4]


def test_both_forms_tell_each_group_its_samples_and_the_accounts() -> None:
    sample = event(
        "the message",
        extra=(("order", "17"),),
        traceback=(Line("own", "app.py:1 in pay"), Line("error", "ValueError: no")),
    )
    later = event(
        "another", time=NOW + 5, traceback=(Line("own", "app.py:1 in pay"), Line("error", "E2"))
    )
    made = digest(group("a", 7, samples=(sample, later)), received=20, mailed=10, undelivered=1)
    message = rendered(made)
    for part in (text_of(message), "".join(Elements(html_of(message)).said)):
        for expected in (
            "the message",
            "order=17",
            "ValueError: no",
            "another",
            "First",
            "Latest",
            "Received 20 = mailed 17 + pending 2 + undelivered 1.",
            "Counts are those of one process.",
            "Sent by Tocsin for shop production to ops@example.com.",
        ):
            assert expected in part, expected
        assert part.count("app.py:1 in pay") == 1  # the same frames are not told again
    assert "> app.py:1 in pay" in text_of(message)


def test_without_a_traceback_the_call_is_located() -> None:
    message = rendered(digest(group(samples=(event(location="app/pay.py:7 in pay"),))))
    assert "app/pay.py:7 in pay" in text_of(message)
    assert "app/pay.py:7 in pay" in html_of(message)


def test_groups_beyond_the_limit_are_counted() -> None:
    made = digest(*(group(f"g{n}", n + 1) for n in range(5)))
    message = rendered(made, shown_groups=3)
    for part in (text_of(message), html_of(message)):
        assert "nd 2 more kinds, 9 events." in part
    assert "g4" not in text_of(message)


def test_one_group_more_is_said_in_the_singular() -> None:
    made = digest(group("a"), group("b"))
    assert "And 1 more kind, 1 event." in text_of(rendered(made, shown_groups=1))


def test_known_groups_say_their_total() -> None:
    entry = Entry(group=group("a", 3), reason="still", total=1_234, since=NOW - 60, told_at=NOW)
    made = Digest(
        message_id="<m@x>",
        date=NOW,
        reason="still",
        entries=(entry,),
        next_at=None,
        received=9,
        mailed=0,
        undelivered=0,
    )
    text = text_of(rendered(made))
    assert "STILL" in text
    assert "1,234 in all since 00:12" in text
    assert "known errors go on" in text
    assert "The next mail" not in text
    assert "1 going on" in text


def test_the_subject_names_the_lead_and_has_numbers_in_brackets_only() -> None:
    made = digest(group("a", 412, kind="ConnectionError", place="pay.charge"), group("b"))
    assert subject(made, heading()) == (
        "shop production: ERROR ConnectionError in pay.charge [412x, 2 new, 2 kinds]"
    )
    assert subject(made, heading(environment="")).startswith("shop: ERROR")


def test_a_long_subject_is_cut_before_its_numbers() -> None:
    line = subject(digest(group(kind="K" * 200, count=10**9)), heading())
    assert len(line) == 120
    assert line.endswith("... [1000000000x, 1 new]")


def test_headers_say_what_mail_rules_and_scripts_need() -> None:
    made = digest(group("a", 4), group("b", 3), reason="exit")
    headers = rendered(made, cc="c@x.example").headers
    assert headers["X-Tocsin-App"] == "shop"
    assert headers["X-Tocsin-Environment"] == "production"
    assert headers["X-Tocsin-Level"] == "ERROR"
    assert headers["X-Tocsin-Reason"] == "exit"
    assert headers["X-Tocsin-Groups"] == "2"
    assert headers["X-Tocsin-Count"] == "7"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert headers["List-Id"] == "<shop-production.alerts.example.com>"
    assert headers["Message-ID"] == "<id@example.com>"
    assert headers["Date"] == "Wed, 15 Nov 2023 00:13:20 +0200"
    assert "X-Entity-Ref-ID" not in headers
    assert "Importance" not in headers


def test_only_critical_is_important() -> None:
    assert rendered(digest(group(level=50))).headers["Importance"] == "high"


def test_mails_of_a_kind_and_day_are_one_conversation_whoever_sends_them() -> None:
    def thread(**fields: Any) -> str:
        headers = render(digest(group(**fields)), heading(), zone=None).headers
        assert headers["References"] == headers["In-Reply-To"]
        return headers["References"]

    assert thread() == thread(count=9, sources=(Source("web-9", 7, "", 9),), at=NOW + 60)
    assert thread() != thread(name="b")
    assert thread() != thread(at=NOW + 86_400)


def test_everybody_gets_one_mail() -> None:
    message = rendered(
        digest(group()), to=heading().to, cc=heading().to, bcc=heading().to, reply_to=heading().to
    )
    assert [len(part) for part in (message.to, message.cc, message.bcc, message.reply_to)] == [
        1
    ] * 4
    assert heading(cc=heading().to).recipients == ("ops@example.com", "ops@example.com")


def test_a_list_id_has_a_name_of_bounded_length() -> None:
    assert rendered(digest(group()), app="?", environment="").headers["List-Id"].startswith("<app.")
    label = rendered(digest(group()), app="a" * 100).headers["List-Id"]
    assert label == f"<{'a' * 60}.alerts.example.com>"


def test_the_same_digest_makes_the_same_bytes() -> None:
    made = digest(group("a", 3, samples=(event("x"),)))
    one, other = rendered(made), rendered(made)
    assert bytes(one.to_mime()) == bytes(other.to_mime())


@pytest.mark.parametrize("text", HOSTILE)
def test_no_element_comes_from_the_data(text: str) -> None:
    harmless = Elements(html_of(rendered(poisoned("harmless"))))
    found = Elements(html_of(rendered(poisoned(text))))
    assert found.found == harmless.found


@pytest.mark.parametrize("text", HOSTILE)
def test_no_header_comes_from_the_data(text: str) -> None:
    message = rendered(poisoned(text), app=text or "x", environment=text)
    raw = message.to_mime().as_bytes()
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("ascii")
    names = {line.partition(":")[0] for line in head.splitlines() if not line[0].isspace()}
    plain = rendered(poisoned("harmless")).to_mime()
    assert names == set(plain.keys())
    assert list(message.to) == list(heading().to)


@pytest.mark.parametrize("text", HOSTILE)
def test_log_text_is_no_template(text: str) -> None:
    message = rendered(poisoned(text))
    assert "7*7" not in text or "{{ 7*7 }}" in text_of(message)
    assert "49" not in re.sub(r"\d{3,}", "", text_of(message))


@settings(max_examples=60, deadline=None)
@given(st.lists(groups(), min_size=1, max_size=4), texts, st.sampled_from(["new", "exit"]))
def test_any_digest_can_be_rendered(made: list[Any], app: str, reason: str) -> None:
    message = rendered(digest(*made, reason=reason), app=app or "x")
    assert len(message.subject) <= 120
    message.to_mime().as_bytes()


@pytest.mark.parametrize("time", [0.0, -1e9, 1e20, float("inf"), float("-inf"), float("nan")])
def test_any_time_can_be_rendered(time: float) -> None:
    """A record says of itself when it is from, and may say anything."""
    made = digest(group(at=time, last=NOW, samples=(event(time=time),)))
    for zone in (None, UTC, dt.timezone(dt.timedelta(hours=-23)), ZONE):
        assert render(made, heading(), zone=zone).text


def test_times_of_another_day_are_said_with_it() -> None:
    text = text_of(rendered(digest(group(count=2, at=NOW - 86_400, last=NOW))))
    assert "from 2023-11-14 00:13:20 to 00:13:20" in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2 h"), (1e6, "12 d")],
)
def test_a_span_is_said_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert f"({said})" in text_of(rendered(digest(group(count=2, last=NOW + seconds))))


def test_a_mail_stays_small_and_says_what_was_left_out() -> None:
    """HTML is at most 90 kB, as clients cut what is longer; the cut is stated."""
    many = [
        group(
            f"g{n}",
            1,
            text="t" * 200,
            kind="k" * 80,
            place="p" * 80,
            samples=(event("<&'\">" * 2_000), event("<&'\">" * 2_000, time=NOW + 1)),
        )
        for n in range(500)
    ]
    message = rendered(digest(*many))
    assert len(html_of(message).encode()) <= 90_000
    assert len(message.to_mime().as_bytes()) <= 1_000_000
    for part in (text_of(message), html_of(message)):
        assert re.search(r"Cut: samples of \d+ kinds are left out", part)
    assert "And 475 more kinds" in text_of(message)


def test_a_mail_that_cannot_be_small_goes_all_the_same() -> None:
    everybody = AddressList(f"user{n}@mailboxes.example.com" for n in range(4_000))
    message = rendered(digest(group(samples=(event("left out"),))), to=everybody)
    assert "user3999@" in html_of(message)
    assert "left out" not in text_of(message).partition("Cut:")[0]
