"""The standard library's messages on the wire: as readable as a `Message`.

Each is sent to a server, and what the server got is read without the library's newer parser.
"""

from __future__ import annotations

import contextlib
import copy
import email
import email.policy
import email.utils
from email.header import Header, decode_header, make_header
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.message import Message as OldMessage
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tocsin import SendError
from tocsin.mail import Message, SMTPEmailHandler
from tocsin.testing import ScriptedSMTPServer

bounded = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
FROM, TO = "f@example.com", "a@example.com"
PLAIN = bytes([*b"\t\r\n", *range(32, 127)])
AnyMime: TypeAlias = "OldMessage[Any, Any]"


def headers(state: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in state["_headers"]]


def inside(mime: AnyMime, *path: int) -> Any:
    """Return a part of a part."""
    part: Any = mime
    for number in path:
        part = part.get_payload(number)
    return part


def received(*messages: Any) -> list[bytes]:
    """Send, and return what the server got; the messages stay as they are."""
    before = [copy.deepcopy(vars(one)) for one in messages if not isinstance(one, Message)]
    with ScriptedSMTPServer() as server:
        SMTPEmailHandler(host="127.0.0.1", port=server.port, timeout=5).send(messages)
    after = [vars(one) for one in messages if not isinstance(one, Message)]
    assert list(map(headers, before)) == list(map(headers, after))
    assert [taken.data.count(b"\0") for taken in server.messages] == [0] * len(messages)
    return [taken.data for taken in server.messages]


def wire(message: Any) -> OldMessage[str, str]:
    """Return what a server got, 7-bit and in short lines, as its oldest reader sees it."""
    (data,) = received(message)
    assert not data.translate(None, PLAIN)
    assert max(map(len, data.split(b"\r\n"))) <= 900
    return email.message_from_bytes(data)


def shown(header: object) -> str:
    """Return a header as a reader shows it (RFC 2047)."""
    return str(make_header(decode_header(str(header).replace("\r\n", ""))))


def people(header: object) -> list[tuple[str, str]]:
    """Return the names and addresses in a header: first its structure is read, then its words."""
    return [
        (shown(name), address)
        for name, address in email.utils.getaddresses([str(header).replace("\r\n", "")])
        if address  # of nothing, Python 3.12 makes one that is empty
    ]


def new(**headers: Any) -> EmailMessage:
    mime = EmailMessage()
    for name, value in {"From": FROM, "To": TO, **headers}.items():
        mime[name.replace("_", "-")] = value
    mime.set_content("hello")
    return mime


def old(*parts: AnyMime, subtype: str = "mixed") -> AnyMime:
    mime = MIMEMultipart(subtype)
    mime["From"], mime["To"] = FROM, TO
    for part in parts:
        mime.attach(part)
    return mime


# Headers

CYRILLIC = "Ошибка при обработке заказа номер 1001 в магазине example.com, см. журнал"


def test_no_blank_of_a_subject_is_lost() -> None:
    """The library's writer loses those between two encoded words (python/cpython#92081)."""
    subjects = [f"{CYRILLIC}  {CYRILLIC}", "a" * 70 + " ü b", "ü " * 60 + "x"]
    subjects += [f"{'ы' * number} {CYRILLIC}" for number in range(1, 60)]
    found = received(*(new(Subject=subject) for subject in subjects))
    assert [shown(email.message_from_bytes(data)["Subject"]) for data in found] == subjects


MANY = [Address(f"Иванова, Мария {number}", f"m{number}", "example.com") for number in range(9)]


def test_the_comma_between_addresses_is_not_encoded() -> None:
    """CVE-2025-1795; by the length of a name, the comma comes where a line is folded."""
    lists = [[Address("ы" * number, "a", "x"), *MANY] for number in range(40)]
    found = received(*(new(Cc=addresses) for addresses in lists))
    for data, addresses in zip(found, lists, strict=True):
        cc = email.message_from_bytes(data)["Cc"]
        assert people(cc) == [(one.display_name, one.addr_spec) for one in addresses]
        assert str(cc).count(",") == len(MANY)


