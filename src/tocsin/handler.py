"""The logging handler: it takes records, neither waits nor raises, and wakes the worker."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Never

from typing_extensions import override

from tocsin import config, levels, options
from tocsin.alerts.policy import Urgency
from tocsin.events.records import plain
from tocsin.forks import holds_logging_lock
from tocsin.pipeline.engine import Engine
from tocsin.pipeline.excepthook import ExceptHook
from tocsin.pipeline.intake import Wake
from tocsin.pipeline.sending import sending_here

if TYPE_CHECKING:
    import os
    import threading
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import ContextVar
    from email.headerregistry import Address

    from tocsin.alerts.settings import Policy
    from tocsin.mail.base import EmailHandler
    from tocsin.pipeline.context import Context
    from tocsin.pipeline.stats import Stats
    from tocsin.stores.base import Store

    Addresses = Iterable[str | Address] | str | Address
    Recipients = Addresses | Mapping[str, Any] | Callable[[], Addresses]


class _Emitter(logging.Handler):
    """Take records: count them, and wake the worker. It neither waits nor raises."""

    _engine: Engine
    _enabled: bool
    _context: Context | None
    _alert_level: int

    @override
    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit a record. The handler has no lock: the intake has its own."""
        # Since 3.12 a filter may return another record.
        passed: Any = self.filter(record)
        if isinstance(passed, logging.LogRecord):
            record = passed
        if passed:
            self.emit(record)
        return passed  # type: ignore[no-any-return] # as logging.Handler.handle does

    @override
    def createLock(self) -> None:
        """Have no lock, as a `logging.NullHandler`.

        `logging.shutdown` holds it while a mail takes its time, and needs the module's lock then;
        `dictConfig` holds that one, and would wait for this.
        """
        self.lock: threading.RLock | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Take a record. It does no I/O, and never raises."""
        try:
            try:
                name = record.name
                if type(record.created) is not float or type(name) is not str:
                    record = plain(record, time.time())
                    name = record.name
                if not self._enabled or (name[:6] == "tocsin" and name[6:7] in {"", "."}):
                    return
                if sending_here():
                    return
                if self._context is not None and record.levelno < self._alert_level:
                    self._context.note(record)
                    return
                engine = self._engine
                if record.process != engine.process:  # it is new; or the record is another one's
                    engine.check_process()
                wake = engine.intake.add(record, self.formatter)
            except Exception:  # noqa: BLE001 - raised again, if no field of it is unusual
                self._emit_plain(record)
                return
            if wake or engine.thread.current is None:
                engine.worker.wake(urgent=wake is Wake.NOW)
        except Exception:  # noqa: BLE001 - the application comes first
            with contextlib.suppress(Exception):  # while the interpreter ends it may raise itself
                if sys.is_finalizing():
                    self._engine.worker.complain_late()
                else:
                    self.handleError(record)

    def _emit_plain(self, record: logging.LogRecord) -> None:
        """Take what can be kept of a record that can't be taken as it is."""
        usual = plain(record, time.time())
        if usual is record:
            self._engine.intake.drop()
            raise  # noqa: PLE0704 - what is being handled
        self.emit(usual)


