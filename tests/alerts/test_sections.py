"""Templates of a user's own: each replaces a built-in one, and none keeps a mail from going."""

from __future__ import annotations

import os
from html import unescape
from typing import TYPE_CHECKING

import pytest
from samples import digest, event, group, html_of, mail, text_of

from tocsin.exceptions import ConfigError
from tocsin.render.templating import NAMES, Templates, forget, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.alerts.digest import Digest

MADE = digest(group("a", 2, samples=(event("the message"),)), group("b"))
PARTS = ["head", "group", "foot"]


def sections(folder: Path, **templates: str) -> Templates:
    """Write templates, `head_txt` for `head.txt.j2`, and use them."""
    for name, text in templates.items():
        folder.joinpath(f"{name.replace('_', '.')}.j2").write_text(text, encoding="utf-8")
    return Templates(str(folder))


def both(own: Templates, made: Digest = MADE) -> str:
    return text_of(made, own) + html_of(made, own)


def test_these_are_the_templates() -> None:
    assert len(NAMES) == 8
    prepare()  # all of them are there


def test_each_one_can_be_replaced_by_itself(tmp_path: Path) -> None:
    """The other seven stay the built-in ones."""
    plain_text, plain_html = text_of(MADE), html_of(MADE)
    for part in PARTS:
        for form, before, other in (
            ("txt", plain_text, plain_html),
            ("html", plain_html, plain_text),
        ):
            folder = tmp_path / f"{part}.{form}"
            folder.mkdir()
            shown = "[mine {{ mail.app }}]{{ group.number if group is defined else '' }}\n"
            own = sections(folder, **{f"{part}_{form}": shown})
            text, html = text_of(MADE, own), html_of(MADE, own)
            changed, same = (text, html) if form == "txt" else (html, text)
            assert same == other
            assert changed != before
            wanted = ["[mine shop]1", "[mine shop]2"] if part == "group" else ["[mine shop]"]
            assert [line for line in changed.splitlines() if "mine" in line] == wanted


def test_the_subject_can_be_replaced(tmp_path: Path) -> None:
    own = sections(tmp_path, subject_txt="{{ about }}\n {{ numbers | join(' and ') }}\n")
    message = mail(MADE, own)
    about = "shop production: ERROR ValueError in app.main"
    assert message.subject == f"{about} 2x and 2 new and 2 kinds"
    assert message.headers["Thread-Topic"] == about


def test_a_subject_is_one_line_of_bounded_length_whoever_made_it(tmp_path: Path) -> None:
    line = mail(MADE, sections(tmp_path, subject_txt="a\r\nBcc: b\x00" + "c" * 500)).subject
    assert line.startswith("a Bcc: b")
    assert len(line) == 120


def test_the_page_can_be_replaced_and_prints_its_body(tmp_path: Path) -> None:
    """Its body is markup: it is printed by `{{ body | safe }}`."""
    page = "<p>{{ mail.app }}</p><table>{{ body | safe }}</table><p>{{ mail.kinds }}</p>"
    html = html_of(MADE, sections(tmp_path, page_html=page))
    assert html.startswith("<p>shop</p><table><tr>")
    assert html.endswith("</tr>\n</table><p>2</p>")
    assert "the message" in html


@pytest.mark.parametrize("page", ["<p>{{ mail.app }}</p>", "{{ body }}", ""])
def test_a_page_without_its_body_is_not_used_and_that_is_said(tmp_path: Path, page: str) -> None:
    own = sections(tmp_path, page_html=page)
    said = "template page.html.j2 doesn't print {{ body | safe }}"
    assert f"\n!     {said}\n" in text_of(MADE, own)
    html = html_of(MADE, own)
    assert html.startswith("<!doctype html>")
    assert f"<b>{said.replace(chr(39), '&#39;')}</b>" in html
    assert "the message" in html


@pytest.mark.parametrize("name", [name for name in NAMES if name != "subject.txt.j2"])
def test_a_built_in_template_can_be_included(tmp_path: Path, name: str) -> None:
    tmp_path.joinpath(name).write_text(f'{{% include "builtin/{name}" %}}<!-- more -->')
    own = Templates(str(tmp_path))
    assert "can't be shown" not in both(own)
    assert both(own).replace("<!-- more -->", "") == text_of(MADE) + html_of(MADE)
    assert "<!-- more -->" in both(own)


