from __future__ import annotations

import re

import pytest
from hypothesis import given
from samples import HOSTILE, texts

from tocsin.text import Excerpt, attempt, clean, cut, short

ACTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("text", HOSTILE)
def test_clean_text_acts_on_nothing_and_can_be_encoded(text: str) -> None:
    assert not ACTIVE.search(clean(text))
    clean(text).encode("utf-8")


@given(texts)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_a_control_character_is_shown_as_its_escape() -> None:
    assert clean("a\x1b[1m\x07\x85\ud800") == r"a\x1b[1m\x07\x85\ud800"


def test_line_ends_of_windows_become_plain_ones() -> None:
    assert clean("a\r\nb\rc\td") == "a\nb\\rc\td"


def test_a_cut_is_stated_with_the_numbers() -> None:
    assert cut("x" * 5, 5) == "xxxxx"
    assert cut("x" * 12_345, 5) == "xxxxx [cut: first 5 of 12,345 characters]"


@given(texts)
def test_a_title_is_one_line_of_the_given_length(text: str) -> None:
    line = short(text, 10)
    assert len(line) <= 10
    assert "\n" not in line
    assert not ACTIVE.search(line)


def test_a_title_says_that_it_goes_on() -> None:
    assert short("one two three four", 10) == "one two..."
    assert short("  one \n two ", 10) == "one two"


def test_an_object_whose_text_raises_is_named() -> None:
    class Awkward:
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert attempt(Awkward()) == "<Awkward whose text raises RuntimeError>"
    assert attempt(5) == "5"


def test_what_is_kept_of_a_text_is_a_plain_string() -> None:
    class Own(str):
        __slots__ = ()

        def __getitem__(self, key: object) -> str:
            raise RuntimeError("no")

        def __len__(self) -> int:
            raise RuntimeError("no")

    for raw in (Excerpt.from_start(Own("x" * 5_000), 1), Excerpt.from_end(Own("x" * 5_000), 1)):
        assert (type(raw.text), len(raw.text), raw.length) == (str, 2_001, 5_000)


def test_a_text_that_was_kept_whole_is_cut_by_what_is_left_of_it() -> None:
    raw = Excerpt.from_start("secret " * 5, 10)
    assert raw.show_start(10, lambda text: text.replace("secret", "*")) == "* * * * * "
    assert raw.show_start(5, lambda text: text.replace("secret", "*")) == (
        "* * * [cut: first 5 of 10 characters]"
    )


def test_the_end_of_a_text_is_told_with_the_cut_before_it() -> None:
    def plain(text: str) -> str:
        return text

    assert Excerpt.from_end("abcdef", 6).show_end(6, plain) == "abcdef"
    assert Excerpt.from_end("abcdef", 3).show_end(3, plain) == "[cut: last 3 of 6 characters]\ndef"
    long = Excerpt.from_end("a" * 5_000 + "def", 3)
    assert long.show_end(3, plain) == "[cut: last 3 of 5,003 characters]\ndef"


def test_what_is_not_kept_whole_is_not_told_beyond_the_margin() -> None:
    """However much a secret was shortened, what may be half of another one isn't told."""
    first = Excerpt.from_start("a" * 1_900 + "b" * 5_000, 1_000)
    assert first.show_start(1_000, lambda text: text.replace("a", "")) == (
        " [cut: first 0 of 6,900 characters]"
    )
    last = Excerpt.from_end("b" * 5_000 + "a" * 1_900, 1_000)
    assert last.show_end(1_000, lambda text: text.replace("a", "")) == (
        "[cut: last 0 of 6,900 characters]\n"
    )
