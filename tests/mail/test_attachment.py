"""Attachments: what is guessed, what is checked."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from tocsin.mail import Attachment


@pytest.mark.parametrize(
    ("data", "filename", "mimetype"),
    [
        (b"", None, "application/octet-stream"),
        ("", None, "text/plain; charset=utf-8"),
        (b"", "a.png", "image/png"),
        (b"", "a.txt", "text/plain"),
        ("", "a.csv", "text/csv; charset=utf-8"),
        ("", "a.json", "application/json"),
        (b"", "a.tar.gz", "application/octet-stream"),
        (b"", "a.unheard-of", "application/octet-stream"),
        ("", "a.unheard-of", "text/plain; charset=utf-8"),
    ],
)
def test_type_is_guessed_from_the_name(
    data: bytes | str, filename: str | None, mimetype: str
) -> None:
    """A compressed file is of its compression's type, not of its content's."""
    assert Attachment(data, filename=filename).mimetype == mimetype


def test_given_type_is_used() -> None:
    given = "text/x-log; charset=latin-1"
    assert Attachment("a", filename="a.txt", mimetype=given).mimetype == given


def test_text_is_utf8_and_never_fails() -> None:
    assert Attachment("ü\ud800").data == "ü?".encode()


@pytest.mark.parametrize(
    "mimetype",
    [
        "",
        "text",
        "text/",
        "/plain",
        "text/ü",
        "text/plain\r\nX: y",
        "text/plain\r\n\r\n;x",
        "text/plain;\r\n x=y",
        "text/plain; " + "x" * 1000,
    ],
)
def test_what_is_no_type_is_a_value_error(mimetype: str) -> None:
    with pytest.raises(ValueError, match="expected type/subtype"):
        Attachment(b"", mimetype=mimetype)
    file = Attachment(b"")
    with pytest.raises(ValueError, match="expected type/subtype"):
        file.mimetype = mimetype
    assert file.mimetype == "application/octet-stream"


def test_name_is_one_line_however_it_is_set() -> None:
    file = Attachment(b"", filename='a"\r\nX-Evil: 1')
    assert file.filename == 'a" X-Evil: 1'
    file.filename = "b\n\nc"
    assert file.filename == "b c"
    file.filename = None
    assert file.filename is None


def test_cid_is_made_once_and_is_its_own() -> None:
    first, second = Attachment(b""), Attachment(b"")
    assert first.cid == first.cid
    assert first.cid != second.cid


def test_cid_can_be_set() -> None:
    file = Attachment(b"")
    file.cid = "<logo@shop>"
    assert file.cid == "logo@shop"


def test_cid_is_made_anew_after_none() -> None:
    file = Attachment(b"")
    first = file.cid
    file.cid = None
    assert file.cid != first


def test_is_added_to_a_message_of_the_standard_library() -> None:
    mime = EmailMessage()
    mime.set_content("<p>Hi</p>", subtype="html")
    logo = Attachment(b"PNG", filename="logo.png")
    logo.add_to_mime(mime, inline=True)
    Attachment("Grüße", filename="a.txt").add_to_mime(mime)
    related, text = mime.iter_parts()
    _, picture = related.iter_parts()
    assert picture["Content-ID"] == f"<{logo.cid}>"
    assert picture.get_content_disposition() == "inline"
    assert picture.get_content() == b"PNG"
    assert text["Content-ID"] is None
    assert text.get_content_disposition() == "attachment"
    assert (text.get_filename(), text.get_content()) == ("a.txt", "Grüße")


@pytest.mark.parametrize("cid", ["", "<>", "a b", "a>\r\nX: y", "ü", "a<b"])
def test_what_is_no_cid_is_a_value_error(cid: str) -> None:
    file = Attachment(b"")
    with pytest.raises(ValueError, match="cid"):
        file.cid = cid


def test_equal_means_equal_in_all() -> None:
    file = Attachment(b"a", filename="a")
    assert file == Attachment(b"a", filename="a")
    assert file != Attachment(b"a", filename="b")
    assert file != "a"
    with pytest.raises(TypeError, match="unhashable"):
        hash(file)


def test_repr_shows_no_content() -> None:
    shown = repr(Attachment(b"content", filename="a.txt"))
    assert shown == "<Attachment 'a.txt' text/plain 7 bytes>"
