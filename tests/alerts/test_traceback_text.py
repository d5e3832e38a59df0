"""Tracebacks that came as text are told as if they hadn't."""

from __future__ import annotations

import linecache
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import LIBRARY, caught, kept, load_module, record

from tocsin.events import exceptions, traceback_text
from tocsin.events.frames import Line, OwnCode
from tocsin.redact.base import NoSecrets

if TYPE_CHECKING:
    from tocsin.events.captured import CapturedException

driver = load_module(
    "driver", f"{LIBRARY}/driver.py", "def query(text):\n    raise OSError(text)\n"
)


def fail(value: object = "x") -> None:
    raise ValueError(value)


def pay() -> None:
    driver["query"]("insert")


def several_lines() -> None:
    fail("first\n\n  indented\nlast")


def chained() -> None:
    try:
        pay()
    except OSError as error:
        raise ValueError("second") from error


def handled() -> None:
    try:
        chained()
    except ValueError:
        raise KeyError("third")  # noqa: B904 - that is the case


def grouped() -> None:
    members: list[BaseException] = [caught(pay)]
    members.append(BaseExceptionGroup("inner", [caught(fail), KeyError("never raised")]))
    raise BaseExceptionGroup("outer", members)


def never_raised_in_a_group() -> None:
    raise ExceptionGroup("outer", [ValueError("alone")])


def text_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def tell(found: tuple[CapturedException, ...]) -> tuple[Line, ...]:
    return exceptions.format_lines(found, OwnCode(), "app", linecache.getline, NoSecrets())


@pytest.mark.parametrize(
    "function", [fail, pay, several_lines, chained, handled, grouped, never_raised_in_a_group]
)
def test_it_is_told_like_the_original(function: Any) -> None:
    error = caught(function)
    found = traceback_text.parse(text_of(error))
    assert found is not None
    assert tell(found.chain) == tell(exceptions.capture(error, linecache.lazycache))


def test_a_group_is_told_with_its_first_exception_first() -> None:
    found = traceback_text.parse(text_of(caught(grouped)))
    assert found is not None
    named = [line.text for line in tell(found.chain) if line.kind in {"error", "cause"}]
    assert named == [
        "OSError: insert",
        "in ExceptionGroup: outer (2 sub-exceptions)",
        "together with ExceptionGroup: inner (2 sub-exceptions)",
        "together with ValueError: x",
        "together with KeyError: 'never raised'",
    ]
    assert found.kind == "OSError"
    assert [place.function for place in found.places][-2:] == ["pay", "query"]


def test_recursion_that_was_folded_stays_folded() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError(levels)

    found = traceback_text.parse(text_of(caught(deep, 200)))
    assert found is not None
    assert Line("more", "... the previous frame repeated 197 more times ...") in tell(found.chain)


def test_the_stack_after_it_is_no_part_of_it() -> None:
    found = traceback_text.parse(
        text_of(caught(fail)) + 'Stack (most recent call last):\n  File "x"'
    )
    assert found is not None
    assert found.chain[0].text.text == "ValueError: x"
    assert found.stack == ("Stack (most recent call last):", '  File "x"')


def test_the_end_of_a_long_one_is_looked_at() -> None:
    middle = '  File "/srv/middle.py", line 5, in middle\n    inner()\n' * 400
    text = f'{traceback_text.HEADER}\n{middle}  File "/srv/pay.py", line 3, in go\nValueError: x\n'
    found = traceback_text.parse(text)
    assert found is not None
    assert found.places[-1].function == "go"
    assert len(found.chain[0].frames) == 50
    assert found.chain[0].omitted > 50


def test_an_exception_without_its_last_line_has_a_place() -> None:
    found = traceback_text.parse(
        f'{traceback_text.HEADER}\n  File "C:\\app\\pay.py", line 3, in go\n'
    )
    assert found is not None
    assert (found.kind, found.places[0].name) == ("", "pay.go")


def test_a_line_of_source_is_no_exception_type() -> None:
    found = traceback_text.parse(
        f'{traceback_text.HEADER}\n  File "/srv/pay.py", line 3, in go\n    return\n'
        "    ^^^^^^\n    more\nshop.errors.Refused: no\n"
    )
    assert found is not None
    assert found.kind == "shop.errors.Refused"
    assert found.chain[0].frames[0].source == "return"


def test_an_odd_last_line_is_no_exception_type() -> None:
    found = traceback_text.parse(
        f'{traceback_text.HEADER}\n  File "/srv/pay.py", line 3, in go\n5 of 6\n'
    )
    assert found is not None
    assert found.kind == ""


_PIECES = st.sampled_from(
    [
        f"{traceback_text.HEADER}\n",
        f"  + Exception Group {traceback_text.HEADER}\n",
        '  File "/srv/shop/pay.py", line 3, in go\n',
        "    post(order)\n",
        "  [Previous line repeated 3 more times]\n",
        "The above exception was the direct cause of the following exception:\n",
        "+---------------- 1 ----------------\n",
        f"{traceback_text.STACK}\n",
        *("ValueError", "shop.Refused: ", "x", "\n", "\u2028", "\r", ": ", " ", "|", "-", "\ud800"),
    ]
)


