"""The pages: every link leads somewhere, nothing hidden is shown, every public name is there."""

from __future__ import annotations

import enum
import inspect
import re
from pathlib import Path
from typing import Protocol

import pytest

import tocsin
import tocsin.stores.base
import tocsin.testing
from tocsin.exceptions import LeaseLost

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
REPOSITORY = "https://github.com/tocsin-alerts/tocsin"
PUBLISHED = "https://tocsin.readthedocs.io"
LINK = re.compile(r"\]\(([^)\s]+)\)|<(https?://[^>\s]+)>")


def source(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", source(page), flags=re.MULTILINE | re.DOTALL)


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)


def anchor(heading: str) -> str:
    """Return a heading's name in a link, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def target_of(link: str, page: Path) -> tuple[Path, str] | None:
    """Return the file and the anchor that a link leads to; None for other sites."""
    address, _, fragment = link.partition("#")
    if not address:
        return page, fragment
    if address.startswith(PUBLISHED):
        name = re.fullmatch(r"/en/latest/([\w-]+)\.html|/", address.removeprefix(PUBLISHED))
        assert name, f"{link}: expected {PUBLISHED}/ or {PUBLISHED}/en/latest/<page>.html"
        return DOCS / f"{name[1] or 'index'}.md", fragment
    if address.startswith(REPOSITORY):
        name = re.fullmatch(r"/(?:blob|raw|tree)/main/(.+)|", address.removeprefix(REPOSITORY))
        assert name, f"{link}: expected {REPOSITORY}/(blob|raw|tree)/main/<file>"
        return ROOT / (name[1] or "README.md"), fragment
    if re.match(r"\w+:", address):
        return None
    return page.parent / address, fragment


# Links


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for match in LINK.finditer(prose(page)):
        found = target_of(match[1] or match[2], page)
        if found is not None:
            path, fragment = found
            assert path.exists(), match[0]
            assert not fragment or fragment in map(anchor, headings(path)), match[0]


@pytest.mark.parametrize(
    "link",
    [
        "nowhere.md",
        f"{REPOSITORY}/blob/main/docs/nowhere.png",
        f"{PUBLISHED}/en/latest/nowhere.html",
    ],
)
def test_a_link_to_nowhere_is_found(link: str) -> None:
    found = target_of(link, DOCS / "index.md")
    assert found is not None
    assert not found[0].exists()


@pytest.mark.parametrize("link", [f"{REPOSITORY}/docs/start.md", f"{PUBLISHED}/start.html"])
def test_an_address_of_another_form_is_found(link: str) -> None:
    with pytest.raises(AssertionError, match="expected"):
        target_of(link, DOCS / "index.md")


def test_the_links_of_readme_work_on_the_package_index() -> None:
    """It shows README alone: a link to a file beside it leads nowhere there."""
    links = [match[1] or match[2] for match in LINK.finditer(source(FRONT[0]))]
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(r"^- \[[^\]]+\]\((\S+)\)", source(DOCS / "index.md"), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in PAGES if page.name != "index.md")
    assert headings(DOCS / "index.md")[1:] == [
        "Tutorial",
        "Frameworks",
        "How-to",
        "Move from another library",
        "Reference",
        "Explanation",
    ]


# What readers of the raw pages must not see


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=lambda page: page.name)
def test_nothing_hidden_is_shown(page: Path) -> None:
    """Hosts that render Markdown alone know neither MyST's comments, nor its targets, nor roles."""
    text = prose(page)
    shown = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    assert "invisible" not in shown
    assert re.findall(r"^% .*$|^\([\w-]+\)=$|^:::.*$|(?<!\S)\{\w+\}`", shown, re.MULTILINE) == []
    assert not re.search(r"^```\{(?!eval-rst\})", source(page), re.MULTILINE)


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=lambda page: page.name)
def test_every_hidden_block_runs(page: Path) -> None:
    """The beginning of a comment decides whether its code is run: it must not be misspelt."""
    for comment in re.findall(r"<!--(.*?)-->", source(page), re.DOTALL):
        words = comment.strip()
        assert words.startswith("invisible-code-block: python\n") or "\n" not in words, words


# Public names

PUBLIC = {
    **{f"tocsin.{name}": getattr(tocsin, name) for name in tocsin.__all__},
    **{f"tocsin.testing.{name}": getattr(tocsin.testing, name) for name in tocsin.testing.__all__},
    **{
        f"tocsin.stores.base.{name}": value
        for name, value in vars(tocsin.stores.base).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == "tocsin.stores.base"
    },
    "tocsin.exceptions.LeaseLost": LeaseLost,
}
ENTRY = re.compile(
    r"^\.\. (?:autoclass|autofunction|autoexception|class):: (\S+)\n(?:   :members:(.*)\n)?",
    re.MULTILINE,
)
# A logging handler's names, there to refuse: an email handler is none.
REFUSED = {"setLevel", "setFormatter", "addFilter", "name"}


def entries() -> dict[str, str | None]:
    """Return the entries of all API pages, each with its members: None for none, "" for all."""
    text = "".join(source(page) for page in sorted(DOCS.glob("api-*.md")))
    found = [(match[1], match[2]) for match in ENTRY.finditer(text)]
    assert len(found) == len(dict(found)), "a name has two entries"
    return dict(found)


def members(of: object) -> set[str]:
    """Return the public methods and properties of a class that this package defines."""
    if not isinstance(of, type):
        return set()
    ours = [base for base in of.__mro__ if base.__module__.partition(".")[0] == "tocsin"]
    return {
        name
        for base in ours
        for name, value in vars(base).items()
        if not name.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, (property, classmethod, enum.Enum)))
    }


def test_every_public_name_has_its_entry() -> None:
    assert sorted(entries()) == sorted(PUBLIC)
    assert {"Store", "Lease", "Entry"} <= {name.rpartition(".")[2] for name in PUBLIC}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_method_and_property_is_shown(name: str) -> None:
    value = PUBLIC[name]
    wanted = members(value)
    if inspect.isclass(value) and issubclass(value, tocsin.EmailHandler):
        wanted -= REFUSED
    if isinstance(value, type) and issubclass(value, Exception):
        wanted = set()  # what they carry is in their descriptions
    listed = entries()[name]
    if listed is not None and not listed.strip():
        assert wanted
        return  # all of them
    assert {one.strip() for one in (listed or "").split(",") if one.strip()} == wanted


def test_methods_and_properties_are_what_is_looked_for() -> None:
    assert {"flush", "send_now", "stats"} <= members(tocsin.AlertHandler)
    assert {"CLOSE"} <= members(tocsin.testing.Act)
    assert {"connect", "send_async", "sender"} <= members(tocsin.SMTPEmailHandler)
    assert issubclass(tocsin.stores.base.Store, Protocol)
    assert members(tocsin.stores.base.Store) == {"append", "close", "durable", "lead"}
