"""The page of a mail: what mail clients show as it is meant, flawless, and the same as the text."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from html_checker import CheckerMissingError, check_all
from mail_clients import complaints
from samples import HOSTILE, NOW, digest, entry, event, group, html_of, text_of

from tocsin.alerts.digest import Accounts, Audience, Digest
from tocsin.alerts.grouping import Source
from tocsin.alerts.history import Told
from tocsin.alerts.settings import Policy
from tocsin.events.event import ContextRecord
from tocsin.events.frames import Line
from tocsin.render.templating import NAMES, Templates

TOLD = Told(at=NOW - 900, interval=900, rate=2)
TRACE = (
    Line("more", "... 14 frames of django.core.handlers ..."),
    Line("own", "shop/views.py:88 in submit"),
    Line("own", "    receipt = payments.charge(order, card)"),
    Line("library", "gateway/client.py:41 in charge"),
    Line("error", "PaymentError: no answer for order 1001"),
    Line("cause", "caused by ConnectionRefusedError: [Errno 111]"),
    Line("library", "gateway/client.py:112 in post"),
)
SAMPLE = event(
    "Charging order 1001 failed",
    traceback=TRACE,
    extra=(("order_id", "1001"), ("retries", "3")),
    origin=(("request", "POST /checkout"), ("status", "500")),
    context=(ContextRecord(NOW - 1, "INFO", "shop.checkout", "POST /checkout"),),
)
LATEST = event(
    "Charging order 1042 failed",
    time=NOW + 9,
    traceback=(*TRACE[:4], Line("error", "PaymentError: no answer for order 1042"), *TRACE[5:]),
)
SOURCES = tuple(Source(f"web-{number:02}", 7, f"4.2.{number}", 2) for number in range(20))
BROKEN = tuple(Line(kind, "<&'\">\n\n") for kind in ("own", "library", "error", "cause", "more"))


def hostile(text: str) -> Digest:
    sample = event(
        text,
        traceback=BROKEN,
        extra=((text, text),),
        origin=((text, text),),
        thread=text,
        context=(ContextRecord(NOW, *[text] * 3),),
    )
    fields: dict[str, Any] = dict.fromkeys(("level_name", "logger", "kind", "place", "text"), text)
    one = group("a", 2, samples=(sample, event(text + ".", location=text)), **fields)
    return digest(one, audience=Audience(to=("Ops <ops@example.com>",), notes=(text,)))


DIGESTS: dict[str, Digest] = {
    "one event": digest(group()),
    "samples": digest(group("a", 41, last=NOW + 9, samples=(SAMPLE, LATEST), sources=SOURCES)),
    "the same again": digest(
        group("a", 2, samples=(SAMPLE, event(SAMPLE.message, traceback=TRACE)))
    ),
    "no samples' text": digest(group(text="gone", samples=(event("gone", location=""),))),
    "critical": digest(group(level=50, level_name="CRITICAL", samples=(SAMPLE,))),
    "all reasons": digest(
        group("a"),
        entry(group("b", 27), "worse", total=58, recent=21, before=TOLD),
        entry(group("c", 62), "still", total=2_310, before=TOLD),
        entry(group("d", 2), "quiet", before=TOLD),
        lost=12,
        audience=Audience(to=("ops@example.com",), notes=("a list can't be read",)),
    ),
    "lost": digest(lost=3, reason="lost", next_at=None),
    "exit": digest(entry(group(), "still", total=9, before=TOLD), reason="exit", next_at=None),
    "many": digest(*(group(f"g{number}", number + 1, samples=(SAMPLE,)) for number in range(62))),
    "large": digest(*(group(f"g{n}", samples=(event("<&'\">" * 2_000),)) for n in range(30))),
    "elsewhere": digest(group("a", 99, sources=SOURCES, elsewhere=59)),
    "nobody to name": digest(group(), audience=Audience(bcc=("boss@example.com",))),
    **{f"hostile {number}": hostile(text) for number, text in enumerate(HOSTILE)},
}


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Return templates all of which fail."""
    folder = tmp_path_factory.mktemp("failing")
    for name in NAMES:
        folder.joinpath(name).write_text("{{ 1 / 0 }}")
    return Templates(str(folder))


@pytest.mark.parametrize("name", DIGESTS)
def test_no_mail_client_shows_it_otherwise(name: str) -> None:
    assert complaints(html_of(DIGESTS[name])) == []


def test_nor_where_templates_fail(failing: Templates) -> None:
    html = html_of(DIGESTS["all reasons"], failing)
    assert html.count("can&#x27;t be shown as it should") == 6
    assert complaints(html) == []


