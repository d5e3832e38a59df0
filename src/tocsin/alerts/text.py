"""Text from a log, made harmless and short: it may be anything, and of any length."""

from __future__ import annotations

import re

# Controls but newline and tab, separators, marks that turn the direction, lone surrogates.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(text: str) -> str:
    r"""Return text in which nothing acts: a control character is shown as `\x1b` and the like."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters of clean text; a cut is stated where it is."""
    if len(text) <= limit:
        return clean(text)
    return f"{clean(text[:limit])} [cut: first {limit:,} of {len(text):,} characters]"


def short(text: str, limit: int) -> str:
    """Return the text in one line of at most `limit` characters, for a title."""
    line = " ".join(clean(text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 3].rstrip() + "..."


def attempt(value: object) -> str:
    """Return `str(value)`, also where the value can't say what it is."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - whatever a class of the application raises
        return f"<{type(value).__name__} whose text raises {type(error).__name__}>"