@pytest.mark.parametrize("name", ["Doe, Ann", 'A "B" C', "Doe, Änn", "a" * 80 + ", b", "=?x?="])
def test_a_name_stays_one_name(name: str) -> None:
    """The library's writer takes the quotes away where it folds."""
    cc = [Address(name, "a", "example.com"), *MANY[:3]]
    assert people(wire(new(Cc=cc))["Cc"])[0] == (name, "a@example.com")
    source = f'From: {FROM}\nTo: {TO}\nCc: "Doe, Ann" <b@x>,{" c@x," * 250}d@x\n\nx'
    read: AnyMime
    for policy in (email.policy.default, email.policy.compat32):
        read = email.message_from_string(source, policy=policy)
        found = people(wire(read)["Cc"])
        assert (found[0], len(found)) == (("Doe, Ann", "b@x"), 252)


def test_what_was_read_stays_as_it_was() -> None:
    """Signatures of headers (DKIM) are about the text, and where lines end."""
    head = f"from: {FROM}\r\nTo: {TO},\r\n\tb@x\r\nX-Y: 1\r\n =?utf-8?q?=C3=BC?=\r\n"
    head += f"Subject: {'x ' * 200}"
    (data,) = received(email.message_from_string(head + "\r\n\r\nx", policy=email.policy.default))
    assert head.encode().strip() in data


def test_groups_stay_groups() -> None:
    """RFC 5322 §3.4."""
    members = tuple(Address(f"Ä, {number}", f"p{number}", "x") for number in range(20))
    to = [Group("Jörgs, Team", members), Group(None, (Address("", "z", "x"),)), Group("Nobody", ())]
    found = str(wire(new(Cc=to))["Cc"]).replace("\r\n", "")
    phrase, _, rest = found.partition(":")
    assert shown(phrase) == "Jörgs, Team"
    inside, _, behind = rest.partition(";")
    assert people(inside) == [(one.display_name, one.addr_spec) for one in members]
    assert behind == ", z@x, Nobody:;"


def test_what_is_no_address_is_shown_as_it_is_and_costs_nothing_else() -> None:
    mime = new(Cc="Jörg <b@bücher.example>, a..b@x, nönsense")
    with ScriptedSMTPServer() as server, pytest.raises(Exception, match=r"a\.\.b@x"):
        SMTPEmailHandler(host="127.0.0.1", port=server.port).send(mime)
    found = email.message_from_bytes(server.messages[0].data)["Cc"]
    name, address, wrong = str(found).split(", ")[0].partition(" ")[0], "xn--", "a..b@x"
    assert shown(name) == "Jörg"
    assert address in str(found)
    assert wrong in str(found)


@pytest.mark.parametrize("policy", [email.policy.default, email.policy.compat32])
def test_raw_bytes_in_headers_are_read_as_utf8(policy: Any) -> None:
    source = f"From: {FROM}\nTo: Jörg <{TO}>\nSubject: für dich\nX-Z: \x80\0\x1b\x0bBcc: e@x\n\nx"
    read = email.message_from_bytes(source.encode("utf-8"), policy=policy)
    found = wire(read)
    assert people(found["To"]) == [("Jörg", TO)]
    assert shown(found["Subject"]) == "für dich"
    assert "Bcc" not in found


def test_an_older_messages_header_objects_are_written_by_the_same_rules() -> None:
    mime = old(MIMEText("x"))
    mime["Subject"] = Header(CYRILLIC, "koi8-r")
    mime["Cc"] = Header('"Doe, Jörg" <b@x>, c@x', "utf-8")
    inner = EmailMessage()
    inner["Subject"] = f"{CYRILLIC}  {CYRILLIC}"
    inner.set_content("inside")
    mixed = new()
    mixed.add_attachment(inner)
    OldMessage.attach(mixed, MIMEText("y"))
    inside(mixed, 2)["X-Old"] = Header("ü", "utf-8")
    found = wire(mime)
    assert shown(found["Subject"]) == CYRILLIC
    assert people(found["Cc"]) == [("Doe, Jörg", "b@x"), ("", "c@x")]
    found = wire(mixed)
    assert shown(inside(found, 1, 0)["Subject"]) == f"{CYRILLIC}  {CYRILLIC}"
    assert shown(inside(found, 2)["X-Old"]) == "ü"


