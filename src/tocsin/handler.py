"""The logging handler: it takes records, neither waits nor raises, and wakes the worker."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any, Never

from typing_extensions import override

from tocsin import config, options
from tocsin.alerts.policy import Urgency
from tocsin.events.frames import OwnCode
from tocsin.events.records import plain
from tocsin.forks import holds_logging_lock, rendering
from tocsin.pipeline import recipients, sending, worker
from tocsin.pipeline.excepthook import ExceptHook
from tocsin.pipeline.intake import Intake, Wake
from tocsin.pipeline.journal import Journal
from tocsin.pipeline.round import Round
from tocsin.pipeline.sending import sending_here
from tocsin.pipeline.worker import Worker
from tocsin.render.sender import Sender
from tocsin.text import short

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import ContextVar
    from email.headerregistry import Address

    from tocsin.alerts.settings import Policy
    from tocsin.mail.base import EmailHandler
    from tocsin.pipeline.stats import Stats
    from tocsin.stores.base import Store

    Addresses = Iterable[str | Address] | str | Address
    Recipients = Addresses | Mapping[str, Any] | Callable[[], Addresses]


class AlertHandler(logging.Handler):
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
        self._email = config.build_email(email)
        self._sender = Sender(
            app=short(config.script_name() if app is None else options.text("app", app), 100),
            environment=_optional("environment", environment),
            from_addr=config.build_sender(from_addr, self._email),
            reply_to=recipients.build_addresses("reply_to", reply_to),
            policy=config.build_policy(policy),
            footnote="Counts are those of one process." if _in_memory(store) else "",
        )
        self._audience = config.build_audience(to, cc, bcc)
        self._templates = config.build_templates(templates)
        self._redactor = config.build_redactor(redact)
        self._version = _optional("version", version)
        self._context = config.build_context(context, context_key)
        self._alert_level = config.build_alert_level(alert_level, self._context)
        self._store = store
        self._own = OwnCode(options.texts("app_packages", app_packages))
        self._fallback = config.build_fallback(fallback)
        self._give_up_after = options.seconds("give_up_after", give_up_after)
        self._exit_timeout = options.seconds("exit_timeout", exit_timeout)
        self._label = "" if name is None else options.text("name", name)
        level = config.build_level("level", level)
        if not holds_logging_lock():  # else `dictConfig` sets the level next
            config.check_level(level, self._alert_level, self._context)
        self._leaves = True
        self._start()
        # At last, as it makes itself known to logging: that must not find half a handler when it
        # closes all at the next `dictConfig`, while somebody holds on to the error.
        super().__init__(level)
        if name is not None:
            self.set_name(name)
        if name is not None or not holds_logging_lock():  # else dictConfig names it next
            self._resume()
        _handlers.add(self)
        if watch:
            self._uncaught = ExceptHook(self.handle)

    @property
    def _scope(self) -> str:
        """What keeps a store's events apart from those of others."""
        return f"{self._sender.app}\x1f{self._sender.environment}\x1f{self._label}"

    @property
    def _place(self) -> tuple[object, str]:
        """Where its events wait."""
        return self._store, self._scope

    @override
    def set_name(self, name: str) -> None:
        """Set the handler's name, as dictConfig does; in a store, its events go by it."""
        super().set_name(name)
        if name != self._label and not self._round.stats.seen:
            self._label = name or ""
            self._start()
            self._resume()

    @property
    def name(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The handler's name, as dictConfig sets it."""
        return self.get_name()

    @name.setter
    def name(self, name: str | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        # `dictConfig` has set the level by now, where there is one; `fileConfig` sets it next.
        if sys._getframe(1).f_code.co_name == "configure" and holds_logging_lock():  # noqa: SLF001 - there is no other way to know
            config.check_level(self.level, self._alert_level, self._context)
        self.set_name(name or "")

    @override
    def setLevel(self, level: int | str) -> None:
        """Set the level; a configuration must not set one that lets no context through."""
        super().setLevel(config.build_level("level", level))
        if holds_logging_lock():
            config.check_level(self.level, self._alert_level, self._context)

    def _resume(self) -> None:
        """Send what an earlier process has left in the store, or an earlier handler in this one."""
        if not (self._journal.durable or self._inherited):
            return
        for other in worker.snapshot(_handlers):
            if other is not self and other._shares_store_with(self):  # noqa: SLF001 - its own kind
                other._worker.give_way(self._worker)  # noqa: SLF001 - as above
        if self._round.waiting():
            self._worker.wake(urgent=False)

    def _shares_store_with(self, other: AlertHandler) -> bool:
        if self._journal.durable:
            return self._place == other._place
        return self._journal.store is other._journal.store

    def _start(self, store: Store | None = None) -> None:
        """Set up what belongs to this process; a store in a file may be one that it has forked."""
        self._process = os.getpid()
        host = platform.node() or "localhost"
        left = None if store is not None or not self._label else _left_by(self._place)
        self._inherited = left is not None
        if store is None:
            store = left or config.build_store(self._store, self._scope)
        self._journal = Journal(
            store=store,
            spare=config.build_store("memory:", self._scope) if store.durable else store,
            policy=self._sender.policy,
            host=host,
        )
        self._intake = Intake(
            own=self._own,
            host=host,
            version=self._version,
            limit=self._sender.policy.max_groups,
            urgent_level=self._sender.policy.urgent_level,
            redact=self._redactor,
            context=self._context,
        )
        self._round = Round(
            intake=self._intake,
            journal=self._journal,
            sender=self._sender,
            templates=self._templates,
            audience=self._audience,
            email=self._email,
            fallback=self._fallback,
            give_up_after=self._give_up_after,
            inherited=self._inherited,
        )
        self._worker = Worker(self._round, name="tocsin-worker", exit_timeout=self._exit_timeout)

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
                if record.process != self._process:  # it is new; or the record is another one's
                    self._notice_fork()
                wake = self._intake.add(record, self.formatter)
            except Exception:  # noqa: BLE001 - raised again, if no field of it is unusual
                self._emit_plain(record)
                return
            if wake or not self._worker.started:
                self._worker.wake(urgent=wake is Wake.NOW)
        except Exception:  # noqa: BLE001 - the application comes first
            with contextlib.suppress(Exception):  # while the interpreter ends it may raise itself
                if sys.is_finalizing():
                    self._worker.complain_late()
                else:
                    self.handleError(record)

    def _emit_plain(self, record: logging.LogRecord) -> None:
        """Take what can be kept of a record that can't be taken as it is."""
        usual = plain(record, time.time())
        if usual is record:
            self._intake.drop()
            raise  # noqa: PLE0704 - what is being handled
        self.emit(usual)

    @override
    def flush(self) -> None:
        """Send what is new without waiting for more of its kind, and wait for the result.

        It waits for at most `exit_timeout`. Nothing is sent when there is nothing, and known
        errors keep to their interval.
        """
        self._hurry(Urgency.FLUSH)

    @override
    def close(self) -> None:
        """Send everything that is unmailed, wait for the result, and retire from logging.

        It waits for at most `exit_timeout`. When `logging.config.dictConfig` closes it, to set up
        others, it doesn't wait, as that would keep all threads from logging: what is unmailed goes
        as its policy has it, at the latest at the program's end.
        """
        if self._uncaught is not None:
            self._uncaught.stop()
        self._hurry(Urgency.EXIT)
        if self._leaves and self._label and not (self._worker.retired or self._journal.durable):
            _left.append((self._place, self._journal.store))
            del _left[:-_MAX_LEFT]
        self._worker.retire()
        super().close()

    def send_now(self, timeout: float = 30.0) -> bool:
        """Send everything that is unmailed, whether or not it is due, and wait for the result.

        Args:
            timeout: seconds to wait for it.

        Returns:
            Whether nothing is left to be mailed.
        """
        self._hurry(Urgency.ALL, timeout)
        return self._round.nothing_left

    @property
    def stats(self) -> Stats:
        """What has been seen, sent and lost, now."""
        return self._round.stats

    def __repr__(self) -> str:
        stats = self.stats
        level = logging.getLevelName(self.level)
        pending = stats.pending + (stats.store.pending if stats.store else 0)
        mails = "1 mail" if stats.mails_sent == 1 else f"{stats.mails_sent} mails"
        return (
            f"<AlertHandler {self._sender.identity} ({level}), "
            f"{stats.seen} seen, {pending} pending, {mails} sent>"
        )

    def _notice_fork(self) -> bool:
        """Start anew in a child that was forked past Python, as by uWSGI; whether it is one."""
        if self._process == os.getpid():
            return False
        _after_fork()
        return True

    def _hurry(self, urgency: Urgency, timeout: float | None = None) -> None:
        self._notice_fork()
        if self._worker.settled and urgency is not Urgency.ALL:
            return
        if holds_logging_lock():  # nobody waits, and nothing is given up: the program goes on
            self._worker.ask(Urgency.FLUSH)
            return
        timeout = self._exit_timeout if timeout is None else timeout
        asked = self._worker.ask(urgency, timeout)
        until = time.monotonic() + timeout
        if urgency is Urgency.EXIT:
            self._worker.leave(asked, until)
        else:
            self._worker.wait(asked, until)


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
_handlers: weakref.WeakSet[AlertHandler] = weakref.WeakSet()


_left: list[tuple[tuple[object, str], Store]] = []
"""Where named handlers that were closed had their events in memory: the next one of that name, as
after another `dictConfig`, goes on with what has been told, and with what is left of the budget."""
_MAX_LEFT = 20


def _left_by(place: tuple[object, str]) -> Store | None:
    """Return the store of a closed handler, if there is one."""
    for index, (left, store) in enumerate(_left):
        if left == place:
            del _left[index]
            return store
    return None


def forget_alerts() -> None:
    """Let each handler that is built from now on begin anew, whatever handlers there were before.

    For tests: in a program, a new configuration must not mail again what has been told.
    """
    _left.clear()
    for handler in worker.snapshot(_handlers):
        handler._leaves = False  # noqa: SLF001 - its own module


def _in_memory(store: object) -> bool:
    return isinstance(store, str) and store.startswith("memory")


def _optional(key: str, value: str) -> str:
    return "" if value in ("", None) else short(options.text(key, value), 100)


def _after_fork() -> None:
    # What the parent has gathered is the parent's to send.
    _left.clear()
    sending.after_fork_in_child()
    worker.forget_all()
    if rendering.cut and (templating := sys.modules.get("tocsin.render.templating")) is not None:
        templating.forget()
    for handler in worker.snapshot(_handlers):
        store = handler._journal.store  # noqa: SLF001 - its own module
        retired = handler._worker.retired  # noqa: SLF001 - as above
        try:
            handler._start(store if store.durable else None)  # noqa: SLF001 - as above
        except Exception:  # noqa: BLE001 - a store of one's own; the others start all the same
            handler._start(config.build_store("memory:", ""))  # noqa: SLF001 - as above
        if retired:
            handler._worker.retire()  # noqa: SLF001 - as above


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
