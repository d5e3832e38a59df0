"""Names of secrets, and values that are no secret although they have the name of one.

The last words of a name decide: `token_count` is a count.
"""

from __future__ import annotations

import re
from functools import lru_cache

_FEW = 3  # digits: `pass=12` is the number of tests that passed
_X = re.VERBOSE
_XI = re.VERBOSE | re.IGNORECASE

# Names (X-Api-Key, apiKey, API_KEY, apikey) are split into words; the last words decide.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_QUALIFIER = re.compile(
    r"""(?:\ (?:\d+|again|backup|base|b64|bytes|confirm(?:ation)?|current|default|dev|enc|encrypted
    |hash|hashed|hint|live|new|old|plain|plaintext|primary|prod|production|raw|repeat|secondary
    |staging|str|string|test|text|value))+\Z""",
    _X,
)
_WORD_ENDS = re.compile(r"(?:\A|\ )(?:bearer|creds?|cvc|cvv|jwt|otp|pass|pw|totp)\Z")
_ENDS = re.compile(  # of a name whose words are joined
    r"""(?:passwo?r[dt]|passwd|kennwort|pwd|passphrase|passcode|secret|token|credential|cookie
    |sess(?:ion)?id|mnemonic|(?:recovery|seed)phrase|creditcard|cardnumber
    |(?:auth|authorization|mfa|otp|recovery|security|sms|verification)code
    |(?:access|account|admin|api|app|application|auth|consumer|encryption|functions|license|master
    |private|secret|service|session|shared|signing|storage|subscription|webhook)key
    )s?\Z|(?:authorization|csrf|xsrf|amzsignature|(?:db|my|root|smtp|ssh|user)pass)\Z""",
    _X,
)
# Values that are no secret.
_NOTHING = re.compile(
    r"""none|null|nil|nan|undefined|true|false|yes|no|on|off|unset|ellipsis|\.{3}|\*+|•+|\s*
    |[\[<(]?(?:redacted|filtered|hidden|masked|removed)[\])>]?|\[\s*\]|\{\s*\}|\(\s*\)
    |%[srd]|%\(\w+\)[srd]|\$\{[^{}]*\}|\{\{[^{}]*\}\}|\$[A-Z_]{2,}|\{\d?\}
    |<[\w.]+\ object\ at\ 0x[0-9a-f]+>|<(?:function|class)\ [^<>]+>""",
    _XI,
)
_PROSE = re.compile(
    r"""(?:absent|an?|and|are|bad|can(?:not|'t)?|denied|does(?:n't)?|empty|error|expired|failed|failure|field
    |flag|for|forbidden|from|has|if|in|incorrect|invalid|is|may|missing|must|not|option|or|permission|please|required|should
    |signature|string|text|the|this|to|too|unexpected|unknown|value|was|wrong
    |assert|await|break|continue|del|pass|print|raise|return|yield)[.,:!?]*""",
    _XI,
)
_REFERENCE = re.compile(r"(\{)?(?:[A-Za-z_]\w*+(?:\.(?=\w)|(?!\w)))+(?:![rsa])?(?(1)\})")
_COUNT = re.compile(r"[\[(]?\d[\d.,_/\s]*[kKM%]?[\])]?")
_PATH = re.compile(r"/|~|[A-Za-z]:[\\/]")


@lru_cache(2048)
def secret_words(name: str) -> str:
    """Return the words of a secret's name, without qualifiers at its end; "" for other names."""
    words = _QUALIFIER.sub("", " ".join(_WORDS.findall(name)).lower())
    return words if _WORD_ENDS.search(words) or _ENDS.search(words.replace(" ", "")) else ""


def nothing_to_hide(name: str, words: str, value: str, *, bare: bool = False) -> bool:
    """Return whether a value is no secret although its name is one.

    Args:
        name: the name.
        words: its words, from `secret_words`.
        value: the value.
        bare: whether the value has no quotes: then it may be prose, or code.
    """
    if _NOTHING.fullmatch(value):
        return True
    if words.endswith("s") and _COUNT.fullmatch(value):
        return not words.endswith("pass") or len(value) <= _FEW
    if words in {"pwd", "oldpwd"} and _PATH.match(value):
        return True
    spoken = bare and not words.endswith(("phrase", "mnemonic"))
    if spoken and _PROSE.fullmatch(value.partition(" ")[0]):
        return True
    if not _REFERENCE.fullmatch(value):
        return False
    parts = value.strip("{}").partition("!")[0].lower().split(".")
    name, last = name.lower().strip("-"), parts[-1]
    same = name in parts or name.endswith("_" + last) or last.endswith("_" + name)
    return (bare and same) or (value.startswith("{") and secret_words(last) != "")
