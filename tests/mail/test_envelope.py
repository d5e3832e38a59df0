"""Envelopes: sender, recipients, and the bytes that follow DATA."""

from __future__ import annotations

import copy
import email
import email.policy
from email.header import Header
from email.message import EmailMessage
from email.message import Message as OldMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.mail import Message, prepare_address
from tocsin.mail.envelope import Envelope, envelopes

if TYPE_CHECKING:
    from tocsin.mail.base import AnyMessage


def seal(message: AnyMessage, default_from: str | None = None) -> Envelope:
    default = None if default_from is None else prepare_address(default_from)
    (envelope,) = envelopes(message, default)
    return envelope


def sent(message: AnyMessage, *, utf8: bool = False) -> EmailMessage:
    """Return what a receiver reads; what it gets is checked on the way."""
    data = seal(message, "default@example.com").data(utf8=utf8)
    assert data.endswith(b"\r\n.\r\n")
    lines = data[:-5].split(b"\r\n")
    for line in lines:
        assert len(line) <= 901  # 900, and a dot that is taken away again
        assert not set(line) & set(b"\r\n")
        assert not line.startswith(b".") or line.startswith(b"..")
    content = b"\r\n".join(line.removeprefix(b".") for line in lines)
    assert utf8 or content.isascii()
    return email.message_from_bytes(content, policy=email.policy.default)


def old(text: str = "hello", charset: str | None = None, **headers: str) -> OldMessage[Any, Any]:
    mime = MIMEText(text, "plain", charset)
    mime["From"], mime["To"] = "f@example.com", "a@example.com"
    for name, value in headers.items():
        mime[name.replace("_", "-")] = value
    return mime


def new(text: str = "hello", **headers: str) -> EmailMessage:
    mime = EmailMessage()
    mime["From"], mime["To"] = "f@example.com", "a@example.com"
    for name, value in headers.items():
        mime[name.replace("_", "-")] = value
    mime.set_content(text)
    return mime


def test_recipients_are_named_once_and_in_order() -> None:
    """The domain's case means nothing; that of the local part may (RFC 5321 §2.4)."""
    message = Message(from_addr="f@x", to="b@x, a@x", cc="A <a@X>, c@x", bcc=["d@x", "b@x", "B@x"])
    assert seal(message).recipients == ("b@x", "a@x", "c@x", "d@x", "B@x")


@pytest.mark.parametrize("make", [old, new])
def test_recipients_of_a_standard_message(make: Any) -> None:
    mime = make(Cc="B, C <b@x>" if make is new else '"B, C" <b@x>', Bcc="d@x")
    envelope = seal(mime)
    assert envelope.sender == "f@example.com"
    assert "d@x" in envelope.recipients
    assert envelope.recipients[0] == "a@example.com"


def test_groups_and_comments_of_an_older_message_are_understood() -> None:
    mime = MIMEText("x")
    mime["From"] = "f@x (Fred)"
    mime["To"] = "undisclosed-recipients:;"
    mime["Cc"] = "Team: a@x, b@x;"
    mime["Bcc"] = Header("Jörg <c@x>", "utf-8")  # type: ignore[assignment]
    envelope = seal(mime)
    assert (envelope.sender, envelope.recipients) == ("f@x", ("a@x", "b@x", "c@x"))
    assert envelope.invalid == {}


def test_wrong_recipient_does_not_cost_the_others() -> None:
    envelope = seal(old(Cc="nonsense, b@x"))
    assert envelope.recipients == ("a@example.com", "b@x")
    assert [reply.enhanced for reply in envelope.invalid.values()] == ["5.1.3"]
    assert list(envelope.invalid) == ["nonsense"]


@pytest.mark.parametrize("make", [old, new])
def test_wrong_recipients_are_named_as_they_were_written(make: Any) -> None:
    """The standard library's parser makes `<>` of each: two of them would be one."""
    envelope = seal(make(Cc="a..b@x, c..d@x, e@x"))
    assert list(envelope.invalid) == ["a..b@x", "c..d@x"]
    assert envelope.recipients == ("a@example.com", "e@x")


def test_sender_header_comes_before_from() -> None:
    """RFC 5322 §3.6.2: who sends it for those who wrote it."""
    mime = new(Sender="s@x")
    mime.replace_header("From", "f@x, g@x")
    assert seal(mime).sender == "s@x"


@pytest.mark.parametrize("message", [Message(to="a@x"), EmailMessage()])
def test_default_sender_is_used_and_shown(message: AnyMessage) -> None:
    if isinstance(message, EmailMessage):
        message["To"] = "a@x"
    assert seal(message, "D <d@x>").sender == "d@x"
    assert sent(message)["From"] == "default@example.com"


