"""The mail in docs/mail.md is what the code makes; it can be read in a browser, wide and narrow."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import sample_mail  # noqa: E402 - it is a script beside the pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

CONTRASTS = """
() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !node.offsetParent) continue;
    const [a, b] = [parse(getComputedStyle(node).color), behind(node)].map(light);
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.outerHTML.slice(0, 80)]);
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(sample_mail.CHROMIUM).exists() and not os.environ.get("CI"):
        pytest.skip("there is no Chromium here")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not where it is skipped

    with sync_playwright() as browsers:
        chromium = browsers.chromium.launch(
            executable_path=sample_mail.CHROMIUM, args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


def pages() -> dict[str, str]:
    """The mail of the documentation, and one whose words are longer than a phone is wide."""
    html = str(sample_mail.sample().html)
    return {"usual": html, "long": html.replace("shop.payments", "shop.payments" * 30)}


def test_the_documentation_shows_what_the_code_makes() -> None:
    page = (ROOT / "docs" / "mail.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- mail begin -->\n```text\n(.*?)```\n<!-- mail end -->", page, re.DOTALL)
    assert found
    assert found[1] == sample_mail.text()


@pytest.mark.parametrize("name", ["light", "dark", "phone"])
def test_the_pictures_are_there(name: str) -> None:
    picture = (ROOT / "docs" / f"mail-{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 400_000


@pytest.mark.parametrize("width", [320, 390, 900])
@pytest.mark.parametrize("kind", ["usual", "long"])
def test_nothing_is_wider_than_the_window(browser: Browser, kind: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_content(pages()[kind])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(browser: Browser, scheme: Any) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 at least."""
    page = browser.new_page(color_scheme=scheme)
    page.set_content(pages()["usual"])
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 50
    assert [found for found in contrasts if found[0] < 4.5] == []
    page.close()


def test_the_page_is_dark_in_the_dark(browser: Browser) -> None:
    page = browser.new_page(color_scheme="dark")
    page.set_content(pages()["usual"])
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(22, 24, 28)"
    page.close()


def test_the_page_loads_nothing(browser: Browser) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(pages()["usual"])
    assert asked == []
    page.close()
