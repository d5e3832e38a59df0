"""What a mail's page may consist of, so that mail clients show it, and a check that it does.

Allowed is what works, or does no harm where it doesn't, in Gmail (web, Android, iOS), Apple Mail,
Outlook (Word's engine, new, web, phone), Yahoo and Thunderbird. The sources, by their short names:

    caniemail: https://www.caniemail.com, its data of 2025-09-09; "css-width" is a page of it
    bugs 90:   https://github.com/hteumeuleu/email-bugs/issues/90, and 41 of the same
    caniemail 144: https://github.com/hteumeuleu/caniemail/issues/144

"Word" is Outlook 2007 to 2024 for Windows.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import tinycss2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_PAGE = 90_000  # bytes; Gmail clips at about 102 kB (bugs 41), and relays add to it
MAX_STYLE = 8_192  # bytes in all style elements; Gmail drops what is after 16 kB (bugs 90)
MAX_BORDER = 8  # px; Word has no thicker ones (css-border)

ELEMENTS = {
    "html": "html-doctype",
    "head": "html-style",
    "title": "html-doctype",
    "meta": "html-meta-color-scheme: where it isn't known it is ignored",
    "style": "html-style: in the head only (Gmail); not for other accounts in Gmail's apps",
    "body": "html-body: becomes a div in webmail, so what it says is said again inside",
    **dict.fromkeys(("table", "tbody", "tr", "td", "th"), "html-table"),
    **dict.fromkeys(("div", "span", "p", "br", "hr", "pre", "code", "a"), "html-div and so on"),
    **dict.fromkeys(("b", "strong", "i", "em", "small"), "html-strong, html-small"),
    **dict.fromkeys(("h1", "h2", "h3"), "html-h1-h6"),
    **dict.fromkeys(("ul", "ol", "li"), "html-lists"),
}
# Not details, summary, section and the like (html-semantics: Gmail, Word, Yahoo), img, svg, wbr.
VOID = frozenset({"meta", "br", "hr"})
ATTRIBUTES = {
    "html": {"lang", "dir"},
    "meta": {"charset", "name", "content"},
    "a": {"href"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "table": {"role"},
    "div": {"role", "aria-hidden"},
    "*": {"class", "style", "lang", "dir"},
}
METAS = {"viewport", "color-scheme", "supported-color-schemes"}
LINKS = ("https:", "mailto:")

ANYWHERE = frozenset(ELEMENTS) - {"html", "head", "title", "meta", "style"}
_CELLS = frozenset({"td", "th"})
_TABLES = _CELLS | {"table"}
_MARGINS = ANYWHERE - {"span"} - _CELLS  # css-margin: in Word not auto; nowhere below zero
# A property: where it may stand.
PROPERTIES = {
    **dict.fromkeys(("color", "background-color"), ANYWHERE),  # `background` is more than Word has
    **dict.fromkeys(("font", "font-family", "font-size", "font-style", "font-weight"), ANYWHERE),
    **dict.fromkeys(("line-height", "letter-spacing", "text-align", "text-transform"), ANYWHERE),
    "text-decoration": ANYWHERE,  # css-text-decoration: one value
    "vertical-align": ANYWHERE,  # instead of valign
    **dict.fromkeys(("margin", "margin-top", "margin-bottom"), _MARGINS),
    **dict.fromkeys(("margin-left", "margin-right"), _MARGINS),
    "padding": _CELLS | {"body", "ul", "ol"},  # css-padding: cells only, in Word
    **dict.fromkeys(("padding-top", "padding-right"), _CELLS),
    **dict.fromkeys(("padding-bottom", "padding-left"), _CELLS),
    **dict.fromkeys(("border", "border-top", "border-right"), _TABLES | {"hr"}),  # css-border
    **dict.fromkeys(("border-bottom", "border-left", "border-color"), _TABLES | {"hr"}),
    "border-radius": ANYWHERE,  # css-border-radius: Word shows corners, Yahoo takes no slash
    "border-collapse": frozenset({"table"}),  # instead of cellspacing; Word has no border-spacing
    "table-layout": frozenset({"table"}),  # css-table-layout: not in Word, where tables fit anyway
    "width": _TABLES,  # css-width
    "max-width": _TABLES,  # css-max-width: on tables, in Word since 2019
    "height": _CELLS,  # css-height
    "white-space": ANYWHERE,  # css-white-space: not in Word; what needs it is a pre
    "word-break": ANYWHERE,  # css-word-break: not in Yahoo, which has
    "word-wrap": ANYWHERE,  # css-word-wrap; Gmail removes overflow-wrap (css-overflow-wrap)
    "list-style-type": frozenset({"ul", "ol"}),
    **dict.fromkeys(("display", "max-height", "overflow"), frozenset({"div"})),  # preheader
    "-webkit-text-size-adjust": frozenset({"body"}),  # iOS; others ignore it
}
VALUES = {
    "display": {"none"},  # css-display: all that Word has
    "overflow": {"hidden"},
    "white-space": {"pre-wrap", "nowrap", "normal"},  # css-white-space: Yahoo's apps have no pre
    "word-break": {"break-word", "break-all", "normal"},
    "word-wrap": {"break-word"},
}
UNITS = {"px", "%", "em", "pt"}  # not rem (css-unit-rem: Word, Yahoo), vw, ch
STYLE_PROPERTIES = frozenset(PROPERTIES) | {"color-scheme"}
_MEDIA = re.compile(
    r"(?:(?:only )?screen and )?\((?:prefers-color-scheme: ?dark|(?:max|min)-width: ?\d+px)\)"
)  # css-at-media: Yahoo knows width only; at any other, or inside one, Gmail drops the element
_SELECTOR = re.compile(r":root|[a-z][a-z0-9]*|(?:[a-z][a-z0-9]*)?\.[a-z][a-z0-9_-]*")
_OUTLOOK = re.compile(r"\[data-og[sa][cb]\] (\.[a-z][a-z0-9_-]*)")  # dark, in Outlook's web
_COLOUR = re.compile(r"(?:[0-9a-fA-F]{3}){1,2}")  # css-modern-color, css-rgb: Gmail drops the style


def complaints(html: str) -> list[str]:
    """Return what some mail client would not show of a whole page as meant; nothing is best."""
    page = _Page()
    page.feed(html)
    page.close()
    found = page.found + [f"unclosed <{tag}>" for tag in page.open]
    if len(html.encode("utf-8", "replace")) > MAX_PAGE:
        found.append(f"the page is longer than {MAX_PAGE} bytes")
    if sum(len(style.encode("utf-8", "replace")) for style in page.styles) > MAX_STYLE:
        found.append(f"the style elements are longer than {MAX_STYLE} bytes")
    if not page.doctype:
        found.append("no <!doctype html>")
    coloured: dict[str, set[str]] = {}
    for style in page.styles:
        found += _of_style(style, coloured)
    for tag, classes, inline in page.classed:
        for name in sorted({name for one in (tag, *classes) for name in coloured.get(one, ())}):
            if not any(own.startswith(name.removesuffix("-color")) for own in inline):
                found.append(f"<{' '.join((tag, *classes))}> has no {name} of its own")
    return found


class _Page(HTMLParser):
    """A page's elements, checked one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.styles: list[str] = []
        self.classed: list[tuple[str, list[str], set[str]]] = []
        self.doctype = False

    def handle_decl(self, decl: str) -> None:
        self.doctype = decl.lower() == "doctype html"

    def handle_comment(self, data: str) -> None:
        self.found.append(f"a comment: {data.strip()[:40]}")

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.styles[-1] += data

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # in HTML the slash closes nothing

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ELEMENTS:
            self.found.append(f"<{tag}>")
        if tag == "style":
            self.styles.append("")
            self.found += ["<style> outside of the head"] * ("head" not in self.open)
        if tag not in VOID:
            self.open.append(tag)
        names = [name for name, _ in attrs]
        self.found += [f"<{tag}> has {name} twice" for name in set(names) if names.count(name) > 1]
        allowed = ATTRIBUTES["*"] | ATTRIBUTES.get(tag, set())
        self.found += [f"{name} on <{tag}>" for name in names if name not in allowed]
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and not given.get("href", "").startswith(LINKS):
            self.found.append(f"a link to {given.get('href')!r}")
        if given.get("name", "viewport") not in METAS:
            self.found.append(f"<meta name={given['name']}>")
        inline = tinycss2.parse_declaration_list(
            given.get("style", ""), skip_comments=True, skip_whitespace=True
        )
        self.found += [f"{said} on <{tag}>" for said in _of_declarations(inline, tag)]
        said = {one.lower_name for one in inline if one.type == "declaration"}
        self.classed.append((tag, given.get("class", "").split(), said))

    def handle_endtag(self, tag: str) -> None:
        if self.open[-1:] == [tag]:
            self.open.pop()
        else:
            self.found.append(f"</{tag}> closes nothing, in <{'><'.join(self.open[-3:])}>")


