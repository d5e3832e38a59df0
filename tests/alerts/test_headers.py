"""What mail clients, mail rules and scripts go by: subject and headers, as they leave."""

from __future__ import annotations

import base64
import datetime as dt
import email
import email.policy
import re
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwz import thread_guid
from samples import NOW, digest, entry, group, mail, texts

from tocsin.alerts.digest import Audience, Digest
from tocsin.alerts.grouping import Source
from tocsin.mail.address import prepare_address

DAY = 86_400
DOT_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"


def sent(made: Digest, **fields: Any) -> EmailMessage:
    """Return a mail as a program reads it from the wire."""
    raw = mail(made, **fields).to_mime().as_bytes()
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_these_are_the_headers_and_no_others() -> None:
    """X-Entity-Ref-ID is never there: with it, Gmail keeps mails apart."""
    made = digest(group("a", 4), group("b", 3), reason="exit")
    message = sent(made, reply_to=[prepare_address("team@example.com")])
    root = message["References"]
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", root)
    assert [
        (name, str(value))
        for name, value in message.items()
        if not name.lower().startswith("content-") and name != "Thread-Index"
    ] == [
        ("From", "Shop <alerts@example.com>"),
        ("Reply-To", "team@example.com"),
        ("To", "ops@example.com"),
        ("Subject", "[4x, 2 new, 2 kinds] shop production: ERROR ValueError in app.main"),
        ("Date", "Tue, 14 Nov 2023 22:13:20 +0000"),
        ("Message-ID", "<id@example.com>"),
        ("References", root),
        ("In-Reply-To", root),
        ("Thread-Topic", "shop production: ERROR ValueError in app.main"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "OOF, AutoReply"),
        ("List-Id", "<shop-production.alerts.example.com>"),
        ("X-Tocsin-App", "shop"),
        ("X-Tocsin-Environment", "production"),
        ("X-Tocsin-Level", "ERROR"),
        ("X-Tocsin-Reason", "exit"),
        ("X-Tocsin-Groups", "2"),
        ("X-Tocsin-Count", "7"),
        ("MIME-Version", "1.0"),
    ]


@pytest.mark.parametrize(
    ("level", "importance"), [(40, None), (49, None), (50, "high"), (60, "high")]
)
def test_only_critical_is_important(level: int, importance: str | None) -> None:
    assert sent(digest(group(level=level)))["Importance"] == importance


def test_a_mail_of_lost_events_has_the_same_headers() -> None:
    """Mail rules and scripts find what they look for in each mail."""
    lost = sent(digest(lost=5, reason="lost"))
    assert lost.keys() == sent(digest(group())).keys()
    assert lost["Subject"] == "[5 lost] shop production: errors were lost"
    assert lost["Thread-Topic"] == "shop production: errors were lost"
    assert lost["X-Tocsin-Level"] == "ERROR"
    assert lost["X-Tocsin-Groups"] == lost["X-Tocsin-Count"] == "0"


def test_the_level_is_the_leads_by_its_name() -> None:
    made = digest(group("a", level=45, level_name="ALARM"), group("b"))
    assert sent(made)["X-Tocsin-Level"] == "ALARM"


# The list (RFC 2919 §2: a label and a namespace, together a dot-atom of at most 255 characters).


@pytest.mark.parametrize(
    ("app", "environment", "label"),
    [
        ("shop", "production", "shop-production"),
        ("api", "", "api"),
        ("My Shop (new)!", "EU/west", "my-shop-new-eu-west"),
        ("?", "", "app"),
        ("магазин", "", "app"),
        ("a" * 100, "", "a" * 60),
    ],
)
def test_a_list_id_is_made_of_application_and_environment(
    app: str, environment: str, label: str
) -> None:
    message = sent(digest(group()), app=app, environment=environment)
    assert message["List-Id"] == f"<{label}.alerts.example.com>"


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        ("a@Example.com", "Example.com"),
        ("a@my_host", "my_host"),
        ("a@faß.de", "xn--fa-hia.de"),
        ("a@[127.0.0.1]", "127.0.0.1"),
        ("a@[IPv6:2001:db8::1]", "IPv6-2001-db8-1"),
    ],
)
def test_identifiers_are_well_formed_for_any_sender(sender: str, domain: str) -> None:
    message = sent(digest(group()), from_addr=prepare_address(sender))
    assert message["List-Id"] == f"<shop-production.alerts.{domain}>"
    assert re.fullmatch(f"<{DOT_ATOM}>", message["List-Id"])
    assert re.fullmatch(f"<{DOT_ATOM}@{DOT_ATOM}>", message["References"])


