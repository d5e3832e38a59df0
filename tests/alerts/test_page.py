"""What a mail says as text, word by word; and that it stays within its limits."""

from __future__ import annotations

import datetime as dt
import logging
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import (
    NOW,
    digest,
    entry,
    event,
    group,
    groups,
    html_of,
    mail,
    sender,
    text_of,
    texts,
)

from tocsin.alerts.digest import Accounts, Audience, Digest
from tocsin.alerts.grouping import Group, Source
from tocsin.alerts.history import Told
from tocsin.alerts.settings import Policy
from tocsin.events.event import ContextRecord, Event
from tocsin.events.frames import Line
from tocsin.mail.address import AddressList
from tocsin.render.page import plain, render

RULE = "-" * 70
FOOT = f"""\

{RULE}
Since 00:13: received 1 = mailed 1 + pending 0 + undelivered 0. Counts are those of one process.
Mails for new kinds: 5 of 6 left, one more every 10 min.
Sent by Tocsin for shop production to ops@example.com.
"""
TRACE = (
    Line("more", "... 14 frames of django.core.handlers ..."),
    Line("own", "shop/views.py:88 in submit"),
    Line("own", "    receipt = payments.charge(order, card)"),
    Line("library", "gateway/client.py:41 in charge"),
    Line("error", "PaymentError: no answer for order 1001"),
    Line("cause", "caused by ConnectionRefusedError: [Errno 111] Connection refused"),
    Line("library", "gateway/client.py:112 in post"),
    Line("cause", "while handling KeyError: 'session'"),
)
CONTEXT = (
    ContextRecord(NOW - 1, "INFO", "shop.checkout", "POST /checkout order=1001"),
    ContextRecord(NOW - 0.5, "WARNING", "gateway.client", "retry 3 of 3"),
)


def with_error(text: str) -> tuple[Line, ...]:
    """Return the traceback of the same fault with another text."""
    return tuple(Line("error", text) if line.kind == "error" else line for line in TRACE)


def only(made: Group, **fields: Any) -> str:
    """Return the part of a mail that tells its only group."""
    return text_of(digest(made, **fields)).split(RULE + "\n")[1]


# What it says.


def test_a_mail_of_one_event() -> None:
    made = digest(group(samples=(event("Charging failed"),)))
    assert text_of(made) == (
        f"""\
NEW   ValueError: a
      once at 00:13:20 +0200, on web-1
      In this mail: 1 kind of error, 1 event; 1 new.
      Sent because a new kind of error appeared.
      Next mail: at once for what is new or worse; for these, not before 00:28.

{RULE}
1   NEW    ERROR    app  1 x
    ValueError: a
    in app.main
    00:13:20, web-1 1

    First: 00:13:20.000 web-1, pid 7, MainThread
      Charging failed
      app/main.py:7 in main
{FOOT}"""
    )


def test_a_mail_of_a_new_group_from_several_hosts_and_versions() -> None:
    lead = group(
        "a",
        41,
        last=NOW + 10,
        logger="shop.payments",
        kind="PaymentError",
        place="shop.payments.charge",
        text="PaymentError: no answer for order 1001",
        sources=(
            Source("web-1", 7, "4.2.0", 5),
            Source("web-2", 7, "4.2.0", 20),
            Source("web-2", 8, "4.2.0", 9),
            Source("web-3", 388, "4.2.1", 7),
        ),
        samples=(
            event(
                "Charging order 1001 failed",
                traceback=TRACE,
                extra=(("order_id", "1001"), ("retries", "3")),
                origin=(("request", "POST /checkout"), ("status", "500")),
                context=CONTEXT,
            ),
            event(
                "Charging order 1042 failed",
                time=NOW + 9.5,
                traceback=with_error("PaymentError: no answer for order 1042"),
                host="web-3",
                pid=388,
                thread="worker-2",
            ),
        ),
    )
    assert mail(digest(lead)).subject == (
        "[41x, 1 new] shop production: ERROR PaymentError in shop.payments.charge"
    )
    assert text_of(digest(lead)) == (
        f"""\
NEW   PaymentError: no answer for order 1001
      41 times from 00:13:20 to 00:13:30 +0200, on web-2 web-3 web-1, 4 processes \
(shop 4.2.0, 4.2.1)
      In this mail: 1 kind of error, 41 events; 1 new.
      Sent because a new kind of error appeared.
      Next mail: at once for what is new or worse; for these, not before 00:28.

{RULE}
1   NEW    ERROR    shop.payments  41 x
    PaymentError: no answer for order 1001
    in shop.payments.charge
    00:13:20 to 00:13:30 (10 s), web-2 29 in 2 processes (7: 20, 8: 9), web-3 7, web-1 5

    First: 00:13:20.000 web-1, pid 7, MainThread
      Charging order 1001 failed
      ... 14 frames of django.core.handlers ...
    > shop/views.py:88 in submit
    >     receipt = payments.charge(order, card)
      gateway/client.py:41 in charge
      PaymentError: no answer for order 1001
      caused by ConnectionRefusedError: [Errno 111] Connection refused
      gateway/client.py:112 in post
      while handling KeyError: 'session'
      Request: POST /checkout, status 500
      order_id=1001  retries=3

    Before it:
      00:13:19.000 INFO    shop.checkout  POST /checkout order=1001
      00:13:19.500 WARNING gateway.client  retry 3 of 3

    Latest: 00:13:29.500 web-3, pid 388, worker-2
      Charging order 1042 failed
      [the same frames]
      PaymentError: no answer for order 1042
{FOOT.replace(" 1 ", " 41 ")}"""
    )


