"""A process that is killed while it sends a digest, and the one that comes after it.

Each recipient has a transaction of its own; the server is a real one, which plays a script.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ledger import Notes
from writer import Options

from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.testing import SMTPConnection
    from tocsin.testing.script import Action, Script

WRITER = Path(__file__).with_name("writer.py")
EVENTS = 10
PATIENCE = 60.0  # seconds


def start(folder: Path, port: int, life: str, *, last: bool) -> subprocess.Popen[bytes]:
    """Start a process that logs, and stays; or that only sends what is left."""
    options = Options(
        life=life,
        port=port,
        folder=str(folder),
        events=EVENTS,
        stays=True,
        apart=True,
        last=last,
    )
    return subprocess.Popen([sys.executable, str(WRITER), json.dumps(asdict(options))])


class Second:
    """The second recipient's transactions: some are deferred, and in the next one the sender dies.

    It does so at the message's end: its beginning is in one flight with the end of the first one's,
    and so before the sender can know, and note, what became of that.
    """

    def __init__(self, deferrals: Sequence[str]) -> None:
        self.script: Script = {"RCPT": self._defer, ".": self._strike}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.struck = threading.Event()
        self._deferrals = list(deferrals)

    def _defer(self, command: str, connection: SMTPConnection) -> Action | None:
        return self._deferrals.pop(0) if "<b@" in command and self._deferrals else None

    def _strike(self, command: str, connection: SMTPConnection) -> Action | None:
        asked = [line for line in connection.commands if line.startswith("RCPT")]
        if "<b@" not in asked[-1] or self.struck.is_set():
            return None
        self.processes[0].kill()
        self.struck.set()
        return Act.CLOSE


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "before",
    [(), ("450 4.2.1 later",), ("450 4.2.1 later", "452 4.2.2 the mailbox is full")],
    ids=["at the first try", "after a deferral", "after two"],
)
def test_who_has_a_digest_is_not_sent_it_again_after_a_kill(
    tmp_path: Path, before: Sequence[str]
) -> None:
    """It is killed between two transactions; the second recipient gets the same bytes later."""
    second = Second(before)
    with ScriptedSMTPServer(second.script) as server:
        second.processes.append(start(tmp_path, server.port, "p0", last=False))
        assert second.struck.wait(PATIENCE)
        second.processes[0].wait()
        assert start(tmp_path, server.port, "last", last=True).wait(PATIENCE) == 0
        copies = [one for one in server.messages if one.data == server.messages[0].data]
        assert [one.recipients for one in copies] == [("a@example.com",), ("b@example.com",)]
        got = [address for one in server.messages for address in one.recipients]
    assert got.count("a@example.com") == got.count("b@example.com")
    received, mailed, pending, undelivered = Notes.of(tmp_path.glob("*.notes")).accounts
    assert received == mailed
    assert (pending, undelivered) == (0, 0)