# The conversation.


def root(made: Digest, **fields: Any) -> str:
    message = sent(made, **fields)
    assert message["References"] == message["In-Reply-To"]
    return str(message["References"])


def test_a_conversation_is_one_faults_in_one_application_since_its_first_day() -> None:
    same = root(digest(group()))
    assert same == root(digest(group(count=9, sources=(Source("web-9", 1, "2", 9),))))
    assert same == root(digest(group("a", level=50)))
    assert same == root(
        digest(entry(group(at=NOW + 3 * DAY), "still", since=NOW), date=NOW + 3 * DAY)
    )
    assert same == root(digest(group(at=NOW - 60)))  # of the same day
    others = {
        root(digest(group("b"))),
        root(digest(group(at=NOW + DAY))),
        root(digest(group()), app="bank"),
        root(digest(group()), environment="staging"),
        root(digest(lost=1, reason="lost")),
    }
    assert len(others | {same}) == 6


def test_lost_events_of_a_day_are_a_conversation() -> None:
    assert root(digest(lost=1)) == root(digest(lost=9, date=NOW + 600))
    assert root(digest(lost=1)) != root(digest(lost=1, date=NOW + DAY))


def index(made: Digest, **fields: Any) -> bytes:
    return base64.b64decode(sent(made, **fields)["Thread-Index"], validate=True)


def filetime(upper: bytes) -> dt.datetime:
    """Return what the upper 40 bits of a FILETIME say: 100 ns since 1601, MS-DTYP §2.3.3."""
    ticks = int.from_bytes(upper, "big") << 24
    return dt.datetime(1601, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=ticks // 10)


def test_a_thread_index_has_the_layout_that_outlook_reads() -> None:
    """MS-OXOMSG §2.2.1.3: 1 + 5 + 16 bytes of the root, and 5 of an answer."""
    made = digest(group())
    raw = index(made)
    assert len(raw) == 27
    assert raw[0] == 1
    start = filetime(raw[1:6])
    midnight = dt.datetime(2023, 11, 14, tzinfo=dt.UTC)
    assert dt.timedelta(0) <= midnight - start < dt.timedelta(seconds=2)  # 24 bits of 100 ns
    assert raw[6:22].hex() == root(made)[1:33]
    assert thread_guid(sent(made)["Thread-Index"]) == raw[6:22]
    answered = int.from_bytes(raw[22:26], "big")
    assert answered >> 31 == 0
    seconds = (answered << 18) / 1e7
    assert abs(seconds - (NOW - midnight.timestamp())) < 1


def test_answers_follow_the_root_in_the_order_of_their_time() -> None:
    """For ever: after 1.7 years the unit is another one, and a bit says so."""
    ages = [0, 1, 60, 3_600, DAY, 30 * DAY, 600 * DAY, 700 * DAY, 701 * DAY, 5_000 * DAY]
    raws = [
        index(digest(entry(group(at=NOW), since=NOW), date=NOW + age, message_id=f"<{age}@x>"))
        for age in ages
    ]
    assert len({raw[:22] for raw in raws}) == 1
    assert [raw[22:26] for raw in raws] == sorted({raw[22:26] for raw in raws})
    assert [raw[22] >> 7 for raw in raws] == [0] * 7 + [1] * 3


def test_an_event_that_seems_to_come_from_the_future_has_an_index_too() -> None:
    assert index(digest(group(at=NOW + 9 * DAY), date=NOW))[22:26] == b"\0\0\0\0"


def test_mails_of_the_same_moment_have_an_index_each() -> None:
    one = index(digest(group(), message_id="<1@x>"))
    assert one[:26] == index(digest(group(), message_id="<2@x>"))[:26]
    assert one[26] != index(digest(group(), message_id="<2@x>"))[26]


# The subject.


def subject(made: Digest, **fields: Any) -> str:
    message = sent(made, **fields)
    assert message["Subject"].endswith(f"] {message['Thread-Topic']}")
    return str(message["Subject"])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (digest(group()), "[1x, 1 new]"),
        (digest(group("a", 412), group("b")), "[412x, 2 new, 2 kinds]"),
        (digest(entry(group("a", 2_310), "still")), "[2310x]"),
        (digest(entry(group("a", 3), "worse"), entry(group("b"), "quiet")), "[3x, 2 kinds]"),
    ],
)
def test_numbers_are_in_the_brackets_and_nowhere_else(made: Digest, said: str) -> None:
    assert subject(made) == f"{said} shop production: ERROR ValueError in app.main"


