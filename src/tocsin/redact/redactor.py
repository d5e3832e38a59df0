r"""Secrets go before the text goes; what helps to find the bug stays.

A secret is known by its name (`password=`, `"apiKey":`, `Cookie:`), by its form (`ghp_…`, a JWT, a
private key, a card number) or by its place (`scheme://user:HERE@host`). The end of a name decides:
`token_count` is a count. In doubt the value goes, but what has nothing to hide stays: None, true,
an empty text, a placeholder, a plain number of `tokens`, and in a line of code a call or the name
again (`password=password`). Patterns are linear: what repeats is possessive or bounded, and a value
that was read is not read again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tocsin.redact.formats import FIRST, FORMS, bound, cards, refused, tagged
from tocsin.redact.names import nothing_to_hide, secret_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Span = tuple[int, int]

MARK = "[redacted]"
_PASSES = 8  # a secret taken out may lay another one bare; mostly the second pass finds nothing
_TRIES = 8  # so often a bracket that nobody closes is looked for to the end of the text
_NEAR = 300  # characters from `"name": "password"` to its `"value":`
_X = re.VERBOSE
_XI = re.VERBOSE | re.IGNORECASE
_XM = re.VERBOSE | re.MULTILINE

_LONG = re.compile(r"(?:authorization|cookies?|mnemonic|phrases?)\Z")  # the rest of the line
_LAST_WORDS = frozenset(
    ("code", "codes", "hash", "id", "key", "keys", "number", "phrase", "string", "value")
)
_SPOKEN = frozenset(("password", "passwd", "passphrase", "set password", "check password"))
_NAMES = frozenset(
    ("field", "header", "id", "key", "name", "param", "parameter", "type", "variable")
)
_VALUES = frozenset(("content", "data", "val", "value"))

_KEY = re.compile(  # a name, and what stands between it and its value
    r"""(?<![\w-])(?P<name>(?P<dashes>--(?:\w[\w-]{0,40}+\.){0,4}+)?[\w-]{2,100}+)(?P<quote>\\{0,8}["'`])?+(?:(?:\[|%5[Bb])?(?:\]|%5[Dd])){0,2}+
    (?:[ \t]*+(?::=|=>|\+?=(?!=)|:(?!:)|%3[Dd]|(?:[=!]==?|\)?[ ](?:or|else))(?=[ ]?[bu]?["']))
      |(?P<pair>(?(quote),(?=\s{0,9}[bu]?\\{0,8}["'])|(?!)))
      |(?(dashes)[ \t]++(?=[^\s-])|(?P<spoken>[ \t](?=["'])|\((?=[bu]?["']))))
    (?(quote)(?:\s*+(?=[bu]?\\{0,8}["'\[{])|[ \t]*+)
      |[ \t]*+(?:["'][ ]?[+,][ ]?(?=[bu]?["']))?+)""",
    _X,
)
_PAIR = re.compile(r"""(?:\(|[\[,]\s?\[)\s?[bu]?\\{0,8}["'`](?:[\w-]{1,20}\.){0,3}\Z""")
_NAMED = re.compile(r"""\\{0,8}["']?([\w\[\].-]{2,100}+)""")
_WEAK = frozenset(("auth", "session", "sid"))  # secret if the value looks like it
_QUERY = frozenset(("code", "key", "sig", "signature"))  # so in the query of a URL
_CHANCE = re.compile(  # what looks like no word; or two texts, as in `auth=("user", "password")`
    r"""(?:[bu]?\\{0,8}["'])?((?=[A-Za-z_.~+/%-]{0,200}\d)(?=[\d_.~+/%-]{0,200}[A-Za-z])
    [\w.~+/%-]{16,2000}+={0,2}
    |\w{0,40}\(\s?["'][^"'\n]{0,200}["'],\s?["'][^"'\n]{1,200}["']\s?\))""",
    _X,
)
# Values: quoted, in brackets, objects, YAML's blocks and lists, the rest of a line, a word.
_OPEN = re.compile(r"""[bBfFrRuU]{0,2}(?P<slashes>\\{0,8})(?P<quote>\"{3}|'{3}|["'`])""")
_CLOSE = {mark: re.compile(rf"(?<!\\)(\\*+)({mark}|\n|\Z)") for mark in "\"'`"}
_CLOSING = re.compile(r"""\\*+["'`]\s*+(?:[)\]},;+%.]|\Z)""")
_BRACKET = re.compile(
    r"""\\.|"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+'|(?P<open>[\[({])|(?P<shut>[\])}])""",
    re.DOTALL,
)
_OBJECT = re.compile(
    r"""(?:\w{1,60}\.){0,9}+(?:[A-Z]\w{0,60}+|bytearray|defaultdict|deque|frozenset|mappingproxy)
    (?=\()|\$?(?=[\[({])""",
    _X,
)
_BLOCK = re.compile(
    r"""[|>][-+\d]{0,2}[ \t]*+\n(?P<indent>[ \t]++)(?P<block>[^\n]*+(?:\n(?P=indent)[^\n]*+)*+)
    |\n[ \t]*+-[ ](?P<items>[^\n]*+(?:\n[ \t]*+-[ ][^\n]*+)*+)
    |(?P<object><[^<>\n]{1,400}+>)""",
    _X,
)
_REST = re.compile(r"[^\n]*+")
_LINE = re.compile(r"(?:[^\n\\]++|\\(?![rn]))*+")
_WORD = re.compile(
    r"""(?:[^\s\\"'`,;&)\]}>]++
    |(?:\\*+["'`]|[)\]}>])(?![\s,;:.)\]}>"'`&=+/<\\]|\Z)
    |\\++(?!["'`]|[nrt](?:[\s"'\\]|[\w.-]{1,60}+[=:]|\Z))
    |[,;](?!["'`)\]}\s]|[A-Za-z][\w.-]{0,60}+(?:\ [A-Z]\w{0,20}+){0,3}+=|\Z)
    |&(?!amp;|[\w.%\[\]-]{1,60}+=|\Z))*+""",
    _X,
)
_SCHEME = re.compile(  # RFC 9110, 11.1; IANA's registry, and what is usual besides
    r"""(?:(?P<word>ApiKey|Basic|Bearer|DPoP|JWT|Negotiate|NTLM|Token)
    |AWS4-HMAC-SHA256|Digest|GoogleLogin|HOBA|Mutual|OAuth|SCRAM-SHA-\d+|SharedKey)[ \t]+(?=\S)""",
    _XI,
)
_TYPE = re.compile(
    r"""(?:typing\.|t\.)?(?:str|bytes|int|bool|float|object|Any|Secret(?:Str|Bytes)|None
    |(?:Annotated|Optional|Union|Sequence|list|dict|set|tuple)\[[^\n=]{1,80}?\]+)
    (?:\s?\|\s?[\w.]+)*+(?:(?P<default>\s*+=\s*+)|(?=\s*+(?:[,)\]}]|$)))""",
    _XM,
)
_CODE = re.compile(
    r"""(?:await\ )?(?!(?:bytearray|defaultdict|deque|frozenset|mappingproxy)\()
    (?:[A-Za-z_]\w{0,60}+\.){0,9}+[a-z_]\w{0,60}+
    (?:\((?:[^\n)]{0,200}+\)|\s*+$)|\[["'][^\n\]]{1,100}+\])
    |(?:self|cls|args|config|os|request|response|settings)\.[a-z_]""",
    _XM,
)


class Redactor:
    """Take secrets out of text from a log.

    Redacting twice changes nothing more, unless `patterns` look at what is around a match.

    Args:
        patterns: regular expressions of the user; the whole match goes or, where a pattern has
            groups, only what they matched.
        defaults: look for the well-known secrets too.

    Raises:
        re.error: A pattern is not a regular expression.
    """

    def __init__(
        self, patterns: Iterable[re.Pattern[str] | str] = (), *, defaults: bool = True
    ) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._defaults = defaults

    def text(self, text: str) -> str:
        """Return the text with `MARK` where secrets were.

        Args:
            text: of any kind and length: a message, a line of a traceback, an exception's text.
        """
        for _ in range(_PASSES):
            before, text = text, self._pass(text)
            if text == before:
                break
        return text

    def field(self, name: str, value: str) -> str:
        """Return a field's value: `MARK` if the name says secret, else the redacted text.

        Args:
            name: of the field, as in `extra`.
            value: its text.
        """
        if self._defaults:
            words = secret_words(name)
            if words and not nothing_to_hide(name, words, value):
                return MARK
            if name.lower() in _WEAK and _CHANCE.fullmatch(value):
                return MARK
        return self.text(value)

    def _pass(self, text: str) -> str:
        for pattern in self._patterns:
            text = _cover(text, _found(pattern, text))
        if self._defaults:
            text = _forms(FIRST, text)
            text = _cover(text, _Named(text).spans())
            for find in (tagged, bound, refused):
                text = _cover(text, find(text))
            text = _cover(_forms(FORMS, text), cards(text))
        return text


class _Named:
    """The values of secret names in one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tries = _TRIES
        self._line = -1  # where the line ends that was looked at last

    def spans(self) -> Iterator[Span]:
        """Yield where the values are, from left to right; a span is empty if nothing is to hide."""
        text, at, named = self._text, 0, -1
        while found := _KEY.search(text, at):
            at, start = found.end("name"), found.end()
            name = found["name"].lower()
            words = self._words(found) or (name if name in _VALUES and start <= named else "")
            if words:
                span = self._value(found, words)
                yield span
                at = span[1]
            elif name in _NAMES and (other := _NAMED.match(text, start)) and secret_words(other[1]):
                named = other.end() + _NEAR
            elif (
                name in _WEAK or (name in _QUERY and text[max(0, found.start() - 1)] in "?&")
            ) and (chance := _CHANCE.match(text, start)):
                yield chance.span(1)
                at = chance.end()

    def _words(self, found: re.Match[str]) -> str:
        """Return the words of the name if it says secret here, else an empty text."""
        start, name = found.start(), found["name"]
        before = self._text[max(0, start - 48) : start]
        words = secret_words(name)
        if not words and before.endswith("\\"):  # the n of a newline that `repr` shows
            words = secret_words(name[1:])
        if not words and before.endswith("%"):  # the 5B of a bracket in a form's field
            words = secret_words(name[2:])
        if not words and name.lower() in _LAST_WORDS and before.endswith(" "):
            words = secret_words(before.rpartition("\n")[2].split(" ")[-2] + " " + name)
        if found["spoken"] and words not in _SPOKEN:
            return ""
        if found["pair"] is not None and not (found["dashes"] or _PAIR.search(before)):
            return ""
        return words

    def _value(self, found: re.Match[str], words: str) -> Span:
        """Return where the value is; if it has nothing to hide, an empty span behind it."""
        text, at = self._text, found.end()
        if kind := _TYPE.match(text, at):
            at = kind.end()
            if not kind["default"]:
                return at, at
        opened = _OPEN.match(text, at)
        if opened:
            if self._shuts(found, opened):
                return at, at
            start, end = opened.end(), self._closed(opened)
            if scheme := _SCHEME.match(text, start, end):
                start = scheme.end()
        elif _CODE.match(text, at):
            return at, at
        else:
            start, end = self._bare(found, at, words)
        if nothing_to_hide(found["name"], words, text[start:end], bare=not opened):
            return end, end
        return start, end

    def _bare(self, found: re.Match[str], at: int, words: str) -> Span:
        """Return where a value without quotes is."""
        text = self._text
        if thing := _OBJECT.match(text, at):
            return at, self._balanced(thing.end())
        if block := _BLOCK.match(text, at):
            return block.span(block.lastgroup or 0)
        scheme = _SCHEME.match(text, at)
        start = scheme.end() if scheme else at
        if not _LONG.search(words) or (scheme and scheme["word"]):
            return start, _extent(_WORD, text, start)
        end = _extent(_LINE, text, start)
        around = text[max(0, found.start() - 1)]  # 'Cookie: a=b' as an argument
        if around in "\"'" and (shut := text.find(around, start, end)) >= 0:
            end = shut
        return start, start + len(text[start:end].rstrip())

    def _shuts(self, found: re.Match[str], opened: re.Match[str]) -> bool:
        """Say whether the quote closes a text that the name is in: `"token: " + token`."""
        text, begin = self._text, max(0, found.start() - _NEAR)
        if found["quote"] or not _CLOSING.match(text, opened.start()):
            return False
        return text[begin : found.start()].rpartition("\n")[2].count(opened["quote"]) % 2 == 1

    def _closed(self, opened: re.Match[str]) -> int:
        """Return where a quoted value ends: at its quote, else with the line.

        In a text within a text the quote has 1, 3 or 7 backslashes; one in the value has more.
        """
        start, depth, quote = opened.end(), len(opened["slashes"]), opened["quote"]
        if len(quote) > 1 and (end := self._text.find(quote, start)) >= 0:
            return end
        ends = (
            found.end(1) - (min(len(found[1]), depth) if found[2] == quote[0] else 0)
            for found in _CLOSE[quote[0]].finditer(self._text, start)
            if found[2] != quote[0]
            or len(found[1]) < depth
            or (len(found[1]) - depth) % (2 * depth + 2) == 0
        )
        return next(ends, len(self._text))

    def _balanced(self, at: int) -> int:
        """Return where what begins with a bracket ends: with its bracket, else with the line."""
        text, depth = self._text, 0
        if at > self._line:
            self._line = _extent(_REST, text, at)
        for found in _BRACKET.finditer(text, at, len(text) if self._tries else self._line):
            if found["open"]:
                depth += 1
            elif found["shut"]:
                depth -= 1
                if depth == 0:
                    return found.end()
        self._tries = max(0, self._tries - 1)
        return self._line


def _extent(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where what the pattern matches from `at` on ends."""
    found = pattern.match(text, at)
    return found.end() if found else at


def _found(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    """Yield what the pattern matches, or what its groups do."""
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
    """Return the text with `MARK` in place of the spans, but for those that are marks already."""
    parts: list[str] = []
    at = 0
    for start, end in spans:
        cuts = any(MARK in text[max(0, edge - 9) : edge + 9] for edge in (start, end))
        if start >= at and not cuts and text[start:end].replace(MARK, ""):
            parts += (text[at:start], MARK)
            at = end
    return "".join((*parts, text[at:]))
