"""A service that starts, logs one error and dies, every ten seconds for an hour."""

from __future__ import annotations

import contextlib
import email
import json
import sqlite3
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash_loop import EVERY, Options

from tocsin.stores.sqlite import SQLiteStore
from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Generator

    from tocsin.testing import ReceivedMessage

PROGRAM = Path(__file__).with_name("crash_loop.py")
LIVES = 360  # in an hour
MOST = 4  # mails in that hour
CLAIM = 360  # seconds until a digest that a dead process was sending is sent by another one


def run(server: ScriptedSMTPServer, store: str, death: str, *, lives: int, first: int = 0) -> str:
    """Run the program; return what it said."""
    options = Options(store=store, port=server.port, lives=lives, death=death, first=first)
    command = [sys.executable, str(PROGRAM), json.dumps(asdict(options))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    return result.stderr


def counts(messages: list[ReceivedMessage]) -> dict[str, int]:
    """Return how many events each digest tells, by its Message-ID."""
    mails = [email.message_from_bytes(one.data) for one in messages]
    return {str(mail["Message-ID"]): int(mail["X-Tocsin-Count"]) for mail in mails}


@contextlib.contextmanager
def in_use(store: Path) -> Generator[None]:
    """Have the file open: whoever closes it as the last one waits for the disk, each time."""
    SQLiteStore(store, "")
    with contextlib.closing(sqlite3.connect(store)) as file:
        file.execute("SELECT * FROM leases").fetchall()
        yield


@pytest.mark.timeout(180)
@pytest.mark.parametrize("death", ["exit", "kill", "turns"])
def test_an_hour_of_crashes_is_four_mails_and_the_next_start_tells_the_rest(
    tmp_path: Path, death: str
) -> None:
    """However it dies; who is killed while it sends may have sent it: that one may come again."""
    store = tmp_path / "alerts.db"
    with in_use(store), ScriptedSMTPServer() as server:
        said = run(server, str(store), death, lives=LIVES)
        hour = counts(server.messages)
        copies = len(server.messages) - len(hour)
        run(server, str(store), "nothing", lives=1, first=LIVES + CLAIM)
        everything = counts(server.messages)
    assert 1 <= len(hour) <= MOST
    assert copies <= (0 if death == "exit" else LIVES * EVERY / CLAIM)
    assert sum(everything.values()) == LIVES
    assert "tocsin:" not in said


def test_with_the_memory_store_each_crash_is_a_mail(tmp_path: Path) -> None:
    """As the documentation says: nobody remembers the crash before."""
    with ScriptedSMTPServer() as server:
        run(server, "", "exit", lives=LIVES // 6)
        assert list(counts(server.messages).values()) == [1] * (LIVES // 6)


def test_with_the_memory_store_who_is_killed_takes_it_along(tmp_path: Path) -> None:
    with ScriptedSMTPServer() as server:
        run(server, "", "kill", lives=10)
        assert server.messages == []
