"""Checking options: types, unknown keys, secrets, TLS files.

An error names the key, the kind of the value (never a secret), and what would be right.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tocsin.exceptions import ConfigError

if TYPE_CHECKING:
    import ssl


def kind(value: object) -> str:
    """Return what to call a value in an error: its type, as whoever wrote it knows it."""
    if value is None:
        return "None"
    name = type(value).__name__
    return name.removeprefix("Converting").lower() if name.startswith("Converting") else name


def got(value: object) -> str:
    """Return what an error says of a value that is of the wrong kind: a quoted number is shown."""
    if isinstance(value, str) and _QUOTED.fullmatch(value):
        return f"{kind(value)} {value!r}; write it without quotes"
    return kind(value)


def got_for_text(value: object) -> str:
    """Return what an error says of a value that isn't text: what a file reads as another type."""
    return kind(value) + ("; quote it" if kind(value) in _READ_AS_OTHER else "")


def got_for_boolean(value: object) -> str:
    """Return what an error says of a value that is neither true nor false."""
    quoted = isinstance(value, str)
    return kind(value) + ("; write true or false without quotes" if quoted else "")


def fail(key: str, problem: str) -> NoReturn:
    """Raise the `ConfigError` for a key."""
    raise ConfigError(f"{key}: {problem}")


_QUOTED = re.compile(r"\s*[-+]?\d{1,20}(?:\.\d{0,20})?\s*")
_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_]\w*(?::?[-=?+][^{}]*)?\}")
_DOLLAR = re.compile(r"\$(?:\w+|\{.*\})")
# Sixteen small letters are an app password of Gmail's.
_VARIABLE = re.compile(r"(?![a-z]{16}$)[A-Za-z_][A-Za-z0-9_]*")
_IN_A_PATH = re.compile(r"[./\\~\0]")
# By YAML and TOML: 4.2, 12345, yes, 2026-11-28
_READ_AS_OTHER = {"float", "int", "bool", "date", "datetime"}


def boolean(key: str, value: object) -> bool:
    """Return the value if it is True or False."""
    if not isinstance(value, bool):
        fail(key, f"expected true or false, got {got_for_boolean(value)}")
    return value


