"""A report: its lines, its colours, and the exit code that follows from its findings."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from tocsin.cli.output import Output
from tocsin.cli.report import Finding, Report

if TYPE_CHECKING:
    from tocsin.cli.report import Status


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def report(stream: io.StringIO, *statuses: Status, text: str = "words") -> Report:
    found = Report(Output(stream), ending="nothing sent")
    found.begin("server", "mail.example.com:25")
    for status in statuses:
        found.add(Finding(status=status, step="login", text=text, seconds=0.0121))
    return found


@pytest.mark.parametrize(
    ("statuses", "code", "last"),
    [
        (["ok"], 0, "all good"),
        (["ok", "WARN"], 0, "1 warning"),
        (["skip", "skip"], 0, "2 skipped"),
        (["LATER", "WARN", "WARN"], 3, "1 to try again later, 2 warnings"),
        (["LATER", "FAIL", "skip"], 1, "1 fault, 1 to try again later, 1 skipped"),
    ],
)
def test_the_worst_finding_decides_the_exit_code(
    statuses: list[Status], code: int, last: str
) -> None:
    stream = io.StringIO()
    assert report(stream, *statuses).end() == code
    assert stream.getvalue().splitlines()[-1] == f"{last}; nothing sent"


def test_no_line_is_longer_than_a_terminal() -> None:
    stream = io.StringIO()
    report(stream, "FAIL", text="many words " * 40)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 78
    assert lines[1].endswith("     12 ms")
    assert lines[2].startswith(" " * 20 + "words many")


def test_control_characters_are_made_visible() -> None:
    stream = io.StringIO()
    report(stream, "FAIL", text="\x1b[2J \u202e \x07")
    assert "\\x1b[2J \\u202e \\x07" in stream.getvalue()


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    report(stream, "FAIL", "LATER")
    assert "\x1b[31;1mFAIL \x1b[0m login" in stream.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    report(stream, "FAIL")
    assert "\x1b" not in stream.getvalue()
