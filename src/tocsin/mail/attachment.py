"""A file in a message: bytes, a name, a type, and for pictures in the HTML an identity."""

from __future__ import annotations

import mimetypes
import re
import secrets

from tocsin.mail.address import one_line

_MIMETYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:[ \t]*;[\x20-\x7e]{0,800})?")
_CID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]+")


class Attachment:  # noqa: PLW1641 - it can be changed, so it has no hash
    """A file that goes with a message.

    Args:
        data: the content; text becomes UTF-8.
        filename: the name to show and to save under; None for a part without a name.
        mimetype: such as `"image/png"`; by default what the file name's ending says, else
            `text/plain` for text and `application/octet-stream` for bytes.

    Attributes:
        cid: the content identifier, without angle brackets: in HTML, `<img src="cid:…">`. It is
            made when it is first asked for, and can be set.

    Raises:
        ValueError: `mimetype` or `cid` isn't one.
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
            # A compressed file is of its compression's type, not of its content's.
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
        """The name to show and to save under."""
        return self._filename

    @filename.setter
    def filename(self, value: str | None) -> None:
        self._filename = None if value is None else one_line(value)

    @property
    def mimetype(self) -> str:
        """What kind of content it is."""
        return self._mimetype

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        if not _MIMETYPE.fullmatch(value):
            raise ValueError(f"mimetype: expected type/subtype, got {value!r}")
        self._mimetype = value

    @property
    def cid(self) -> str:
        """Return the content identifier (RFC 2392), without angle brackets."""
        if self._cid is None:
            self._cid = f"{secrets.token_hex(12)}@tocsin"
        return self._cid

    @cid.setter
    def cid(self, value: str) -> None:
        value = value.removeprefix("<").removesuffix(">")
        if not _CID.fullmatch(value):
            raise ValueError(f"cid: expected printable ASCII without blanks, got {value!r}")
        self._cid = value

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
