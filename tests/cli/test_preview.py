"""`tocsin preview` makes its mails as a program does."""

from __future__ import annotations

import email
import email.policy
import json
import webbrowser
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mail_servers import Project

pytest_plugins = ("projects",)

CASES = ["new", "storm", "still", "worse", "quiet", "groups", "cut"]


def test_each_case_is_a_mail(project: Project) -> None:
    found = {case["case"]: case for case in json.loads(project.run("preview", "--json").out)}
    assert list(found) == CASES
    assert found["new"]["subject"].startswith("[8x, 1 new] shop production: ERROR PaymentError")
    assert found["storm"]["subject"].startswith("[5000x, 2 new")
    for case, word in (("still", "STILL"), ("worse", "WORSE"), ("quiet", "QUIET")):
        assert found[case]["text"].startswith(f"{word} "), found[case]["text"][:200]
    assert "61 kinds" in found["groups"]["subject"]
    assert "[cut:" in found["cut"]["text"]
    assert 80_000 < len(found["cut"]["html"].encode()) <= 90_000
    assert "preview_cases" not in found["new"]["text"]


def test_names_addresses_policy_and_templates_are_the_configurations(project: Project) -> None:
    (project.folder / "foot").mkdir()
    (project.folder / "foot" / "foot.txt.j2").write_text("Our own end\n", encoding="utf-8")
    project.write(25, app='"stock"', environment='"staging"', templates='"foot"')
    run = project.run("preview", "shop.toml", "--case", "new")
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0] == "=== new: a new error"
    assert lines[1].startswith("Subject: [8x, 1 new] stock staging: ERROR PaymentError")
    assert lines[2:4] == [
        "From: alerts@example.com",
        "To: ann@example.com, bo@example.com, cy@example.com",
    ]
    assert "Our own end" in lines
    assert "===" not in "".join(lines[1:])


def test_a_policy_that_sends_no_such_mail_says_so(project: Project) -> None:
    project.write(25, policy="{at_exit = true}")
    run = project.run("preview", "shop.toml", "--case", "quiet")
    assert "The policy sends no mail with the reason quiet here." in run.out
    assert "Subject: " in project.run("preview", "shop.toml", "--case", "new").out


def test_files_and_a_page_that_links_them(project: Project) -> None:
    run = project.run("preview", "--out", "made/here")
    folder = project.folder / "made" / "here"
    assert (run.code, run.out) == (0, f"{folder / 'index.html'}\n")
    page = (folder / "index.html").read_text(encoding="utf-8")
    for case in CASES:
        text, html, raw = (folder / f"{case}.{ending}" for ending in ("txt", "html", "eml"))
        message = email.message_from_bytes(raw.read_bytes(), policy=email.policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        assert body.get_content().split() == text.read_text(encoding="utf-8").split()
        assert message["To"] == "oncall@example.com"
        assert "</html>" in html.read_text(encoding="utf-8")
        assert f'href="{case}.html"' in page
        assert f'href="{case}.eml"' in page


def test_a_browser_opens_the_page(project: Project) -> None:
    opened: list[str] = []

    class Browser(webbrowser.BaseBrowser):
        def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
            opened.append(url)
            return True

    webbrowser.register("test-browser", None, Browser(), preferred=True)
    try:
        run = project.run("preview", "--case", "new", "--open", "--out", "made")
    finally:
        webbrowser._tryorder.remove("test-browser")  # type: ignore[attr-defined] # there is no other way
    assert run.code == 0
    assert opened == [(project.folder / "made" / "index.html").as_uri()]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--case", "none"), "there is no case 'none'; there are: new, storm"),
        (("--handler", "alerts"), "need a CONFIG"),
        (("none.toml",), "there is no file"),
        (("--out", "ca.pem"), "can't make the folder 'ca.pem'"),
    ],
)
def test_wrong_arguments(project: Project, args: tuple[str, ...], problem: str) -> None:
    run = project.run("preview", *args)
    assert (run.code, problem in run.err) == (2, True)