def test_message_without_sender_or_recipients_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="from_addr"):
        seal(Message(to="a@x"))
    with pytest.raises(ValueError, match="no recipients"):
        seal(Message(from_addr="f@x"))
    with pytest.raises(ValueError, match="address"):
        seal(email.message_from_string("From: nobody\nTo: a@x\n\nx"))


@pytest.mark.parametrize("given", [5, "text", [Message(from_addr="f@x", to="a@x"), None]])
def test_what_is_no_message_is_a_type_error(given: Any) -> None:
    with pytest.raises(TypeError):
        envelopes(given)


def test_many_messages_have_an_envelope_each() -> None:
    messages: list[AnyMessage] = [Message(from_addr="f@x", to="a@x"), new()]
    found = envelopes(iter(messages))
    assert [envelope.recipients for envelope in found] == [("a@x",), ("a@example.com",)]
    assert envelopes([]) == []


@pytest.mark.parametrize(
    "message", [Message(from_addr="f@x", to="a@x"), old(), new()], ids=["ours", "old", "new"]
)
def test_date_and_message_id_are_set_if_absent(message: AnyMessage) -> None:
    envelope = seal(message)
    found = sent(message)
    assert found["Date"].datetime.tzinfo is not None
    assert found["Message-ID"].startswith("<")
    assert envelope.message_id.encode() in envelope.data()


@pytest.mark.parametrize("make", [old, new])
def test_date_and_message_id_are_kept_if_given(make: Any) -> None:
    mime = make(Date="Mon, 01 Jan 2024 00:00:00 +0000", Message_ID="<given@x>")
    assert seal(mime).message_id == "<given@x>"
    found = sent(mime)
    assert found.get_all("Message-ID") == ["<given@x>"]
    assert len(found.get_all("Date", [])) == 1


def test_given_message_id_is_one_line() -> None:
    message = Message(from_addr="f@x", to="a@x", headers={"Message-ID": "<a\r\nX-Evil: 1>"})
    assert seal(message).message_id == "<a X-Evil: 1>"
    assert "X-Evil" not in sent(message)


@pytest.mark.parametrize("name", ["Bcc", "Resent-Bcc"])
@pytest.mark.parametrize("make", [old, new])
def test_bcc_never_leaves(make: Any, name: str) -> None:
    mime = make(**{name.replace("-", "_"): "secret@x"})
    assert b"secret" not in seal(mime).data()
    assert b"secret" not in seal(Message.from_mime(mime)).data()


def test_bcc_of_our_own_never_leaves() -> None:
    envelope = seal(Message(from_addr="f@x", to="a@x", bcc="secret@x"))
    assert "secret@x" in envelope.recipients
    assert b"secret" not in envelope.data()


@pytest.mark.parametrize("mime", [old("ü" * 2000, "utf-8"), new("x" * 5000), old("x" * 5000)])
def test_callers_message_is_not_changed(mime: OldMessage[Any, Any]) -> None:
    mime["Bcc"] = "b@x"
    before = copy.deepcopy(mime).as_bytes()
    seal(mime, "d@x").data()
    assert mime.as_bytes() == before


def test_bytes_are_made_once_until_they_are_forgotten() -> None:
    """Twenty batches of one message cost one rendering."""
    envelope = seal(new())
    assert envelope.data() is envelope.data()
    first = envelope.data()
    envelope.forget()
    assert envelope.data() is not first
    assert envelope.data() == first


@given(st.text(alphabet="a.\r\n ü", max_size=200))
def test_dots_and_line_ends_can_not_end_a_message(text: str) -> None:
    """Servers disagree on what a bare CR or LF means; there is none ("SMTP smuggling")."""
    for message in (Message(from_addr="f@x", to="a@x", text=text), old(text, "utf-8")):
        found = sent(message)
        content = found.get_payload(decode=True)
        assert isinstance(content, bytes)
        wanted = text.replace("\r\n", "\n").replace("\r", "\n")
        found_text = content.decode().replace("\r\n", "\n").replace("\r", "\n")
        assert found_text.rstrip("\n") == wanted.rstrip("\n")


def test_first_line_may_begin_with_a_dot() -> None:
    mime = email.message_from_string(
        ".X: 1\nFrom: f@x\nTo: a@x\nDate: Mon, 01 Jan 2024 00:00:00 +0000\nMessage-ID: <a@x>\n\nx"
    )
    assert seal(mime).data().startswith(b"..X: 1\r\n")


@pytest.mark.parametrize(
    "mime",
    [
        old("x" * 5000),
        old("ü" * 5000, "utf-8"),
        new("x " * 5000),
        new(X_Long="y" * 3000),
        old(X_Long="y" * 3000),
        old(Subject="ü" * 3000),
        email.message_from_string("From: f@x\nTo: a@x\n\n" + "x" * 5000),
    ],
)
def test_no_line_is_longer_than_900(mime: AnyMessage) -> None:
    """RFC 5322 §2.1.1 allows 998, some servers less; `sent` looks at each line."""
    found = sent(mime)
    content = found.get_content()
    assert content.rstrip("\n").rstrip("\r") or content == ""
    if found["X-Long"]:
        assert found["X-Long"].replace(" ", "") == "y" * 3000


