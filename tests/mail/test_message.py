"""Messages: made from values, made into MIME, and read back."""

from __future__ import annotations

import email
import email.policy
import email.utils
from email.headerregistry import Address
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.mail import AddressList, Attachment, Message
from tocsin.mail.message import stamps


def from_text(text: str) -> Message:
    return Message.from_mime(email.message_from_string(text, policy=email.policy.default))


def test_everything_is_optional() -> None:
    message = Message()
    assert message.from_addr is None
    assert message.recipients == message.to == message.cc == message.bcc == []
    assert (message.subject, message.text, message.html) == ("", None, None)
    assert message.headers == {}


def test_arguments_are_attributes_that_take_the_same() -> None:
    message = Message(
        from_addr="F <f@x>", reply_to="r@x", to="a@x, b@x", cc=["c@x"], bcc=Address("", "d", "x")
    )
    assert message.from_addr == Address("F", "f", "x")
    assert [str(*one) for one in (message.reply_to, message.cc, message.bcc)] == [
        "r@x",
        "c@x",
        "d@x",
    ]
    assert [str(one) for one in message.recipients] == ["a@x", "b@x", "c@x", "d@x"]
    message.to = "e@x"
    message.from_addr = None
    assert message.to == AddressList("e@x")
    assert message.from_addr is None


def test_none_stands_for_nothing() -> None:
    message = Message(
        subject=None,
        reply_to=None,
        to=None,
        cc=None,
        bcc=None,
        attachments=None,
        inline_attachments=None,
    )
    assert message.subject == ""
    assert message.attachments == message.inline_attachments == []
    for name in ("reply_to", "to", "cc", "bcc"):
        assert getattr(message, name) == AddressList()
        setattr(message, name, "a@x")
        setattr(message, name, None)
        assert getattr(message, name) == AddressList()


def test_recipients_can_be_others_than_those_shown() -> None:
    """As a retry has it: only to whom it is still owed, with the same headers."""
    message = Message(to="a@x, b@x", recipients="b@x")
    assert message.recipients == AddressList("b@x")
    assert message.to_mime()["To"] == "a@x, b@x"
    message.recipients = None
    assert message.recipients == message.to


@pytest.mark.parametrize("field", ["from_addr", "reply_to", "to", "cc", "bcc", "recipients"])
def test_wrong_address_is_a_value_error(field: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Message(**{field: "a@x\r\nBcc: b"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="address"):
        setattr(Message(), field, "nonsense")


@pytest.mark.parametrize(
    "name",
    ["Bcc", "resent-bcc", "From", "Content-Type", "X Y", "X:", "X\r\nY", "Ü", "", "X" * 77],
)
def test_wrong_header_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="headers"):
        Message(headers={name: "value"})
    with pytest.raises(ValueError, match="headers"):
        Message().headers = {name: "value"}


def test_lists_and_headers_are_copied() -> None:
    """What the caller does with his own afterwards is his business."""
    files, headers, to = [Attachment(b"a")], {"X-A": "1"}, AddressList("a@x")
    message = Message(attachments=files, inline_attachments=files, headers=headers, to=to)
    files.clear()
    headers.clear()
    to.clear()
    assert len(message.attachments) == len(message.inline_attachments) == 1
    assert message.headers == {"X-A": "1"}
    assert message.to == AddressList("a@x")


def test_repr_shows_subject_and_number_of_recipients() -> None:
    message = Message(subject="hello", text="content", to="a@x", cc="b@x", bcc="c@x")
    assert repr(message) == "<Message 'hello' to 3 recipients>"


def test_round_trip_through_the_standard_library() -> None:
    picture = Attachment(b"picture", filename="logo.png")
    picture.cid = "logo@shop"
    message = Message(
        subject="Grüße",
        text="Hällo\n",
        html='<img src="cid:logo@shop">\n',
        from_addr="Jörg <f@example.com>",
        reply_to="r@example.com",
        to="Ann <a@example.com>, b@bücher.example",
        cc="c@example.com",
        bcc="d@example.com",
        attachments=[Attachment("a,b\n", filename="täble.csv"), Attachment(b"\0", filename="b")],
        inline_attachments=[picture],
        headers={"X-App": "shöp", "List-Id": "<alerts.example.com>"},
    )
    mime = message.to_mime()
    assert isinstance(mime, EmailMessage)
    again = Message.from_mime(mime)
    for field in Message.__slots__:
        assert getattr(again, field) == getattr(message, field), field


@given(text=st.text(), html=st.text(), subject=st.text())
def test_from_mime_takes_what_to_mime_makes(text: str, html: str, subject: str) -> None:
    message = Message(text=text, html=html, subject=subject, to="a@x")
    again = Message.from_mime(Message.from_mime(message.to_mime()).to_mime())
    first = Message.from_mime(message.to_mime())
    assert (again.text, again.html) == (first.text, first.html)
    assert again.to == message.to


def test_older_message_is_taken_too() -> None:
    mime = MIMEMultipart()
    mime["From"], mime["To"], mime["Subject"] = "f@x", '"Müller, Jörg" <a@x>, b@x', "Grüße"
    mime["X-App"] = "shop"
    mime.attach(MIMEText("Hällo", "plain", "utf-8"))
    message = Message.from_mime(mime)
    assert message.subject == "Grüße"
    assert message.text == "Hällo"
    assert [str(one) for one in message.to] == ['"Müller, Jörg" <a@x>', "b@x"]
    assert message.headers == {"X-App": "shop"}


def test_header_of_an_older_message_stays_one_header() -> None:
    """The standard library's older messages take line breaks in a value."""
    mime = MIMEText("hello")
    mime["From"], mime["To"] = "f@x", "a@x"
    mime["Subject"] = "hi\r\nBcc: evil@x"
    message = Message.from_mime(mime)
    assert message.subject == "hi Bcc: evil@x"
    assert message.bcc == []
    assert mime["Subject"] == "hi\r\nBcc: evil@x"


def test_groups_are_opened() -> None:
    message = from_text("From: f@x\nTo: undisclosed-recipients:;\nCc: Team: a@x, B <b@x>;\n\nx\n")
    assert message.to == []
    assert message.cc == AddressList("a@x, B <b@x>")


def test_wrong_address_in_a_header_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="address"):
        from_text("From: f@x\nTo: nonsense\n\nx\n")


