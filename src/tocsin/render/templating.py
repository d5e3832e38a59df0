"""The templates: a user's own ones, and the built-in ones.

If a user's own template can't be rendered, the built-in one is used and the error is shown below
it. So the mail is sent all the same.
"""

from __future__ import annotations

import html
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.exceptions import ConfigError
from tocsin.text import attempt, short

if TYPE_CHECKING:
    import jinja2

NAMES = (
    "subject.txt.j2",
    "head.txt.j2",
    "group.txt.j2",
    "foot.txt.j2",
    "page.html.j2",
    "head.html.j2",
    "group.html.j2",
    "foot.html.j2",
)
"""The templates that a mail is made of."""
_ROW = '<tr><td style="padding:8px 20px 0;font-family:sans-serif;font-size:13px">{}</td></tr>\n'


class Templates:
    """The templates of a mail's sections.

    Args:
        folder: the folder of a user's own templates; each of them replaces a built-in one.

    Raises:
        ConfigError: the folder has no template, one of an unknown name, or one that can't be read.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._names: tuple[str, ...] = ()
        if folder is not None:
            self._names = _checked(_environment(folder), folder)

    def render(self, name: str, **values: Any) -> str:
        """Return a section of a mail; below it, the error of a user's own template.

        Args:
            name: the template's name.
            values: the variables of the template.
        """
        text, trouble = self.try_render(name, **values)
        if not trouble:
            return text
        note = f"[this part can't be shown as it should: {trouble}]"
        return text + (_ROW.format(html.escape(note)) if ".html" in name else f"{note}\n")

    def try_render(self, name: str, must_contain: str = "", **values: Any) -> tuple[str, str]:
        """Return a section of a mail, and the error of its template, or "".

        Args:
            name: the template's name.
            must_contain: a text that the section must contain unescaped: the value of `body`.
            values: the variables of the template.
        """
        trouble = ""
        if name in self._names:
            try:
                text = _environment(self._folder).get_template(name).render(values)
            except Exception as error:  # noqa: BLE001 - a user's template may raise anything
                trouble = _trouble(name, error)
            else:
                if must_contain in text:
                    return text, ""
                trouble = f"template {name} doesn't print {{{{ body | safe }}}}"
        try:
            return _environment().get_template(name).render(values), trouble
        except Exception as error:  # noqa: BLE001 - the other sections are shown all the same
            return "", _trouble(name, error)


def prepare() -> None:
    """Load jinja2 and the built-in templates, before the first mail is rendered."""
    for name in NAMES:
        _environment().get_template(name)


def forget() -> None:
    """Drop all loaded templates.

    After a fork while another thread rendered, a lock of theirs may be held for ever.
    """
    _environment.cache_clear()


def _checked(environment: jinja2.Environment, folder: str) -> tuple[str, ...]:
    """Return the names of a folder's templates; each must have a known name and be readable."""
    import jinja2  # noqa: PLC0415 - `environment` has loaded it

    try:
        next(Path(folder).iterdir(), None)  # jinja2 takes a missing folder for an empty one
    except OSError as error:
        raise ConfigError(f"templates: can't read {folder}: {error.strerror}") from error
    loader = jinja2.FileSystemLoader(folder)
    found = [name for name in loader.list_templates() if name.endswith(".j2")]
    if not found:
        raise ConfigError(f"templates: {folder} has none of {', '.join(NAMES)}")
    for name in found:
        if name not in NAMES and "/" not in name:
            raise ConfigError(f"templates: {name} is none of {', '.join(NAMES)}")
        try:
            environment.get_template(name)
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"templates: {name}, line {error.lineno}: {error.message}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"templates: can't read {Path(folder, name)}: {error}") from error
    return tuple(name for name in found if name in NAMES)


def _trouble(name: str, error: Exception) -> str:
    return short(f"template {name}: {type(error).__name__}: {attempt(error)}", 300)


@lru_cache(maxsize=8)
def _environment(folder: str | None = None) -> jinja2.Environment:
    import jinja2  # noqa: PLC0415 - loads with the first mail

    built_in = jinja2.PackageLoader("tocsin.render")
    # A user's folder has no fallback to the built-in template of the same name: jinja2 would keep
    # it, even if the user's own file was missing only for a moment, while it was replaced.
    first = built_in if folder is None else jinja2.FileSystemLoader(folder)
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([first, jinja2.PrefixLoader({"builtin": built_in})]),
        autoescape=jinja2.select_autoescape(("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = _number
    return environment


def _number(value: int) -> str:
    return f"{value:,}"