def test_a_reply_address_beyond_ascii_needs_smtputf8() -> None:
    """As in a `Message`."""
    with ScriptedSMTPServer() as server:
        SMTPEmailHandler(host="127.0.0.1", port=server.port).send(new(Reply_To="Jörg <jörg@x>"))
    assert "SMTPUTF8" in server.messages[0].parameters
    assert "<jörg@x>".encode() in server.messages[0].data


blanks = st.sampled_from([" ", "  ", " , ", ", ", ": ", " =?", "?= "])
letters = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp", "Zs"]), max_size=40
)
phrases = st.lists(st.one_of(blanks, letters, st.sampled_from([CYRILLIC, "x" * 80])), max_size=6)
sentences = phrases.map("".join).map(str.strip)


@bounded
@given(subject=sentences, names=st.lists(sentences, max_size=5))
@example(subject="ы" * 30 + " ы", names=["Doe, Ann"] * 5)
def test_subject_and_addresses_are_read_as_they_were_set(subject: str, names: list[str]) -> None:
    addresses = [Address(name, f"p{number}", "x.example") for number, name in enumerate(names)]
    mime = new(Subject=subject, Cc=addresses)
    subject, said = str(mime["Subject"]), mime["Cc"].addresses
    found, twin = wire(mime), wire(Message(from_addr=FROM, to=TO, subject=subject, cc=said))
    assert shown(found["Subject"] or "").split() == subject.split()
    assert [(name.split(), address) for name, address in people(found["Cc"] or "")] == [
        (one.display_name.split(), one.addr_spec) for one in said
    ]
    assert found["Subject"] == (twin["Subject"] or "")
    assert (found["Cc"] or "") == (twin["Cc"] or "")


# Bodies

RAW = ["a\0b\n", "x" * 991, "tab\tand\x1bescape\n", "ü\x00" * 500, "one\ntwo\rthree\n", "\x7f"]


@pytest.mark.parametrize("text", RAW)
@pytest.mark.parametrize("cte", ["7bit", "8bit", "binary", "7BIT ", None])
def test_what_a_server_may_break_is_encoded(text: str, cte: str | None) -> None:
    """Sendmail says 554 to NUL and breaks lines at 990 characters, Haraka at 992."""
    mime = new()
    del mime["Content-Type"], mime["Content-Transfer-Encoding"]
    mime["Content-Type"] = 'text/plain; charset="utf-8"'
    if cte is not None:
        mime["Content-Transfer-Encoding"] = cte
    mime.set_payload(text.encode().decode("ascii", "surrogateescape"))
    again = email.message_from_bytes(mime.as_bytes())  # the library reads a bare CR as a line end
    for message in [mime] if "\r" in text else [mime, again]:
        found = wire(message)
        content = found.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert content.decode().replace("\r\n", "\n").rstrip("\n") == text.rstrip("\n")


def test_an_email_messages_own_7bit_content_is_encoded() -> None:
    """`set_content` lets NUL pass, and `set_payload` everything."""
    mime = new()
    mime.set_content("a\0b\n")
    assert mime["Content-Transfer-Encoding"] == "7bit"
    assert wire(mime).get_payload(decode=True) == b"a\0b\r\n"
    text = MIMEText("x" * 5000)
    assert inside(wire(old(text, text)), 1).get_payload(decode=True).strip() == b"x" * 5000


@pytest.mark.parametrize("cte", ["base64", "quoted-printable", "x-uuencode"])
def test_encoded_content_in_one_long_line_is_written_anew(cte: str) -> None:
    """As `base64.b64encode` makes it."""
    content = bytes(range(1, 9)) * 500 if cte == "base64" else b"x" * 2000
    mime = old(part := MIMEBase("application", "x-data"))
    part["Content-Transfer-Encoding"] = cte
    raw = {
        "base64": __import__("base64").b64encode(content),
        "quoted-printable": content,
        "x-uuencode": b"begin 666 x\n" + b"#0V%T\n" * 2 + b"`\nend\n" + b"x" * 2000,
    }
    part.set_payload(raw[cte].decode())
    found = inside(wire(mime), 0)
    wanted = b"CatCat" if cte == "x-uuencode" else content
    assert found.get_payload(decode=True) == wanted


