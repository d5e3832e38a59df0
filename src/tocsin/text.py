"""Text from a log, made harmless and short.

Such a text may have any length and hold any character. `clean` makes control characters visible,
`cut` and `short` limit the length. The text of an object of the application is read by `attempt`,
which returns a text even if the object's `__str__` raises.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN = 2_000
"""Characters behind a cut that are kept for redaction: a secret across the cut is seen whole."""

# Control characters except newline and tab; line and paragraph separators; characters that change
# the direction of text; lone surrogates.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Colours and styles of a terminal (ECMA-48, "SGR").
_COLOURS = re.compile(r"\x1b\[[\d;:]*m")


class Excerpt(NamedTuple):
    """The start or the end of a text, neither cleaned nor redacted.

    It holds what can be shown and `MARGIN` more characters, however long the text was.

    Attributes:
        text: the characters that are kept.
        length: how many characters the whole text has.
    """

    text: str
    length: int

    @classmethod
    def from_start(cls, text: str, limit: int) -> Excerpt:
        """Keep the start of a text: enough to show its first `limit` characters."""
        if type(text) is str:
            return cls(text[: limit + MARGIN], len(text))
        # A subclass may override its methods. What is kept is a plain string.
        return cls(str.__getitem__(text, slice(limit + MARGIN)), str.__len__(text))

    @classmethod
    def from_end(cls, text: str, limit: int) -> Excerpt:
        """Keep the end of a text: enough to show its last `limit` characters."""
        return cls(str.__getitem__(text, slice(-limit - MARGIN, None)), str.__len__(text))

    def show_start(self, limit: int, redact: Callable[[str], str]) -> str:
        """Return at most `limit` characters of the start, cleaned and redacted."""
        text = redact(clean(uncoloured(self.text)))
        if self.length == len(self.text):
            return _first(text, limit, len(text))
        # The margin may end within a secret. So it is never shown, even if redaction has made the
        # text before it shorter than the limit.
        return _first(text, max(0, min(limit, len(text) - MARGIN)), self.length)

    def show_end(self, limit: int, redact: Callable[[str], str]) -> str:
        """Return at most `limit` characters of the end, cleaned and redacted."""
        text = redact(clean(uncoloured(self.text)))
        keep, length = limit, len(text)
        if self.length != len(self.text):
            keep, length = max(0, min(limit, length - MARGIN)), self.length
        if keep >= length:
            return text
        return f"[cut: last {keep:,} of {length:,} characters]\n{text[len(text) - keep :]}"


def clean(text: str) -> str:
    r"""Return text without control characters: each is shown as an escape such as `\x1b`."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def uncoloured(text: str) -> str:
    """Return text without the colours that a formatter for terminals has added."""
    return _COLOURS.sub("", text) if "\x1b[" in text else text


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters, cleaned; a longer text says how much was cut."""
    if len(text) <= limit:
        return clean(text)
    return _first(clean(text[:limit]), limit, len(text))


def _first(text: str, limit: int, length: int) -> str:
    if limit >= length:
        return text
    return f"{text[:limit]} [cut: first {limit:,} of {length:,} characters]"


def short(text: str, limit: int) -> str:
    """Return the text as one line of at most `limit` characters, for a title."""
    line = " ".join(clean(text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 3].rstrip() + "..."


def exact(text: str) -> str:
    """Return the text as a plain `str`: a subclass may override any method."""
    return text if type(text) is str else str.__getitem__(text, slice(None))


def attempt(value: object) -> str:
    """Return `str(value)`; if that raises, a text that says so."""
    try:
        return exact(str(value))
    except Exception as error:  # noqa: BLE001 - whatever a class of the application raises
        return f"<{type_name(type(value))} whose text raises {type_name(type(error))}>"


def type_name(kind: type, *, qualified: bool = False) -> str:
    """Return a type's name, even if its metaclass overrides `__name__`."""
    name: str = type.__dict__["__qualname__" if qualified else "__name__"].__get__(kind)
    return name


def type_module(kind: type) -> str:
    """Return the name of the module that defines a type; "" if the type has none."""
    try:
        module: object = type.__dict__["__module__"].__get__(kind)
    except AttributeError:  # the type was made by code whose globals have no `__name__`
        return ""
    return module if type(module) is str else ""
