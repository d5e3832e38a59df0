from __future__ import annotations

import re
import string
import sys
import traceback
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from secrets_table import AROUND, GOES, HOSTILE, NAMES, STAYS

from tocsin.redact.redactor import MARK, Redactor

REDACTOR = Redactor()
AROUNDS = [
    "ValueError: {}",
    "{}\nnext line",
    'line {} - "GET /" 200',
    "[2024-01-02 03:04:05] {}",
]
SYNTAXES = [
    "{name}={secret}",
    "{name}: {secret}",
    "a=1&{name}={secret}&b=2",
    "GET /x?{name}={secret} HTTP/1.1",
    "{{'a': 1, '{name}': '{secret}', 'b': 2}}",
    "{{'a': {{'{name}': ['x', '{secret}']}}}}",
    '{{"{name}":"{secret}","b":2}}',
    '"{{\\"{name}\\": \\"{secret}\\"}}"',
    "f(a=1, {name}='{secret}')",
    "    {name} = '{secret}'",
    "    d['{name}'] = \"{secret}\"",
    "'GET / HTTP/1.1\\r\\n{name}: {secret}\\r\\nHost: h'",
    "x --{name} {secret} y",
    "Server=x;{name}={secret};Encrypt=no",
    "({name!r}, {secret!r})",
    "(b'{name}', b'{secret}')",
    '<input name="{name}" value="{secret}">',
    "<{name}>{secret}</{name}>",
    "{{'name': '{name}', 'value': '{secret}'}}",
]
secrets = st.text(string.ascii_letters + string.digits + "!$*+-._~^", min_size=8, max_size=40).map(
    "Zq9{}".format
)
# Pieces of what the patterns look for, in any order: where they meet, mistakes show.
pieces = st.lists(
    st.sampled_from(
        [text for text, _ in GOES] + [text for text, _ in AROUND] + STAYS + HOSTILE + [MARK]
    )
    | st.sampled_from([*list("\"'\\=:,;&()[]{}<>|@/ \n-#%"), "password", "token", "://", "x"])
    | st.text(max_size=5),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(("text", "secret"), GOES)
def test_a_secret_goes(text: str, secret: str) -> None:
    result = REDACTOR.text(text)
    assert secret not in result
    assert MARK in result
    assert REDACTOR.text(result) == result


@pytest.mark.parametrize(("text", "secret"), GOES)
@pytest.mark.parametrize("around", AROUNDS)
def test_a_secret_goes_wherever_it_stands(text: str, secret: str, around: str) -> None:
    assert secret not in REDACTOR.text(around.replace("{}", text))


@pytest.mark.parametrize(("text", "expected"), AROUND)
def test_what_is_around_a_secret_stays(text: str, expected: str) -> None:
    assert REDACTOR.text(text) == expected


@pytest.mark.parametrize("text", STAYS)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert REDACTOR.text(text) == text


def test_a_traceback_stays_but_for_its_secrets() -> None:
    password = "hUnt3r-2x"
    try:
        raise ConnectionError(f"no route to postgres://bob:{password}@db/app")
    except ConnectionError:
        text = traceback.format_exc()
    result = REDACTOR.text(text)
    assert password not in result
    assert result == text.replace(password, MARK)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_with_a_secret_name_is_hidden_whole(name: str) -> None:
    assert REDACTOR.field(name, "two words, 'hUnt3r'") == MARK
    assert REDACTOR.field(name, MARK) == MARK


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("password", "None", "None"),
        ("password", "", ""),
        ("tokens", "12", "12"),
        ("max_tokens", "4096", "4096"),
        ("SMTP_PASS", "12345", MARK),
        ("PWD", "/home/app", "/home/app"),
        ("PWD", "hUnt3r", MARK),
        ("password", "password", MARK),
        ("password", "must not show", MARK),
        ("session", "a1b2c3d4e5f6g7h8i9", MARK),
        ("session", "closed", "closed"),
        ("auth", "basic", "basic"),
        ("url", "https://bob:x@h/", f"https://bob:{MARK}@h/"),
        ("note", "password=x", f"password={MARK}"),
        ("user", "bob", "bob"),
    ],
)
def test_a_field_is_judged_by_its_name_then_by_its_text(
    name: str, value: str, expected: str
) -> None:
    assert REDACTOR.field(name, value) == expected