@pytest.mark.parametrize("head", [b"", b"Content-Transfer-Encoding: 8bit\r\n"])
def test_raw_bytes_are_made_7_bit(head: bytes) -> None:
    """A mail that was read from somewhere, with bytes of whatever charset."""
    raw = b"From: f@x\r\nTo: a@x\r\n" + head + b"\r\nb\xe4r\r\n"
    content = sent(email.message_from_bytes(raw)).get_payload(decode=True)
    assert content in {b"b\xe4r", b"b\xe4r\r\n"}


def test_parts_are_made_7_bit_each() -> None:
    mime = MIMEMultipart()
    mime["From"], mime["To"] = "f@x", "a@x"
    mime.attach(MIMEText("x" * 3000))
    mime.attach(MIMEText("short"))
    first, second = sent(mime).iter_parts()
    assert first.get_content().strip() == "x" * 3000
    assert first["Content-Transfer-Encoding"] == "quoted-printable"
    assert second["Content-Transfer-Encoding"] == "7bit"


@pytest.mark.parametrize(
    "value",
    ["a\r\nBcc: evil@x", "a\nBcc: evil@x", "a\rBcc: evil@x", "a\r\n\r\nbody", "a\r\n", "\r\nX: 1"],
)
def test_header_of_an_older_message_stays_one_header(value: str) -> None:
    """The standard library's older messages take line breaks in a value."""
    found = sent(old(Subject=value))
    assert "Bcc" not in found
    assert "X" not in found
    assert found["Subject"].split() == value.replace("\r", " ").replace("\n", " ").split()
    assert found.get_content().strip() == "hello"


def test_folded_header_is_left_as_it_is() -> None:
    found = sent(email.message_from_string("From: f@x\nTo: a@x\nSubject: a\n b\n\nx"))
    assert found["Subject"] == "a b"


def test_header_with_a_line_break_in_its_name_is_refused() -> None:
    mime = old()
    # Set in this way, as the standard library refuses it since Python 3.14.
    mime._headers.append(("X\r\nBcc: evil@x\r\nY", "1"))  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="not a header's name"):
        seal(mime)


@pytest.mark.parametrize("value", ["a\ud800b", "\udcff", "ü\udcff", "日本\ud800"])
def test_lone_surrogate_in_a_header_is_sendable(value: str) -> None:
    found = sent(old(Subject=value))
    assert "\ufffd" in found["Subject"]


def test_names_beyond_ascii_in_an_older_message_stay_readable() -> None:
    """RFC 2047 §5: only the name is encoded, never the address with it."""
    mime = MIMEText("x")
    mime["From"], mime["To"] = "Jörg <f@x>", '"Müller, Ä" <a@x>, b@x'
    found = sent(mime)
    assert found["From"].addresses[0].display_name == "Jörg"
    assert [address.addr_spec for address in found["To"].addresses] == ["a@x", "b@x"]


def test_unreadable_addresses_in_an_older_message_are_sent_as_they_are() -> None:
    mime = old(Cc="nönsense")
    assert sent(mime)["Cc"]
    assert list(seal(mime).invalid) == ["nönsense"]


@pytest.mark.parametrize("field", ["from_addr", "to", "cc", "bcc", "reply_to"])
def test_address_beyond_ascii_needs_smtputf8(field: str) -> None:
    fields = {"from_addr": "f@x", "to": "a@x"} | {field: "jörg@x"}
    message = Message(**fields)  # type: ignore[arg-type]
    assert seal(message).international
    assert not seal(Message(from_addr="f@x", to="a@x")).international
    if field != "bcc":
        assert "jörg@x" in seal(message).data(utf8=True).decode()


def test_headers_in_utf8_where_the_server_takes_them() -> None:
    mime = EmailMessage()
    mime["From"], mime["To"] = "f@x", "jörg@x"
    mime.set_content("x")
    envelope = seal(mime)
    assert envelope.international
    assert "To: jörg@x\r\n".encode() in envelope.data(utf8=True)
    older = seal(old(Cc="Jörg <jörg@x>"))
    assert older.recipients == ("a@example.com", "jörg@x")
    assert "<jörg@x>".encode() in older.data(utf8=True)
    assert older.data().isascii()


def test_default_sender_beyond_ascii_is_shown_as_it_is() -> None:
    envelope = seal(Message(to="a@x"), "jörg@x")
    assert "From: jörg@x\r\n".encode() in envelope.data(utf8=True)