def _of_style(style: str, coloured: dict[str, set[str]]) -> Iterator[str]:
    """Iterate over what is wrong with a style element, and note what colours which class."""
    if re.search(r"\S!important", style):
        yield "no space before !important"  # css-important
    rules = tinycss2.parse_stylesheet(style, skip_comments=True, skip_whitespace=True)
    outlook = [_OUTLOOK.match(tinycss2.serialize(getattr(one, "prelude", ()))) for one in rules]
    if any(outlook) and not all(outlook):
        yield "[data-ogsc] beside other rules: Gmail may drop them all"
    for rule in rules:
        if rule.type == "at-rule" and rule.lower_at_keyword == "media" and rule.content:
            query = tinycss2.serialize(rule.prelude).strip()
            if _MEDIA.fullmatch(query) is None:
                yield f"@media {query}"
            for inner in tinycss2.parse_rule_list(
                rule.content, skip_comments=True, skip_whitespace=True
            ):
                yield from _of_rule(inner, coloured)
        else:
            yield from _of_rule(rule, coloured)


def _of_rule(rule: Any, coloured: dict[str, set[str]]) -> Iterator[str]:
    if rule.type != "qualified-rule":
        yield f"@{rule.lower_at_keyword}" if rule.type == "at-rule" else f"bad CSS: {rule.message}"
        return
    content = tinycss2.parse_declaration_list(
        rule.content, skip_comments=True, skip_whitespace=True
    )
    yield from _of_declarations(content, None)
    names = {one.lower_name for one in content if one.type == "declaration"}
    for part in tinycss2.serialize(rule.prelude).split(","):
        selector = _OUTLOOK.sub(r"\1", part.strip())
        if _SELECTOR.fullmatch(selector) is None:
            yield f"the selector {part.strip()}"
        colours = {name for name in names if name.endswith("color")}
        coloured.setdefault(selector.rpartition(".")[2], set()).update(colours)


