"""The values of secret names in a text: where each begins and ends.

A name is found with its separator: `password=`, `"apiKey":`, `--token `, `Cookie:`. The value
behind it may be quoted, in brackets, a word, or the rest of the line. Patterns take linear time:
repetitions are possessive or bounded, and no text is scanned twice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tocsin.redact.names import nothing_to_hide, secret_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    Span = tuple[int, int]

_TRIES = 8  # searches to the end of the text for a closing bracket that is missing
_NEAR = 300  # at most so many characters are between `"name": "password"` and its `"value":`
_X = re.VERBOSE
_XI = re.VERBOSE | re.IGNORECASE
_XM = re.VERBOSE | re.MULTILINE

_LONG = re.compile(r"(?:authorization|cookies?|mnemonic|phrases?)\Z")  # whose value is a whole line
# Words that end a secret name of two words, as in "api key".
_LAST_WORDS = frozenset(
    ("code", "codes", "hash", "id", "key", "keys", "number", "phrase", "string", "value")
)
# Names whose value may follow without a separator: `password "secret"`, `password("secret")`.
_SPOKEN = frozenset(("password", "passwd", "passphrase", "set password", "check password"))
# Keys of an object that has a name and a value: {"name": "password", "value": "secret"}.
_NAMES = frozenset(
    ("field", "header", "id", "key", "name", "param", "parameter", "type", "variable")
)
_VALUES = frozenset(("content", "data", "val", "value"))

_KEY = re.compile(  # a name, and the characters between it and its value
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
WEAK = frozenset(("auth", "session", "sid"))
"""Names that mean a secret only if the value looks random."""
_QUERY = frozenset(("code", "key", "sig", "signature"))  # weak names in the query of a URL
RANDOM = re.compile(  # random characters; or a pair of texts, as in `auth=("user", "password")`
    r"""(?:[bu]?\\{0,8}["'])?((?=[A-Za-z_.~+/%-]{0,200}\d)(?=[\d_.~+/%-]{0,200}[A-Za-z])
    [\w.~+/%-]{16,2000}+={0,2}
    |\w{0,40}\(\s?["'][^"'\n]{0,200}["'],\s?["'][^"'\n]{1,200}["']\s?\))""",
    _X,
)
# Values: quoted, in brackets, objects, blocks and lists of YAML, the rest of a line, a word.
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
_SCHEME = re.compile(  # RFC 9110, 11.1: IANA's registry, and further schemes in use
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


class NamedValues:
    """The values of secret names in one text.

    Args:
        text: the text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tries = _TRIES
        self._line_end = -1  # the end of the line that was searched last

    def spans(self) -> Iterator[Span]:
        """Yield the spans of the values, from left to right; empty spans for values to keep."""
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
            elif self._is_weak(found) and (random := RANDOM.match(text, start)):
                yield random.span(1)
                at = random.end()

    def _is_weak(self, found: re.Match[str]) -> bool:
        """Return whether the name means a secret if its value is random characters."""
        name = found["name"].lower()
        return name in WEAK or (name in _QUERY and self._text[max(0, found.start() - 1)] in "?&")

    def _words(self, found: re.Match[str]) -> str:
        """Return the words of the name if it means a secret here; else an empty text."""
        start, name = found.start(), found["name"]
        before = self._text[max(0, start - 48) : start]
        words = secret_words(name)
        if not words and before.endswith("\\"):  # the name begins with the n of a `\n`
            words = secret_words(name[1:])
        if not words and before.endswith("%"):  # the name begins with the 5B of a `%5B`, a bracket
            words = secret_words(name[2:])
        if not words and name.lower() in _LAST_WORDS and before.endswith(" "):
            words = secret_words(before.rpartition("\n")[2].split(" ")[-2] + " " + name)
        if found["spoken"] and words not in _SPOKEN:
            return ""
        if found["pair"] is not None and not (found["dashes"] or _PAIR.search(before)):
            return ""
        return words

    def _value(self, found: re.Match[str], words: str) -> Span:
        """Return the span of the value; for a value to keep, an empty span behind it."""
        text, at = self._text, found.end()
        if annotation := _TYPE.match(text, at):
            at = annotation.end()
            if not annotation["default"]:
                return at, at
        opened = _OPEN.match(text, at)
        if opened:
            if self._closes(found, opened):
                return at, at
            start, end = opened.end(), self._quote_end(opened)
            if scheme := _SCHEME.match(text, start, end):
                start = scheme.end()
        elif _CODE.match(text, at):
            return at, at
        else:
            start, end = self._unquoted(found, at, words)
        if nothing_to_hide(found["name"], words, text[start:end], bare=not opened):
            return end, end
        return start, end

    def _unquoted(self, found: re.Match[str], at: int, words: str) -> Span:
        """Return the span of a value without quotes."""
        text = self._text
        if opening := _OBJECT.match(text, at):
            return at, self._bracket_end(opening.end())
        if block := _BLOCK.match(text, at):
            return block.span(block.lastgroup or 0)
        scheme = _SCHEME.match(text, at)
        start = scheme.end() if scheme else at
        if not _LONG.search(words) or (scheme and scheme["word"]):
            return start, _extent(_WORD, text, start)
        end = _extent(_LINE, text, start)
        quote = text[max(0, found.start() - 1)]  # around name and value: 'Cookie: a=b'
        if quote in "\"'" and (closing := text.find(quote, start, end)) >= 0:
            end = closing
        return start, start + len(text[start:end].rstrip())

    def _closes(self, found: re.Match[str], quote: re.Match[str]) -> bool:
        """Return whether a quote closes a text that holds the name: `"token: " + token`."""
        text, begin = self._text, max(0, found.start() - _NEAR)
        if found["quote"] or not _CLOSING.match(text, quote.start()):
            return False
        return text[begin : found.start()].rpartition("\n")[2].count(quote["quote"]) % 2 == 1

    def _quote_end(self, opened: re.Match[str]) -> int:
        """Return the end of a quoted value: its closing quote, or the end of the line.

        In a text that is quoted again, each quote has 1, 3 or 7 backslashes. A quote within the
        value has more of them.
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

    def _bracket_end(self, at: int) -> int:
        """Return the end of a value in brackets: its closing bracket, or the end of the line."""
        text, depth = self._text, 0
        if at > self._line_end:
            self._line_end = _extent(_REST, text, at)
        for found in _BRACKET.finditer(text, at, len(text) if self._tries else self._line_end):
            if found["open"]:
                depth += 1
            elif found["shut"]:
                depth -= 1
                if depth == 0:
                    return found.end()
        self._tries = max(0, self._tries - 1)
        return self._line_end


def _extent(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return the end of a match that begins at a position; that position without a match."""
    found = pattern.match(text, at)
    return found.end() if found else at
