"""The pages for people who come from another library have each option of that library."""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from logging import handlers  # noqa: TID251 - they are what people come from
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sentry_sdk.integrations.logging
from django.utils.log import AdminEmailHandler
from redmail.email.sender import EmailSender
from redmail.log import EmailHandler, MultiEmailHandler

import tocsin

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("moving-*.md"))

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ResourceWarning)  # it leaves two files of its own open
    mailinglogger: Any = importlib.import_module("mailinglogger")

OPTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "moving-smtphandler.md": (handlers.SMTPHandler,),
    "moving-memoryhandler.md": (handlers.MemoryHandler,),
    "moving-django.md": (AdminEmailHandler,),
    "moving-redmail.md": (
        EmailHandler,
        MultiEmailHandler,
        EmailSender,
        EmailSender.send,
    ),
    "moving-mailinglogger.md": (mailinglogger.MailingLogger, mailinglogger.SummarisingLogger),
    "moving-sentry.md": (sentry_sdk.integrations.logging.LoggingIntegration,),
}


def source(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def rows(page: Path) -> list[list[str]]:
    """Return the cells of all rows of a page's tables, without their heads."""
    found = re.findall(r"^\| (?!\W*-)(.*) \|$", source(page), re.MULTILINE)
    return [re.split(r" *\| *", row) for row in found]


def named(cells: list[str]) -> set[str]:
    """Return the words in backticks."""
    return {
        word for cell in cells for code in re.findall("`([^`]+)`", cell) for word in code.split()
    }


def parameters(of: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(of).parameters) - {"self"}


@pytest.mark.parametrize("page", OPTIONS)
def test_every_option_has_its_row(page: str) -> None:
    listed = {
        word.rstrip(":") for word in named([cells[0] for cells in rows(DOCS / page) if cells])
    }
    wanted = {name for of in OPTIONS[page] for name in parameters(of)}
    assert wanted - listed == set()


def test_every_attribute_of_an_email_sender_has_its_row() -> None:
    """The logging handlers of Red Mail set these by the same names."""
    sender = vars(EmailSender(host="localhost", port=25))
    listed = named([cells[0] for cells in rows(DOCS / "moving-redmail.md")])
    assert set(sender) - listed == set()


LOGGING = {"extra", "filters"}  # an argument and a key of logging


def keys() -> set[str]:
    """Return the options of Tocsin that a page can name."""
    makers = (tocsin.AlertHandler, tocsin.SMTPEmailHandler, tocsin.Policy, tocsin.Message)
    config = set(tocsin.SMTPEmailHandler._CONFIG_OPTIONS)
    return config | {"handler"} | {name for of in makers for name in parameters(of)}


@pytest.mark.parametrize("page", [DOCS / page for page in OPTIONS], ids=lambda page: page.name)
def test_every_option_of_ours_exists(page: Path) -> None:
    """Names such as `email.port` and `policy.burst`, and plain ones, are keys that we have."""
    for cells in rows(page):
        for code in re.findall("`([^`]+)`", cells[1]):
            option = re.fullmatch(r"(?:(?:email|policy)\.)?([a-z_]+)(?:[:=].*)?", code)
            assert option is None or option[1] in keys() | LOGGING, code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_page_has_both_sides_in_narrow_blocks(page: Path) -> None:
    text = source(page)
    shown = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    blocks = re.findall(r"^```\w+\n(.*?)^```$", shown, re.MULTILINE | re.DOTALL)
    assert blocks
    assert all(len(line) <= 72 for block in blocks for line in block.splitlines())
    before = len(re.findall(r"^Before\b", shown, re.MULTILINE))
    after = len(re.findall(r"^After\b", shown, re.MULTILINE))
    variants = len(re.findall(r"^Or\b", shown, re.MULTILINE))  # of the second side
    assert before + after + variants == len(blocks)
    assert before == after


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_page_has_the_same_parts(page: Path) -> None:
    text = source(page)
    for heading in ("What each option becomes", "What you gain"):
        assert f"\n## {heading}\n" in text
    assert re.search(r"^## What (is different|does not)$", text, re.MULTILINE)


def test_the_first_page_has_all() -> None:
    text = source(DOCS / "moving.md")
    assert set(re.findall(r"\]\((moving-[a-z-]+\.md)\)", text)) == {page.name for page in PAGES}
