r"""The redactor: takes secrets out of text, and keeps all other text, which helps to find the bug.

A secret is recognized by its name (`password=`, `"apiKey":`, `Cookie:`), by its form (`ghp_…`, a
JWT, a private key, a card number) or by its place (`scheme://user:HERE@host`). The last words of a
name decide: `token_count` is a count. In doubt a value is redacted. A value that can't be a secret
stays: None, true, an empty text, a placeholder, a plain number of `tokens`, and in a line of code a
call, or the same name again (`password=password`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tocsin.redact.formats import FIRST, FORMS, bound, cards, refused, tagged
from tocsin.redact.names import nothing_to_hide, secret_words
from tocsin.redact.values import RANDOM, WEAK, NamedValues

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Span = tuple[int, int]

MARK = "[redacted]"
_PASSES = 8  # redacting one secret may uncover another; mostly the second pass finds nothing


class Redactor:
    """Take secrets out of text from a log.

    Redacting a text again changes nothing, unless one of `patterns` depends on the text around its
    match.

    Args:
        patterns: regular expressions of the user; their capture groups are redacted, or the whole
            match if there are none.
        defaults: whether well-known secrets are redacted, too.

    Raises:
        re.error: A pattern is not a regular expression.
    """

    def __init__(
        self, patterns: Iterable[re.Pattern[str] | str] = (), *, defaults: bool = True
    ) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._defaults = defaults

    def text(self, text: str) -> str:
        """Return the text with `MARK` in the place of each secret.

        Args:
            text: any text: a message, a line of a traceback, an exception's text.
        """
        for _ in range(_PASSES):
            before, text = text, self._pass(text)
            if text == before:
                break
        return text

    def field(self, name: str, value: str) -> str:
        """Return a field's value: `MARK` if the name means a secret, else the redacted text.

        Args:
            name: the field's name, as in `extra`.
            value: the field's value as text.
        """
        if self._defaults:
            words = secret_words(name)
            if words and not nothing_to_hide(name, words, value):
                return MARK
            if name.lower() in WEAK and RANDOM.fullmatch(value):
                return MARK
        return self.text(value)

    def _pass(self, text: str) -> str:
        for pattern in self._patterns:
            text = _cover(text, _found(pattern, text))
        if self._defaults:
            text = _forms(FIRST, text)
            text = _cover(text, NamedValues(text).spans())
            for find in (tagged, bound, refused):
                text = _cover(text, find(text))
            text = _cover(_forms(FORMS, text), cards(text))
        return text


def _found(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    """Yield the spans of a pattern's groups; of its whole matches if it has no groups."""
    for found in pattern.finditer(text):
        if pattern.groups:
            spans = (found.span(group + 1) for group in range(pattern.groups))
            yield from sorted(spans, key=lambda span: (span[0], -span[1]))
        else:
            yield found.span()


def _forms(forms: Iterable[tuple[str, re.Pattern[str]]], text: str) -> str:
    for needle, pattern in forms:
        if needle in text:
            text = _cover(text, _found(pattern, text))
    return text


def _cover(text: str, spans: Iterable[Span]) -> str:
    """Return the text with `MARK` in place of the spans; a span that has a mark stays as it is."""
    parts: list[str] = []
    at = 0
    for start, end in spans:
        cuts = any(MARK in text[max(0, edge - 9) : edge + 9] for edge in (start, end))
        if start >= at and not cuts and text[start:end].replace(MARK, ""):
            parts += (text[at:start], MARK)
            at = end
    return "".join((*parts, text[at:]))