def test_a_mail_of_several_reasons_with_their_history() -> None:
    told = Told(at=NOW - 420, interval=900, rate=2)
    made = digest(
        group("a", logger="shop", place="shop.pay"),
        entry(
            group("b", 27, at=NOW - 229, last=NOW - 8, logger="shop.stock"),
            "worse",
            total=58,
            since=NOW - 8_000,
            recent=21,
            before=told,
        ),
        entry(
            group("c", 62, at=NOW - 400, last=NOW - 5, logger="shop.mail"),
            "still",
            total=2_310,
            since=NOW - 90_000,
            before=told,
        ),
        entry(
            group("d", 2, at=NOW - 3_000, last=NOW - 2_000, logger="shop.search"),
            "quiet",
            total=2,
            since=NOW - 3_000,
            before=replace(told, at=NOW - 90_000),
        ),
        lost=1_200,
        accounts=Accounts(
            since=NOW - 90_000, received=4_000, mailed=2_708, undelivered=1_200, tokens=0
        ),
    )
    assert (
        mail(made).subject == "[1x, 1 new, 4 kinds] shop production: ERROR ValueError in shop.pay"
    )
    assert text_of(made) == (
        f"""\
NEW   ValueError: a
      once at 00:13:20 +0200, on web-1
      In this mail: 4 kinds of errors, 92 events; 1 new, 1 worse, 1 going on, 1 quiet.
      Sent because a new kind of error appeared.
      Next mail: at once for what is new or worse; for these, not before 00:28.

!     1,200 events were lost since the last mail: dropped as they could not be read,
      or given up as the mail server refused them. Standard error of the processes has details.

{RULE}
1   NEW    ERROR    shop  1 x
    ValueError: a
    in shop.pay
    00:13:20, web-1 1

{RULE}
2   WORSE  ERROR    shop.stock  27 x
    ValueError: b
    in app.main
    00:09:31 to 00:13:12 (4 min), web-1 27; 21 in the last minute, was 2; last told at 00:06; \
58 in all since 22:00 yesterday

{RULE}
3   STILL  ERROR    shop.mail  62 x
    ValueError: c
    in app.main
    00:06:40 to 00:13:15 (7 min), web-1 62; last told at 00:06; 2,310 in all since 2023-11-13 23:13

{RULE}
4   QUIET  ERROR    shop.search  2 x
    ValueError: d
    in app.main
    23:23:20 yesterday to 23:40:00 yesterday (17 min), web-1 2; \
no further event since 23:40 yesterday; last told at 2023-11-13 23:13

{RULE}
Since 2023-11-13 23:13: received 4,000 = mailed 2,800 + pending 0 + undelivered 1,200. \
Counts are those of one process.
Mails for new kinds: 0 of 6 left, one more every 10 min.
Sent by Tocsin for shop production to ops@example.com.
"""
    )


