"""Credentials: the user name, the password or access token, and the login mechanism, as options.

A user name and a secret belong together; each without the other is an error. No error shows a
secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import options
from tocsin.mail.address import is_utf8
from tocsin.mail.login import PASSWORD_MECHANISMS, TOKEN_MECHANISMS, has_separator

if TYPE_CHECKING:
    from collections.abc import Callable

    Secret = str | Callable[[], str]


def username_option(value: str | None) -> str | None:
    """Return the user name that an option gives; None for no login.

    Raises:
        ConfigError: the value can't be a user name.
    """
    return None if value is None else _sendable("username", options.text("username", value))


def secret_option(key: str, value: Secret | None) -> Secret | None:
    """Return the secret that an option gives, or the callable that will return it.

    Args:
        key: `password` or `access_token`.
        value: the option's value.

    Raises:
        ConfigError: the value can't be a secret.
    """
    if value is None or callable(value):
        return value
    if not isinstance(value, str):
        options.fail(key, f"expected text or a callable, got {options.got_for_text(value)}")
    if not value:
        options.fail(key, "expected text or a callable, got an empty string")
    instead = "name the variable in password_env" if key == "password" else "give a callable"
    options.reject_placeholder(key, value, instead)
    if value.endswith(("\n", "\r")):
        options.fail(key, "ends with a line break; leave it out")
    return _sendable(key, value)


def check_pair(username: str | None, password: Secret | None, token: Secret | None) -> None:
    """Check that a user name comes with exactly one secret.

    Raises:
        ConfigError: one of them is missing, or one too many.
    """
    if password is not None and token is not None:
        options.fail("access_token", "can't be used together with a password; give one of them")
    secret = token if password is None else password
    if username is None and secret is not None:
        options.fail("username", "missing; a password or an access_token needs one")
    if username is not None and secret is None:
        options.fail("password", "missing; a username needs one (or an access_token)")


def mechanism_option(value: str | None, username: str | None, token: Secret | None) -> str | None:
    """Return the login mechanism that an option gives, in upper case; None for the default.

    Args:
        value: the option's value.
        username: the user name, without which a mechanism has no effect.
        token: the access token, which has mechanisms of its own.

    Raises:
        ConfigError: the mechanism is unknown, or doesn't fit the credentials.
    """
    if value is None:
        return None
    key = "login_mechanism"
    name = options.text(key, value).upper()
    if name not in PASSWORD_MECHANISMS and name not in TOKEN_MECHANISMS:
        known = ", ".join([*PASSWORD_MECHANISMS, *TOKEN_MECHANISMS])
        options.fail(key, f"unknown {value!r}; known are {known}")
    if username is None:
        options.fail(key, "has no effect without a username")
    if (name in TOKEN_MECHANISMS) != (token is not None):
        needs = "an access_token" if name in TOKEN_MECHANISMS else "a password"
        options.fail(key, f"{name} takes {needs}")
    return name


def as_callable(secret: Secret | None) -> Callable[[], str] | None:
    """Return a callable that returns the secret; None for no secret."""
    return secret if secret is None or callable(secret) else lambda: secret


def reveal(secret: Callable[[], str] | None) -> str | None:
    """Call a secret's callable, and check what it returns; None for no secret.

    Raises:
        TypeError: it returned something other than text.
        ValueError: it returned text that no login can send.
    """
    if secret is None:
        return None
    value = secret()
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    if not value or not is_utf8(value) or has_separator(value):
        raise ValueError("it is empty, or has characters that no login can send")
    return value


def _sendable(key: str, value: str) -> str:
    if not is_utf8(value):
        options.fail(key, "expected text that UTF-8 can encode, got a lone surrogate")
    if has_separator(value):
        options.fail(key, "expected text without NUL and ^A, which separate a login's parts")
    return value