class AlertHandler(_Emitter):
    """Buffer records, group them, and send them as digests by email.

    `logging.config.dictConfig` can build it: each argument is a key of its entry.

    Args:
        to: recipients: `"a@x, Name <b@x>"`, or a list; `{"file": path}`, a file with one address a
            line that is read again when it changes; or a callable that is asked for each mail.
        email: sends the mails: an email handler, or the options of one (`handler` names its class,
            `"smtp"` by default; the others are its own); by default `localhost:25`.
        from_addr: who sends; by default the email handler's `default_from`, else its user name.
        app: the application's name; by default the script's.
        environment: such as "production".
        version: the application's version.
        cc: recipients of a copy; in the same forms.
        bcc: recipients whom the others don't see; in the same forms.
        reply_to: where answers go.
        policy: when mails go: a `Policy`, or some of its fields.
        store: where events wait for their mail: `"memory:"`, or `"sqlite:///"` and the path of a
            file that all processes of the machine share; or a callable that returns a store, given
            what keeps its events apart from those of others.
        app_packages: the application's root packages: what is told of a traceback is told of their
            frames. By default the package that the logger is named after, and all code that is
            neither in the standard library nor installed.
        context: how many records below `alert_level` are kept for each thread or task, to show what
            led to an error. The handler's `level` has to let them through.
        context_key: a context variable: records belong together that have the same value of it,
            instead of the same thread or task.
        alert_level: with `context`, the level from which on a record is an alert.
        redact: whether secrets are taken out of what is mailed, or further patterns of them:
            regular expressions, of which the groups are taken out, or all if there is none.
        templates: a folder with templates of your own, each in place of a built-in one.
        fallback: where an alert goes that can't be mailed: `"stderr"`, or a folder for `.eml`
            files.
        give_up_after: seconds after which it can't.
        uncaught: whether exceptions that nobody catches are alerts, of the program and of threads.
        enabled: whether mails are sent; if not, nothing else is done either, and nothing secret has
            to be there.
        exit_timeout: seconds that `flush`, `close` and the end of the program wait for a mail.
        level: records below it are ignored.
        name: the handler's name, as dictConfig sets it.

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
        enabled: bool = True,
        exit_timeout: float = 5.0,
        level: int | str = logging.ERROR,
        name: str | None = None,
        **unknown: Never,
    ) -> None:
        options.reject_unknown("", unknown, _KNOWN)
        self._enabled = options.boolean("enabled", enabled)
        self._uncaught: ExceptHook | None = None
        watch = options.boolean("uncaught", uncaught) and self._enabled
        if not self._enabled:
            email, store = {"handler": "test", "default_from": "disabled@localhost"}, "memory:"
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
            context=levels.build_context(context, context_key),
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
        # A configuration holds the lock; it sets the level next, and the name.
        configured = holds_logging_lock()
        if not configured:
            levels.check_level(level, self._alert_level, self._context)
        self._engine = Engine(parts, store, config.build_store)
        if name is not None or not configured:
            self._engine.begin(label)
        # At last, as it makes itself known to logging: a configuration that closes all handlers
        # must not find half a handler.
        super().__init__(level)
        if name is not None:
            super().set_name(name)
        if self._engine.process:
            self._engine.resume()
        if watch:
            self._uncaught = ExceptHook(self.handle)

    @override
    def set_name(self, name: str) -> None:
        """Set the handler's name, as dictConfig does; in a store, its events go by it."""
        super().set_name(name)
        if self._engine.begin(name or ""):
            self._engine.resume()

    @property
    def name(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The handler's name, as dictConfig sets it."""
        return self.get_name()

    @name.setter
    def name(self, name: str | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        # `dictConfig` has set the level by now, where there is one; `fileConfig` sets it next.
        if sys._getframe(1).f_code.co_name == "configure" and holds_logging_lock():  # noqa: SLF001 - there is no other way to know
            levels.check_level(self.level, self._alert_level, self._context)
        self.set_name(name or "")

    @override
    def setLevel(self, level: int | str) -> None:
        """Set the level; a configuration must not set one that lets no context through."""
        super().setLevel(levels.build_level("level", level))
        if holds_logging_lock():
            levels.check_level(self.level, self._alert_level, self._context)

    @override
    def flush(self) -> None:
        """Send what is new without waiting for more of its kind, and wait for the result.

        It waits for at most `exit_timeout`. Nothing is sent when there is nothing, and known
        errors keep to their interval.
        """
        self._engine.hurry(Urgency.FLUSH)

    @override
    def close(self) -> None:
        """Send everything that is unmailed, wait for the result, and retire from logging.

        It waits for at most `exit_timeout`. When `logging.config.dictConfig` closes it, to set up
        others, it doesn't wait, as that would keep all threads from logging: what is unmailed goes
        as its policy has it, at the latest at the program's end.
        """
        if self._uncaught is not None:
            self._uncaught.stop()
        self._engine.close()
        super().close()

    def send_now(self, timeout: float = 30.0) -> bool:
        """Send everything that is unmailed, whether or not it is due, and wait for the result.

        Args:
            timeout: seconds to wait for it.

        Returns:
            Whether nothing is left to be mailed.
        """
        self._engine.hurry(Urgency.ALL, timeout)
        return self._engine.worker.round.ledger.nothing_left

    @property
    def stats(self) -> Stats:
        """What has been seen, sent and lost, now."""
        return self._engine.stats

    def __repr__(self) -> str:
        stats = self.stats
        level = logging.getLevelName(self.level)
        pending = stats.pending + (stats.store.pending if stats.store else 0)
        mails = "1 mail" if stats.mails_sent == 1 else f"{stats.mails_sent} mails"
        return (
            f"<AlertHandler {self._engine.parts.sender.identity} ({level}), "
            f"{stats.seen} seen, {pending} pending, {mails} sent>"
        )


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
    "enabled",
    "exit_timeout",
    "level",
    "name",
)
