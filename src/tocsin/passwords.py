"""Passwords: given as they are, or kept in an environment variable, a file or the keyring.

A password that is kept elsewhere is read anew at each login, so that a changed one needs no
restart. No error shows a value that may be the password itself.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from tocsin import options
from tocsin.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Sixteen small letters are an app password of Gmail's, not a variable.
_VARIABLE = re.compile(r"(?![a-z]{16}$)[A-Za-z_][A-Za-z0-9_]*")
_DOLLAR = re.compile(r"\$(?:\w+|\{.*\})")
_IN_A_PATH = re.compile(r"[./\\~\0]")

SOURCES = ("password", "password_env", "password_file", "password_keyring")


def password(key: str, given: Mapping[str, Any]) -> Any:
    """Return the password that one of the options of `SOURCES` gives.

    White space at the end of a variable or a file, and a byte order mark at its beginning, don't
    count. A relative path that doesn't exist is looked for in `$CREDENTIALS_DIRECTORY`, the folder
    of systemd (systemd.exec(5), "Credentials"). The keyring is asked for the password of the
    service and of the option `username`.

    Args:
        key: the key of the mapping, for errors.
        given: the options.

    Returns:
        The value of `password`, else a callable that reads the password; None if none is given.

    Raises:
        ConfigError: more than one option is given, or nothing can be read now.
    """
    source = options.one_of(key, given, SOURCES)
    if source is None or source == "password":
        return given.get("password")
    where = f"{key}.{source}"
    reader: EnvironmentSecret | FileSecret | KeyringSecret
    if source == "password_env":
        reader = EnvironmentSecret(where, _variable(where, given[source]))
    elif source == "password_file":
        reader = FileSecret(where, _secret_path(where, given[source]))
    else:
        user = options.text(f"{key}.username", given.get("username"))
        reader = KeyringSecret(where, options.text(where, given[source]), user)
    reader()  # an error is raised while the handler is built, not at the first login
    return reader


def _variable(key: str, value: object) -> str:
    """Return a variable's name; a value that can't be one may be the password: it isn't shown."""
    expected = "expected the name of an environment variable"
    if isinstance(value, str) and value not in os.environ:
        if _DOLLAR.fullmatch(value):
            options.fail(key, f"{expected}; write it without $")
        if value.strip() and not _VARIABLE.fullmatch(value):
            options.fail(key, f"{expected}, not the password itself")
    return options.text(key, value)


def _secret_path(key: str, value: object) -> Path:
    """Return a path; a word that names no file may be the password: it isn't shown."""
    path = options.file_path(key, value, credentials=True)
    # `Path.exists` raises for a name that is too long.
    if not _IN_A_PATH.search(str(value)) and not os.path.exists(path):  # noqa: PTH110
        expected = "expected a path, not the password itself"
        there = ", nor in $CREDENTIALS_DIRECTORY" if "CREDENTIALS_DIRECTORY" in os.environ else ""
        options.fail(key, f"can't read a file of this name{there}; {expected}")
    return path


def _bare(secret: str) -> str:
    """Return a secret without the white space and the mark that editors and shells add."""
    return secret.removeprefix("\ufeff").rstrip()


class EnvironmentSecret:
    """A secret in an environment variable, read at each call."""

    def __init__(self, key: str, variable: str) -> None:
        self._key = key
        self._variable = variable

    def __call__(self) -> str:
        """Return the variable's value."""
        found = os.environ.get(self._variable)
        value = _bare(found or "")
        if not value:
            state = "is not set" if found is None else "is empty"
            options.fail(self._key, f"the environment variable {self._variable!r} {state}")
        return value

    def __repr__(self) -> str:
        return f"<secret from the environment variable {self._variable}>"


class FileSecret:
    """A secret in a file, read at each call."""

    def __init__(self, key: str, path: Path) -> None:
        self._key = key
        self._path = path

    def __call__(self) -> str:
        """Return the file's text."""
        try:
            value = _bare(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(f"{self._key}: can't read {str(self._path)!r}: {reason}") from None
        if not value:
            options.fail(self._key, f"the file {str(self._path)!r} is empty")
        return value

    def __repr__(self) -> str:
        return f"<secret from the file {self._path}>"


class KeyringSecret:
    """A secret in the system's keyring, read at each call."""

    def __init__(self, key: str, service: str, user: str) -> None:
        self._key = key
        self._service = service
        self._user = user

    def __call__(self) -> str:
        """Return the password of the service and the user."""
        try:
            import keyring.errors  # noqa: PLC0415 - an extra
        except ImportError:
            options.fail(self._key, "needs the package 'keyring': pip install tocsin[keyring]")
        try:
            value = keyring.get_password(self._service, self._user)
        except keyring.errors.KeyringError as error:
            raise ConfigError(f"{self._key}: {type(error).__name__}: {error}") from error
        if not value:
            options.fail(
                self._key, f"the keyring has nothing for {self._service!r} and {self._user!r}"
            )
        return value

    def __repr__(self) -> str:
        return f"<secret of {self._user} from the keyring's {self._service}>"