@pytest.mark.parametrize(
    ("payload", "encoding"), [("y", "x-mine"), ("y" * 901, "quoted-printable")]
)
def test_an_unknown_encoding_stays_if_it_can(payload: str, encoding: str) -> None:
    mime = new()
    mime.replace_header("Content-Transfer-Encoding", "x-mine")
    mime.set_payload(payload)
    assert wire(mime)["Content-Transfer-Encoding"] == encoding


@pytest.mark.parametrize("policy", [email.policy.default, email.policy.compat32])
@pytest.mark.parametrize(
    "head",
    [
        b"Cc: \xff@\n",
        b"Cc: :;xxx]:%\n",
        b"Resent-To: *%:=?utf-8?b?w7w=?=\x0b\0\n",
        b"Cc: b@x\0<\xffb@x\xc3\xbc\0\n",
        b'Content-Disposition: "\0\n',
        b"Content-Type: \0(\\b@x\n",
        b'Message-ID: <(\xc3\xbc"\n',
        b"Content-ID: \xff\t> \\(\0\n",
    ],
)
def test_no_header_makes_a_message_unsendable(head: bytes, policy: Any) -> None:
    """The library's parser raises IndexError for some, and writes others as they are."""
    source = f"From: {FROM}\nTo: {TO}\n".encode() + head + b"\nx"
    mime = email.message_from_bytes(source, policy=policy)
    with ScriptedSMTPServer() as server, contextlib.suppress(SendError):
        SMTPEmailHandler(host="127.0.0.1", port=server.port, timeout=5).send(mime)
    (taken,) = server.messages
    assert not taken.data.translate(None, PLAIN)
    assert taken.recipients == (TO,)


@pytest.mark.parametrize("content", [b"\0\r\n\n\r\xff", b"{}\n" + b"x" * 2000])
def test_bytes_that_are_no_text_stay_the_same(content: bytes) -> None:
    """Not a line end of theirs may change."""

    def as_it_is(part: AnyMime) -> None:
        part["Content-Transfer-Encoding"] = "binary"
        part.set_payload(content.decode("ascii", "surrogateescape"))

    mime = old(MIMEApplication(content, _encoder=as_it_is))
    assert inside(wire(mime), 0).get_payload(decode=True) == content


@pytest.mark.parametrize(
    ("charset", "text", "found"),
    [
        (None, "текст", "utf-8"),
        ("koi8-r", "текст", "koi8-r"),
        ("x-unknown", "текст", "utf-8"),
        ("latin-1", "текст", "utf-8"),
        ("utf-8", "a\ud800", "utf-8"),
    ],
)
def test_text_that_was_set_without_its_bytes_is_sent(
    charset: str | None, text: str, found: str
) -> None:
    """`set_payload` without a charset."""
    mime: AnyMime = OldMessage()
    mime["From"], mime["To"] = FROM, TO
    mime["Content-Type"] = "text/plain" + (f"; charset={charset}" if charset else "")
    mime.set_payload(text)
    part = wire(mime)
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert part.get_content_charset() == found
    assert content.decode(found).strip() == text.replace("\ud800", "?")


def test_what_stands_around_the_parts_does_not_leave() -> None:
    """RFC 2046 §5.1.1: no reader shows it, and it may be anything."""
    mime = old(MIMEText("x"))
    mime.preamble, mime.epilogue = "ü\0", "x" * 3000
    assert inside(wire(mime), 0).get_payload() == "x"


def test_a_message_with_parts_keeps_its_own_boundaries() -> None:
    """The library's generator sets those that are missing, also in the parts."""
    inner = MIMEMultipart("alternative")
    inner.attach(MIMEText("x"))
    mime = old(inner)
    before = [repr(part.items()) for part in mime.walk()]
    assert inside(wire(mime), 0, 0).get_payload() == "x"
    assert [repr(part.items()) for part in mime.walk()] == before


