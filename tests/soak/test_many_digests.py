"""A mail server that takes each message and never says so: digests are many, and none is over."""

from __future__ import annotations

import email
import logging
from typing import TYPE_CHECKING

from waiting import wait_for

from tocsin import AlertHandler
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tocsin.testing import SMTPConnection
    from tocsin.testing.script import Action

KINDS = 30


def test_nothing_is_given_up_because_there_is_much_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A digest is tried for `give_up_after`; what comes when there are too many waits for them."""
    fine = False

    def end(command: str, connection: SMTPConnection) -> Action | None:
        return None if fine else (Act.ACCEPT, Act.CLOSE)

    with ScriptedSMTPServer({".": end}) as server:
        handler = AlertHandler(
            to="ops@example.com",
            from_addr="alerts@example.com",
            email={"host": "127.0.0.1", "port": server.port},
            store=f"sqlite:///{tmp_path / 'alerts.db'}",
            policy={"burst": 1000},
            name="alerts",
        )
        logger = logging.getLogger(f"app.{tmp_path.name}")
        logger.propagate = False
        logger.addHandler(handler)
        for kind in range(KINDS):
            logger.error("kind %s", kind, extra={"alert_group": f"kind {kind}"})
            handler.flush()
        fine = True
        wait_for(handler.send_now)
        handler.close()
        stats = handler.stats.store
        mails = [email.message_from_bytes(one.data) for one in server.messages]
    assert stats is not None
    assert (stats.received, stats.mailed, stats.undelivered) == (KINDS, KINDS, 0)
    counts = {mail["Message-ID"]: int(mail["X-Tocsin-Count"]) for mail in mails}
    assert sum(counts.values()) == KINDS
    assert "could not be mailed" not in capsys.readouterr().err