def test_a_mail_of_nothing_but_lost_events() -> None:
    accounts = Accounts(since=NOW, received=5, mailed=0, undelivered=5, tokens=6)
    made = digest(reason="lost", lost=5, next_at=None, accounts=accounts)
    assert mail(made).subject == "[5 lost] shop production: errors were lost"
    assert text_of(made) == (
        f"""\
LOST  5 errors are in no mail
      Sent because errors were lost before they could be mailed.

!     Lost since the last mail: dropped as they could not be read,
      or given up as the mail server refused them. Standard error of the processes has details.

{RULE}
Since 00:13: received 5 = mailed 0 + pending 0 + undelivered 5. Counts are those of one process.
Mails for new kinds: 6 of 6 left, one more every 10 min.
Sent by Tocsin for shop production to ops@example.com.
"""
    )
    one = text_of(digest(reason="lost", lost=1, next_at=None, accounts=accounts))
    assert one.startswith("LOST  1 error is in no mail\n")


def test_what_is_wrong_with_a_list_of_recipients_is_said_at_the_top() -> None:
    notes = ("can't read 'oncall.txt': No such file; the last good list is used", "another")
    made = digest(group(), audience=Audience(to=("a@x.example",), notes=notes))
    assert (
        text_of(made)
        .partition(RULE)[0]
        .endswith(
            """not before 00:28.

!     can't read 'oncall.txt': No such file; the last good list is used

!     another

"""
        )
    )


def test_of_very_many_notes_the_first_are_said() -> None:
    notes = tuple(f"note {number}" for number in range(13))
    head = text_of(digest(group(), audience=Audience(notes=notes))).partition(RULE)[0]
    assert "!     note 9\n\n!     and 3 more\n" in head
    assert "note 10" not in head


def test_a_mail_at_the_exit_says_so_and_promises_nothing() -> None:
    head = text_of(digest(group(), reason="exit", next_at=None)).partition(RULE)[0]
    assert head == (
        """\
NEW   ValueError: a
      once at 00:13:20 +0200, on web-1
      In this mail: 1 kind of error, 1 event; 1 new.
      Sent because the process, or its logging, has ended.

"""
    )


def test_kinds_that_are_not_shown_are_counted() -> None:
    made = digest(*(group(f"g{number:02}", number + 1) for number in range(62)))
    text = text_of(made)
    assert "In this mail: 62 kinds of errors, 1,953 events; 62 new." in text
    assert "\n25  NEW    ERROR    app  25 x\n" in text
    assert f"\n\nAnd 37 more kinds, 1,628 events.\n\n{RULE}\nSince" in text
    assert "ValueError: g25" not in text
    two = text_of(digest(group("a"), group("b")), policy=Policy(shown_groups=1))
    assert "\n\nAnd 1 more kind, 1 event.\n\n" in two


def test_of_many_hosts_the_busiest_are_named() -> None:
    sources = tuple(Source(f"web-{number}", 7, "", number) for number in range(1, 13))
    text = text_of(digest(group("a", 78, sources=sources)))
    named = "web-12 web-11 web-10 web-9 web-8 web-7 web-6 web-5"
    assert f"78 times at 00:13:20 +0200, on {named} and 4 more\n" in text
    assert (
        "    00:13:20, web-12 12, web-11 11, web-10 10, web-9 9, web-8 8, web-7 7, web-6 6, "
        in text
    )
    assert "web-5 5, 4 more hosts 10\n" in text


def test_of_many_processes_the_first_are_named_and_others_counted() -> None:
    sources = tuple(Source("web-1", pid, "", 2) for pid in range(1, 15))
    text = text_of(digest(group("a", 1_028, sources=sources, elsewhere=1_000)))
    assert "1,028 times at 00:13:20 +0200, on web-1, over 14 processes\n" in text
    shown = ", ".join(f"{pid}: 2" for pid in range(1, 13))
    assert f"web-1 28 in 14 processes ({shown}, ...), other processes 1,000\n" in text


def test_where_processes_are_not_told_apart_there_may_be_more_hosts() -> None:
    sources = tuple(Source(f"web-{number:02}", 7, "", 1) for number in range(32))
    made = digest(group("a", 50, sources=sources, elsewhere=18))
    assert "web-07 and at least 24 more, over 32 processes\n" in text_of(made)
    assert ">32+</div>" in html_of(made)


def test_of_many_versions_the_first_are_named() -> None:
    sources = tuple(Source("web-1", 7, f"4.2.{number}", 1) for number in range(6))
    text = text_of(digest(group("a", 6, sources=sources)))
    assert "(shop 4.2.0, 4.2.1, 4.2.2, 4.2.3, and 2 more)" in text


