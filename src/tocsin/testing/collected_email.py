"""The email handlers of alert handlers that collect. None reads a secret, and none connects."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from tocsin import config, passwords
from tocsin.exceptions import ConfigError
from tocsin.mail.address import prepare_address
from tocsin.mail.base import EmailHandler
from tocsin.mail.endpoint import endpoint
from tocsin.mail.login import TOKEN_MECHANISMS
from tocsin.mail.outbox import TestEmailHandler
from tocsin.mail.smtp import SMTPEmailHandler
from tocsin.mail.tls import FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from email.headerregistry import Address

    from tocsin.mail.base import AnyMessage
    from tocsin.mail.receipt import Receipt

_SECRETS = (*passwords.SOURCES, "access_token", *FILES)
_UNKNOWN = "alerts@localhost"  # the sender, where only a secret option would say it


def build_collected_email(value: object) -> TestEmailHandler:
    """Return an email handler with an outbox instead of the one that the option `email` names.

    A `TestEmailHandler` is returned as it is.

    Raises:
        ConfigError: an option is wrong. Secrets, and files of certificates, may be missing.
    """
    if isinstance(value, TestEmailHandler):
        return value
    if isinstance(value, EmailHandler):
        return TestEmailHandler(default_from=value.sender)
    kind, given = config.email_options(value)
    if issubclass(kind, TestEmailHandler):
        return kind.from_config(given)
    if issubclass(kind, SMTPEmailHandler):
        return TestEmailHandler(default_from=_smtp_sender(kind, given))
    # The constructor of another class may connect, or ask for secrets.
    return TestEmailHandler(default_from=_address(given.get("default_from")) or _UNKNOWN)


def _smtp_sender(kind: type[SMTPEmailHandler], given: Mapping[str, Any]) -> str | Address | None:
    """Check all options but secrets, and return the sender of messages that name none."""
    sender = kind.from_config(_without_secrets(given)).sender
    expected = "username" in given and not given["username"]  # a variable that is set elsewhere
    return _UNKNOWN if sender is None and expected else sender


def _without_secrets(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with a placeholder for the password or the token."""
    kept = {name: value for name, value in given.items() if name not in _SECRETS}
    user = kept.get("username") or endpoint(kept).get("username")
    if not user:
        return {**kept, "username": None, "login_mechanism": None}
    mechanism = kept.get("login_mechanism")
    token = isinstance(mechanism, str) and mechanism.upper() in TOKEN_MECHANISMS
    secret = "access_token" if token else "password"
    return {**kept, "username": user, secret: "not read in tests"}


def _address(value: object) -> str | None:
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        return str(prepare_address(value))  # type: ignore[arg-type] # others raise TypeError
    return None


class TeeEmailHandler(EmailHandler):
    """Give mails to an email handler, and keep them.

    Args:
        email: the email handler of a test.
        keep: keeps a mail that the email handler has taken.
    """

    def __init__(self, email: EmailHandler, keep: Callable[[AnyMessage], None]) -> None:
        self._email = email
        self._keep = keep

    @override
    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        raise ConfigError("handler: a part of the tests; it can't be configured")

    @override
    def send(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        receipts = self._email.send(messages, deadline=deadline, on_transaction=on_transaction)
        self._keep(messages)  # type: ignore[arg-type] # an alert handler sends one at a time
        return receipts