def test_a_part_without_headers_is_encoded_in_the_copy_only() -> None:
    bare = EmailMessage()
    bare.set_payload("\0")
    found = inside(wire(old(bare)), 0)
    assert found["Content-Transfer-Encoding"] == "quoted-printable"
    assert bare.items() == []
    assert bare.get_payload() == "\0"


def test_a_parameter_has_no_control_characters() -> None:
    mime = new()
    mime["Content-Disposition"] = 'attachment; x="a\0b"'
    mime["Content-Description"] = CYRILLIC * 2
    found = wire(mime)
    assert found["Content-Disposition"] == 'attachment; x="a b"'
    assert shown(found["Content-Description"]) == CYRILLIC * 2


def test_a_long_file_name_is_folded() -> None:
    mime = new()
    names = ["x" * 3000, "ю" * 300, "a b" * 500, "a, b.txt"]
    for name in names:
        mime.add_attachment(b"1", maintype="application", subtype="x", filename=name)
    found = wire(mime)
    assert [inside(found, number).get_filename() for number in range(1, 5)] == names


SIGNED = (
    "Content-Type: text/plain; charset=utf-8; x={long}\r\n"
    "X-Folded: a\r\n b\r\nX-Bytes: ü\r\n\r\n{long}\r\nbé\x1b \r\n"
).format(long="x" * 950)


@pytest.mark.parametrize("policy", [email.policy.default, email.policy.compat32])
@pytest.mark.parametrize("deep", [False, True])
def test_nothing_that_is_signed_is_changed(policy: Any, deep: bool) -> None:
    """RFC 1847 §2.1: the signature is about these very bytes."""
    signed = (
        'Content-Type: multipart/signed; boundary="s"; protocol="x/y"\r\n\r\n'
        f"--s\r\n{SIGNED}\r\n--s\r\nContent-Type: x/y\r\n\r\nsignature\r\n--s--\r\n"
    )
    head = f"From: {FROM}\r\nTo: {TO}\r\nSubject: ü\r\n"
    if deep:
        head += 'Content-Type: multipart/mixed; boundary="m"\r\n\r\n--m\r\n'
    text = head + signed + ("--m--\r\n" if deep else "")
    read: AnyMime = email.message_from_bytes(text.encode(), policy=policy)
    (data,) = received(read)
    assert f"--s\r\n{SIGNED}\r\n--s\r\n".encode() in data
    assert b"Subject: =?utf-8?b?w7w=?=\r\n" in data


def test_what_is_signed_and_can_not_be_written_as_it_is_is_sent() -> None:
    part = MIMEText("x")
    part["X-Y"] = "ü\ud800"
    found = inside(wire(old(part, subtype="signed")), 0)
    assert shown(found["X-Y"]) == "ü\ufffd"


# To the standard library and back


@pytest.mark.parametrize("name", ["jörg@example.com", "Jörg <jörg@bücher.example>"])
def test_an_address_beyond_ascii_survives_the_standard_library(name: str) -> None:
    """It can be flattened, sent and read again (RFC 6532)."""
    message = Message(from_addr=name, to=name, cc=name, bcc=name, reply_to=name, text="t")
    mime = message.to_mime()
    again: list[AnyMime] = [
        mime,
        email.message_from_bytes(mime.as_bytes(), policy=email.policy.default),
        email.message_from_string(mime.as_string(), policy=email.policy.default),
        email.message_from_bytes(mime.as_bytes()),
    ]
    for one in again:
        found = Message.from_mime(one)
        for part in ("from_addr", "to", "cc", "bcc", "reply_to"):
            assert getattr(found, part) == getattr(message, part), part
    with ScriptedSMTPServer() as server:
        SMTPEmailHandler(host="127.0.0.1", port=server.port).send(again)
    for taken in server.messages:
        assert taken.recipients == (message.to[0].addr_spec,)
        assert taken.sender == message.to[0].addr_spec
        assert taken.data.count(f"<{taken.sender}>".encode()) in {0, 4}


def test_a_message_in_ascii_keeps_the_librarys_usual_policy() -> None:
    assert Message(to="a@x").to_mime().policy == email.policy.default