def test_many_recipients_are_counted_and_hidden_ones_are_not_named() -> None:
    everybody = tuple(f"user{number}@example.com" for number in range(4_000))
    text = text_of(digest(group(), audience=Audience(to=everybody, bcc=("boss@example.com",))))
    assert text.endswith("user18@example.com, user19@example.com, and 3,980 more.\n")
    hidden = text_of(digest(group(), audience=Audience(bcc=("boss@example.com",))))
    assert hidden.endswith("\nSent by Tocsin for shop production.\n")


def test_what_is_critical_is_said_first() -> None:
    made = digest(group(level=logging.CRITICAL, level_name="CRITICAL"))
    assert text_of(made).startswith("NEW   CRITICAL ValueError: a\n")
    assert "<b>CRITICAL</b> &middot; shop" in html_of(made)
    assert "<b>ERROR</b>" not in html_of(digest(group()))


def test_text_of_several_lines_is_indented_below_what_is_ours() -> None:
    """A separator, a sender or a foot in log text stands behind blanks: it is seen to be text."""
    fake = f"x\n\n{RULE}\n2   NEW    ERROR    app  9 x\n    First: never\nSent by Tocsin.\r\n"
    sample = event(
        fake,
        traceback=(Line("own", fake), Line("error", fake), Line("cause", fake)),
        extra=(("key", fake),),
        context=(ContextRecord(NOW, "INFO", "app", fake),),
    )
    later = replace(sample, time=NOW + 1, message=fake + ".")
    text = text_of(digest(group("a", 2, last=NOW + 1, samples=(sample, later))))
    assert [line for line in text.splitlines() if line and not line.startswith("      ")] == [
        "NEW   ValueError: a",
        RULE,
        "1   NEW    ERROR    app  2 x",
        "    ValueError: a",
        "    in app.main",
        "    00:13:20 to 00:13:21 (1 s), web-1 2",
        "    First: 00:13:20.000 web-1, pid 7, MainThread",
        "    > x",
        "    Before it:",
        "    Latest: 00:13:21.000 web-1, pid 7, MainThread",
        RULE,
        *FOOT.replace(" 1 ", " 2 ").splitlines()[2:],
    ]


# Nothing is said twice.


def test_a_message_that_is_the_title_is_not_repeated() -> None:
    made = group(text="Stock is negative", samples=(event("Stock is negative"),))
    assert only(made).endswith(
        """\
    First: 00:13:20.000 web-1, pid 7, MainThread
      app/main.py:7 in main

"""
    )
    assert html_of(digest(made)).count("Stock is negative") == 3  # preview, head, title


def test_a_message_that_is_all_there_is_has_its_place() -> None:
    """Where nothing else would stand in the page's box, the box has the message."""
    made = group(text="gone", samples=(event("gone", location=""),))
    assert html_of(digest(made)).count("gone") == 4


def test_the_latest_event_tells_only_what_is_different() -> None:
    first = event("failed", traceback=TRACE)
    same = group(count=2, samples=(first, replace(first, time=NOW + 1)))
    assert only(same).endswith(
        """\
    Latest: 00:13:21.000 web-1, pid 7, MainThread
      [the same message]
      [the same traceback]

"""
    )
    assert html_of(digest(same)).count("shop/views.py:88 in submit") == 1


def test_other_frames_are_told_again() -> None:
    first = event("failed", traceback=TRACE)
    later = event("failed", time=NOW + 1, traceback=TRACE[1:5])
    assert "[the same" in only(group(count=2, samples=(first, later)))
    assert only(group(count=2, samples=(first, later))).count("> shop/views.py:88 in submit") == 2


def test_without_an_error_the_latest_has_no_traceback_to_compare() -> None:
    first = event("failed", traceback=TRACE)
    part = only(group(count=2, samples=(first, event("other", time=NOW + 1))))
    assert part.endswith("      other\n      app/main.py:7 in main\n\n")


# What can't be mailed.


def test_what_cannot_be_mailed_is_told_without_what_a_mail_promises() -> None:
    made = digest(group(samples=(event("Charging failed"),)))
    time = dt.datetime.fromtimestamp(NOW, dt.UTC).astimezone().strftime("%H:%M:%S")
    assert plain(made, sender()) == (
        f"""\
[1x, 1 new] shop production: ERROR ValueError in app.main

{RULE}
1   NEW    ERROR    app  1 x
    ValueError: a
    in app.main
    {time}, web-1 1

    First: {time}.000 web-1, pid 7, MainThread
      Charging failed
      app/main.py:7 in main
"""
    )


