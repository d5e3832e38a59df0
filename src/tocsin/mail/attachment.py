"""An attachment: a file in a message, with its bytes, its name and its type.

A picture inside the HTML also has an identifier, by which the HTML names it.
"""

from __future__ import annotations

import email.policy
import mimetypes
import re
import secrets
from typing import TYPE_CHECKING

from tocsin.mail.address import one_line

if TYPE_CHECKING:
    from email.message import EmailMessage

_MIMETYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:[ \t]*;[\x20-\x7e]{0,800})?")
_CID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]+")


class Attachment:  # noqa: PLW1641 - an object that can be changed has no hash
    """A file that goes with a message.

    Args:
        data: the content; text is encoded in UTF-8.
        filename: the name under which readers show and save the file; None for no name.
        mimetype: the type, such as `"image/png"`. By default it follows from the ending of the file
            name, else it is `text/plain` for text and `application/octet-stream` for bytes.

    Attributes:
        cid: the content identifier (RFC 2392), without angle brackets; the HTML uses it as
            `<img src="cid:…">`. It is made at the first access, and can be set; None makes another.

    Raises:
        ValueError: `mimetype` is no type, or a `cid` that is set is no identifier.
    """

    __slots__ = ("_cid", "_filename", "_mimetype", "data")

    def __init__(
        self, data: bytes | str, *, filename: str | None = None, mimetype: str | None = None
    ) -> None:
        charset = ""
        if isinstance(data, str):
            data = data.encode("utf-8", "replace")
            charset = "; charset=utf-8"
        if mimetype is None:
            guessed, encoding = mimetypes.guess_type(filename or "")
            # For `a.tar.gz`, `guessed` is the type of the tar file inside.
            mimetype = guessed if guessed and not encoding else None
            mimetype = mimetype or ("text/plain" if charset else "application/octet-stream")
            if mimetype.startswith("text/"):
                mimetype += charset
        self.data: bytes = bytes(data)
        self.filename = filename
        self.mimetype = mimetype
        self._cid: str | None = None

    @property
    def filename(self) -> str | None:
        """The name under which readers show and save the file."""
        return self._filename

    @filename.setter
    def filename(self, value: str | None) -> None:
        self._filename = None if value is None else one_line(value)

    @property
    def mimetype(self) -> str:
        """The type of the content, such as `"image/png"`."""
        return self._mimetype

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        if not _MIMETYPE.fullmatch(value):
            raise ValueError(f"mimetype: expected type/subtype, got {value!r}")
        self._mimetype = value

    @property
    def cid(self) -> str:
        """The content identifier (RFC 2392), without angle brackets."""
        if self._cid is None:
            self._cid = f"{secrets.token_hex(12)}@tocsin"
        return self._cid

    @cid.setter
    def cid(self, value: str | None) -> None:
        if value is not None:
            value = value.removeprefix("<").removesuffix(">")
            if not _CID.fullmatch(value):
                raise ValueError(f"cid: expected printable ASCII without blanks, got {value!r}")
        self._cid = value

    def add_to_mime(self, message: EmailMessage, *, inline: bool = False) -> None:
        """Add the file to a message of the standard library.

        Args:
            message: the message, or the HTML part of one for an inline picture.
            inline: whether it is a picture that the HTML names by its `cid`.
        """
        content_type = email.policy.default.header_factory("Content-Type", self.mimetype)
        add = message.add_related if inline else message.add_attachment
        add(
            self.data,
            maintype=content_type.maintype,
            subtype=content_type.subtype,
            params=dict(content_type.params),
            disposition="inline" if inline else "attachment",
            filename=self.filename,
            cid=f"<{self.cid}>" if inline else None,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Attachment):
            return NotImplemented
        return (self.data, self.filename, self.mimetype, self._cid) == (
            other.data,
            other.filename,
            other.mimetype,
            other._cid,
        )

    def __repr__(self) -> str:
        return f"<Attachment {self.filename!r} {self.mimetype} {len(self.data)} bytes>"
