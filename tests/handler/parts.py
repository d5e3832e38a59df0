"""What the tests of the handler are built from: a clock, mail servers, and rounds by hand."""

from __future__ import annotations

import contextlib
import email
import email.policy
import logging
import socket
import threading
import uuid
from typing import TYPE_CHECKING, Any, Self

from aiosmtpd.controller import Controller
from typing_extensions import override

from tocsin import AlertHandler, EmailHandler, Message, Policy, Receipt, Reply, SendError
from tocsin.alerts.digest import Audience
from tocsin.alerts.policy import Urgency
from tocsin.events.frames import OwnCode
from tocsin.mail.address import prepare_address
from tocsin.pipeline.assembly import Parts, assemble
from tocsin.pipeline.fallback import StandardError
from tocsin.redact.base import NoSecrets
from tocsin.render.sender import Sender
from tocsin.render.templating import Templates
from tocsin.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from tocsin.mail.base import AnyMessage
    from tocsin.pipeline.stats import StoreStats
    from tocsin.pipeline.worker import Worker
    from tocsin.redact.base import Redacts
    from tocsin.stores.base import Store

NOW = 1_700_000_000.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Moody(EmailHandler):
    """An email handler whose answers are given: a function of the recipients.

    Attributes:
        attempts: Message-ID, recipients and bytes of each attempt.
        counted: events in mails that somebody accepted, by Message-ID.
    """

    def __init__(self, mood: Callable[[list[str]], Receipt | Exception | None]) -> None:
        self.mood = mood
        self.attempts: list[tuple[str, list[str], bytes]] = []
        self.counted: dict[str, int] = {}

    @override
    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        raise NotImplementedError

    @override
    def send(
        self,
        messages: AnyMessage | Iterable[AnyMessage],
        *,
        deadline: float | None = None,
        on_transaction: Callable[[Receipt], None] | None = None,
    ) -> list[Receipt]:
        assert isinstance(messages, Message)
        name = messages.headers["Message-ID"]
        recipients = [item.addr_spec for item in messages.recipients]
        self.attempts.append((name, recipients, messages.to_mime().as_bytes()))
        answer = self.mood(recipients)
        if answer is None:
            answer = Receipt(message_id=name, accepted=tuple(recipients))
        if isinstance(answer, Exception):
            if isinstance(answer, SendError) and any(one.accepted for one in answer.receipts):
                self.counted[name] = int(messages.headers["X-Tocsin-Count"])
            raise answer
        if answer.accepted:
            self.counted[name] = int(messages.headers["X-Tocsin-Count"])
        if not answer.complete:
            raise SendError("not everybody", receipts=[answer])
        return [answer]


LATER = Reply(451, "4.3.0", "later")
NEVER = Reply(550, "5.1.1", "no such user")


def receipt(
    accepted: Sequence[str] = (),
    *,
    refused: Sequence[str] = (),
    deferred: Sequence[str] = (),
    unknown: Sequence[str] = (),
) -> Receipt:
    return Receipt(
        message_id="<any>",
        accepted=tuple(accepted),
        refused=dict.fromkeys(refused, NEVER),
        deferred=dict.fromkeys(deferred, LATER),
        unknown=tuple(unknown),
    )


class Rounds:
    """A handler's inside without its thread: rounds run when they are told to."""

    def __init__(
        self,
        sender: EmailHandler,
        *,
        to: str = "a@x.example",
        store: Store | None = None,
        clock: Clock | None = None,
        redactor: Redacts | None = None,
        **policy: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.policy = Policy(**policy)
        self.to = tuple(to.split(","))
        self.store = store or MemoryStore(self.clock)
        # A test may give it another clock, or other recipients, later on.
        self.worker = assemble(
            Parts(
                email=sender,
                sender=Sender(
                    app="shop",
                    environment="",
                    from_addr=prepare_address("alerts@example.com"),
                    policy=self.policy,
                    footnote="Counts are those of one process.",
                ),
                audience=lambda: Audience(to=self.to),
                templates=Templates(),
                redactor=redactor or NoSecrets(),
                own=OwnCode(),
                version="",
                context=None,
                origin_of=lambda _record: None,
                fallback=StandardError(),
                give_up_after=24 * 3600,
                exit_timeout=5,
            ),
            self.store,
            spare=MemoryStore(self.clock),
            clock=lambda: self.clock(),  # noqa: PLW0108 - see above
            ticks=lambda: self.clock(),  # noqa: PLW0108 - see above
            host="web-1",
        )
        self.round = self.worker.round
        self.journal = self.round.journal
        self.intake = self.round.intake

    def log(self, msg: str = "boom", times: int = 1, level: int = logging.ERROR) -> None:
        for _ in range(times):
            self.intake.add(record(msg, level=level), None)

    def run(
        self, after: float = 0, urgency: Urgency = Urgency.NONE, until: float = 1e18
    ) -> float | None:
        self.clock.now += after
        pause = self.round.run(urgency, until)
        self.check()
        return pause

    def check(self) -> StoreStats | None:
        """Both accounts hold, always."""
        stats = self.round.ledger.stats
        assert stats.seen == stats.handed_over + stats.pending + stats.dropped
        if stats.store is not None:
            store = stats.store
            assert store.received == store.mailed + store.pending + store.undelivered
        return stats.store


def record(msg: object = "boom", *args: object, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord("app", level, "/srv/app/main.py", 7, msg, args, None, "main")


def worker_of(handler: AlertHandler) -> Worker:
    """A handler's inside: its worker, with the round and the journal."""
    return handler._engine.worker


def parts_of(handler: AlertHandler) -> Parts:
    """What the handler's options have made."""
    return handler._engine.parts


def set_clock(handler: AlertHandler, clock: Clock) -> None:
    """Let the handler's store go by a clock that is set by hand."""
    store = worker_of(handler).round.journal.store.usual
    assert isinstance(store, MemoryStore)
    store._clock = clock


@contextlib.contextmanager
def logger_with(handler: logging.Handler) -> Generator[logging.Logger]:
    """A logger of its own, with one handler."""
    logger = logging.getLogger(f"app{uuid.uuid4().hex}")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)


class Mailbox:
    """What an SMTP server accepts, as aiosmtpd calls it."""

    def __init__(self) -> None:
        self.mails: list[email.message.EmailMessage] = []
        self.arrived = threading.Event()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.arrived.set()
        return "250 2.0.0 taken"

    @property
    def told(self) -> int:
        """Events in all mails."""
        return sum(int(mail["X-Tocsin-Count"]) for mail in self.mails)


@contextlib.contextmanager
def smtp_server(port: int = 0) -> Generator[tuple[Mailbox, int]]:
    """A real mail server that accepts everything."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port or free_port())
    controller.start()
    try:
        yield mailbox, controller.port
    finally:
        controller.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def bare_server(greeting: bytes = b"") -> Generator[int]:
    """A server that accepts connections, says its greeting, and nothing more."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    held: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                held.append(client)
                client.sendall(greeting)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for client in held:
            client.close()