def test_what_cannot_be_mailed_says_what_it_leaves_out() -> None:
    made = digest(*(group(f"g{number}") for number in range(30)))
    assert plain(made, sender()).endswith("\n\nAnd 5 more kinds.\n")


# Limits.

UGLY = ["<&'\">", "\U0001f525", "é", "x", "\n", "'"]


def big(name: str = "a", unit: str = "<&'\">", **fields: Any) -> Group:
    """Return a group with the largest samples there are, and the longest names."""

    def text(length: int) -> str:
        return (unit * length)[:length]

    lines = [Line("own", text(200)) for _ in range(100)]
    lines += [Line("error", text(2_000)), *(Line("cause", text(2_000)) for _ in range(9))]
    one = event(
        text(10_000),
        traceback=tuple(lines),
        extra=tuple((text(100), text(500)) for _ in range(20)),
        host=text(100),
        thread=text(100),
        location=text(500),
        context=tuple(ContextRecord(NOW, text(20), text(100), text(500)) for _ in range(50)),
    )
    given: dict[str, Any] = {
        "text": text(200),
        "kind": text(80),
        "place": text(80),
        "logger": text(100),
        "level_name": text(20),
        "sources": tuple(Source(text(90) + str(n), n, text(90) + str(n), 1) for n in range(32)),
        "samples": (
            one,
            replace(one, time=NOW + 1, message=text(9_999), traceback=one.traceback[1:]),
        ),
        "elsewhere": 10**9,
    }
    return group(name, 10**9, **{**given, **fields})


def within_limits(made: Digest, **fields: Any) -> tuple[str, str]:
    """Return text and page of a digest, both as small as they have to be."""
    message = mail(made, **fields)
    assert message.text is not None
    assert message.html is not None
    assert len(message.html.encode("utf-8", "replace")) <= 90_000
    assert len(message.text.encode("utf-8", "replace")) <= 250_000
    assert len(message.to_mime().as_bytes()) <= 1_000_000
    return message.text, message.html


@pytest.mark.parametrize("unit", UGLY)
@pytest.mark.parametrize("count", [1, 2, 25, 500])
def test_the_largest_digests_stay_small_and_show_the_leads_traceback(unit: str, count: int) -> None:
    """A page is at most 90 kB, as Gmail cuts what is longer, and a mail at most 1 MB."""
    notes = tuple("<" * 1_000 for _ in range(50))
    audience = Audience(
        to=tuple(f"user{number}@example.com" for number in range(4_000)), notes=notes
    )
    made = digest(
        *(big(f"g{number}", unit) for number in range(count)), audience=audience, lost=10**9
    )
    for part in within_limits(made):
        lead = part.partition("Latest")[0]
        # The end of the message, the error, and what led to it: each as far as there is room.
        assert "lines of the traceback]" in lead
        assert "lines of related exceptions]" in lead


@pytest.mark.parametrize("shown", [1, 25, 500])
def test_however_many_groups_are_to_be_shown_the_lead_is_told_best(shown: int) -> None:
    made = digest(*(big(f"g{number}") for number in range(500)))
    for part in within_limits(made, policy=Policy(shown_groups=shown)):
        assert "lines of the traceback]" in part.partition("Latest")[0]
        hidden = re.search(r"And (\d+) more kinds, ([\d,]+) events\.", part)
        assert hidden is not None
        assert int(hidden[1]) >= 500 - shown
        assert int(hidden[2].replace(",", "")) == int(hidden[1]) * 10**9


def test_an_ordinary_traceback_is_shown_whole_beside_24_other_kinds() -> None:
    frames = tuple(
        line
        for number in range(20)
        for line in (
            Line("own", f"shop/module{number}.py:17 in function_{number}"),
            Line("own", f"    result = function_{number}(first=argument, second=argument)"),
        )
    )
    sample = event(
        "failed", traceback=(*frames, Line("error", "ValueError: no")), context=CONTEXT * 10
    )
    many = [
        group(f"g{number}", samples=(sample, replace(sample, time=NOW + 1))) for number in range(25)
    ]
    text, html = within_limits(digest(*many))
    assert "[cut: " not in text
    lead = html.partition("Latest")[0]
    assert "[cut: " not in lead
    assert "shop/module0.py:17 in function_0" in lead


