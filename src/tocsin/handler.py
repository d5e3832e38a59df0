"""The alert handler: its options, its name and level, and the methods that wait for a mail."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Never

from typing_extensions import override

from tocsin import config, levels, options, switches
from tocsin.alerts.policy import Urgency
from tocsin.forks import holds_logging_lock
from tocsin.integrations.arrival import settle_due, settle_soon
from tocsin.integrations.frameworks import Frameworks
from tocsin.integrations.guest import Guest
from tocsin.integrations.known import build_integrations
from tocsin.pipeline.emitter import Emitter
from tocsin.pipeline.engine import Engine
from tocsin.pipeline.excepthook import ExceptHook

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import ContextVar
    from email.headerregistry import Address

    from tocsin.alerts.settings import Policy
    from tocsin.events.capture import Origin
    from tocsin.integrations.silent import Silent
    from tocsin.mail.base import EmailHandler
    from tocsin.pipeline.stats import Stats
    from tocsin.stores.base import Store

    Addresses = Iterable[str | Address] | str | Address
    Recipients = Addresses | Mapping[str, Any] | Callable[[], Addresses]


class AlertHandler(Emitter):
    """Group records, and send the groups as digests by email.

    `logging.config.dictConfig` can build it: each argument is a key of the handler's entry.

    Args:
        to: the recipients: `"a@example.com, Bo <b@example.com>"`, or a list; `{"file": path}`, a
            file with one address on each line, read again when it changes; or a callable that
            returns addresses, called for each mail.
        email: how mails are sent: an email handler, or a mapping with its options, in which
            `handler` names the class (`"smtp"`); the default is the server at `localhost:25`.
        from_addr: the sender's address; by default the email handler's `default_from`, else its
            `username` if that is an address.
        app: the application's name, shown in the subject; by default the name of the module that
            the server loads (`uvicorn shop.main:app`: "shop"), or of the script.
        environment: such as `"production"`, shown in the subject.
        version: the application's version, shown in the mail.
        cc: the recipients of a copy, in the same forms as `to`.
        bcc: the recipients that the other recipients don't see, in the same forms as `to`.
        reply_to: the addresses for answers: text with commas between addresses, or a list.
        policy: when mails are sent: a `Policy`, or a mapping with some of its fields.
        store: where events wait until they are mailed: `"memory:"`; `"sqlite:///"` and the path of
            a file that all processes of the machine share; or a callable that returns a `Store`.
            Its argument is the scope, a text made of `app`, `environment` and `name`: only
            handlers with the same scope share events.
        app_packages: the application's root packages. The mail marks their frames, and the
            innermost one is the place of an error. By default, the package that the logger is
            named after, and all code that is neither in the standard library nor installed.
        context: how many records below `alert_level`, up to 1000, are kept for each thread or task,
            to show the records before an error. `level` must be below `alert_level`.
        context_key: a context variable: records with the same value of it are kept together,
            instead of records of the same thread or task.
        alert_level: with `context`, the lowest level of an alert; records below it are context.
        redact: whether secrets are removed; or additional patterns of secrets: regular expressions;
            their capture groups are redacted, or the whole match if there are none.
        templates: a folder with your own templates; each replaces the built-in one of its name.
        fallback: where an alert is written that can't be mailed: `"stderr"`, or a folder for
            `.eml` files.
        give_up_after: seconds after which an unsent alert is given up, and written to `fallback`.
        uncaught: whether uncaught exceptions, of the program, of its threads and of the cells of
            a notebook, are alerts.
        integrations: whether frameworks that are loaded are supported: the errors that their
            servers log arrive, with the request or the task. Or the names of the integrations.
        personal_data: whether mails show data about a person: the user, the client's address, and
            headers of the request.
        enabled: `False`: records are ignored, no mail is sent, and secrets may be missing; as for
            all handlers with `TOCSIN_ENABLED=0` in the environment.
        exit_timeout: seconds that `flush`, `close` and the end of the program wait for a mail.
        level: records below this level are ignored.
        name: the handler's name; `dictConfig` sets it.

    Raises:
        ConfigError: an argument is unknown, missing or wrong.
    """

    def __init__(
        self,
        *,
        to: Recipients = (),
        email: EmailHandler | Mapping[str, Any] | None = None,
        from_addr: str | Address | None = None,
        app: str | None = None,
        environment: str = "",
        version: str = "",
        cc: Recipients = (),
        bcc: Recipients = (),
        reply_to: Addresses = (),
        policy: Policy | Mapping[str, Any] | None = None,
        store: str | Callable[[str], Store] = "memory:",
        app_packages: Iterable[str] = (),
        context: int = 0,
        context_key: ContextVar[Any] | None = None,
        alert_level: int | str = logging.ERROR,
        redact: bool | Iterable[str] = True,
        templates: str | os.PathLike[str] | None = None,
        fallback: str | os.PathLike[str] = "stderr",
        give_up_after: float = 24 * 3600.0,
        uncaught: bool = False,
        integrations: bool | Iterable[str] = True,
        personal_data: bool = False,
        enabled: bool = True,
        exit_timeout: float = 5.0,
        level: int | str = logging.ERROR,
        name: str | None = None,
        **unknown: Never,
    ) -> None:
        options.reject_unknown("", unknown, _KNOWN)
        self._enabled, collector = switches.read(enabled=options.boolean("enabled", enabled))
        self._frameworks = frameworks = Frameworks(
            build_integrations(integrations if self._enabled else False),
            personal_data=options.boolean("personal_data", personal_data),
        )
        self._uncaught: ExceptHook | None = None
        watch = options.boolean("uncaught", uncaught) and self._enabled
        if not (to or callable(to)) and (collector is not None or not self._enabled):
            to = config.stand_in_recipients(email)
        if not self._enabled:
            email, store = {"handler": "test", "default_from": "disabled@localhost"}, "memory:"
        elif collector is not None:
            email = collector.email(email)
        parts = config.build_parts(
            email=email,
            app=app,
            environment=environment,
            version=version,
            from_addr=from_addr,
            reply_to=reply_to,
            policy=policy,
            audience=(to, cc, bcc),
            templates=templates,
            redact=redact,
            context=levels.build_context(context, context_key, frameworks.owner),
            origin_of=_origin_of(frameworks),
            app_packages=app_packages,
            fallback=fallback,
            give_up_after=give_up_after,
            exit_timeout=exit_timeout,
            in_memory=isinstance(store, str) and store.startswith("memory"),
        )
        self._context = parts.context
        self._alert_level = levels.build_alert_level(alert_level, parts.context)
        label = "" if name is None else options.text("name", name)
        level = levels.build_level("level", level)
        # `dictConfig` builds a handler under the lock of logging, then sets its level and its name.
        configured = holds_logging_lock()
        if not configured:
            levels.check_level(level, self._alert_level, self._context)
        self._engine = (
            Engine(parts, store, config.build_store)
            if collector is None
            else collector.engine(parts, store)
        )
        if name is not None or not (configured and _built_by_logging()):
            self._engine.begin(label)
        self._guest = Guest(self, frameworks, revive=self._revive, warn=self._warn_of_silent)
        # This call registers the handler with logging. It comes late, so that a configuration that
        # closes all handlers never finds one that is only half built.
        super().__init__(level)
        if name is not None:
            super().set_name(name)
        if name is not None or not configured:
            self._engine.resume()
        if watch:
            self._uncaught = ExceptHook(self.handle)
        if self._enabled and (configured or frameworks.loaded):
            settle_soon(patient=not configured)

    @override
    def set_name(self, name: str) -> None:
        """Set the handler's name, as `dictConfig` does.

        A store keeps the events of each name apart. Set the name before the first record: later,
        events stay under the earlier name.
        """
        self._begin(name or "")
        super().set_name(name)
        if self._enabled and holds_logging_lock():
            self._guest.expect()

    @property
    def name(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The handler's name; `dictConfig` sets it."""
        return self.get_name()

    @name.setter
    def name(self, name: str | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        # `dictConfig` sets a level before the name, and `fileConfig` sets it after the name.
        if sys._getframe(1).f_code.co_name == "configure" and holds_logging_lock():  # noqa: SLF001 - nothing else names the caller
            levels.check_level(self.level, self._alert_level, self._context)
        self.set_name(name or "")

    @override
    def setLevel(self, level: int | str) -> None:
        """Set the level; in a configuration, one that no context can pass is a `ConfigError`."""
        super().setLevel(levels.build_level("level", level))
        if holds_logging_lock():
            levels.check_level(self.level, self._alert_level, self._context)

    @override
    def flush(self) -> None:
        """Send new groups now, and wait for the result for at most `exit_timeout` seconds.

        New groups don't wait for more of their events. Known groups still wait for the end of
        their interval. If no event is unmailed, no mail is sent.
        """
        self._engine.hurry(Urgency.FLUSH)

    @override
    def close(self) -> None:
        """Send all unmailed events, wait for the result, and close the handler.

        The wait takes at most `exit_timeout` seconds. If `logging.config.dictConfig` closes the
        handler to build new ones, there is no wait, because it would stop all threads that log.
        Then the policy decides when the events are sent: at the latest at the program's end.
        """
        if self._uncaught is not None:
            self._uncaught.stop()
        self._guest.close()
        self._engine.close()
        super().close()

    def send_now(self, timeout: float = 30.0) -> bool:
        """Send all unmailed events, whether or not they are due, and wait for the result.

        Args:
            timeout: seconds to wait for the result.

        Returns:
            Whether no event is unmailed now.
        """
        self._engine.hurry(Urgency.ALL, timeout)
        return self._engine.nothing_left

    @property
    def email(self) -> EmailHandler:
        """The email handler that sends the mails; a `TestEmailHandler` has an `outbox`."""
        return self._engine.parts.email

    @property
    def integrations(self) -> dict[str, tuple[str, ...]]:
        """The integrations whose framework is loaded, each with the loggers of the framework.

        Only the loggers that the handler was added to are listed: all others reach it by
        themselves. The handler is added a moment after a configuration.
        """
        return self._guest.integrations

    @property
    def stats(self) -> Stats:
        """The handler's accounts now: records seen, mails sent, events lost."""
        return self._engine.stats

    def _revive(self) -> None:
        """Go on after a configuration has closed the handler, and left it on its logger."""
        if self._uncaught is not None:
            self._uncaught.start()

    def _warn_of_silent(self, found: Silent) -> None:
        for text in found.texts() if self._enabled else ():
            self._engine.warn(text, f"warning: {text}")

    def __repr__(self) -> str:
        stats = self.stats
        level = logging.getLevelName(self.level)
        pending = stats.pending + (stats.store.pending if stats.store else 0)
        mails = "1 mail" if stats.mails_sent == 1 else f"{stats.mails_sent} mails"
        return (
            f"<AlertHandler {self._engine.parts.sender.identity} ({level}), "
            f"{stats.seen} seen, {pending} pending, {mails} sent>"
        )


def _origin_of(frameworks: Frameworks) -> Callable[[logging.LogRecord], Origin | None]:
    def origin(record: logging.LogRecord) -> Origin | None:
        settle_due()
        return frameworks.origin(record)

    return origin


def _built_by_logging() -> bool:
    """Return whether `logging.config` calls the class of a handler: it gives the name next."""
    caller = sys._getframe(2)  # noqa: SLF001 - nothing else names the caller
    return caller.f_globals.get("__name__") == "logging.config"


_KNOWN = (
    "to",
    "email",
    "from_addr",
    "app",
    "environment",
    "version",
    "cc",
    "bcc",
    "reply_to",
    "policy",
    "store",
    "app_packages",
    "context",
    "context_key",
    "alert_level",
    "redact",
    "templates",
    "fallback",
    "give_up_after",
    "uncaught",
    "integrations",
    "personal_data",
    "enabled",
    "exit_timeout",
    "level",
    "name",
)
