"""A report: what was found step by step, printed as it is found, and the exit code that follows."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tocsin.cli.output import ExitCode
from tocsin.text import short

if TYPE_CHECKING:
    from tocsin.cli.output import Output

Status = Literal["ok", "WARN", "FAIL", "LATER", "skip"]
_WIDTH = 78  # columns
_INDENT = 20
_TIME = 10
_MAX_TEXT = 600  # characters of what a server says


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one step has found.

    Attributes:
        status: `ok`; `WARN`: worth a look; `FAIL`: a fault; `LATER`: a failure that may pass by
            itself; `skip`: not tried.
        step: the step's name.
        text: what was found.
        means: what follows from it; "" if the text says it.
        fix: what to change; "" if nothing.
        line: the line of the configuration; None if none is known.
        seconds: how long it took; None if that says nothing.
    """

    status: Status
    step: str
    text: str
    means: str = ""
    fix: str = ""
    line: int | None = None
    seconds: float | None = None

    def document(self) -> dict[str, Any]:
        """Return the finding for JSON, without what is unknown."""
        found: dict[str, Any] = {"step": self.step, "status": self.status, "text": self.text}
        for key in ("means", "fix", "line"):
            if getattr(self, key):
                found[key] = getattr(self, key)
        if self.seconds is not None:
            found["milliseconds"] = round(self.seconds * 1000, 1)
        return found


@dataclass(slots=True)
class Section:
    """The findings about one thing.

    Attributes:
        kind: `configuration`, `handler`, `server` or `mails`.
        title: what they are about.
        handler: the name of the alert handler; "" for none.
        findings: in order.
    """

    kind: str
    title: str
    handler: str = ""
    findings: list[Finding] = field(default_factory=list[Finding])


class Report:
    """Collect findings, and print each at once.

    Args:
        output: where they are printed.
        ending: the last word of the report, such as "nothing sent".
        strict: whether a warning is a fault for the exit code.

    Attributes:
        sections: the findings so far.
    """

    def __init__(self, output: Output, *, ending: str = "", strict: bool = False) -> None:
        self._output = output
        self._strict = strict
        self._ending = ending
        self.sections: list[Section] = []

    def begin(self, kind: str, title: str, handler: str = "") -> None:
        """Begin a section."""
        title = short(title, 200)
        self.sections.append(Section(kind, title, handler))
        self._output.line(self._output.paint(title, "bold"))

    def add(self, finding: Finding) -> None:
        """Add a finding to the latest section."""
        self.sections[-1].findings.append(finding)
        where = "" if finding.line is None else f"line {finding.line}: "
        lines = _lines(where + finding.text, narrower=0 if finding.seconds is None else _TIME)
        if finding.seconds is not None:
            time = f"{finding.seconds * 1000:.0f} ms"
            lines[0] = f"{lines[0]:<{_WIDTH - _INDENT - _TIME}}{time:>{_TIME}}"
        status = self._output.paint(f"{finding.status:<5}", finding.status)
        self._print(f"  {status} {short(finding.step, 11):<11} ", lines)
        for name in ("means", "fix"):
            if text := getattr(finding, name):
                self._print(f"        {name:<11} ", _lines(text))

    def plain(self, step: str, text: str) -> None:
        """Add a line that is neither good nor bad."""
        self.sections[-1].findings.append(Finding(status="ok", step=step, text=text))
        self._print(f"  {step:<17} ", _lines(text))

    def end(self, **facts: Any) -> ExitCode:
        """Print the last line, or the JSON document, and return the exit code.

        Args:
            **facts: further keys of the document.
        """
        counts = self.counts()
        words = [
            f"{counts[status]} {one if counts[status] == 1 else many}"
            for status, one, many in (
                ("FAIL", "fault", "faults"),
                ("LATER", "to try again later", "to try again later"),
                ("WARN", "warning", "warnings"),
                ("skip", "skipped", "skipped"),
            )
            if counts[status]
        ]
        ending = f"; {self._ending}" if self._ending else ""
        self._output.line()
        self._output.line((", ".join(words) or "all good") + ending)
        code = self.code
        self._output.document(
            {
                **facts,
                "exit_code": int(code),
                "faults": counts["FAIL"],
                "later": counts["LATER"],
                "warnings": counts["WARN"],
                "skipped": counts["skip"],
                "sections": [_section(one) for one in self.sections],
            }
        )
        return code

    def counts(self) -> dict[str, int]:
        """Return how many findings have each status."""
        found: dict[str, int] = dict.fromkeys(("ok", "WARN", "FAIL", "LATER", "skip"), 0)
        for section in self.sections:
            for finding in section.findings:
                found[finding.status] += 1
        return found

    @property
    def code(self) -> ExitCode:
        """The exit code: a fault counts more than what may pass by itself."""
        counts = self.counts()
        if counts["FAIL"] or (self._strict and counts["WARN"]):
            return ExitCode.FAULT
        return ExitCode.LATER if counts["LATER"] else ExitCode.GOOD

    def _print(self, start: str, lines: list[str]) -> None:
        for number, line in enumerate(lines):
            self._output.line((start if not number else " " * _INDENT) + line)


def _section(section: Section) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": section.kind, "title": section.title}
    if section.handler:
        found["handler"] = section.handler
    found["findings"] = [finding.document() for finding in section.findings]
    return found


def _lines(text: str, *, narrower: int = 0) -> list[str]:
    """Return a text as lines that fit; control characters are made visible."""
    return textwrap.wrap(
        short(text, _MAX_TEXT),
        _WIDTH - _INDENT - narrower,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
