"""An email handler that logs an error with each mail, in a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from parts import logger_with
from typing_extensions import override

from tocsin import AlertHandler, Message, TestEmailHandler

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from tocsin import Receipt

AT_ONCE = {"group_wait": 0, "repeat_after": 0, "repeat_max": 0, "quiet_after": 0, "refill": 0}
TIMEOUT = 30.0


class Noisy(TestEmailHandler):
    """Accept everything, and let another thread log an error about each mail."""

    def __init__(self) -> None:
        super().__init__()
        self.logger: logging.Logger | None = None
        self.logged = threading.Semaphore(0)

    @override
    def send(self, messages: Any, **options: Any) -> list[Receipt]:
        receipts = super().send(messages)
        threading.Thread(target=self._complain).start()
        return receipts

    def _complain(self) -> None:
        assert self.logger is not None
        self.logger.error("the connection is not in the pool")
        self.logged.release()


def counts(email: TestEmailHandler) -> list[int]:
    mails = [mail for mail in email.outbox if isinstance(mail, Message)]
    return [int(mail.headers["X-Tocsin-Count"]) for mail in mails]


@pytest.mark.parametrize("durable", [False, True])
def test_a_thread_that_logs_an_error_with_each_mail_makes_no_mail_for_ever(
    tmp_path: Path, durable: bool
) -> None:
    email = Noisy()
    store = f"sqlite:///{tmp_path / 'alerts.db'}" if durable else "memory:"
    handler = AlertHandler(
        to="a@x.example", from_addr="b@x.example", email=email, policy=AT_ONCE, store=store
    )
    with logger_with(handler) as logger:
        email.logger = logger
        logger.error("real")
        for turn in range(10):
            handler.flush()
            if turn < len(email.outbox):
                assert email.logged.acquire(timeout=TIMEOUT)
        assert counts(email) == [1, 1, 1]
        stats = handler.stats
        assert stats.store is not None
        assert (stats.store.received, stats.store.pending) == (4, 1)
        logger.error("another one")
        handler.flush()
        assert counts(email) == [1, 1, 1, 2]
        assert email.logged.acquire(timeout=TIMEOUT)
        handler.close()
        if not durable:  # its end tells the last one, with a mail that causes one more
            assert email.logged.acquire(timeout=TIMEOUT)
    assert sum(counts(email)) + durable == 6
