"""The documentation's build, for Sphinx: nothing in it needs the network."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Tocsin"
release = version = installed_version("tocsin")
copyright = "the Tocsin contributors"  # noqa: A001 - Sphinx's name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["build"]
default_role = "code"  # docstrings write code in single backticks

myst_heading_anchors = 3

napoleon_use_ivar = True  # attributes as a list, beside those that autodoc documents
autodoc_class_signature = "mixed"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 60  # else one parameter a line, with its type and default
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "Tocsin"
html_show_sourcelink = False


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Make the navigation from the lists of the first page.

    A `toctree` there would be shown as text by hosts that render Markdown alone.
    """
    if page != "index":
        return
    for part in re.split(r"^## ", source[0], flags=re.MULTILINE)[1:]:
        caption = part.partition("\n")[0]
        names = "\n".join(re.findall(r"^- \[.*?\]\((\S+)\.md\)", part, re.MULTILINE))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{names}\n```\n"


def show_changes(app: Sphinx, page: str, source: list[str]) -> None:
    """Show the change log as a page. In the repository, the page has a link to it."""
    if page == "changes":
        log = Path(app.srcdir).parent / "CHANGELOG.md"
        app.env.note_dependency(log)
        source[0] = log.read_text(encoding="utf-8")


def hide_unknown(*event: object) -> tuple[str, str | None] | None:
    """Leave out `**unknown` of a signature: it is there to name wrong options in errors."""
    signature, returns = event[-2:]
    if not isinstance(signature, str) or "**unknown" not in signature:
        return None
    shorter = re.sub(r", \*\*unknown(: [^,)]+)?", "", signature)
    return shorter, returns if isinstance(returns, str) else None


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("source-read", add_navigation)
    app.connect("source-read", show_changes)
    app.connect("autodoc-process-signature", hide_unknown)