def whole(key: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return the value if it is a whole number within the bounds, both included."""
    expected = f"from {low} to {high}" if high is not None else f"of at least {low}"
    if not isinstance(value, int) or isinstance(value, bool):
        fail(key, f"expected a whole number {expected}, got {got(value)}")
    if value < low or (high is not None and value > high):
        fail(key, f"expected a whole number {expected}, got {value}")
    return value


def seconds(key: str, value: object, *, above: float | None = None) -> float:
    """Return the value if it is a finite number of seconds, at least 0 or greater than `above`."""
    expected = "a number of seconds" + (f" above {above:g}" if above is not None else "")
    if not isinstance(value, int | float) or isinstance(value, bool):
        fail(key, f"expected {expected}, got {got(value)}")
    if not (value >= 0 if above is None else value > above) or value == float("inf"):
        fail(key, f"expected {expected}, got {value}")
    return value


def text(key: str, value: object) -> str:
    """Return the value if it is a string that isn't blank."""
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
    """Raise a `ConfigError` for `${NAME}`: what was to fill it in hasn't. It isn't shown."""
    if _PLACEHOLDER.fullmatch(value):
        fail(key, f"expected text, got a placeholder of the form ${{NAME}}; {instead}")


def texts(key: str, value: object) -> tuple[str, ...]:
    """Return the strings of a list; one string is a list of one."""
    if isinstance(value, str):
        return (text(key, value),)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        fail(key, f"expected text or a list of it, got {got_for_text(value)}")
    return tuple(text(f"{key}[{number}]", item) for number, item in enumerate(value))


def section(key: str, value: object, known: Iterable[str]) -> dict[str, Any]:
    """Return a mapping's items, read by key.

    A nested mapping of `logging.config.dictConfig` resolves `ext://` and `cfg://` only when an
    item is asked for by its key, not through `items()` or `values()`.

    Raises:
        ConfigError: not a mapping, or a key that isn't known; names the nearest one that is.
    """
    if not isinstance(value, Mapping):
        fail(key, f"expected a mapping of options, got {kind(value)}")
    reject_unknown(key, value, known)
    return {name: value[name] for name in value}


def reject_unknown(key: str, names: Iterable[Any], known: Iterable[str]) -> None:
    """Raise a `ConfigError` for the first name that isn't known, with the nearest one that is."""
    known = list(known)
    for name in names:
        if name not in known:
            from tocsin.hints import hint  # noqa: PLC0415 - only for an error

            path = f"{key}.{name}" if key else str(name)
            fail(path, f"unknown option; {hint(key, str(name), known)}")


def one_of(key: str, given: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """Return the one of the names that is given, None if none is; more than one is an error."""
    found = [name for name in names if given.get(name) is not None]
    if len(found) > 1:
        fail(f"{key}.{found[1]}", f"can't be used together with {found[0]!r}; give one of them")
    return found[0] if found else None


PASSWORDS = ("password", "password_env", "password_file", "password_keyring")


def password(key: str, given: Mapping[str, Any]) -> Any:
    """Return a password: given as it is, from the environment, from a file, or from the keyring.

    The four are alternatives. A variable and a file lose white space at their end and a byte order
    mark at their beginning. A relative path that isn't there is looked for in
    `$CREDENTIALS_DIRECTORY`, where systemd puts credentials (systemd.exec(5), "Credentials"). A
    keyring's entry is that of the service and the `username`.

    Returns:
        The password as given; else a callable that reads it anew, so that a rotated one needs no
        restart. None if there is none.

    Raises:
        ConfigError: more than one source, or one from which nothing can be read.
    """
    source = one_of(key, given, PASSWORDS)
    if source is None or source == "password":
        return given.get("password")
    where = f"{key}.{source}"
    reader: EnvironmentSecret | FileSecret | KeyringSecret
    if source == "password_env":
        reader = EnvironmentSecret(where, _variable(where, given[source]))
    elif source == "password_file":
        reader = FileSecret(where, _secret_path(where, given[source]))
    else:
        user = text(f"{key}.username", given.get("username"))
        reader = KeyringSecret(where, text(where, given[source]), user)
    reader()
    return reader


def _variable(key: str, value: object) -> str:
    """Return a variable's name; what can't be one may be the password, and isn't shown."""
    expected = "expected the name of an environment variable"
    if isinstance(value, str) and value not in os.environ:
        if _DOLLAR.fullmatch(value):
            fail(key, f"{expected}; write it without $")
        if value.strip() and not _VARIABLE.fullmatch(value):
            fail(key, f"{expected}, not the password itself")
    return text(key, value)


def _secret_path(key: str, value: object) -> Path:
    """Return a path; a word that no file is named by may be the password, and isn't shown."""
    path = file_path(key, value, credentials=True)
    # `Path.exists` raises for a name that is too long.
    if not _IN_A_PATH.search(str(value)) and not os.path.exists(path):  # noqa: PTH110
        fail(key, "can't read a file of this name; expected a path, not the password itself")
    return path


def _bare(secret: str) -> str:
    """Return a secret without what editors and shells put around it."""
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
            fail(self._key, f"the environment variable {self._variable!r} {state}")
        return value

    def __repr__(self) -> str:
        return f"<secret from the environment variable {self._variable}>"


class FileSecret:
    """A secret in a file, read at each call."""

    def __init__(self, key: str, path: Path) -> None:
        self._key = key
        self._path = path

    def __call__(self) -> str:
        """Return the file's text, without white space at its end."""
        try:
            value = _bare(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(f"{self._key}: can't read {str(self._path)!r}: {reason}") from None
        if not value:
            fail(self._key, f"the file {str(self._path)!r} is empty")
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
            fail(self._key, "needs the package 'keyring': pip install tocsin[keyring]")
        try:
            value = keyring.get_password(self._service, self._user)
        except keyring.errors.KeyringError as error:
            raise ConfigError(f"{self._key}: {type(error).__name__}: {error}") from error
        if not value:
            fail(self._key, f"the keyring has nothing for {self._service!r} and {self._user!r}")
        return value

    def __repr__(self) -> str:
        return f"<secret of {self._user} from the keyring's {self._service}>"


def file_path(key: str, value: object, *, credentials: bool = False) -> Path:
    """Return a path; with `credentials`, a relative one may be in `$CREDENTIALS_DIRECTORY`."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        fail(key, f"expected a path, got {kind(value) if value != '' else 'an empty string'}")
    if "\0" in os.fspath(value):
        fail(key, "expected a path, got one with a NUL in it")
    path = Path(os.path.expanduser(value))  # noqa: PTH111 - `Path`'s raises where nobody is "~name"
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    # `Path.exists` raises for a name that is too long.
    if credentials and folder and not path.is_absolute() and not os.path.exists(path):  # noqa: PTH110
        path = Path(folder) / path
    return path


def verifying_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that verifies certificates and host names.

    A name that stands in the certificate's subject only (CN) isn't one: RFC 9525 §2.

    Args:
        ca_file: what to trust instead of what the operating system trusts.

    Raises:
        ssl.SSLError: there is no certificate in the file.
    """
    import ssl  # noqa: PLC0415 - only who uses TLS pays for it

    context = ssl.create_default_context(cafile=ca_file)
    context.hostname_checks_common_name = False
    return context


TLS_FILES = ("tls_ca_file", "tls_cert_file", "tls_key_file")


def tls_context(key: str, given: Mapping[str, Any]) -> ssl.SSLContext | None:
    """Return a verifying TLS context made from `tls_ca_file`, `tls_cert_file`, `tls_key_file`.

    A CA file replaces the operating system's trust. None if no file is given.

    Raises:
        ConfigError: a file that can't be read or isn't what it should be.
    """
    files = {
        name: file_path(f"{key}.{name}", given[name])
        for name in TLS_FILES
        if given.get(name) is not None
    }
    if not files:
        return None
    one_of(key, given, ("tls_context", next(iter(files))))
    if "tls_key_file" in files and "tls_cert_file" not in files:
        fail(f"{key}.tls_key_file", "needs 'tls_cert_file' too, the certificate of this key")
    import ssl  # noqa: PLC0415 - only who uses TLS pays for it

    for name, path in files.items():
        try:
            path.read_bytes()
        except OSError as error:
            fail(f"{key}.{name}", f"can't read {str(path)!r}: {error.strerror}")
    try:
        context = verifying_context(files.get("tls_ca_file"))
    except ssl.SSLError:
        fail(f"{key}.tls_ca_file", f"{str(files['tls_ca_file'])!r} holds no CA in PEM form")
    if "tls_cert_file" in files:
        try:
            # A password here keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(files["tls_cert_file"], files.get("tls_key_file"), password="")
        except (ssl.SSLError, ValueError):
            fail(
                f"{key}.tls_cert_file",
                f"{str(files['tls_cert_file'])!r} and its key are no matching pair of "
                "unencrypted PEM files",
            )
    return context