def test_an_application_without_an_environment_has_its_name_alone() -> None:
    """Behind brackets "api: " isn't taken for the mark of an answer, as "Re: " is."""
    assert subject(digest(group()), app="api", environment="") == (
        "[1x, 1 new] api: ERROR ValueError in app.main"
    )


def test_a_subject_can_be_in_any_script() -> None:
    made = digest(group(kind="ОшибкаОплаты", place="магазин.оплата"))
    assert subject(made, app="магазин", environment="эксплуатация") == (
        "[1x, 1 new] магазин эксплуатация: ERROR ОшибкаОплаты in магазин.оплата"
    )


def test_a_long_name_leaves_room_for_what_is_wrong() -> None:
    line = subject(digest(group()), app="a" * 100, environment="e" * 100)
    assert line == f"[1x, 1 new] {'a' * 21}... {'e' * 12}...: ERROR ValueError in app.main"
    line = subject(digest(group()), app="a" * 100)
    assert line == f"[1x, 1 new] {'a' * 26}... production: ERROR ValueError in app.main"
    line = subject(digest(group()), app="a" * 100, environment="")
    assert line == f"[1x, 1 new] {'a' * 37}...: ERROR ValueError in app.main"


def test_a_long_name_does_not_hide_the_environment() -> None:
    """Who is on call has to see whether it is staging."""
    lines = {
        subject(digest(group()), app="customer-relationship-management-api", environment=name)
        for name in ("staging", "production")
    }
    assert len(lines) == 2


def test_a_long_kind_is_cut_at_the_end_and_the_numbers_are_whole() -> None:
    line = subject(digest(group(kind="K" * 200, count=10**9)))
    assert line == f"[1000000000x, 1 new] shop production: ERROR {'K' * 58}..."
    assert len(line) == 105


@settings(deadline=None)
@given(
    st.integers(min_value=1, max_value=10**25),
    st.integers(min_value=1, max_value=600),
    texts,
    texts,
)
def test_what_stands_behind_the_numbers_is_the_same_whatever_they_are(
    count: int, kinds: int, kind: str, app: str
) -> None:
    lead: dict[str, Any] = {"kind": kind * 9, "place": "shop.payments.charge"}
    few = mail(digest(group(**lead)), app=app)
    many = digest(group("a", count, **lead), *(group(f"g{number}") for number in range(kinds)))
    line = mail(many, app=app).subject
    assert len(line) <= 120
    assert line.partition("] ")[2] == few.subject.partition("] ")[2]
    assert line.startswith(f"[{count}x")


def test_numbers_of_any_length_leave_room_for_what_is_wrong() -> None:
    line = subject(digest(group("a", 10**24, kind="K" * 200), group("b")))
    assert line.startswith(f"[{10**24}x, 2 new] shop production: ERROR KKK")
    assert len(line) == 120


def test_the_same_digest_has_the_same_headers() -> None:
    """A mail that is sent again, maybe by another process, is the same one."""
    made = digest(group("a", 3), audience=Audience(to=("ops@example.com",)))
    assert mail(made).headers == mail(made).headers
    assert sent(made).items() == sent(made).items()
