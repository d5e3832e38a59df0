"""structlog and loguru: events and values, in whatever form they reach the handler."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from programs import APPS, Mails, running

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer

STRUCTLOG_WAYS = [
    "json",
    "json, tracebacks as structures",
    "console",
    "pairs",
    "wrap_for_formatter",
    "text, wrap_for_formatter",
    "render_to_log_kwargs",
    "render_to_log_args_and_kwargs",
]


def ran(
    script: str, way: str, folder: Path, server: ScriptedSMTPServer, mails: Mails
) -> list[list[str]]:
    """Run a program to its end, and return the lines of each group in its mail."""
    with running(["python", str(APPS / script), way], folder, server) as program:
        assert program.process.wait(60) == 0
    assert program.output == ""
    (mail,) = mails.all
    assert mails.events == 5
    assert "\\x1b" not in mails.text
    for mark in ("{", "extra=", "level=", "timestamp=", "hunter2", "| ERROR"):
        assert mark not in mails.text
    assert str(mail["Subject"]).startswith("[3x, 2 new, 2 kinds] shop: ERROR ValueError in ")
    lines = [line.strip() for line in mails.text.splitlines()]
    rules = [number for number, line in enumerate(lines) if line == "-" * 70]
    assert len(rules) == 3
    return [lines[start + 1 : end] for start, end in itertools.pairwise(rules)]


@pytest.mark.row("structlog: rendered, wrapped, or as keywords", "structlog")
@pytest.mark.parametrize("way", STRUCTLOG_WAYS)
def test_structlog(way: str, tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    raised, told = ran("structlog_shop.py", way, tmp_path, server, mails)
    assert raised[1:3] == ["ValueError: no card 9", "in structlog_shop.charge"]
    assert "charge failed" in raised
    assert "order=9  request_id=r-1" in raised
    assert any(line.startswith("> structlog_shop.py") for line in raised)
    assert "".join(raised).count("ValueError: no card 9") == 2
    assert told[1:3] == ["payment refused", "in shop.orders"]
    assert "order=7" in "".join(told)
    assert "password=[redacted]" in "".join(told)
    assert any("shop.orders  order taken" in line for line in told)


@pytest.mark.row("loguru: PropagateHandler, the handler as a sink", "loguru")
@pytest.mark.parametrize("way", ["propagate", "sink", "json", "queue"])
def test_loguru(way: str, tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    raised, told = ran("loguru_shop.py", way, tmp_path, server, mails)
    assert raised[1:3] == ["ValueError: no card 9", "in loguru_shop.charge"]
    assert "charge failed" in raised
    assert "request_id=r-1  order=9" in raised
    assert "".join(raised).count("ValueError: no card 9") == 2
    assert told[1:3] == ["payment of 7 refused", "in __main__"]
    assert "request_id=r-1" in told
