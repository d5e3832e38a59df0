"""What holds for any server, any message and any option; tried with many of them."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any

from conversations import deliveries, handler_for, message, send
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tocsin import ConfigError, Message, SendError
from tocsin.mail import Attachment
from tocsin.mail.address import one_line
from tocsin.testing import Act, ScriptedSMTPServer, SMTPConnection
from tocsin.testing.smtp import FEATURES

bounded = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# --- Any server -------------------------------------------------------------------------------

OK = "250 2.0.0 ok"
refusals = st.sampled_from(
    [
        "450 4.2.1 busy",
        "550 5.1.1 nobody",
        "550 5.4.5 quota",
        "452 4.5.3 too many recipients",
        "452 no",
        "552 too much",
        "503 5.5.1 bad sequence",
        "554 Transaction failed: Recipient count exceeds 2",
        ("421 4.3.2 bye", Act.CLOSE),
    ]
)
losses = st.sampled_from(
    [Act.CLOSE, Act.RESET, Act.SILENCE, b"\0 what\r\n", b"250", b"250-ok\r\n", "354 what"]
)
# Not among these: a server that leaves a reply out but answers what comes behind. With commands
# that ride with the dot, nobody can tell its next reply from the one that is missing.
answers = st.one_of(*[st.none()] * 6, refusals, losses)
at_the_dot = st.one_of(
    answers,
    st.sampled_from(
        [
            (Act.ACCEPT, Act.CLOSE),
            (Act.ACCEPT, Act.RESET),
            (Act.ACCEPT, b"garbage\r\n"),
            (OK, Act.CLOSE),
            (OK, Act.RESET),
            (OK, "421 4.3.2 bye", Act.CLOSE),
        ]
    ),
)
scripts = st.fixed_dictionaries(
    {
        "connect": st.lists(st.one_of(st.none(), st.none(), answers), max_size=2),
        "MAIL": st.lists(answers, max_size=5),
        "RCPT": st.lists(answers, max_size=12),
        "DATA": st.lists(
            st.one_of(answers, st.just(("354 go ahead", "552 5.3.4 too big", Act.CLOSE))),
            max_size=5,
        ),
        ".": st.lists(at_the_dot, max_size=5),
        "RSET": st.lists(answers, max_size=2),
        "QUIT": st.lists(answers, max_size=2),
    }
)


@settings(bounded, max_examples=80)
@given(
    script=scripts,
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    size=st.one_of(st.none(), st.integers(1, 3)),
    pipelining=st.sampled_from(["", "PIPELINING", "and behind the dot"]),
    kept=st.booleans(),
)
def test_nobody_is_lost_and_nobody_gets_it_twice(
    script: dict[str, Any], counts: list[int], size: int | None, pipelining: str, kept: bool
) -> None:
    """Receipts partition the recipients, and say what the server has; in bounded time.

    Accepted: exactly once. Refused or deferred: not at all. Unknown: at most once.
    """
    features = FEATURES if pipelining else FEATURES[1:]
    messages = [
        message(
            *(f"m{number}.p{one}@example.com" for one in range(count)),
            headers={"Message-ID": f"<m{number}@example.com>"},
        )
        for number, count in enumerate(counts)
    ]
    reports = Counter[tuple[str, str]]()
    started = time.monotonic()
    with ScriptedSMTPServer(script, features=features) as server:
        handler = handler_for(
            server,
            timeout=0.05,
            recipients_per_message=size,
            pipeline_messages=pipelining == "and behind the dot",
        )
        options: dict[str, Any] = {
            "deadline": 0.3,
            "on_transaction": lambda report: reports.update(
                (report.message_id, one)
                for one in (
                    *report.accepted,
                    *report.refused,
                    *report.deferred,
                    *report.unknown,
                )
            ),
        }
        receipts = []
        if kept:
            try:
                with handler.connect():
                    for one in messages:
                        receipts += send(handler, one, **options)
            except SendError:
                assert not receipts
                receipts = send(handler, messages, **options)
        else:
            receipts = send(handler, messages, **options)
        assert "0 connections kept" in repr(handler)
    assert time.monotonic() - started < 10
    got = deliveries(server)
    assert [receipt.message_id for receipt in receipts] == [
        f"<m{number}@example.com>" for number in range(len(counts))
    ]
    assert max(reports.values(), default=1) == 1
    for number, (receipt, count) in enumerate(zip(receipts, counts, strict=True)):
        parts = [*receipt.accepted, *receipt.refused, *receipt.deferred, *receipt.unknown]
        assert sorted(parts) == [f"m{number}.p{one}@example.com" for one in range(count)]
        times = {name: got[receipt.message_id, name] for name in parts}
        assert all(times[name] == 1 for name in receipt.accepted)
        assert all(times[name] == 0 for name in (*receipt.refused, *receipt.deferred))
        assert all(times[name] <= 1 for name in receipt.unknown)
        assert all(
            (receipt.message_id, name) in reports for name in (*receipt.accepted, *receipt.unknown)
        )
    assert set(got) <= {
        (receipt.message_id, name)
        for receipt in receipts
        for name in (*receipt.accepted, *receipt.unknown)
    }


limits = st.sampled_from(
    [
        "452 4.5.3 too many recipients",
        "452 no",
        "552 too many",
        "451 4.5.3 Too many recipients",
        "550 5.5.3 no",
        "554 too many recipients",
        ("421 4.3.2 bye", Act.CLOSE),
        ("421 4.5.3 too many recipients", Act.CLOSE),
    ]
)


@settings(bounded, max_examples=80)
@given(
    reply=limits,
    limit=st.integers(0, 6),
    counts=st.lists(st.integers(1, 15), min_size=1, max_size=3),
    bad=st.sets(st.integers(0, 14)),
    size=st.one_of(st.none(), st.integers(1, 10)),
    pipelining=st.sampled_from(["", "PIPELINING", "and behind the dot"]),
)
def test_any_limit_of_recipients_takes_a_bounded_number_of_transactions(  # noqa: PLR0917
    reply: Any,
    limit: int,
    counts: list[int],
    bad: set[int],
    size: int | None,
    pipelining: str,
) -> None:
    """However it is said: the bad are refused, the others have it once; if it can be, all of them.

    Each transaction decides about somebody, or is followed by one of about half the size.
    """

    def script(command: str, connection: SMTPConnection) -> Any:
        if int(command.partition(".p")[2].partition("@")[0]) in bad:
            return "550 5.1.1 nobody"
        return reply if len(connection.recipients) >= limit else None

    messages = [
        message(*(f"m{number}.p{one}@example.com" for one in range(count)))
        for number, count in enumerate(counts)
    ]
    features = FEATURES if pipelining else FEATURES[1:]
    with ScriptedSMTPServer({"RCPT": script}, features=features) as server:
        handler = handler_for(
            server,
            recipients_per_message=size,
            pipeline_messages=pipelining == "and behind the dot",
        )
        receipts = send(handler, messages)
        said = [line for connection in server.connections for line in connection.commands]
    got = deliveries(server)
    for receipt, sent in zip(receipts, messages, strict=True):
        parts = [*receipt.accepted, *receipt.refused, *receipt.deferred, *receipt.unknown]
        assert sorted(parts) == sorted(one.addr_spec for one in sent.to)
        assert all(got[receipt.message_id, name] == 1 for name in receipt.accepted)
        if limit:
            assert not receipt.deferred
            assert not receipt.unknown
            numbers = {int(name.partition(".p")[2].partition("@")[0]) for name in receipt.refused}
            assert numbers <= bad
    assert set(got.values()) <= {1}
    assert sum(line.startswith("MAIL") for line in said) <= sum(counts) + 8


# --- Any input --------------------------------------------------------------------------------

nasty = st.text(
    st.one_of(
        st.sampled_from("\r\n\0\t .<>@:;,\"'\\=?()[]\x0b\x0c\x1c\x85\u2028\u2029\ud800éß漢"),
        st.characters(),
    ),
    max_size=40,
)
injected = st.sampled_from(
    [
        "x\r\nBcc: evil@example.com",
        "x\nEvil: 1",
        "x\rEvil: 1",
        "x\r\n\r\n.\r\nMAIL FROM:<evil@example.com>",
        "x\u2028Evil: 1",
        "=?utf-8?q?x=0D=0AEvil:_1?=",
        "a" * 2000,
        '"\r\nRCPT TO:<evil@example.com>"',
    ]
)
texts = st.one_of(nasty, injected)
names = st.sampled_from(["X-One", "x-two", "List-Id", "Message-ID", "Date"])


addresses = st.one_of(
    st.builds("{0} <a@example.com>".format, texts),
    st.builds('"{0}" <a@example.com>'.format, texts),
    st.builds("{0}@example.com".format, texts),
    st.builds("a@{0}".format, texts),
    st.sampled_from(["a@example.com", "B <b@bücher.example>", "jörg@example.com"]),
    texts,
)

OWN = {"from", "reply-to", "to", "cc", "subject", "date", "message-id", "mime-version"}
OWN |= {"content-type", "content-transfer-encoding"}
COMMAND = re.compile(
    r"EHLO \S+|DATA|RSET|QUIT|\."
    r"|MAIL FROM:<[^\x00-\x20<>]+>( SIZE=\d+| BODY=8BITMIME| SMTPUTF8)*"
    r"|RCPT TO:<([^\x00-\x20<>]+)>"
)


def header_names(data: bytes) -> list[str]:
    """Return the names of the headers, as a server that splits at any line end sees them."""
    head = data.partition(b"\r\n\r\n")[0]
    lines = re.split(rb"\r\n|\r|\n", head)
    return [
        line.partition(b":")[0].decode("latin-1").lower()
        for line in lines
        if not line.startswith((b" ", b"\t"))
    ]


def made(kind: type[Any], **options: Any) -> Any:
    """Make something of what can be made of the options."""
    for name in list(options):
        try:
            kind(**{name: options[name]})
        except ValueError:
            del options[name]
    return kind(**options)


@settings(bounded, max_examples=60)
@given(
    subject=texts,
    text=st.one_of(st.none(), texts),
    html=st.one_of(st.none(), texts),
    from_addr=addresses,
    to=addresses,
    cc=addresses,
    bcc=addresses,
    reply_to=addresses,
    headers=st.dictionaries(st.one_of(names, texts), texts, max_size=3),
    filename=texts,
    mimetype=st.one_of(st.just("image/png"), texts),
    local_hostname=st.one_of(st.none(), texts),
    smtputf8=st.booleans(),
)
@example(
    subject="\ud800",
    text=".\n",
    html="",
    from_addr="a@example.com",
    to="a@example.com",
    cc="",
    bcc="",
    reply_to="",
    headers={"X-One": "a\r\nEvil: 1"},
    filename="\r\n",
    mimetype="text/html\r\nEvil: 1",
    local_hostname="a\r\nDATA",
    smtputf8=False,
)
def test_no_input_makes_a_command_or_a_header(  # noqa: PLR0917 - named by hypothesis
    subject: str,
    text: str | None,
    html: str | None,
    from_addr: str,
    to: str,
    cc: str,
    bcc: str,
    reply_to: str,
    headers: dict[str, str],
    filename: str,
    mimetype: str,
    local_hostname: str | None,
    smtputf8: bool,
) -> None:
    """The server sees the expected verbs, arguments and header names, and nothing else."""
    try:
        file = Attachment(b"x", filename=filename, mimetype=mimetype)
    except ValueError:
        file = Attachment(b"x", filename=filename)
    one: Message = made(
        Message,
        subject=subject,
        text=text,
        html=html,
        from_addr=from_addr,
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=reply_to,
        headers=headers,
        attachments=[file],
    )
    if one.from_addr is None:
        one.from_addr = "me@example.com"
    one.to.append("z@example.com")
    features = [feature for feature in FEATURES if smtputf8 or feature != "SMTPUTF8"]
    with ScriptedSMTPServer(features=features) as server:
        try:
            handler = handler_for(server, local_hostname=local_hostname)
        except ConfigError:
            handler = handler_for(server)
        send(handler, one)
    wanted = [recipient.addr_spec for recipient in one.recipients]
    (connection,) = server.connections
    verbs = []
    for command in connection.commands:
        found = COMMAND.fullmatch(command)
        assert found, command
        verbs.append(command.split()[0])
        if found[2]:
            assert found[2] in wanted
    assert verbs[0] == "EHLO"
    assert verbs[-1] == "QUIT"
    assert verbs.count("MAIL") == verbs.count("DATA") == len(server.messages) <= 1
    for taken in server.messages:
        assert one.from_addr is not None
        assert taken.sender == one.from_addr.addr_spec
        seen = header_names(taken.data)
        allowed = OWN | {name.lower() for name in one.headers}
        assert set(seen) <= allowed, taken.data
        assert "bcc" not in seen
        assert max(map(len, taken.data.split(b"\r\n"))) <= 998
        rest = taken.data.replace(b"\r\n", b"")
        assert b"\r" not in rest
        assert b"\n" not in rest


# --- Any message ------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
people = st.lists(
    st.builds(
        lambda name, number: (
            f"{name} <p{number}@example.com>" if name else f"p{number}@bücher.example"
        ),
        st.sampled_from(["", "Ann", "Jörg", '"Last, First"', "O'Neil (home)", "a" * 60]),
        st.integers(0, 99),
    ),
    max_size=4,
)
files = st.lists(
    st.tuples(
        st.binary(max_size=200),
        st.one_of(st.none(), words),
        st.sampled_from(["image/png", "application/pdf", "text/csv"]),
    ),
    max_size=2,
)


def lines(text: str | None) -> list[str] | None:
    """Return a text without regard to how its lines end."""
    if text is None:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


@settings(bounded, max_examples=60)
@given(
    subject=words,
    text=words,
    html=st.one_of(st.none(), words),
    to=people,
    cc=people,
    bcc=people,
    reply_to=people,
    attachments=files,
    headers=st.dictionaries(st.sampled_from(["X-One", "X-Two", "List-Id"]), words, max_size=2),
)
def test_a_message_survives_the_standard_library(  # noqa: PLR0917 - named by hypothesis
    subject: str,
    text: str,
    html: str | None,
    to: list[str],
    cc: list[str],
    bcc: list[str],
    reply_to: list[str],
    attachments: list[tuple[bytes, str | None, str]],
    headers: dict[str, str],
) -> None:
    """`from_mime(m.to_mime())` keeps what was said, but for the ends of lines and folding."""
    one = Message(
        subject=subject,
        text=text,
        html=html,
        from_addr="Me <me@example.com>",
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=reply_to,
        attachments=[
            Attachment(data, filename=name, mimetype=kind) for data, name, kind in attachments
        ],
        headers=headers,
    )
    two = Message.from_mime(one.to_mime())

    def flat(value: str) -> str:
        return " ".join(one_line(value).split())

    assert flat(two.subject) == flat(one.subject)
    for part in ("from_addr", "to", "cc", "bcc", "reply_to"):
        assert getattr(two, part) == getattr(one, part), part
    assert lines(two.text) == lines(one.text)
    assert lines(two.html) == lines(one.html)
    assert {name: flat(value) for name, value in two.headers.items()} == {
        name: flat(value) for name, value in one.headers.items()
    }
    assert [(file.data, file.mimetype) for file in two.attachments] == [
        (file.data, file.mimetype) for file in one.attachments
    ]
    assert [flat(file.filename or "") for file in two.attachments] == [
        flat(file.filename or "") for file in one.attachments
    ]
