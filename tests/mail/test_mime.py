"""A message as bytes: what any server takes, and nothing that wasn't asked for."""

from __future__ import annotations

import email
import email.policy
from email.headerregistry import Address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.mail import Attachment, Message
from tocsin.mail.address import one_line
from tocsin.mail.mime import address_header, header, render

if TYPE_CHECKING:
    from email.message import EmailMessage

WORDS = st.text(max_size=300)
NASTY = st.lists(
    st.one_of(
        st.sampled_from(
            ["\r\n", "\n", "\r", "\0", "\u2028", "\x85", "\ud800", "\udcff", "=?", "?="]
        ),
        st.sampled_from(["Bcc: evil@x", ".", "..", " ", "\t", '"', "\\", "<", ">", ",", ";", ":"]),
        st.sampled_from(["x" * 1200, " " * 100, "ü" * 200, "--=_", "\r\n.\r\n"]),
        WORDS,
    ),
    max_size=8,
).map("".join)


def parsed(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)


def check_wire(data: bytes) -> None:
    """RFC 5322 §2.1.1, and RFC 5321 §2.3.8: a bare CR or LF isn't to be sent.

    Sendmail breaks lines at 990 characters, Haraka at 992.
    """
    assert not data.translate(None, bytes([*b"\t\r\n", *range(32, 127)]))
    for line in data.split(b"\r\n"):
        assert len(line) <= 900
        assert b"\r" not in line
        assert b"\n" not in line


@given(st.tuples(NASTY, NASTY, NASTY, NASTY, NASTY, NASTY))
def test_no_input_makes_a_header_that_was_not_asked_for(inputs: tuple[str, ...]) -> None:
    """Text, names and values come from users and logs; they stay text, names and values."""
    subject, name, value, filename, text, html = inputs
    message = Message(
        subject=subject,
        text=text,
        html=html,
        from_addr="f@example.com",
        to=[Address(one_line(name), "a", "example.com")],
        headers={"X-App": value},
        attachments=[Attachment(b"content", filename=filename)],
    )
    data = render(message)
    check_wire(data)
    found = parsed(data)
    expected = {"From", "To", "X-App", "MIME-Version", "Content-Type"}
    assert set(found.keys()) == expected | ({"Subject"} if subject else set())
    assert len(found.keys()) == len(set(found.keys()))
    assert [address.addr_spec for address in found["To"].addresses] == ["a@example.com"]
    body, file = found.iter_parts()
    assert set(file.keys()) == {
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-Disposition",
    }
    assert file.get_content() == b"content"
    for part in body.iter_parts():
        assert set(part.keys()) == {"Content-Type", "Content-Transfer-Encoding"}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])))
def test_subject_survives(subject: str) -> None:
    """What a reader's client shows is what was said, but for runs of blanks."""
    found = parsed(header("Subject", subject).encode() + b"\r\n")["Subject"]
    assert str(found).split() == subject.split()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=2000))
def test_text_survives(text: str) -> None:
    """But for the kind of its line ends, and one at its end."""
    wanted = text.replace("\r\n", "\n").replace("\r", "\n")
    wanted += "" if not wanted or wanted.endswith("\n") else "\n"
    data = render(Message(text=text))
    check_wire(data)
    content = parsed(data).get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.decode().replace("\r\n", "\n") == wanted


@pytest.mark.parametrize(
    ("text", "encoding", "charset"),
    [
        ("plain", "7bit", "us-ascii"),
        ("", "7bit", "us-ascii"),
        ("x" * 900, "7bit", "us-ascii"),
        ("x" * 901, "quoted-printable", "us-ascii"),
        ("a\0b", "quoted-printable", "us-ascii"),
        ("a\x1b[1mb\x7f", "quoted-printable", "us-ascii"),
        ("mostly plain text, and an ü", "quoted-printable", "utf-8"),
        ("текст", "base64", "utf-8"),
    ],
)
def test_encoding_is_the_one_that_reads_best(text: str, encoding: str, charset: str) -> None:
    found = parsed(render(Message(text=text)))
    assert found["Content-Transfer-Encoding"] == encoding
    assert found.get_content_charset() == charset
    assert found.get_content().rstrip("\r\n") == text


def test_lone_surrogate_is_sent_as_a_question_mark() -> None:
    """Names of files and arguments of logging calls have them; no charset does."""
    data = render(Message(subject="a\udcffb", text="c\ud800d", html="e\ud800"))
    found = parsed(data)
    assert found["Subject"] == "a\ufffdb"
    body = found.get_body(("plain",))
    assert body is not None
    assert body.get_content() == "c?d\r\n"


def test_structure_has_no_level_for_a_single_part() -> None:
    text, html = "t", "<p>h</p>"
    file, picture = Attachment(b"f"), Attachment(b"p", mimetype="image/png")

    def structure(message: Message) -> list[str]:
        return [part.get_content_type() for part in parsed(render(message)).walk()]

    assert structure(Message()) == ["text/plain"]
    assert structure(Message(text=text)) == ["text/plain"]
    assert structure(Message(html=html)) == ["multipart/alternative", "text/plain", "text/html"]
    assert structure(Message(attachments=[file])) == [
        "multipart/mixed",
        "text/plain",
        "application/octet-stream",
    ]
    assert structure(
        Message(text=text, html=html, attachments=[file], inline_attachments=[picture])
    ) == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/octet-stream",
    ]
    assert structure(Message(text=text, inline_attachments=[picture])) == [
        "multipart/mixed",
        "text/plain",
        "image/png",
    ]