def test_a_template_can_extend_another_one_in_a_folder_beneath(tmp_path: Path) -> None:
    tmp_path.joinpath("parts").mkdir()
    layout = "<tr><td>{% block what %}{% endblock %}</td></tr>"
    tmp_path.joinpath("parts", "layout.html.j2").write_text(layout)
    extended = (
        '{% extends "parts/layout.html.j2" %}{% block what %}<b>{{ group.text }}</b>{% endblock %}'
    )
    made = digest(group(text="<i>"))
    html = html_of(made, sections(tmp_path, group_html=extended))
    assert "<tr><td><b>&lt;i&gt;</b></td></tr>" in html


def test_a_page_of_ones_own_can_extend_the_built_in_one(tmp_path: Path) -> None:
    page = '{% extends "builtin/page.html.j2" %}'
    assert html_of(MADE, sections(tmp_path, page_html=page)) == html_of(MADE)


def test_large_sections_of_a_users_own_are_left_out_until_the_rest_fits(tmp_path: Path) -> None:
    own = sections(tmp_path, group_txt="{{ 'x' * 60_000 }}", group_html="x" * 50_000)
    many = digest(*(group(f"g{number}") for number in range(20)))
    assert len(text_of(many, own)) <= 250_000
    assert "And 16 more kinds" in text_of(many, own)
    assert "And 19 more kinds" in html_of(many, own)


def test_a_page_has_room_for_the_line_that_says_what_it_leaves_out(tmp_path: Path) -> None:
    """However exactly the groups fill it."""
    own = sections(tmp_path, group_html="{{ 'x' * group.count }}")
    for size in range(7_800, 9_000, 12):
        html = html_of(digest(*(group(f"g{number}", size) for number in range(25))), own)
        assert "more kinds, " in html
        assert len(html.encode()) <= 90_000


# What can't be used is said when the handler is built.