def test_the_html_checker_finds_nothing(failing: Templates) -> None:
    """The Nu Html Checker, on all pages in one run; in CI it has to be there."""
    pages = [html_of(made) for made in DIGESTS.values()]
    pages.append(html_of(DIGESTS["all reasons"], failing))
    try:
        found = check_all(pages)
    except CheckerMissingError:
        if os.environ.get("CI"):
            raise
        pytest.skip("the Nu Html Checker is not installed")
    names = [*DIGESTS, "failing"]
    assert {name: said for name, said in zip(names, found, strict=True) if said} == {}


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No picture, link, font, script: opening a mail tells nobody, and works without a network."""
    for name, made in DIGESTS.items():
        if not name.startswith("hostile"):
            html = html_of(made)
            assert not re.search(r"(?i)https?:|src=|href=|url\(|@import|<script|<link|<img", html)


class Shown(HTMLParser):
    """The words of a page that a reader sees, in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden: list[str] = []
        self.feed(html[html.index("<body") :])
        self.close()
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden or ("aria-hidden", "true") in attrs:
            self._hidden.append(tag)
        elif tag == "br":
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden.pop()
        elif tag in {"td", "div", "p", "h1", "pre", "tr"}:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


TIME = re.compile(r"\d\d:\d\d(?::\d\d)?(?:\.\d{3})?(?: yesterday| tomorrow)?")
# What the text says in other words than the page, or by where it stands.
WORDED = {
    *("NEW", "LOST", "In", "this", "mail:", "once", "at", "from", "x", "of", ">", "!"),
    *("First:", "Latest:", "it:", "error", "errors"),
}


@pytest.mark.parametrize("name", [name for name in DIGESTS if name not in {"large", "many"}])
def test_page_and_text_say_the_same(name: str) -> None:
    """Each time and each word of the text is on the page: counts, kinds, places, hosts, samples."""
    page = Shown(html_of(DIGESTS[name])).text
    text = text_of(DIGESTS[name])
    assert [time for time in TIME.findall(text) if time not in page] == []
    words = {word.strip(",;.()") for word in text.split() if not re.fullmatch(r"-+|\d\d?", word)}
    assert {word for word in words - WORDED if word not in page} == set()


@pytest.mark.parametrize("limit", [25, 7])
def test_page_and_text_count_the_same(limit: int) -> None:
    made = DIGESTS["many"]
    fields: dict[str, Any] = {"policy": Policy(shown_groups=limit)}
    text, page = text_of(made, **fields), Shown(html_of(made, **fields)).text
    assert re.findall(r"(?m)^\d+ +NEW +ERROR +app  (\S+) x$", text) == [
        f"{number}" for number in range(1, limit + 1)
    ]
    assert re.findall(r"(\S+) \u00d7 ", page) == [f"{number}" for number in range(1, limit + 1)]
    hidden = re.search(r"And .* more kinds, .* events\.", text)
    assert hidden is not None
    assert hidden[0] in page
    assert "62 kinds, 1,953 events." in page
    assert "62 kinds of errors, 1,953 events" in text


def test_the_preview_says_how_often_since_when_and_where() -> None:
    """A phone shows it beside the subject, before the mail is opened."""
    html = html_of(DIGESTS["samples"])
    preview = html[html.index('aria-hidden="true">') :].partition("</div>")[0]
    assert preview.partition(">")[2] == (
        "41x since 00:13 on web-00 web-01 web-02 web-03 web-04 web-05 web-06 web-07. "
        "1 new. ValueError: a"
    )


def test_the_head_comes_first_and_the_own_frames_stand_out() -> None:
    page = Shown(html_of(DIGESTS["samples"])).text
    assert page.startswith(
        "shop · production · 4.2.0, 4.2.1, 4.2.10, 4.2.11, and 16 more ValueError in app.main "
        "ValueError: a 41 times in 9 s 00:13 first, last 00:13:29 +0200 20 hosts: web-00 "
    )
    html = html_of(DIGESTS["samples"])
    assert re.findall(r'<span class="own"[^>]*>(.*?)</span>', html) == [
        "shop/views.py:88 in submit",
        "    receipt = payments.charge(order, card)",
    ]
    assert "<b>PaymentError: no answer for order 1001</b>" in html
    assert "<b>Request:</b> POST /checkout, <span" in html
    assert html.count("[the same frames]") == 1


def test_the_bar_that_says_how_it_stands_keeps_its_colour_in_the_dark() -> None:
    """What is dark by class must not colour the border that has a colour of its own."""
    html = html_of(DIGESTS["critical"])
    (cell,) = re.findall(r'<td class="([^"]*)" style="[^"]*;border-left:6px solid #c62828;', html)
    for name in cell.split():
        for rule in re.findall(rf"\.{name} {{([^}}]*)}}", html):
            assert not re.search("border-(?:left|color)", rule)


def test_lost_events_alone_are_a_page_too() -> None:
    page = Shown(html_of(DIGESTS["lost"])).text
    assert page.startswith(
        "shop · production 3 errors are in no mail Sent because errors were lost before they could "
        "be mailed. Lost since the last mail: dropped as they could not be read, or given up as "
        "the mail server refused them. Standard error of the processes has details. Since 00:13:"
    )


def test_the_page_states_the_accounts_as_the_text_does() -> None:
    accounts = Accounts(since=NOW, received=20, mailed=10, undelivered=1, tokens=0)
    made = digest(group("a", 7), accounts=accounts)
    said = "Since 00:13: received 20 = mailed 17 + pending 2 + undelivered 1."
    assert said in text_of(made)
    assert said in Shown(html_of(made)).text
