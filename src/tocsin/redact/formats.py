"""Formats: secrets that are recognized by their form, or by their place in a URL or a command.

Each format has a needle: a text that must occur before its pattern is tried.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tocsin.redact.names import nothing_to_hide, secret_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    Span = tuple[int, int]

# The formats are those of the vendors' documentation, of GitHub's "supported secret scanning
# patterns" and of RFC 7468 and 7519. If a pattern has groups, only these are redacted.
_TOKENS = {  # the pattern of a token's rest: the beginnings of such tokens
    r"[A-Z2-7]{16}(?![A-Z0-9])": "AKIA ASIA",  # AWS
    r"\w{20,}+(?:\.[\w-]+){0,2}": "ghp_ gho_ ghu_ ghr_ ghs_ github_pat_",  # GitHub
    r"[\w.-]{20,}": "glpat- gldt- glrt- ya29. hvs. GOCSPX- dckr_pat_ pypi-AgE",  # GitLab, Google
    r"[\w-]{10,}": "xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- xapp-",  # Slack
    r"\w{10,}": "sk_live_ sk_test_ rk_live_ rk_test_",  # Stripe
    r"[\w+/=-]{20,}": "whsec_ sntrys_ sntryu_",  # Stripe, Sentry
    r"[\w-]{20,}": "AIza sk-ant- sk-proj- sk-svcacct-",  # Google, Anthropic, OpenAI
    r"[A-Za-z0-9]{20,}": "sk- hf_ npm_ gsk_ glsa_ lin_api_ AGE-SECRET-KEY-1",
    r"[0-9a-f]{32,64}(?![0-9A-Za-z])": "SK key- dop_v1_ doo_v1_ shpat_",  # Twilio, Mailgun
    r"[\w-]{16,64}\.[\w-]{16,}": "SG.",  # SendGrid
}
_KEY_TYPE = r"(?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
_BASE64 = r"""(?:(?:\s|\\+[nrt]|["'+,>|#])*+[A-Za-z0-9+/=]{16,}+)++(?:(?:\s|\\+[nr])*+[\w+/=]++)?"""
_SPARED = r"(?!\d{1,5}[/?#]|(?:\$?\{[^{}\s]{0,60}\}|%s)@)"  # not a port, not a placeholder
_BLOCKS = (  # redacted before the values of names, as these formats contain colons
    (
        "PRIVATE KEY",
        (
            rf"-{{4,5}} ?BEGIN {_KEY_TYPE}"
            rf"(?:[^-]*+(?:-(?!-{{3,4}} ?(?:BEGIN|END) )[^-]*+)*+-{{4,5}} ?END {_KEY_TYPE}"
            rf"|(?:(?:\s|\\+[nr])*+[A-Z][\w-]{{2,20}}: [^\n\\]*+)*+{_BASE64})"
        ),
    ),
    ("Private-Lines", rf"Private-Lines: \d+({_BASE64})"),  # PuTTY
    ("Private-MAC", r"Private-MAC: ([0-9a-f]{32,})"),
    # A password may contain `@` and `/`. The path of a web address may contain them, too: the
    # first pattern ends the password earlier.
    (
        "://",
        (
            r"://(?:(?<=http://)|(?<=https://)|(?<=ftp://)|(?<=ws://)|(?<=wss://)|(?<=ssh://))"
            rf"[^\s:/?#\"'<>]{{0,128}}:{_SPARED}([^\s/?#\"'<>]{{1,256}}|[^\s\"'<>]{{1,256}}?)(?=@)"
        ),
    ),
    (
        "://",
        (
            r"://(?<!http://)(?<!https://)(?<!ftp://)(?<!ws://)(?<!wss://)(?<!ssh://)"
            rf"[^\s:/?#\"'<>]{{0,128}}:{_SPARED}([^\s?\"'<>]{{1,256}}|[^\s\"'<>]{{1,256}})(?=@)"
        ),
    ),
)
_OTHERS = (
    ("hooks.slack.com", r"hooks\.slack\.com/\w{1,20}/([\w/-]{8,})"),
    ("/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/\d{1,24}/([\w-]{16,})"),
    ("webhook.office.com", r"webhook\.office\.com/\w{1,20}/([\w@/-]{16,})"),
    (":AA", r"(?<!\d)\d{6,12}:(AA[\w-]{30,})"),  # Telegram
    ("eyJ", r"(?:(?<![\w-])|(?<=\\[nrt]))eyJ[\w-]{8,}+(?:\.[\w-]*+){2,4}+"),
    ("earer ", r"\b[Bb]earer {1,4}((?=[A-Za-z_.~+/-]{0,99}\d)[\w.~+/-]{16,}+=*+)"),
    (
        "asic ",
        (
            r"\b[Bb]asic {1,4}((?=[A-Za-z]{0,99}+[\d+/=]|(?:[A-Z]*+[a-z]++[A-Z]){2})"
            r"[A-Za-z0-9+/]{8,}+={0,2})(?![\w-])"
        ),
    ),
    ("thin:", r"thin:[\w$]{1,60}/([^\s\"'@]{1,256})@"),  # Oracle
    ("--", r"--(?:proxy-)?user[ =][\"']?[^\s:\"']{1,99}:([^\s\"']+)"),  # curl
    ("curl", r"\bcurl\b[^\n]{0,300}?[ ,][\"']?-u(?:[\"', ]{1,4})?[^\s:\"']{1,99}:([^\s\"',]+)"),
    ("mysql", r"\bmysql[^\n]{0,300}?[ ,][\"']?-p([^\s\"',]+)"),
    ("mariadb", r"\bmariadb[^\n]{0,300}?[ ,][\"']?-p([^\s\"',]+)"),
    ("sshpass", r"\bsshpass[\"', ]{1,4}-p[\"', ]{0,4}([^\s\"',]+)"),
    ("DENTIFIED", r"IDENTIFIED (?:WITH \S{1,40} )?(?:BY|AS) ['\"]([^'\"\n]+)"),  # MySQL
    (
        "<input",
        (
            r"<input\s[^<>]{0,300}?\bvalue=[\"']([^\"'<>\n]{1,300})[\"']"
            r"(?=[^<>]{0,300}\b(?:name|type)=[\"'][\w\[\]-]{0,40}(?i:passw|pwd|secret|token))"
        ),
    ),
)
FIRST = [(needle, re.compile(form)) for needle, form in _BLOCKS]
FORMS = [(needle, re.compile(form)) for needle, form in _OTHERS] + [
    (first, re.compile(rf"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])){re.escape(first)}{rest}"))
    for rest, begins in _TOKENS.items()
    for first in begins.split()
]
_TAG = re.compile(r"<(?:\w{1,30}:)?([\w.-]{2,60}+)(?:\s[^<>\n]{0,200}+)?>([^<>]{1,1000}+)</")
# SQLAlchemy prints a statement, and then its values: `[parameters: ('ada', 'secret')]`.
_VALUES = re.compile(
    r"(?:\n|\\n)\[parameters: (?=[\[(])((?:[^\n\\]|\\(?!n\())*?)\]?(?=\n|\\n\(|\Z)"
)
_COLUMN = re.compile(r"\w{2,100}")
_STATEMENT = 4_000  # characters before the values that are searched for the names of columns
# A value that pydantic refused, with the name of its field: in an error's text, and in the list of
# errors.
_REFUSED = (
    (
        "input_value=",
        re.compile(
            r"(?<![\w.-])([\w.\[\]-]{2,200}+)(?:\n|\\n)(?:[^\n\\]|\\(?!n)){0,500}?\binput_value="
            r"((?:[^\n\\]|\\(?!n))*), input_type="
        ),
    ),
    (
        "input",
        re.compile(
            r"[\"']loc[\"']: ?[\[(]([^()\[\]\n]{2,200})[\])], ?[\"']msg[\"']: ?"
            r"(?:\"[^\"\n]*\"|'[^'\n]*'), ?[\"']input[\"']: ?"
            r"((?:'(?:[^'\\\n]|\\.)*+'?|\"(?:[^\"\\\n]|\\.)*+\"?)|[\w.+-]+)"
        ),
    ),
)
# Visa, Mastercard, Amex, Diners, Discover, JCB and UnionPay, as they are printed.
_CARD = re.compile(
    r"""(?<![\w.+-])(?=4|5[1-5]|2[2-7]|3[4-9]|30[0-5]|6011|6[245])(?:\d{13,19}+
    |\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5})(?![\w-]|\.\d)""",
    re.VERBOSE,
)


def tagged(text: str) -> Iterator[Span]:
    """Yield the contents of XML elements with secret names."""
    for found in _TAG.finditer(text) if "</" in text else ():
        if (words := secret_words(found[1])) and not nothing_to_hide(found[1], words, found[2]):
            yield found.span(2)


def bound(text: str) -> Iterator[Span]:
    """Yield the values of SQL statements with a column that has a secret name."""
    for found in _VALUES.finditer(text) if "[parameters: " in text else ():
        near = max(0, found.start() - _STATEMENT)
        begin = text.rfind("[SQL: ", near, found.start())
        columns = _COLUMN.findall(text, max(near, begin), found.start())
        if any(secret_words(column) for column in columns):
            yield found.span(1)


def refused(text: str) -> Iterator[Span]:
    """Yield values that pydantic refused, of fields with secret names."""
    for needle, pattern in _REFUSED:
        for found in pattern.finditer(text) if needle in text else ():
            words = secret_words(found[1])
            if words and not nothing_to_hide(found[1], words, found[2].strip("\"'")):
                yield found.span(2)


def cards(text: str) -> Iterator[Span]:
    """Yield card numbers: their first digits and the check digit are right (ISO/IEC 7812, Luhn)."""
    for found in _CARD.finditer(text):
        digits = [int(digit) for digit in re.sub("[ -]", "", found[0])][::-1]
        total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
        if total % 10 == 0:
            yield found.span()