_TEXTS = st.lists(_PIECES, max_size=14).map("".join)
_CHAIN = (
    f'{traceback_text.HEADER}\n  File "a.py", line 3, in go\nKeyError: {{}}\n\n'
    "The above exception was the direct cause of the following exception:\n\n"
    f'{traceback_text.HEADER}\n  File "b.py", line 5, in pay\nshop.Refused: {{}}'
)


def identity(body: str) -> object:
    """Return what the fingerprint of a record with this traceback depends on."""
    parts = traceback_text.split(body)
    found = None if parts is None else traceback_text.parse(parts[1])
    return None if found is None else (found.kind, found.places)


@given(_TEXTS, _TEXTS, _TEXTS)
@example(f'{traceback_text.HEADER}\n  File "a.py", line 3, in go\nKeyError', ": 5\u2028 ", "")
def test_tracebacks_with_the_same_invariant_part_are_of_one_kind_and_place(
    text: str, before: str, end: str
) -> None:
    """Also where the text of an exception looks like a part of a traceback."""
    part = traceback_text.invariant(text)
    assert part in text
    if part and identity(text) is not None:
        for other in (part, f"{part}{end}", f"{before}{part}{end}", f"{before}{text}"):
            if traceback_text.invariant(other) == part:
                assert identity(other) == identity(text)


def test_the_exceptions_before_the_last_one_have_no_influence() -> None:
    part = traceback_text.invariant(_CHAIN.format("5", "6"))
    assert part == f'{traceback_text.HEADER}\n  File "b.py", line 5, in pay\nshop.Refused'
    assert traceback_text.invariant(_CHAIN.format("7", "8")) == part
    for odd in ("--- 1 ---", "\u2028+- ... -", f"\n{traceback_text.STACK}\n"):
        text = _CHAIN.format(odd, "6")
        assert traceback_text.invariant(text).startswith(text[:90])
    assert "in go" in traceback_text.invariant(f"bad\n{_CHAIN.format('5', '6')}")
    assert "in go" in traceback_text.invariant(_CHAIN.format("5", "6").replace(":\n", ":\r\n"))


def test_only_a_line_with_the_type_has_an_invariant_part() -> None:
    start = f'{traceback_text.HEADER}\n  File "a.py", line 3, in go\nshop.Refused'
    assert traceback_text.invariant(f"{start}: order 5") == start
    assert traceback_text.invariant(start) == start
    for end in ("\n", " 5", ": 5\u2028x", f": {'x' * 10_000}"):
        assert traceback_text.invariant(start + end) == ""


@pytest.mark.parametrize(
    "text",
    ["nothing", f"he said {traceback_text.HEADER}", "x" * 11_000 + f"\n{traceback_text.HEADER}\n"],
)
def test_a_text_without_a_header_is_not_split(text: str) -> None:
    assert traceback_text.split(text) is None


def test_a_header_without_frames_is_no_traceback() -> None:
    assert traceback_text.parse(f"{traceback_text.HEADER}\nnothing") is None


def test_a_message_is_split_from_the_traceback_in_it() -> None:
    found = kept(record(f"order 5 failed\n{text_of(caught(pay))}".rstrip()))
    assert found.message == "order 5 failed"
    kinds = [line.kind for line in found.traceback]
    assert kinds == ["own"] * 4 + ["library", "error"]
    assert found.traceback[-1].text == "OSError: insert"


def test_a_long_traceback_in_a_message_is_told_from_its_end() -> None:
    frames = "".join(f'  File "/srv/m{n}.py", line 5, in f{n}\n    call()\n' for n in range(400))
    found = kept(record(f"bad\n{traceback_text.HEADER}\n{frames}ValueError: at the end"))
    assert found.message == "bad"
    assert found.traceback[0].kind == "more"
    assert found.traceback[0].text.startswith("[cut: last 10,000 of ")
    assert found.traceback[-1].text == "ValueError: at the end"
    assert any("in f399" in line.text for line in found.traceback)


def test_a_traceback_that_a_formatter_repeats_is_told_once() -> None:
    """loguru's standard-library recipe gives both: the exception, and a text with it."""
    error = caught(fail)
    found = kept(record(f"bad\n{text_of(error)}", exc=error))
    assert found.message == "bad"
    assert sum(line.kind == "error" for line in found.traceback) == 1


def test_a_traceback_of_another_exception_stays_in_the_message() -> None:
    """Such as one of another process, which was sent as text."""
    text = f"worker said\n{text_of(caught(pay))}".rstrip()
    assert kept(record(text, exc=caught(fail))).message == text
    assert kept(record(text, exc=ValueError("never raised"))).message == text


def test_a_stack_in_a_message_is_told_after_the_exception() -> None:
    text = f"bad\n{text_of(caught(fail))}Stack (most recent call last):\n  here"
    assert kept(record(text)).traceback[-1] == Line("library", "  here")
