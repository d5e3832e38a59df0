"""The templates: a user's own ones where there are some, and the built-in ones behind them.

A template that can't be rendered shows its error, and the built-in one: the mail goes all the same.
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
    """Render the sections of a mail.

    Args:
        folder: where a user's own templates are; each that is there replaces a built-in one.

    Raises:
        ConfigError: the folder has no template of a known name, or one that can't be read.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._names: tuple[str, ...] = ()
        if folder is not None:
            self._names = _checked(_environment(folder), folder)

    def render(self, name: str, **values: Any) -> str:
        """Return a section of a mail; behind a built-in one that took a user's place, why.

        Args:
            name: the template's.
            values: what it shows.
        """
        text, trouble = self.attempt(name, **values)
        if not trouble:
            return text
        said = f"[this part can't be shown as it should: {trouble}]"
        return text + (_ROW.format(html.escape(said)) if ".html" in name else f"{said}\n")

    def attempt(self, name: str, holds: str = "", **values: Any) -> tuple[str, str]:
        """Return a section of a mail, and what is wrong with its template, or "".

        Args:
            name: the template's.
            holds: what it must show as it is, the value of `body`.
            values: what it shows.
        """
        trouble = ""
        if name in self._names:
            try:
                text = _environment(self._folder).get_template(name).render(values)
            except Exception as error:  # noqa: BLE001 - whatever somebody's template does
                trouble = _trouble(name, error)
            else:
                if holds in text:
                    return text, ""
                trouble = f"template {name} doesn't print {{{{ body | safe }}}}"
        try:
            return _environment().get_template(name).render(values), trouble
        except Exception as error:  # noqa: BLE001 - the other sections have something to say, too
            return "", _trouble(name, error)


def prepare() -> None:
    """Load what rendering needs."""
    for name in NAMES:
        _environment().get_template(name)


def forget() -> None:
    """Load templates anew: this process was forked while another thread rendered one."""
    _environment.cache_clear()


def _checked(environment: jinja2.Environment, folder: str) -> tuple[str, ...]:
    """Return the names of a folder's templates; each has to be one of ours, and to be readable."""
    import jinja2  # noqa: PLC0415 - loaded before

    try:
        next(Path(folder).iterdir(), None)  # to jinja2 a folder that isn't there is an empty one
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
    # Of a user's own only those in the folder: one that is gone for a moment, as it is replaced,
    # is found again.
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
