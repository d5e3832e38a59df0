"""What all tests of frameworks have: a mail server, and the table of what was seen.

A test with the marker `row` is a row of the table in docs/frameworks.md. With
`--frameworks-table`, the table is written anew, from the tests that have passed.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import Mails, free_port, listens, wait_for

from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
HEAD = "| program | versions |\n|---|---|\n"
_passed: dict[str, tuple[str, ...]] = {}


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
    folder = tmp_path_factory.mktemp("redis")
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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--frameworks-table", action="store_true", help="write the table anew")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    marker = item.get_closest_marker("row")
    if marker is not None and report.when == "call" and report.passed:
        title, *packages = marker.args
        known = _passed.get(title, ())
        _passed[title] = (*known, *(one for one in packages if one not in known))
    return report  # type: ignore[return-value]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--frameworks-table") or session.testsfailed:
        return
    rows = "".join(
        f"| {title} | {', '.join(map(_with_version, packages)) or 'Python alone'} |\n"
        for title, packages in sorted(_passed.items(), key=lambda row: row[0].casefold())
    )
    before, _, rest = PAGE.read_text().partition(HEAD)
    after = re.sub(r"\A(\|.*\n)*\n", "", rest)
    PAGE.write_text(f"{before}{HEAD}{rows}\n{after}")


def _with_version(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"
