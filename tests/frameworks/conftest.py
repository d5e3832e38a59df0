"""What all tests of frameworks have: a mail server, and the table of what was seen."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from programs import Mails, free_port, listens, wait_for

from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[ScriptedSMTPServer]:
    with ScriptedSMTPServer() as server:
        yield server


@pytest.fixture
def mails(server: ScriptedSMTPServer) -> Mails:
    return Mails(server)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[str]]:
    """The URLs of the databases of a Redis server that keeps nothing on disk."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [*command, "--dir", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: listens(port), "a Redis server")
        yield (f"redis://127.0.0.1:{port}/{number}" for number in range(16))
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def redis_url(redis_server: Iterator[str]) -> str:
    """An empty database of a Redis server."""
    return next(redis_server)
