"""Plain text made from HTML, for the part of a message that every mail client can show."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from typing_extensions import override

_BLOCKS = frozenset(
    """
    address article aside blockquote dd div dl dt figure footer form h1 h2 h3 h4 h5 h6 header hr
    li main nav ol p pre section table tr ul
    """.split()  # noqa: SIM905 - a column of words reads better
)
_HIDDEN = frozenset(("head", "script", "style", "template", "title"))


def html_to_text(html: str) -> str:
    """Return the readable text of HTML: a line for each block, and each link with its URL."""
    parser = _Reader()
    parser.feed(html)
    parser.close()
    text = "\n".join(line.rstrip(" \t") for line in "".join(parser.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0
        self._preformatted = 0
        self._link = ""
        self._link_start = 0

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":
            self._hidden = 0  # the tag that ends the head is optional
        elif tag in _HIDDEN:
            self._hidden += 1
        elif tag == "pre":
            self._preformatted += 1
        if tag == "br" or tag in _BLOCKS:
            self.parts.append("\n")
        if tag == "li":
            self.parts.append("- ")
        elif tag in ("td", "th"):
            self._add(" ")
        elif tag == "a":
            self._link = dict(attrs).get("href") or ""
            self._link_start = len(self.parts)
        elif tag == "img" and (alt := dict(attrs).get("alt")):
            self.parts.append(alt)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN and self._hidden:
            self._hidden -= 1
        elif tag == "pre" and self._preformatted:
            self._preformatted -= 1
        if tag in _BLOCKS:
            self.parts.append("\n\n" if tag == "p" else "\n")
        elif tag == "a" and self._link:
            shown = "".join(self.parts[self._link_start :]).strip()
            if self._link.startswith(("http:", "https:")) and self._link != shown:
                self.parts.append(f" [{self._link}]")
            self._link = ""

    @override
    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._add(data if self._preformatted else re.sub(r"\s+", " ", data))

    def _add(self, text: str) -> None:
        """Add text; blanks at the start of a line count only inside `pre`."""
        at_start = not self.parts or self.parts[-1].endswith("\n")
        if at_start and not self._preformatted:
            text = text.lstrip(" ")
        if text:
            self.parts.append(text)
