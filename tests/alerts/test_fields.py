"""What is told of records of real log libraries: their text, their fields, their exceptions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog
from loggers import as_json, queued, sent, structured, warned, with_loguru
from samples import caught, kept, record

if TYPE_CHECKING:
    from tocsin.events.event import Event


def fail(value: object = "x") -> None:
    raise ValueError(value)


def errors(event: Event) -> list[str]:
    return [line.text for line in event.traceback if line.kind == "error"]


def test_structlogs_event_is_the_message_and_its_fields_are_fields() -> None:
    found = kept(structured("paid", order=5, user="ann"))
    assert found.message == "paid"
    fields = dict(found.extra)
    assert fields == {"order": "5", "user": "ann"}


def test_structlogs_exception_is_told_once() -> None:
    found = kept(structured("failed", error=ValueError("bad")))
    assert found.message == "failed"
    assert errors(found) == ["ValueError: bad"]


@pytest.mark.parametrize("colors", [False, True])
def test_structlogs_own_formatter_makes_the_text(*, colors: bool) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(colors=colors),
        ]
    )
    found = kept(structured("paid", order=5), formatter)
    assert "paid" in found.message
    assert "\x1b" not in found.message
    assert "raises" not in found.message


def test_a_json_text_is_its_event_and_its_fields() -> None:
    found = kept(as_json("paid", order=5))
    assert (found.message, dict(found.extra)) == ("paid", {"order": "5"})


@pytest.mark.parametrize("recipe", [False, True])
def test_logurus_exception_is_told_once(*, recipe: bool) -> None:
    found = kept(with_loguru("order {} failed", 5, error=caught(fail, "bad"), recipe=recipe))
    assert found.message == "order 5 failed"
    assert errors(found) == ["ValueError: bad"]
    assert any(line.kind == "own" and "in fail" in line.text for line in found.traceback)


def test_a_record_that_came_a_long_way_is_told_like_a_direct_one() -> None:
    direct = kept(record("no %s", "ink", exc=caught(fail, "bad")))
    assert kept(queued(record("no %s", "ink", exc=caught(fail, "bad")))) == direct
    assert kept(sent(record("no %s", "ink", exc=caught(fail, "bad")))) == direct


def test_a_warning_is_told_with_its_place() -> None:
    assert "/srv/app/main.py:12: UserWarning: old" in kept(warned("old")).message


def test_a_formatter_that_tells_the_traceback_too_is_cut_short() -> None:
    formatter = logging.Formatter("%(levelname)s %(message)s")
    found = kept(queued(record("no ink", exc=caught(fail, "bad"))), formatter)
    assert found.message == "ERROR no ink"
    assert errors(found) == ["ValueError: bad"]
