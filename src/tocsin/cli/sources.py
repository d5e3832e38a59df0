"""The sources of a configuration: a file, a name in a module, or the settings of Django.

Each is read as the mapping that `logging.config.dictConfig` takes. No error shows a part of the
text: it may be a secret.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.cli.lines import key_lines
from tocsin.cli.output import UsageError
from tocsin.events.frames import is_library, shown_path
from tocsin.exceptions import ConfigError, TocsinError
from tocsin.text import attempt, short

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_FORMS = {
    ".toml": "toml",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".ini": "ini",
    ".cfg": "ini",
    ".conf": "ini",
}
_PLACES = ((), ("logging",), ("tool", "logging"))
_MODULE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A configuration that was read.

    Attributes:
        label: its name, as the user has written it.
        data: the mapping for `dictConfig`.
        lines: path of a key → its line; empty where there is no file.
    """

    label: str
    data: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict[tuple[str, ...], int])


def read_source(name: str, *, django: bool = False) -> Source:
    """Read a configuration.

    Args:
        name: the path of a TOML, JSON, YAML or INI file; or `module:NAME`, where the name is a
            mapping, or a callable that returns one.
        django: whether `name` is the module of Django's settings, with the mapping `LOGGING`.

    Raises:
        UsageError: there is no such file, module or name.
        ConfigError: it can't be read, or isn't a configuration.
    """
    # The program's own modules are found as `python -m` finds them.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    if django:
        return Source(label=f"{name}.LOGGING", data=_of_django(name))
    path = Path(name)
    if not name or not os.path.exists(path):  # noqa: PTH110 - `Path.exists` raises for a long name
        if found := _MODULE.fullmatch(name):
            return Source(label=name, data=_of_module(name, found[1], found[2]))
        raise UsageError(f"there is no file {name!r}; {_advice(name)}")
    if path.suffix == ".py":
        raise UsageError(f"{name}: {_advice(name)}")
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"{name}: the name of the file has to end in {', '.join(_FORMS)}")
    return _of_file(name, path, form)


def _advice(name: str) -> str:
    """Return how a name in a module is written, where a file was expected."""
    stem = name.removesuffix(".py")
    module = stem.replace("/", ".") if stem != name else "module"
    module = module if _MODULE.fullmatch(f"{module}:NAME") else "module"
    settings = stem if module == "module" else module
    advice = f"for a name in a module, write {module}:NAME"
    if _MODULE.fullmatch(f"{settings}:NAME") and Path(name).suffix.lower() not in _FORMS:
        advice += f"; for Django's settings, write --django {settings}"
    return advice


def _of_file(name: str, path: Path, form: str) -> Source:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"can't read {name!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: the file is not UTF-8 text") from None
    try:
        whole = _PARSERS[form](name, text)
        lines = key_lines(form, text) if isinstance(whole, Mapping) else {}
    except RecursionError:
        raise ConfigError(f"{name}: it is nested too deep") from None
    for place in _PLACES:
        data = whole
        for key in place:
            data = data.get(key) if isinstance(data, Mapping) else None
        if isinstance(data, Mapping) and "handlers" in data:
            inner = {
                path[len(place) :]: lines[path] for path in lines if path[: len(place)] == place
            }
            return Source(label=name, data=data, lines=inner)
    tables = "at the top, under 'logging' or under 'tool.logging'"
    raise ConfigError(f"{name}: no logging configuration: no mapping 'handlers' {tables}")


def _toml(name: str, text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: no valid TOML: {error}") from None


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}:{error.lineno}: no valid JSON: {error.msg}") from None


def _yaml(name: str, text: str) -> Any:
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError(
            f'{name}: reading YAML needs the package PyYAML: pip install "tocsin[cli]"'
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:  # its text shows lines of the file
        mark = getattr(error, "problem_mark", None)
        where = name if mark is None else f"{name}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or "it can't be parsed"
        raise ConfigError(f"{where}: no valid YAML: {problem}") from None


def _ini(name: str, text: str) -> Any:
    from tocsin.cli.ini import read_ini  # noqa: PLC0415 - loaded only for such a file

    return read_ini(name, text)


_PARSERS: Mapping[str, Callable[[str, str], Any]] = {
    "toml": _toml,
    "json": _json,
    "yaml": _yaml,
    "ini": _ini,
}


def _of_module(label: str, module: str, name: str) -> Mapping[str, Any]:
    value = _imported(label, module)
    for part in name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise UsageError(f"{label}: the module {module!r} has no {name!r}") from None
    if callable(value):
        with _code_of_user(f"{label}: calling it failed"):
            value = value()
    if not isinstance(value, Mapping):
        kind = type(value).__name__
        raise ConfigError(
            f"{label}: expected a mapping, or a callable that returns one, got {kind}"
        )
    return value


def _imported(label: str, module: str) -> Any:
    """Import a module of the user's."""
    with _code_of_user(f"{label}: can't be imported"):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                raise UsageError(f"{label}: there is no module {error.name!r}") from None
            raise


@contextlib.contextmanager
def _code_of_user(problem: str) -> Generator[None]:
    """Run code of the user's; whatever it raises is an error of the configuration.

    Args:
        problem: the start of the error's text.
    """
    try:
        yield
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit, too: its code would be taken for ours
        raise ConfigError(f"{problem}: {described(error)}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """Return the line of the user's code that has raised an error; "" if none is known."""
    trace = error.__traceback__
    found = ""
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if not path.startswith("<") and not is_library(path) and path != __file__:
            found = f" ({shown_path(path)}:{trace.tb_lineno})"
        trace = trace.tb_next
    return found


def _of_django(module: str) -> Mapping[str, Any]:
    """Return `LOGGING` of Django's settings. Logging is not set up."""
    try:
        settings: Any = importlib.import_module("django.conf").settings
    except ImportError:
        raise UsageError("--django needs Django in the environment of the command") from None
    _imported(module, module)
    os.environ["DJANGO_SETTINGS_MODULE"] = module
    with _code_of_user(f"{module}: can't be used"):
        found = settings.LOGGING
    if not isinstance(found, Mapping) or "handlers" not in found:
        raise ConfigError(f"{module}: LOGGING has no 'handlers'")
    return found


def described(error: BaseException) -> str:
    """Return an error as one line, without secrets: it may be one of the user's code."""
    from tocsin.redact.redactor import Redactor  # noqa: PLC0415 - large and rarely used

    text = Redactor().text(attempt(error)[:2000])
    if not isinstance(error, TocsinError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return short(text, 400)