def test_own_headers_are_not_taken_twice() -> None:
    message = from_text(
        "From: f@x\nTo: a@x\nResent-Bcc: b@x\nContent-Language: de\nX-A: 1\n"
        f"Message-ID: <a@x>\nX-{'a' * 90}: no name of ours\nDate: today\n\nx\n"
    )
    assert message.headers == {"X-A": "1", "Message-ID": "<a@x>", "Date": "today"}


def test_message_without_anything_is_taken() -> None:
    message = Message.from_mime(EmailMessage())
    assert (message.from_addr, message.subject, message.text) == (None, "", "")


@pytest.mark.parametrize("charset", ["latin-1", "x-unheard-of"])
def test_text_is_decoded_as_it_says_or_as_utf8(charset: str) -> None:
    data = f"Content-Type: text/plain; charset={charset}\n\n".encode() + b"b\xe4r"
    message = Message.from_mime(email.message_from_bytes(data, policy=email.policy.default))
    assert message.text == ("bär" if charset == "latin-1" else "b\ufffdr")


def test_attached_text_keeps_its_charset() -> None:
    mime = EmailMessage()
    mime.set_content("outer")
    mime.add_attachment("bär", filename="a.txt", params={"x": "y"}, charset="latin-1")
    (file,) = Message.from_mime(mime).attachments
    assert file.mimetype == "text/plain; charset=iso-8859-1"
    assert file.data.rstrip(b"\n") == "bär".encode("latin-1")


def test_attached_message_stays_whole() -> None:
    inner = EmailMessage()
    inner["Subject"] = "inner"
    inner.set_content("inner text")
    inner.add_attachment(b"x", maintype="image", subtype="png")
    outer = EmailMessage()
    outer.set_content("outer text")
    outer.add_attachment(inner)
    message = Message.from_mime(outer)
    assert message.text == "outer text\n"
    (file,) = message.attachments
    assert file.filename == "message.eml"
    found = email.message_from_bytes(file.data, policy=email.policy.default)
    assert found["Subject"] == "inner"
    (again,) = Message.from_mime(message.to_mime()).attachments
    assert again.data == file.data


def test_inner_multiparts_are_opened() -> None:
    mime = EmailMessage()
    mime.set_content("text")
    mime.add_alternative("<p>html</p>", subtype="html")
    mime.add_attachment(b"f", maintype="image", subtype="png", filename="a.png")
    message = Message.from_mime(mime)
    assert (message.text, message.html) == ("text\n", "<p>html</p>\n")
    assert [file.filename for file in message.attachments] == ["a.png"]


def test_foreign_content_id_is_kept_if_it_can_be() -> None:
    text = "Content-Type: image/png\nContent-ID: {}\n\nx"
    (good,) = from_text(text.format("<a@x>")).inline_attachments
    assert good.cid == "a@x"
    (bad,) = from_text(text.format("<a b>")).inline_attachments
    assert bad.cid.endswith("@tocsin")


def test_to_mime_has_bcc_for_who_sends_it_otherwise() -> None:
    assert Message(bcc="a@x").to_mime()["Bcc"] == "a@x"


def test_stamps_are_a_date_of_now_and_an_id_of_the_senders_domain() -> None:
    date, message_id = stamps(Address("", "f", "example.com"))
    parsed = email.utils.parsedate_to_datetime(date)
    assert parsed.tzinfo is not None
    assert abs(parsed.timestamp() - email.utils.localtime().timestamp()) < 5
    assert message_id.startswith("<")
    assert message_id.endswith("@example.com>")
    assert message_id != stamps(Address("", "f", "example.com"))[1]
    assert stamps(Address("", "f", "[192.0.2.1]"))[1].endswith("@192.0.2.1>")
