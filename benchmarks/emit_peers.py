"""Handlers that benchmarks/emit.py measures: the alert handler, and peers that send nothing."""

from __future__ import annotations

import logging
import queue
from collections import deque
from logging.handlers import MemoryHandler, QueueHandler  # noqa: TID251 - peers
from typing import TYPE_CHECKING, Any

import django
import django.conf
import django.core.mail
import django.utils.log
import logbook
import sentry_sdk
import sentry_sdk.integrations.logging
import sentry_sdk.transport
from redmail.email.sender import EmailSender
from redmail.log import EmailHandler, MultiEmailHandler

import tocsin
from tocsin.pipeline.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Info = tuple[type[BaseException], BaseException, TracebackType | None] | None
    Log = Callable[[Info], object]


class Dropped(tocsin.TestEmailHandler):
    """Sends nothing, and keeps nothing."""

    def send(self, messages: Any, **options: Any) -> Any:
        """Say that it was sent."""
        receipts = super().send(messages, **options)
        self.outbox.clear()
        return receipts


def ours(email: tocsin.EmailHandler | None = None, **options: Any) -> tocsin.AlertHandler:
    """Return the alert handler, in the way of everything but the network."""
    return tocsin.AlertHandler(
        to="ops@example.com", from_addr="a@example.com", email=email or Dropped(), **options
    )


class Queued(QueueHandler):
    """A queue that is emptied before each run."""

    def __init__(self) -> None:
        super().__init__(queue.SimpleQueue())

    def empty(self) -> None:
        """Start again."""
        self.queue = queue.SimpleQueue()


class Appending(logging.Handler):
    """The least that keeps a record's text."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: deque[str] = deque(maxlen=50)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text."""
        self.kept.append(record.getMessage())


class Noting(logging.Handler):
    """Context alone, as the alert handler keeps it of what is below its alert level."""

    def __init__(self) -> None:
        super().__init__()
        self._context = Context(50)

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record without a lock."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        self._context.note(record)


def logger_with(handler: logging.Handler, level: int = logging.ERROR) -> logging.Logger:
    """Return a logger of its own."""
    logger = logging.Logger("shop", level)  # noqa: LOG001 - no other handler may get its records
    logger.addHandler(handler)
    return logger


def through(handler: logging.Handler) -> Log:
    """Return what logs an error to a handler."""
    logger = logger_with(handler)
    return lambda info: logger.error("order %d failed", 17, exc_info=info)


def nothing() -> None:
    """Do nothing before a run."""


def memory() -> MemoryHandler:
    """Return a handler that keeps all records."""
    return MemoryHandler(1 << 30, 1000, logging.NullHandler())


class Sent(sentry_sdk.transport.Transport):
    """Sends nothing."""

    def capture_envelope(self, envelope: Any) -> None:
        """Drop it."""


class Posted(EmailSender):
    """Makes mails and sends none."""

    def send_message(self, msg: Any) -> None:
        """Drop it."""


class Delivered(logbook.MailHandler):  # type: ignore[misc] # it has no types
    """Makes mails and sends none."""

    def deliver(self, msg: Any, recipients: Any) -> None:
        """Drop it."""


def peers() -> dict[str, tuple[Log, Callable[[], object]]]:
    """Return other packages that tell of errors, as near to what the alert handler does."""
    buffered = MultiEmailHandler(
        capacity=1 << 30, email=_posted(), subject="errors", receivers=["ops@example.com"]
    )
    direct = EmailHandler(email=_posted(), subject="error", receivers=["ops@example.com"])
    django.conf.settings.configure(
        ADMINS=[("ops", "ops@example.com")],
        EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
        SECRET_KEY="x",  # noqa: S106 - it asks for one
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )
    django.setup(set_prefix=False)
    django.core.mail.outbox = []
    sentry_sdk.init(
        dsn="http://key@localhost/1",
        transport=Sent,
        before_send=lambda event, _: event,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    book = logbook.Logger("shop")
    fingers = logbook.FingersCrossedHandler(
        logbook.NullHandler(), action_level=logbook.CRITICAL, buffer_size=1000
    )
    mails = Delivered("a@example.com", ["ops@example.com"], record_limit=1)

    def with_logbook(handler: Any) -> Log:
        def log(info: Info) -> None:
            with handler:
                book.error("order {} failed", 17, exc_info=info)

        return log

    return {
        "Logbook FingersCrossed": (with_logbook(fingers), nothing),
        "Logbook mail": (with_logbook(mails), nothing),
        "Red Mail buffering": (through(buffered), buffered.buffer.clear),
        "Red Mail": (through(direct), nothing),
        "Django": (through(django.utils.log.AdminEmailHandler()), _forget_mails),
        "sentry-sdk": (through(sentry_sdk.integrations.logging.EventHandler()), nothing),
    }


def _posted() -> Posted:
    return Posted(host="localhost", port=25)


def _forget_mails() -> None:
    django.core.mail.outbox.clear()
