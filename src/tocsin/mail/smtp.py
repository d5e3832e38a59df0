"""The email handler that speaks SMTP: its options, and one call of `send`."""

from __future__ import annotations

import contextlib
import importlib
import time
from typing import TYPE_CHECKING, Any, Never, Self, TypeVar

from typing_extensions import override

from tocsin import options, passwords
from tocsin.exceptions import ConfigError
from tocsin.mail import tls
from tocsin.mail.address import prepare_address
from tocsin.mail.base import EmailHandler, address_option
from tocsin.mail.credentials import (
    as_callable,
    check_pair,
    mechanism_option,
    secret_option,
    username_option,
)
from tocsin.mail.delivery import Delivery
from tocsin.mail.endpoint import ENDPOINTS, endpoint, login_hint
from tocsin.mail.envelope import envelopes
from tocsin.mail.host import host_option, word_option
from tocsin.mail.pipelining import Pipelining
from tocsin.mail.pool import Pool
from tocsin.mail.target import Target

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator, Iterable, Mapping
    from email.headerregistry import Address

    from tocsin.mail.base import AnyMessage
    from tocsin.mail.credentials import Secret
    from tocsin.mail.receipt import Receipt
    from tocsin.mail.session import Session

_Value = TypeVar("_Value")
_TIMEOUT = 30
_OPTIONS = (
    "host",
    "port",
    "use_tls",
    "use_starttls",
    "tls_context",
    "timeout",
    "username",
    "password",
    "access_token",
    "login_mechanism",
    "default_from",
    "recipients_per_message",
    "pipeline_messages",
    "local_hostname",
    "dangerous_plaintext_login",
)


