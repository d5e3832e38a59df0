"""The email handler that speaks SMTP: its options, its connections, and batches of recipients."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Never, Self

from typing_extensions import override

from tocsin import options
from tocsin.exceptions import ConfigError
from tocsin.mail.address import is_utf8, prepare_address
from tocsin.mail.base import EmailHandler, address_option
from tocsin.mail.delivery import Delivery
from tocsin.mail.endpoint import ENDPOINTS, endpoint, login_hint
from tocsin.mail.envelope import envelopes
from tocsin.mail.host import host_option, may_be_this_machine, word_option
from tocsin.mail.login import PASSWORD_MECHANISMS, TOKEN_MECHANISMS, has_separator
from tocsin.mail.pipelining import Pipelining

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator, Iterable, Mapping
    from email.headerregistry import Address

    from tocsin.mail.base import AnyMessage
    from tocsin.mail.receipt import Receipt
    from tocsin.mail.session import Session

    Secret = str | Callable[[], str]

SMTP_PORT = 25  # RFC 5321 §4.5.4.2
SMTPS_PORT = 465  # RFC 8314 §7.3
SUBMISSION_PORT = 587  # RFC 6409 §3.1
_NO_EFFECT = "has no effect without use_tls or use_starttls"


class SMTPEmailHandler(EmailHandler):
    """Send messages through an SMTP server. Each argument is optional, and an attribute.

    Args:
        host: the server; `localhost` by default.
        port: the port; by default 465 with `use_tls`, else 25.
        use_tls: speak TLS from the start; by default only on port 465.
        use_starttls: turn on TLS by the STARTTLS command (mostly on port 587). A server that
            doesn't offer it is an error. `use_tls` wins.
        tls_context: how TLS verifies the server, and with which certificate it shows itself; by
            default one that trusts what the operating system trusts.
        timeout: seconds for each wait for the server.
        username: the account to log in to; no login without it.
        password: its password, or a callable that returns it and is called at each login.
        access_token: an OAuth 2 token instead of a password, for XOAUTH2 or OAUTHBEARER; or a
            callable, as above.
        login_mechanism: how to log in: `PLAIN`, `LOGIN` or `CRAM-MD5`, or with a token `XOAUTH2` or
            `OAUTHBEARER`; by default the first of these that the server offers.
        default_from: who sends a message without `from_addr`; by default `username`, if that is an
            address.
        recipients_per_message: how many recipients a transaction has at most. A message to more of
            them is sent in several; each sees all of To and Cc.
        pipeline_messages: whether the commands of the next message leave together with the end of
            this one, where the server offers PIPELINING; by default with Postfix, Exim and
            Sendmail, as their greetings name them. Some servers fail at it; after the first sign
            of that the handler waits for each reply.
        local_hostname: the name to greet the server with; by default the host's.
        dangerous_plaintext_login: send credentials over a connection that isn't encrypted.

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
        timeout: float = 30,
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
        if port is not None:
            options.whole("port", port, low=1, high=65535)
        self.use_tls: bool = (
            port == SMTPS_PORT if use_tls is None else options.boolean("use_tls", use_tls)
        )
        self.use_starttls: bool = options.boolean("use_starttls", use_starttls) and not self.use_tls
        self.port: int = port or (SMTPS_PORT if self.use_tls else SMTP_PORT)
        self.tls_context: ssl.SSLContext | None = _tls_context(
            tls_context, needed=self.use_tls or self.use_starttls
        )
        self.timeout: float = options.seconds("timeout", timeout, above=0)
        self.username: str | None = (
            None if username is None else _carried("username", options.text("username", username))
        )
        self.password: Secret | None = _secret("password", password)
        self.access_token: Secret | None = _secret("access_token", access_token)
        self.dangerous_plaintext_login: bool = options.boolean(
            "dangerous_plaintext_login", dangerous_plaintext_login
        )
        self._check_login()
        self.login_mechanism: str | None = (
            None if login_mechanism is None else self._mechanism(login_mechanism)
        )
        self.default_from: Address | None = (
            None if default_from is None else address_option("default_from", default_from)
        )
        self.recipients_per_message: int | None = recipients_per_message
        if recipients_per_message is not None:
            options.whole("recipients_per_message", recipients_per_message, low=1)
        self.pipeline_messages: bool | None = (
            None
            if pipeline_messages is None
            else options.boolean("pipeline_messages", pipeline_messages)
        )
        self.local_hostname: str | None = (
            None if local_hostname is None else word_option("local_hostname", local_hostname)
        )
        self._lock = threading.Lock()
        self._kept: list[Session] = []
        self._keeping = 0
        self._pipelining = Pipelining()
        _handlers.add(self)

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
    _CONFIG_OPTIONS = (*options.PASSWORDS[1:], *options.TLS_FILES, *ENDPOINTS)

    @override
    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the handler from a mapping, as `logging.config.dictConfig` can hold it.

        Args:
            config: the constructor's arguments by name, and what a file can say instead of objects:
                `password_env` (the name of an environment variable), `password_file` (a path; a
                relative one is looked for in `$CREDENTIALS_DIRECTORY` too) or `password_keyring`
                (the name of a service in the system's keyring); `tls_ca_file`, `tls_cert_file` and
                `tls_key_file` (paths of PEM files); and instead of `host` a `url`
                (`smtps://user@host:465`, `smtp://…` or `smtp+starttls://…`) or a `provider` (a name
                of the table in `tocsin.mail.providers`), for some with a `region`.

        Raises:
            ConfigError: an option is unknown or wrong, a variable isn't set, a file can't be read.
        """
        given = options.section("email", config, (*cls._OPTIONS, *cls._CONFIG_OPTIONS))
        said = endpoint(given) | {key: value for key, value in given.items() if value is not None}
        chosen = {name: said[name] for name in cls._OPTIONS if name in said}
        if (password := options.password("email", said)) is not None:
            chosen["password"] = password
        context = options.tls_context("email", given)
        if context is not None:
            chosen["tls_context"] = context
        try:
            return cls(**chosen)
        except ConfigError as error:
            text = str(error)
            if text.endswith(_NO_EFFECT):  # the key is the file's that the context was made of
                named = next((name for name in options.TLS_FILES if name in said), "tls_context")
                text = f"{named}: {_NO_EFFECT}"
            raise ConfigError(f"email.{text}") from error.__cause__

    @contextlib.contextmanager
    def connect(self) -> Generator[Self]:
        """Open a connection and log in, now; `send` uses it until the end of the `with` block.

        Yields:
            This handler.

        Raises:
            ConnectError: it can't be opened.
        """
        session = self._session(float("inf"))
        with self._lock:
            self._keeping += 1
            self._kept.append(session)
        try:
            yield self
        finally:
            with self._lock:
                self._keeping -= 1
            if not self._keeping:
                self.close()

    @override
    def send(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        """Send one message or many, over one connection.

        A recipient or a message that is refused doesn't stop the others. The messages are not
        changed: `Date` and `Message-ID` are added to what is sent, if absent; Bcc never leaves.

        Args:
            messages: `Message` or `EmailMessage`; one, or an iterable of them.
            deadline: seconds that the whole call may take.
            on_transaction: called after each transaction with a receipt that holds only what was
                decided in it.

        Returns:
            One receipt a message, in order; every recipient was accepted.

        Raises:
            SendError: somebody was not accepted; its `receipts` say who and why.
            ValueError: a message without sender or recipients; nothing has been sent.
        """
        until = float("inf") if deadline is None else time.monotonic() + deadline
        prepared = envelopes(messages, self.sender)
        delivery = Delivery(
            take=self._session,
            give_back=self._give_back,
            limit=self.recipients_per_message,
            until=until,
            on_transaction=on_transaction,
        )
        return delivery.send(prepared)

    @override
    def prepare(self) -> None:
        """Load what sending needs."""
        importlib.import_module("tocsin.mail.session")
        "localhost".encode("idna")  # which every look-up uses, and loads at its first

    @override
    def close(self) -> None:
        """Close the connections that are kept; the handler can be used again."""
        with self._lock:
            sessions, self._kept = self._kept, []
        for session in sessions:
            session.close()

    def __repr__(self) -> str:
        tls = " TLS" if self.use_tls else " STARTTLS" if self.use_starttls else ""
        user = f" as {self.username}" if self.username else ""
        kept = len(self._kept)
        return f"<SMTPEmailHandler {self.host}:{self.port}{tls}{user}, {kept} connections kept>"

    def _check_login(self) -> None:
        if self.password is not None and self.access_token is not None:
            options.fail("access_token", "can't be used together with a password; give one of them")
        secret = self.password if self.password is not None else self.access_token
        if self.username is None and secret is not None:
            options.fail("username", "missing; a password or an access_token needs one")
        if self.username is not None and secret is None:
            options.fail("password", "missing; a username needs one (or an access_token)")
        if (
            self.username is not None
            and self.port == SUBMISSION_PORT
            and not (self.use_tls or self.use_starttls or self.dangerous_plaintext_login)
            and not may_be_this_machine(self.host)
        ):
            options.fail(
                "use_starttls",
                "missing; credentials are not sent over a connection that is not encrypted: set "
                f"use_starttls (port {SUBMISSION_PORT}; in a URL, smtp+starttls://), "
                f"or use_tls (port {SMTPS_PORT}; smtps://)",
            )

    def _mechanism(self, value: object) -> str:
        key = "login_mechanism"
        name = options.text(key, value).upper()
        if name not in PASSWORD_MECHANISMS and name not in TOKEN_MECHANISMS:
            known = ", ".join([*PASSWORD_MECHANISMS, *TOKEN_MECHANISMS])
            options.fail(key, f"unknown {value!r}; known are {known}")
        if self.username is None:
            options.fail(key, "has no effect without a username")
        if (name in TOKEN_MECHANISMS) != (self.access_token is not None):
            needs = "an access_token" if name in TOKEN_MECHANISMS else "a password"
            options.fail(key, f"{name} takes {needs}")
        return name

    @property
    @override
    def sender(self) -> Address | None:
        """Who sends a message that doesn't say it: `default_from`, else `username`."""
        if self.default_from is None and self.username is not None:
            with contextlib.suppress(ValueError):
                return prepare_address(self.username)
        return self.default_from

    def _session(self, until: float) -> Session:
        """Return a kept session that is still good, or a new one."""
        while True:
            with self._lock:
                session = self._kept.pop() if self._kept else None
            if session is None:
                break
            if not session.stale():
                return session
            session.close()
        from tocsin.mail.conversation import Target  # noqa: PLC0415 - loads ssl and sockets
        from tocsin.mail.session import Session  # noqa: PLC0415 - loads ssl and sockets

        target = Target(
            host=self.host,
            port=self.port,
            tls_context=self.tls_context if self.use_tls or self.use_starttls else None,
            starttls=self.use_starttls,
            timeout=self.timeout,
            local_hostname=self.local_hostname,
            username=self.username,
            password=_callable(self.password),
            access_token=_callable(self.access_token),
            login_mechanism=self.login_mechanism,
            login_hint=login_hint(self.host),
            plaintext_login=self.dangerous_plaintext_login,
            pipelining=self._pipelining,
            pipeline_messages=self.pipeline_messages,
        )
        return Session.open(target, until)

    def _give_back(self, session: Session) -> None:
        with self._lock:
            keep = self._keeping > 0 and not session.stale()
            if keep:
                self._kept.append(session)
        if not keep:
            session.close()


_handlers: weakref.WeakSet[SMTPEmailHandler] = weakref.WeakSet()


def _after_fork() -> None:
    """Leave the connections to the parent: two processes can't share one."""
    for handler in list(_handlers):
        handler._lock = threading.Lock()  # noqa: SLF001 - another thread may have held it
        sessions, handler._kept = handler._kept, []  # noqa: SLF001 - its own module
        for session in sessions:
            session.alive = False  # closed without a QUIT, which would be the parent's
            session.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _tls_context(given: ssl.SSLContext | None, *, needed: bool) -> ssl.SSLContext | None:
    if given is None and not needed:
        return None
    if given is None:
        return options.verifying_context()
    import ssl  # noqa: PLC0415 - only who uses TLS pays for it

    if not isinstance(given, ssl.SSLContext):
        options.fail("tls_context", f"expected an ssl.SSLContext, got {options.kind(given)}")
    if not needed:
        options.fail("tls_context", _NO_EFFECT)
    return given


def _secret(key: str, value: Secret | None) -> Secret | None:
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
    return _carried(key, value)


def _carried(key: str, value: str) -> str:
    if not is_utf8(value):
        options.fail(key, "expected text that UTF-8 can carry, got a lone surrogate")
    if has_separator(value):
        options.fail(key, "expected text without NUL and ^A, which separate a login's parts")
    return value


def _callable(secret: Secret | None) -> Callable[[], str] | None:
    return secret if secret is None or callable(secret) else lambda: secret