@pytest.mark.parametrize(
    ("patterns", "text", "expected"),
    [
        ([r"cust-\d+"], "cust-12 and cust-3", f"{MARK} and {MARK}"),
        ([re.compile("CUST", re.IGNORECASE)], "cust 12", f"{MARK} 12"),
        ([r"cust (\d+) of (\w+)"], "cust 12 of bob", f"cust {MARK} of {MARK}"),
        ([r"((a)b)(x)?"], "-ab-", f"-{MARK}-"),
        ([r"(x)?"], "abc", "abc"),
        ([r"\w+", r"."], "ab cd", f"{MARK}{MARK}{MARK}"),
        ([r"note: (.*)"], f"note: {MARK} and more", f"note: {MARK}"),
        ([r"ed."], "[redacted]x", "[redacted]x"),
        (["b"], "password=abc", f"password=a{MARK}c"),
        ([], "password=abc", "password=abc"),
        ([], "ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9),
    ],
)
def test_the_patterns_of_the_user_alone(
    patterns: list[re.Pattern[str] | str], text: str, expected: str
) -> None:
    redactor = Redactor(patterns, defaults=False)
    assert redactor.text(text) == expected
    assert redactor.text(expected) == expected
    assert redactor.field("password", text) == expected


def test_the_patterns_of_the_user_come_on_top() -> None:
    redactor = Redactor([r"cust-\d+"])
    assert redactor.text("cust-1: password=abc") == f"{MARK}: password={MARK}"
    assert redactor.field("note", "cust-1") == MARK
    assert Redactor([r"\d+"]).field("tokens", "12") == MARK


def test_a_wrong_pattern_is_an_error_at_once() -> None:
    with pytest.raises(re.error):
        Redactor(["("])


def test_a_pattern_that_always_finds_something_new_ends() -> None:
    """Each pass takes a letter; after the last pass the rest stays."""
    result = Redactor([r"\b[a-z]|(?<=\])[a-z]"], defaults=False).text("x" * 100)
    assert result.startswith(MARK * 5)
    assert result.endswith("x" * 50)


@given(pieces)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = REDACTOR.text(text)
    assert REDACTOR.text(once) == once


@given(st.sampled_from(NAMES), st.sampled_from(SYNTAXES), secrets)
def test_no_secret_survives(name: str, syntax: str, secret: str) -> None:
    name = name.rpartition("[")[2].rstrip("]")
    assert secret not in REDACTOR.text(syntax.format(name=name, secret=secret))


@given(st.text(string.ascii_lowercase + " .\n", max_size=300))
def test_text_without_a_sign_of_a_secret_is_unchanged(text: str) -> None:
    assert REDACTOR.text(text) == text


@given(st.text(max_size=100) | pieces)
def test_any_text_is_taken_and_hardly_grows(text: str) -> None:
    assert len(REDACTOR.text(text)) <= 5 * len(text) + len(MARK)
    assert len(REDACTOR.field(text, text)) <= 5 * len(text) + len(MARK)


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_is_linear_in_the_length(piece: str) -> None:
    """Of several runs the fastest counts, and noise below some milliseconds is none."""
    texts = [piece * (size // len(piece)) for size in (50_000, 100_000)]
    for _ in range(6):
        short, long = (min(_seconds(text) for _ in range(2)) for text in texts)
        if long < max(3 * short, 0.02):
            return
    pytest.fail(f"{short:.3f} s became {long:.3f} s")


def _seconds(text: str) -> float:
    start = perf_counter()
    REDACTOR.text(text)
    return perf_counter() - start


@pytest.mark.parametrize("size", [3, 100])
def test_brackets_that_nobody_closes_hide_their_lines(size: int) -> None:
    text = "secrets=[hUnt3r,\n" * size
    assert "hUnt3r" not in REDACTOR.text(text)
    assert REDACTOR.text(text).count("\n") == size


@pytest.mark.parametrize(("open_", "hidden"), [(7, "[redacted]"), (8, "[redacted]\nabc1]")])
def test_a_bracket_is_closed_on_a_later_line_unless_many_are_not_closed_at_all(
    open_: int, hidden: str
) -> None:
    """Each bracket that nobody closes costs a look at the whole text: only eight are taken."""
    text = "secrets=[x\n" * open_ + "secrets=[a,\nabc1]"
    assert REDACTOR.text(text) == f"secrets={MARK}\n" * open_ + f"secrets={hidden}"


@pytest.mark.parametrize(("gap", "hidden"), [(290, True), (291, False)])
def test_a_value_is_looked_for_near_the_name_that_it_is_of(gap: int, hidden: bool) -> None:
    """From the name's end to the value's beginning there are 300 characters at most."""
    text = f'"name": "password"{" " * gap}"value": "abc1"'
    assert (MARK in REDACTOR.text(text)) is hidden


def test_every_character_is_taken() -> None:
    text = "".join(map(chr, range(0, sys.maxunicode, 7)))
    assert REDACTOR.text(text) == text