class SMTPEmailHandler(EmailHandler):
    """Send messages through an SMTP server. Each argument is optional, and an attribute.

    Args:
        host: the server's name or IP address; `localhost` by default.
        port: the port; by default 465 with `use_tls`, else 25.
        use_tls: whether TLS starts with the connection; by default only on port 465.
        use_starttls: whether TLS starts by the STARTTLS command (mostly on port 587). It is an
            error if the server doesn't offer it. It has no effect with `use_tls`.
        tls_context: the context for TLS; by default one that trusts the authorities of the
            operating system and verifies the server's name.
        timeout: the seconds that each wait for the server may take; None for the default.
        username: the account; no login without it.
        password: the account's password, or a callable that returns it, called at each login.
        access_token: an OAuth 2 token, used instead of a password with XOAUTH2 or OAUTHBEARER; or
            a callable that returns it, called at each login.
        login_mechanism: `PLAIN`, `LOGIN` or `CRAM-MD5`; with a token `XOAUTH2` or `OAUTHBEARER`. By
            default the first of these that the server offers.
        default_from: the sender of a message without `from_addr`; by default `username`, if that is
            an address.
        recipients_per_message: how many recipients a transaction may have; no limit by default. A
            message with more is sent in several transactions, each with the full To and Cc.
        pipeline_messages: whether the commands of the next message are sent together with the end
            of this one, where the server offers PIPELINING. Some servers fail at it, so the default
            is: only with Postfix, Exim and Sendmail, as they name themselves in their greetings.
        local_hostname: the name for EHLO; by default this machine's, or its address.
        dangerous_plaintext_login: whether credentials may be sent without encryption.

    Raises:
        ConfigError: an option is wrong.
    """

    def __init__(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        use_tls: bool | None = None,
        use_starttls: bool = False,
        tls_context: ssl.SSLContext | None = None,
        timeout: float | None = _TIMEOUT,
        username: str | None = None,
        password: Secret | None = None,
        access_token: Secret | None = None,
        login_mechanism: str | None = None,
        default_from: str | Address | None = None,
        recipients_per_message: int | None = None,
        pipeline_messages: bool | None = None,
        local_hostname: str | None = None,
        dangerous_plaintext_login: bool = False,
        **unknown: Never,
    ) -> None:
        self._reject_unknown(unknown)
        self.host: str = "localhost" if host is None else host_option(host)
        found = tls.transport_options(port, use_tls, use_starttls)
        self.port: int = found[0]
        self.use_tls: bool = found[1]
        self.use_starttls: bool = found[2]
        encrypted = self.use_tls or self.use_starttls
        self.tls_context: ssl.SSLContext | None = tls.context_option(tls_context, needed=encrypted)
        self.timeout: float = options.seconds(
            "timeout", _TIMEOUT if timeout is None else timeout, above=0
        )
        self.username: str | None = username_option(username)
        self.password: Secret | None = secret_option("password", password)
        self.access_token: Secret | None = secret_option("access_token", access_token)
        self.dangerous_plaintext_login: bool = options.boolean(
            "dangerous_plaintext_login", dangerous_plaintext_login
        )
        check_pair(self.username, self.password, self.access_token)
        if self.username is not None and not self.dangerous_plaintext_login:
            tls.check_login_is_encrypted(self.host, self.port, encrypted=encrypted)
        self.login_mechanism: str | None = mechanism_option(
            login_mechanism, self.username, self.access_token
        )
        self.default_from: Address | None = _if_given(address_option, "default_from", default_from)
        self.recipients_per_message: int | None = _if_given(
            _at_least_one, "recipients_per_message", recipients_per_message
        )
        self.pipeline_messages: bool | None = _if_given(
            options.boolean, "pipeline_messages", pipeline_messages
        )
        self.local_hostname: str | None = _if_given(word_option, "local_hostname", local_hostname)
        self._pool, self._pipelining = Pool(self._connect), Pipelining()

    _OPTIONS = _OPTIONS
    _CONFIG_OPTIONS = (*passwords.SOURCES[1:], *tls.FILES, *ENDPOINTS)

    @override
    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the handler from a mapping, as `logging.config.dictConfig` can hold it.

        Args:
            config: the constructor's arguments by name. These may replace them:

                - for `password`: `password_env` (the name of an environment variable),
                  `password_file` (a path; a relative one is also looked for in
                  `$CREDENTIALS_DIRECTORY`) or `password_keyring` (the name of a service in the
                  system's keyring);
                - for `tls_context`: `tls_ca_file`, `tls_cert_file` and `tls_key_file` (paths of PEM
                  files);
                - for `host`: a `url` (`smtps://user@host:465`, `smtp://…` or `smtp+starttls://…`),
                  or a `provider` (a name of the table in `tocsin.mail.providers`), for some
                  providers with a `region`.

        Raises:
            ConfigError: an option is unknown or wrong, a variable isn't set, a file can't be read.
        """
        given = options.section("email", config, (*cls._OPTIONS, *cls._CONFIG_OPTIONS))
        said = endpoint(given) | {key: given[key] for key in given if given[key] is not None}
        chosen = {name: said[name] for name in cls._OPTIONS if name in said}
        if (password := passwords.password("email", said)) is not None:
            chosen["password"] = password
        if (context := tls.context_of_files("email", given)) is not None:
            chosen["tls_context"] = context
        try:
            return cls(**chosen)
        except ConfigError as error:
            text = tls.about_the_given_key(str(error), said)
            raise ConfigError(f"email.{text}") from error.__cause__

    @contextlib.contextmanager
    def connect(self) -> Generator[Self]:
        """Open a connection and log in, now; `send` uses it until the end of the `with` block.

        Yields:
            This handler.

        Raises:
            ConnectError: it can't be opened.
        """
        with self._pool.keep():
            yield self

    @override
    def send(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        """Send one message or many, over one connection.

        A refused recipient or message doesn't stop the other ones. The messages are not changed;
        what is sent has a `Date` and a `Message-ID`, and never a Bcc.

        Args:
            messages: `Message` or `EmailMessage`; one, or an iterable of them.
            deadline: the seconds that the whole call may take.
            on_transaction: called after each transaction, with a receipt of what it has decided.

        Returns:
            One receipt for each message, in order; every recipient was accepted.

        Raises:
            SendError: some recipients were not accepted; its `receipts` name them and the reasons.
            ValueError: a message has no sender or no recipients; nothing has been sent.
        """
        until = float("inf") if deadline is None else time.monotonic() + deadline
        prepared = envelopes(messages, self.sender)
        delivery = Delivery(
            take=self._pool.take,
            give_back=self._pool.give_back,
            limit=self.recipients_per_message,
            until=until,
            on_transaction=on_transaction,
        )
        return delivery.send(prepared)

    @override
    def prepare(self) -> None:
        """Load the modules that sending needs."""
        importlib.import_module("tocsin.mail.session")
        "localhost".encode("idna")  # each look-up uses this codec, and the first one loads it

    @override
    def close(self) -> None:
        """Close the kept connections. The handler can be used again."""
        self._pool.close()

    def __repr__(self) -> str:
        encryption = " TLS" if self.use_tls else " STARTTLS" if self.use_starttls else ""
        user = f" as {self.username}" if self.username else ""
        kept = f"{len(self._pool)} connections kept"
        return f"<SMTPEmailHandler {self.host}:{self.port}{encryption}{user}, {kept}>"

    @property
    @override
    def sender(self) -> Address | None:
        """The sender of a message without `from_addr`: `default_from`, else `username`."""
        if self.default_from is None and self.username is not None:
            with contextlib.suppress(ValueError):
                return prepare_address(self.username)
        return self.default_from

    def _connect(self, until: float) -> Session:
        """Open a session with the options as they are now."""
        from tocsin.mail.session import Session  # noqa: PLC0415 - loads ssl and sockets

        return Session.open(target_of(self, self._pipelining), until)


def _if_given(check: Callable[[str, Any], _Value], key: str, value: object) -> _Value | None:
    """Return an option's checked value; None if the option isn't given."""
    return None if value is None else check(key, value)


def _at_least_one(key: str, value: object) -> int:
    return options.whole(key, value, low=1)


def target_of(handler: SMTPEmailHandler, pipelining: Pipelining) -> Target:
    """Return the handler's options as they are now, for a session."""
    return Target(
        host=handler.host,
        port=handler.port,
        tls_context=handler.tls_context if handler.use_tls or handler.use_starttls else None,
        starttls=handler.use_starttls,
        timeout=handler.timeout,
        local_hostname=handler.local_hostname,
        username=handler.username,
        password=as_callable(handler.password),
        access_token=as_callable(handler.access_token),
        login_mechanism=handler.login_mechanism,
        login_hint=login_hint(handler.host),
        plaintext_login=handler.dangerous_plaintext_login,
        pipelining=pipelining,
        pipeline_messages=handler.pipeline_messages,
    )
