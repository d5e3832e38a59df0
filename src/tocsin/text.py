"""Text from a log, made harmless and short: it may be anything, and of any length."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN = 2_000
"""Characters beyond a cut that are looked at: a secret that spans the cut is seen whole."""

# Controls but newline and tab, separators, marks that turn the direction, lone surrogates.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class Raw(NamedTuple):
    """Text as it came, of which no more is kept than can be told, and the margin.

    Attributes:
        text: its beginning, or its end.
        length: how long it is.
    """

    text: str
    length: int

    @classmethod
    def of(cls, text: str, limit: int) -> Raw:
        """Take what is needed to tell the first `limit` characters."""
        if type(text) is str:
            return cls(text[: limit + MARGIN], len(text))
        # A subclass may have its own way: what is kept is a plain string.
        return cls(str.__getitem__(text, slice(limit + MARGIN)), str.__len__(text))

    @classmethod
    def end_of(cls, text: str, limit: int) -> Raw:
        """Take what is needed to tell the last `limit` characters."""
        return cls(str.__getitem__(text, slice(-limit - MARGIN, None)), str.__len__(text))

    def told(self, limit: int, redact: Callable[[str], str]) -> str:
        """Return at most `limit` characters of its beginning, clean and without secrets."""
        text = redact(clean(self.text))
        if self.length == len(self.text):
            return _first(text, limit, len(text))
        # The margin's end may be half a secret: it isn't told, however short the rest became.
        return _first(text, max(0, min(limit, len(text) - MARGIN)), self.length)

    def told_end(self, limit: int, redact: Callable[[str], str]) -> str:
        """Return at most `limit` characters of its end, clean and without secrets."""
        text = redact(clean(self.text))
        keep, length = limit, len(text)
        if self.length != len(self.text):
            keep, length = max(0, min(limit, length - MARGIN)), self.length
        if keep >= length:
            return text
        return f"[cut: last {keep:,} of {length:,} characters]\n{text[len(text) - keep :]}"


def clean(text: str) -> str:
    r"""Return text in which nothing acts: a control character is shown as `\x1b` and the like."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters of clean text; a cut is stated where it is."""
    if len(text) <= limit:
        return clean(text)
    return _first(clean(text[:limit]), limit, len(text))


def _first(text: str, limit: int, length: int) -> str:
    if limit >= length:
        return text
    return f"{text[:limit]} [cut: first {limit:,} of {length:,} characters]"


def short(text: str, limit: int) -> str:
    """Return the text in one line of at most `limit` characters, for a title."""
    line = " ".join(clean(text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 3].rstrip() + "..."


def exact(text: str) -> str:
    """Return the text as a plain string: a subclass may have its own way with everything."""
    return text if type(text) is str else str.__getitem__(text, slice(None))


def attempt(value: object) -> str:
    """Return `str(value)`, also where the value can't say what it is."""
    try:
        return exact(str(value))
    except Exception as error:  # noqa: BLE001 - whatever a class of the application raises
        return f"<{type_name(type(value))} whose text raises {type_name(type(error))}>"


def type_name(kind: type, *, qualified: bool = False) -> str:
    """Return a type's name; its metaclass may have its own way with that."""
    name: str = type.__dict__["__qualname__" if qualified else "__name__"].__get__(kind)
    return name


def type_module(kind: type) -> str:
    """Return the module that a type is from, "" if it names none."""
    try:
        module: object = type.__dict__["__module__"].__get__(kind)
    except AttributeError:  # made where there is no `__name__`
        return ""
    return module if type(module) is str else ""