def test_same_message_has_the_same_bytes() -> None:
    """A retry sends what was sent."""
    message = Message(text="t", html="<p>h</p>", attachments=[Attachment(b"f")])
    assert render(message) == render(message)


def test_text_can_not_end_a_part() -> None:
    """Who knows the boundary of one message puts it into the text of the next one, in vain."""
    text = "hello"
    for _ in range(3):
        found = parsed(render(Message(text=text, attachments=[Attachment(b"f")])))
        assert len(list(found.iter_parts())) == 2
        text += f"\n--{found.get_boundary()}--\n"


@pytest.mark.parametrize(
    "filename",
    [
        "report.txt",
        'a "b" \\ c.txt',
        "bücher.txt",
        "x" * 64,
        "x" * 500 + ".txt",
        "ü" * 200,
        "100%.txt",
        "a;b=c'd.txt",
        "ファイル 1.txt",
    ],
)
def test_file_name_survives(filename: str) -> None:
    data = render(Message(attachments=[Attachment(b"", filename=filename)]))
    check_wire(data)
    assert [part.get_filename() for part in parsed(data).iter_attachments()] == [filename]


def test_file_without_a_name_has_none() -> None:
    for filename in (None, ""):
        found = parsed(render(Message(attachments=[Attachment(b"", filename=filename)])))
        assert [part.get_filename() for part in found.iter_attachments()] == [None]


def test_inline_picture_is_named_by_its_cid() -> None:
    picture = Attachment(b"p", filename="logo.png")
    html = f'<img src="cid:{picture.cid}">'
    found = parsed(render(Message(html=html, inline_attachments=[picture])))
    (part,) = [part for part in found.walk() if part.get_content_type() == "image/png"]
    assert part["Content-ID"] == f"<{picture.cid}>"
    assert part.get_content_disposition() == "inline"


@pytest.mark.parametrize("mimetype", ["message/rfc822", "multipart/mixed"])
def test_composite_type_is_sent_as_a_plain_file(mimetype: str) -> None:
    """RFC 2045 §6.4: base64 isn't for these; readers would take it for the content."""
    data = b"Subject: inner\r\n\r\ntext"
    found = parsed(render(Message(attachments=[Attachment(data, mimetype=mimetype)])))
    (file,) = found.iter_attachments()
    assert file.get_content_type() == "application/octet-stream"
    assert file.get_content() == data


@pytest.mark.parametrize(
    "name", ["X\r\nEvil", "Bcc", "resent-bcc", "To", "Subject", "Content-Type", "", "a b", "ü"]
)
def test_header_that_was_slipped_in_is_refused(name: str) -> None:
    """The dictionary of headers can be changed; what is in it is looked at when it is written."""
    message = Message()
    message.headers[name] = "value"
    with pytest.raises(ValueError, match="headers: "):
        render(message)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", "a@example.com"),
        ("Ann Doe", "Ann Doe <a@example.com>"),
        ("Doe, Ann", '"Doe, Ann" <a@example.com>'),
        ('A "B" \\', '"A \\"B\\" \\\\" <a@example.com>'),
        ("=?utf-8?q?x?=", "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <a@example.com>"),
        ("Jörg", "=?utf-8?b?SsO2cmc=?= <a@example.com>"),
    ],
)
def test_address_with_a_name(name: str, shown: str) -> None:
    line = address_header("To", [Address(name, "a", "example.com")])
    assert line == f"To: {shown}\r\n"
    assert parsed(line.encode() + b"\r\n")["To"].addresses[0].display_name == name


def test_many_addresses_are_folded() -> None:
    addresses = [Address("Ä" * 60, f"person.{number}", "example.com") for number in range(50)]
    line = address_header("To", addresses)
    check_wire(line.encode())
    found = parsed(line.encode() + b"\r\n")["To"].addresses
    assert [one.addr_spec for one in found] == [one.addr_spec for one in addresses]
    # Python 3.11 leaves the blank between two encoded words, which isn't part of the name.
    assert {one.display_name.replace(" ", "") for one in found} == {"Ä" * 60}


def test_address_beyond_ascii_is_shown_as_an_empty_group() -> None:
    """RFC 6857 §3.2.2: for servers without SMTPUTF8; with it, the address stands as it is."""
    address = Address("Jörg", "jörg", "example.com")
    found = parsed(address_header("To", [address]).encode() + b"\r\n")["To"]
    assert found.groups[0].display_name == "Jörg jörg@example.com"
    assert found.addresses == ()
    plain = address_header("To", [Address("", "jörg", "example.com")], utf8=True)
    assert plain == "To: jörg@example.com\r\n"
