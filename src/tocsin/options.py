"""Options: checks of their values and their keys.

An error names the key, says what was expected, and names the type of the value. It never shows a
value that may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tocsin.exceptions import ConfigError


def kind(value: object) -> str:
    """Return the name of a value's type, for an error.

    The mappings and lists of `logging.config.dictConfig` are called `dict` and `list`, as in the
    user's configuration.
    """
    if value is None:
        return "None"
    name = type(value).__name__
    return name.removeprefix("Converting").lower() if name.startswith("Converting") else name


def got(value: object) -> str:
    """Return the name of a value's type, for an error; with advice if it is a quoted number."""
    if isinstance(value, str) and _QUOTED.fullmatch(value):
        return f"{kind(value)} {value!r}; write it without quotes"
    return kind(value)


def got_for_text(value: object) -> str:
    """Return the name of the type of a value that should be text, for an error.

    With advice if it is a type that YAML or TOML makes of unquoted text.
    """
    return kind(value) + ("; quote it" if kind(value) in _READ_AS_OTHER else "")


def got_for_boolean(value: object) -> str:
    """Return the name of the type of a value that should be true or false, for an error."""
    quoted = isinstance(value, str)
    return kind(value) + ("; write true or false without quotes" if quoted else "")


def fail(key: str, problem: str) -> NoReturn:
    """Raise a `ConfigError`.

    Args:
        key: the option, such as `email.port`.
        problem: what is wrong with it.
    """
    raise ConfigError(f"{key}: {problem}")


_QUOTED = re.compile(r"\s*[-+]?\d{1,20}(?:\.\d{0,20})?\s*")
_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_]\w*(?::?[-=?+][^{}]*)?\}")
# What YAML or TOML makes of 4.2, 12345, yes and 2026-11-28.
_READ_AS_OTHER = {"float", "int", "bool", "date", "datetime"}


def boolean(key: str, value: object) -> bool:
    """Return the value if it is True or False; else raise a `ConfigError`."""
    if not isinstance(value, bool):
        fail(key, f"expected true or false, got {got_for_boolean(value)}")
    return value


def whole(key: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return the value if it is a whole number from `low` to `high`; else raise a `ConfigError`."""
    expected = f"from {low} to {high}" if high is not None else f"of at least {low}"
    if not isinstance(value, int) or isinstance(value, bool):
        fail(key, f"expected a whole number {expected}, got {got(value)}")
    if value < low or (high is not None and value > high):
        fail(key, f"expected a whole number {expected}, got {value}")
    return value


def seconds(key: str, value: object, *, above: float | None = None) -> float:
    """Return the value if it is a finite number of seconds; else raise a `ConfigError`.

    Args:
        key: the option.
        value: its value.
        above: the value must be greater than this; by default it must be at least 0.
    """
    expected = "a number of seconds" + (f" above {above:g}" if above is not None else "")
    if not isinstance(value, int | float) or isinstance(value, bool):
        fail(key, f"expected {expected}, got {got(value)}")
    if not (value >= 0 if above is None else value > above) or value == float("inf"):
        fail(key, f"expected {expected}, got {value}")
    return value


def text(key: str, value: object) -> str:
    """Return the value if it is a string that isn't blank; else raise a `ConfigError`."""
    if not isinstance(value, str):
        fail(key, f"expected text, got {got_for_text(value)}")
    if not value.strip():
        fail(key, "expected text, got an empty string")
    reject_placeholder(key, value, _NOT_REPLACED)
    return value


_NOT_REPLACED = (
    "environment variables are not replaced here; "
    "set the value in Python or by your deployment's tool"
)


def reject_placeholder(key: str, value: str, instead: str) -> None:
    """Raise a `ConfigError` for a value such as `${NAME}`: no tool has replaced it.

    The value isn't shown: it may hold a default that is a secret, as in `${NAME:-secret}`.

    Args:
        key: the option.
        value: its value.
        instead: what to write instead.
    """
    if _PLACEHOLDER.fullmatch(value):
        fail(key, f"expected text, got a placeholder of the form ${{NAME}}; {instead}")


def texts(key: str, value: object) -> tuple[str, ...]:
    """Return the strings of a list; a single string counts as a list of one.

    Raises:
        ConfigError: the value is neither, or one of the strings is blank.
    """
    if isinstance(value, str):
        return (text(key, value),)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        fail(key, f"expected text or a list of it, got {got_for_text(value)}")
    return tuple(text(f"{key}[{number}]", item) for number, item in enumerate(value))


def section(key: str, value: object, known: Iterable[str]) -> dict[str, Any]:
    """Return the items of a mapping of options.

    The items are read key by key: a nested mapping of `logging.config.dictConfig` resolves `ext://`
    and `cfg://` only there, not in `items()` or `values()`.

    Args:
        key: the option that holds the mapping; "" for the top level.
        value: the mapping.
        known: the keys that it may have.

    Raises:
        ConfigError: the value is no mapping, or has an unknown key; the error names similar keys.
    """
    if not isinstance(value, Mapping):
        fail(key, f"expected a mapping of options, got {kind(value)}")
    reject_unknown(key, value, known)
    return {name: value[name] for name in value}


def reject_unknown(key: str, names: Iterable[Any], known: Iterable[str]) -> None:
    """Raise a `ConfigError` for the first unknown name; the error names similar keys."""
    known = list(known)
    for name in names:
        if name not in known:
            from tocsin.hints import hint  # noqa: PLC0415 - loaded only for an error

            path = f"{key}.{name}" if key else str(name)
            fail(path, f"unknown option; {hint(key, str(name), known)}")


def one_of(key: str, given: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """Return which one of several options is given; None if none of them is.

    Raises:
        ConfigError: more than one is given.
    """
    found = [name for name in names if given.get(name) is not None]
    if len(found) > 1:
        fail(f"{key}.{found[1]}", f"can't be used together with {found[0]!r}; give one of them")
    return found[0] if found else None


def file_path(key: str, value: object, *, credentials: bool = False) -> Path:
    """Return the path that an option gives; `~` and `~user` are resolved.

    Args:
        key: the option.
        value: its value.
        credentials: whether a relative path that doesn't exist is looked for in
            `$CREDENTIALS_DIRECTORY`, the folder of systemd (systemd.exec(5), "Credentials").

    Raises:
        ConfigError: the value is no path. Whether the file exists is not checked.
    """
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        fail(key, f"expected a path, got {kind(value) if value != '' else 'an empty string'}")
    if "\0" in os.fspath(value):
        fail(key, "expected a path, got one with a NUL in it")
    path = Path(os.path.expanduser(value))  # noqa: PTH111 - `Path`'s raises for an unknown user
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    # `Path.exists` raises for a name that is too long.
    if credentials and folder and not path.is_absolute() and not os.path.exists(path):  # noqa: PTH110
        path = Path(folder) / path
    return path
