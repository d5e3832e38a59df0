"""The email handler that sends through Django's backend for mail, with Django's settings."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import re
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any, Never, Self

from typing_extensions import override

from tocsin import options
from tocsin.exceptions import ConfigError, LoginError, SendError
from tocsin.integrations.django import in_tests
from tocsin.integrations.django_message import django_message
from tocsin.mail.base import EmailHandler, address_option
from tocsin.mail.envelope import envelopes
from tocsin.mail.receipt import Receipt, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from email.headerregistry import Address

    from tocsin.mail.base import AnyMessage
    from tocsin.mail.envelope import Envelope

_TIMEOUT = 30.0  # seconds, where EMAIL_TIMEOUT is None: then Django waits without a limit
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_LOCMEM = "django.core.mail.backends.locmem.EmailBackend"  # keeps mails in memory
_FINAL_STEPS = ("SMTPDataError", "SMTPSenderRefused")  # where a reply is about the message


class DjangoEmailHandler(EmailHandler):
    """Send through Django's `EMAIL_BACKEND`, with Django's settings for mail.

    In tests, the mails are kept in `django.core.mail.outbox`, and none leaves.

    Django doesn't tell the result for each recipient: if the backend reports that it has sent a
    message, all recipients count as accepted.

    Args:
        backend: the class of another backend; by default `EMAIL_BACKEND`.
        using: the name of an entry of the setting `MAILERS`, which Django 6.1 and later have.
        default_from: the sender of a message without `from_addr`; by default `SERVER_EMAIL`, or
            `DEFAULT_FROM_EMAIL` if only that one is set.

    Raises:
        ConfigError: an option is wrong, or Django has no settings yet.
    """

    def __init__(
        self,
        *,
        backend: str | None = None,
        using: str | None = None,
        default_from: str | Address | None = None,
        **unknown: Never,
    ) -> None:
        self._reject_unknown(unknown)
        self.backend: str | None = None if backend is None else options.text("backend", backend)
        self.using: str | None = None if using is None else options.text("using", using)
        settings = _settings()
        self._connect: Callable[[], Any] = _maker(settings, self.backend, self.using)
        try:
            self._connect()
        except Exception as error:
            key = "backend" if self.using is None else "using"
            raise ConfigError(f"{key}: can't be used: {error}") from error
        self.default_from: Address = (
            _sender(settings)
            if default_from is None
            else address_option("default_from", default_from)
        )
        self._admins = tuple(_admins(settings))

    @override
    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        given = options.section("email", config, ("backend", "using", "default_from"))
        try:
            return cls(**given)
        except ConfigError as error:
            raise ConfigError(f"email.{error}") from None

    @property
    @override
    def sender(self) -> Address | None:
        return self.default_from

    @property
    @override
    def recipients(self) -> tuple[str, ...]:
        """The addresses of `ADMINS`."""
        return self._admins

    @override
    def prepare(self) -> None:
        self._connect()

    @override
    def send(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        todo = envelopes(messages, self.default_from)
        receipts: list[Receipt] = []
        problem: Exception | None = None
        with contextlib.closing(_Line(self._connect, self.default_from, deadline)) as line:
            for envelope in todo:
                receipt, error = line.send(envelope)
                problem = problem or error
                if on_transaction is not None:
                    on_transaction(receipt)
                refused = {**receipt.refused, **envelope.invalid}
                receipts.append(dataclasses.replace(receipt, refused=refused))
        if problem is not None:
            raise _send_error(problem, receipts) from problem
        if not all(receipt.complete for receipt in receipts):
            raise SendError("some recipients were not accepted", receipts=receipts)
        return receipts

    def __repr__(self) -> str:
        return f"<DjangoEmailHandler {self.backend or self.using or 'default'}>"


class _Line:
    """A connection of a backend. It is opened for the first message, and after a failure."""

    def __init__(self, connect: Callable[[], Any], sender: Address, deadline: float | None) -> None:
        self._sender = sender
        self._connection = connection = connect()
        if hasattr(connection, "timeout"):
            connection.timeout = min(connection.timeout or _TIMEOUT, deadline or _TIMEOUT)
        self._open = False

    def send(self, envelope: Envelope) -> tuple[Receipt, Exception | None]:
        """Send a message, and return its receipt, and the error of the backend if there was one."""
        to = envelope.recipients
        try:
            message = django_message(envelope, self._sender)
            if not self._open:
                self._connection.open()
                self._open = True
        except Exception as error:  # noqa: BLE001 - a backend may raise anything
            return _receipt(envelope, deferred=dict.fromkeys(to, _reply_of(error))), error
        try:
            sent = self._connection.send_messages([message])
        except Exception as error:  # noqa: BLE001 - as above
            self.close()
            return _failed(envelope, error), error
        if sent or sent is None:  # some backends return nothing
            return _receipt(envelope, accepted=to), None
        nothing = Reply(None, None, "the backend reports that it has sent nothing")
        return _receipt(envelope, deferred=dict.fromkeys(to, nothing)), None

    def close(self) -> None:
        self._open = False
        with contextlib.suppress(Exception):
            self._connection.close()


def _failed(envelope: Envelope, error: Exception) -> Receipt:
    """Return the receipt of a message for which a backend has raised an error.

    Errors of the standard library's SMTP client have the replies of the server.
    """
    one = _reply_of(error)
    final = one.final and type(error).__name__ in _FINAL_STEPS
    replies: Any = getattr(error, "recipients", None)
    if not isinstance(replies, dict):
        if one.code is None and isinstance(error, OSError):  # it may have been sent
            return _receipt(envelope, unknown=envelope.recipients)
        replies = {}
    by_address = {parseaddr(name)[1]: _reply(*reply) for name, reply in replies.items()}
    refused: dict[str, Reply] = {}
    deferred: dict[str, Reply] = {}
    for address in envelope.recipients:
        reply = by_address.get(address)
        gone = final if reply is None else reply.final
        (refused if gone else deferred)[address] = reply or one
    return _receipt(envelope, refused=refused, deferred=deferred)


def _receipt(envelope: Envelope, **results: Any) -> Receipt:
    return Receipt(message_id=envelope.message_id, **results)


def _reply_of(error: Exception) -> Reply:
    code: Any = getattr(error, "smtp_code", None)
    if isinstance(code, int) and code > 0:
        return _reply(code, getattr(error, "smtp_error", ""))
    return Reply(None, None, f"{type(error).__name__}: {error}")


def _reply(code: int, text: Any) -> Reply:
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    found = _ENHANCED.match(text)
    if found is None:
        return Reply(code, None, text)
    return Reply(code, found[1], text[found.end() :])


def _send_error(error: Exception, receipts: list[Receipt]) -> SendError:
    message, reply = f"Django's backend for mail: {type(error).__name__}: {error}", _reply_of(error)
    if type(error).__name__ == "SMTPAuthenticationError":
        return LoginError(message, reply=reply, receipts=receipts)
    return SendError(message, receipts=receipts)


def _maker(settings: Any, backend: str | None, using: str | None) -> Callable[[], Any]:
    """Return a function that makes a connection of a backend.

    It does not use `django.core.mail.get_connection`, which Django 6.1 has deprecated.
    """
    import_string = importlib.import_module("django.utils.module_loading").import_string
    if settings.is_overridden("MAILERS"):
        if backend is not None:
            options.fail("backend", "can't be used with MAILERS; set using: the name of an entry")
        mailers = importlib.import_module("django.core.mail").mailers
        return lambda: import_string(_LOCMEM)() if in_tests() else mailers[using or "default"]
    if using is not None:
        options.fail("using", "the settings of Django have no MAILERS")

    def connect() -> Any:  # the setting is read each time, as tests replace it
        return import_string(_LOCMEM if in_tests() else backend or settings.EMAIL_BACKEND)()

    return connect


def _settings() -> Any:
    try:
        settings: Any = importlib.import_module("django.conf").settings
        settings.ADMINS  # noqa: B018 - it loads the settings
    except Exception as error:
        raise ConfigError(f"handler: the settings of Django can't be used: {error}") from error
    return settings


def _sender(settings: Any) -> Address:
    """Return the address of the settings from which mails about errors come."""
    name = "SERVER_EMAIL"
    if not settings.is_overridden(name) and settings.is_overridden("DEFAULT_FROM_EMAIL"):
        name = "DEFAULT_FROM_EMAIL"
    return address_option(f"default_from: {name}", getattr(settings, name))


def _admins(settings: Any) -> Iterator[str]:
    """Yield the addresses of `ADMINS`: addresses, or pairs of a name and an address."""
    for one in settings.ADMINS:
        yield str(one) if isinstance(one, str) else str(one[1])
