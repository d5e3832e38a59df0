"""`tocsin preview`: the mails of telling cases, as they would look."""

from __future__ import annotations

import html
import os
import tempfile
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.cli.configuration import parts_of, read_configuration
from tocsin.cli.output import ExitCode, UsageError
from tocsin.cli.preview_cases import CASES, Setting, mails
from tocsin.exceptions import TocsinError

if TYPE_CHECKING:
    import argparse

    from tocsin.cli.output import Output
    from tocsin.cli.preview_cases import Case
    from tocsin.mail.message import Message

DESCRIPTION = """\
Show mails of telling cases: a new error, a storm, an error that goes on, one that gets worse, one
that has ceased, 60 errors at once, a digest that is cut. The errors are those of an invented shop;
grouping, policy, templates, names and addresses are those of the configuration. Nothing is sent."""
EXAMPLES = """\
examples:
  tocsin preview                            the texts, with default options
  tocsin preview shop.yaml --case new       one of them
  tocsin preview shop.yaml --open           all of them, in a browser
  tocsin preview shop.yaml --out previews   as files: text, HTML, .eml"""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Mails of {identity}</title>
<meta name="viewport" content="width=device-width">
<style>body {{ font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 44em; padding: 0 1em }}
li {{ margin: 0 0 1em }} .quiet {{ color: #666 }}</style></head><body>
<h1>Mails of {identity}</h1>
<ul>
{items}
</ul></body></html>
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "config",
        metavar="CONFIG",
        nargs="?",
        help="a logging configuration, as for check; by default, default options",
    )
    parser.add_argument("--django", action="store_true", help="CONFIG is the module of settings")
    parser.add_argument("--handler", metavar="NAME", help="the handler, if CONFIG has several")
    parser.add_argument(
        "--case", metavar="NAME", help="one case: " + ", ".join(case.name for case in CASES)
    )
    parser.add_argument("--out", metavar="DIR", help="write files into this folder")
    parser.add_argument("--open", action="store_true", help="open the files in a browser")


def run(args: argparse.Namespace, output: Output) -> ExitCode:
    """Make the mails, and show them."""
    if args.case is not None and args.case not in {case.name for case in CASES}:
        known = ", ".join(case.name for case in CASES)
        raise UsageError(f"there is no case {args.case!r}; there are: {known}")
    setting = _setting(args)
    found = list(mails(setting, time.time(), args.case))
    output.document([_document(case, mail) for case, mail in found])
    if args.out is None and not args.open:
        for case, mail in found:
            _print(case, mail, output)
        return ExitCode.GOOD
    index = _write(found, _folder(args.out), setting.sender.identity)
    output.line(str(index))
    if args.open and not webbrowser.open(index.as_uri()):
        output.line("No browser can be opened here: open the file above.")
        return ExitCode.FAULT
    return ExitCode.GOOD


def _setting(args: argparse.Namespace) -> Setting:
    if args.config is None:
        if args.django or args.handler:
            raise UsageError("--django and --handler need a CONFIG")
        return Setting.usual()
    alerts = read_configuration(args).alerts
    if len(alerts) > 1:
        names = ", ".join(entry.name for entry in alerts)
        raise UsageError(f"there are several alert handlers; choose one with --handler: {names}")
    (entry,) = alerts
    # Without `from_addr`, the sender is one of the options in `email`.
    named = entry.options.get("from_addr") is not None
    parts = parts_of(entry.build_without_email() if named else entry.build())
    return Setting(
        sender=parts.sender,
        audience=parts.audience(),
        templates=parts.templates,
        redactor=parts.redactor,
        version=parts.version,
    )


def _print(case: Case, mail: Message | None, output: Output) -> None:
    output.line(output.paint(f"=== {case.name}: {case.title}", "bold"))
    if mail is None:
        output.line(_without(case))
    else:
        output.line(f"Subject: {mail.subject}")
        output.line(f"From: {mail.from_addr}")
        output.line(f"To: {', '.join(map(str, mail.to))}")
        output.line()
        output.line((mail.text or "").rstrip())
    output.line()


def _without(case: Case) -> str:
    return f"The policy sends no mail with the reason {case.reason or 'new'} here."


def _document(case: Case, mail: Message | None) -> dict[str, object]:
    return {
        "case": case.name,
        "title": case.title,
        "subject": None if mail is None else mail.subject,
        "text": None if mail is None else mail.text,
        "html": None if mail is None else mail.html,
    }


def _folder(given: str | None) -> Path:
    """Return the folder for the files; it is made if it is missing."""
    if given is None:
        return Path(tempfile.mkdtemp(prefix="tocsin-preview-"))
    folder = Path(os.path.abspath(given))  # noqa: PTH100 - links stay as they are written
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out: can't make the folder {given!r}: {error.strerror}") from None
    return folder


def _write(found: list[tuple[Case, Message | None]], folder: Path, identity: str) -> Path:
    """Write each mail as text, HTML and .eml, and a page that links them."""
    items: list[str] = []
    try:
        for case, mail in found:
            if mail is None:
                links = f'<span class="quiet">{html.escape(_without(case))}</span>'
            else:
                links = " ".join(
                    f'<a href="{case.name}.{ending}">{name}</a>'
                    for ending, name in (("html", "HTML"), ("txt", "text"), ("eml", ".eml"))
                )
                _write_mail(folder / case.name, mail)
            subject = "" if mail is None else f"<br>{html.escape(mail.subject)}"
            items.append(f"<li><b>{html.escape(case.title)}</b>{subject}<br>{links}</li>")
        index = folder / "index.html"
        page = _PAGE.format(identity=html.escape(identity), items="\n".join(items))
        index.write_text(page, encoding="utf-8")
    except OSError as error:
        raise TocsinError(f"can't write into {str(folder)!r}: {error.strerror}") from None
    return index


def _write_mail(path: Path, mail: Message) -> None:
    path.with_suffix(".txt").write_text(mail.text or "", encoding="utf-8")
    path.with_suffix(".html").write_text(mail.html or "", encoding="utf-8")
    path.with_suffix(".eml").write_bytes(mail.to_mime().as_bytes())