def refused(folder: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        Templates(str(folder))
    return str(caught.value)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    assert refused(folder) == f"templates: can't read {folder}: No such file or directory"


def test_a_file_instead_of_a_folder_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "head.txt.j2"
    file.touch()
    assert refused(file) == f"templates: can't read {file}: Not a directory"


def test_a_folder_without_a_template_is_an_error(tmp_path: Path) -> None:
    tmp_path.joinpath("README").touch()
    assert refused(tmp_path) == (
        f"templates: {tmp_path} has none of subject.txt.j2, head.txt.j2, group.txt.j2, "
        "foot.txt.j2, page.html.j2, head.html.j2, group.html.j2, foot.html.j2"
    )


def test_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    tmp_path.joinpath("header.txt.j2").touch()
    assert refused(tmp_path) == (
        "templates: header.txt.j2 is none of subject.txt.j2, head.txt.j2, group.txt.j2, "
        "foot.txt.j2, page.html.j2, head.html.j2, group.html.j2, foot.html.j2"
    )


def test_a_template_that_is_no_template_is_an_error_at_its_line(tmp_path: Path) -> None:
    tmp_path.joinpath("head.txt.j2").write_text("one\n{% if %}\n")
    assert refused(tmp_path) == (
        "templates: head.txt.j2, line 2: Expected an expression, got 'end of statement block'"
    )


def test_so_is_one_in_a_folder_beneath(tmp_path: Path) -> None:
    tmp_path.joinpath("head.txt.j2").touch()
    tmp_path.joinpath("parts").mkdir()
    tmp_path.joinpath("parts", "x.j2").write_text("{{ a | unknown }}")
    assert refused(tmp_path) == "templates: parts/x.j2, line 1: No filter named 'unknown'."


def test_a_template_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "head.txt.j2"
    file.write_bytes("für".encode("latin-1"))
    assert refused(tmp_path).startswith(f"templates: can't read {file}: 'utf-8' codec can't decode")


# What fails later is stated, and the built-in template is shown: the mail goes.

FAILING = {
    "{{ mail.unknown }}": (
        "UndefinedError: 'tocsin.render.mail_view.MailView object' has no attribute 'unknown'"
    ),
    "{{ 1 / 0 }}": "ZeroDivisionError: division by zero",
    "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}": (
        "RecursionError: maximum recursion depth exceeded"
    ),
    '{% include "missing.j2" %}': "TemplateNotFound: missing.j2",
    "{{ nothing }}": "UndefinedError: 'nothing' is undefined",
}


@pytest.mark.parametrize("template", FAILING)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("form", ["txt", "html"])
def test_a_part_that_fails_is_shown_as_built_in_and_says_why(
    tmp_path: Path, part: str, form: str, template: str
) -> None:
    own = sections(tmp_path, **{f"{part}_{form}": template})
    name = f"{part}.{form}.j2"
    text, html = text_of(MADE, own), html_of(MADE, own)
    failed, whole = (text, html_of(MADE)) if form == "txt" else (html, text_of(MADE))
    assert whole == (html if form == "txt" else text)
    said = f"[this part can't be shown as it should: template {name}: {FAILING[template]}"
    assert unescape(failed).count(said) == (2 if part == "group" else 1)
    assert "the message" in failed
    assert "Sent by Tocsin for shop production to ops@example.com." in failed


@pytest.mark.parametrize("name", ["page.html.j2", "subject.txt.j2"])
def test_a_page_or_subject_that_fails_is_built_in_and_the_top_says_why(
    tmp_path: Path, name: str
) -> None:
    tmp_path.joinpath(name).write_text("{{ 1 / 0 }}")
    own = Templates(str(tmp_path))
    said = f"template {name}: ZeroDivisionError: division by zero"
    assert text_of(MADE, own).count(f"\n!     {said}\n") == 1
    assert html_of(MADE, own).count(f"<b>{said}</b>") == 1
    assert mail(MADE, own).subject == mail(MADE).subject


def test_a_template_that_breaks_while_the_application_runs_is_noticed(tmp_path: Path) -> None:
    """It is read again when it changes; while it is broken the built-in one stands in."""
    own = sections(tmp_path, head_txt="fine\n")
    assert text_of(MADE, own).startswith("fine\n")
    file = tmp_path / "head.txt.j2"
    file.write_text("broken {% if %}")
    os.utime(file, (1, 1))
    text = text_of(MADE, own)
    assert text.startswith("NEW   ValueError: a\n")
    assert (
        "\n[this part can't be shown as it should: template head.txt.j2: TemplateSyntaxError: "
        "Expected an expression, got 'end of statement block'" in text
    )
    file.unlink()
    assert (
        "[this part can't be shown as it should: template head.txt.j2: TemplateNotFound"
        in text_of(MADE, own)
    )
    file.write_text("mended\n")
    assert text_of(MADE, own).startswith("mended\n")


def test_the_text_of_an_error_is_data(tmp_path: Path) -> None:
    """It may be a log's, and however hostile it does no more than be read."""
    hostile = "</td><script>\n\x1b[2J\u202e{{ 7*7 }}"
    own = sections(tmp_path, group_html="{{ mail[group.text] }}")
    html = html_of(digest(group(text=hostile, samples=(event(hostile),))), own)
    assert "<script>" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "has no attribute '&lt;/td&gt;&lt;script&gt;" in html.replace("&#x27;", "'")


def test_an_error_without_a_text_is_told_too(tmp_path: Path) -> None:
    class Silent(Exception):  # noqa: N818 - as bad as can be
        def __str__(self) -> str:
            raise ValueError

    class Failing:
        def __html__(self) -> str:
            raise Silent

    own = sections(tmp_path, head_html="{{ value }}")
    text, trouble = own.try_render("head.html.j2", value=Failing())
    assert text == ""  # the built-in one shows a mail, and there is none
    assert trouble == "template head.html.j2: UndefinedError: 'mail' is undefined"
    _, trouble = own.try_render("head.html.j2", "nothing", value=Failing(), mail=None)
    assert "head.html.j2" in trouble


def test_where_a_built_in_one_fails_the_others_are_shown() -> None:
    said = (
        "[this part can't be shown as it should: template {}: UndefinedError: 'mail' is undefined]"
    )
    assert Templates().render("head.txt.j2") == said.format("head.txt.j2") + "\n"
    row = Templates().render("head.html.j2")
    assert row.startswith("<tr><td ")
    assert unescape(row).endswith(f">{said.format('head.html.j2')}</td></tr>\n")


def test_templates_are_loaded_anew_where_their_cache_may_be_locked(tmp_path: Path) -> None:
    """In a child that was forked while another thread rendered one."""
    own = sections(tmp_path, head_txt="one\n")
    path = tmp_path / "head.txt.j2"
    written = path.stat()
    assert own.render("head.txt.j2") == "one\n"
    path.write_text("two\n", encoding="utf-8")
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert own.render("head.txt.j2") == "one\n", "the loaded one is used"
    forget()
    assert own.render("head.txt.j2") == "two\n"