def test_however_large_its_samples_are_every_kind_is_shown() -> None:
    """What is told of the first ones leaves room for the others' names and counts."""
    sample = event("<&'\">" * 2_000, traceback=TRACE * 40, context=CONTEXT * 25)
    many = [
        group(f"g{number}", samples=(sample, replace(sample, time=NOW + 1))) for number in range(30)
    ]
    _, html = within_limits(digest(*many))
    assert all(f"ValueError: g{number}<" in html for number in range(25))
    assert "And 5 more kinds, 5 events." in html


def test_samples_that_find_no_room_are_stated_to_be_left_out() -> None:
    made = digest(*(big(f"g{number}") for number in range(25)))
    for part in within_limits(made):
        shown = len(re.findall(r">NEW<|&nbsp;NEW&nbsp;|\d  +NEW ", part))
        said = part.count("[cut: the samples are left out, to keep this mail small]")
        with_samples = len(re.findall(r"(?:<b>|    )First(?:</b>|:)", part))
        assert said + with_samples == shown


def test_every_cut_is_stated_where_it_is() -> None:
    text = text_of(digest(*(big(f"g{number}", "xy") for number in range(25))))
    said = set(re.findall(r"\[cut: [^\]]*\]", re.sub(r"\d[\d,]*", "N", text)))
    assert said >= {
        "[cut: first N of N characters]",
        "[cut: last N of N lines of the traceback]",
        "[cut: first N of N lines of related exceptions]",
        "[cut: first N of N fields]",
        "[cut: last N of N records before it]",
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(UGLY), min_size=1, max_size=4),
    st.integers(min_value=1, max_value=40),
    st.integers(min_value=0, max_value=12_000),
    st.integers(min_value=0, max_value=400),
)
def test_no_digest_is_too_large(units: list[str], count: int, message: int, lines: int) -> None:
    def sample(unit: str, time: float) -> Event:
        return event(
            unit * message,
            time=time,
            traceback=(*(Line("library", unit) for _ in range(lines)), Line("error", unit * 500)),
        )

    made = [
        big(f"g{number}", unit, samples=(sample(unit, NOW), sample(unit + "x", NOW + 1)))
        for number, unit in zip(range(count), units * count, strict=False)
    ]
    within_limits(digest(*made))


@settings(max_examples=60, deadline=None)
@given(st.lists(groups(), min_size=1, max_size=4), texts, st.sampled_from(["new", "exit"]))
def test_any_digest_can_be_rendered(made: list[Group], app: str, reason: str) -> None:
    message = mail(digest(*made, reason=reason), app=app or "x")
    assert len(message.subject) <= 120
    message.to_mime().as_bytes()


@pytest.mark.parametrize("time", [0.0, -1e9, 1e20, float("inf"), float("-inf"), float("nan")])
def test_any_time_can_be_rendered(time: float) -> None:
    """A record says of itself when it is from, and may say anything."""
    past = (ContextRecord(time, "INFO", "app", "x"),)
    made = digest(group(at=time, last=NOW, samples=(event(time=time, context=past),)))
    for zone in (None, dt.UTC, dt.timezone(dt.timedelta(hours=-23)), dt.timezone.max):
        message = render(made, sender(), zone=zone)
        assert message.text is not None
        assert "nan" not in message.text
        assert "inf " not in message.text


def test_the_same_digest_makes_the_same_bytes() -> None:
    """A mail that is sent again is the same one."""
    made = digest(big(), big("b"))
    assert bytes(mail(made).to_mime()) == bytes(mail(made).to_mime())


def test_everybody_gets_the_same_mail() -> None:
    audience = Audience(to=("To <a@x.example>",), cc=("b@x.example",), bcc=("c@x.example",))
    message = mail(digest(group(), audience=audience), reply_to=sender().reply_to)
    assert [str(one) for one in message.to] == ["To <a@x.example>"]
    assert [str(one) for one in message.cc] == ["b@x.example"]
    assert [str(one) for one in message.bcc] == ["c@x.example"]
    assert len(message.recipients) == 3


@pytest.mark.parametrize(
    "address", ["jörg@x.example", "Jörg <jörg@faß.de>", '"a@b"@x.example', "a@[IPv6:2001:db8::1]"]
)
def test_a_recipient_stays_who_it_is(address: str) -> None:
    """Only what a name acts with is taken out of it."""
    message = mail(digest(group(), audience=Audience(to=(address, f"x <{NOW}@x.example>"))))
    assert message.to == AddressList([address, f"x <{NOW}@x.example>"])
    assert message.text is not None
    assert address.partition("@")[0] in message.text