def _of_declarations(declarations: Iterable[Any], tag: str | None) -> Iterator[str]:
    """Iterate over what is wrong with declarations: of an element, or in a style element."""
    for one in declarations:
        if one.type != "declaration":
            yield f"bad CSS: {getattr(one, 'message', one.type)}"
            continue
        name = one.lower_name
        if name not in STYLE_PROPERTIES if tag is None else tag not in PROPERTIES.get(name, ()):
            yield name
        if tag is not None and one.important:
            yield f"!important of {name}"  # css-important: not inline, in Word
        for token in one.value:
            yield from _of_token(name, token)


def _of_token(name: str, token: Any) -> Iterator[str]:
    if token.type in {"function", "url", "error", "() block", "[] block", "{} block"}:
        yield f"{getattr(token, 'lower_name', token.type)}() in {name}"
    elif token.type == "hash" and _COLOUR.fullmatch(token.value) is None:
        yield f"#{token.value} in {name}"
    elif token.type == "dimension" and token.lower_unit not in UNITS:
        yield f"{token.lower_unit} in {name}"
    elif token.type == "dimension" and name.startswith("border") and "radius" not in name:
        if token.value > MAX_BORDER:
            yield f"a border of {token.value:g}{token.unit}"
    elif token.type in {"dimension", "percentage", "number"} and token.value < 0:
        yield f"{name} below zero"
    elif token.type == "ident" and token.lower_value not in VALUES.get(name, {token.lower_value}):
        yield f"{name}: {token.value}"
