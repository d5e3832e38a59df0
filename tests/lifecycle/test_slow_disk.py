"""A disk that is slow to sync holds nobody up: what is handed over survives the process without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lives import FILE, Stage
from slow_disk import SlowDisk

from tocsin.stores.sqlite import SQLiteStore
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.open(tmp_path_factory) as one:
        yield one


@pytest.fixture
def disk(tmp_path: Path) -> SlowDisk:
    return SlowDisk(tmp_path)


SYNCS = """
def syncs():
    return os.path.getsize(os.environ["SYNC_NOTES"])
"""


def test_a_handler_is_built_with_few_syncs_and_hands_over_with_fewer(
    disk: SlowDisk, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in disk.environment(0).items():
        monkeypatch.setenv(name, value)
    result = stage.run(
        "counts",
        f"""{SYNCS}
built = syncs()
early()
for number in range(2, 22):
    log.critical("mark-%s-%d" % (chr(96 + number), number), stack_info=True)
    until(lambda: alerts().stats.handed_over == number)
print(built, syncs() - built)
""",
        FILE,
        again=False,
        options={"policy": {"burst": 1}},
    )
    assert result.code == 0, result.error
    built, handed_over = map(int, result.out.split())
    assert built <= 4
    assert handed_over <= 21


@pytest.mark.parametrize("timeout", [1, 2])
@pytest.mark.parametrize("answers", [True, False])
def test_the_end_keeps_its_time_although_each_sync_takes_a_second(
    timeout: int, answers: bool, disk: SlowDisk, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in disk.environment(1).items():
        monkeypatch.setenv(name, value)
    script = {} if answers else {"MAIL": Act.SILENCE}
    with ScriptedSMTPServer(script) as server:
        result = stage.run(
            f"slow {timeout} {answers}",
            """
            for number in range(5):
                log.critical("mark-%d", number)
            late()
            """,
            FILE,
            again=False,
            options={
                "exit_timeout": timeout,
                "email": {"host": "127.0.0.1", "port": server.port},
            },
        )
        assert len(server.messages) == answers
    assert result.code == 0, result.error
    assert result.end < timeout + 1.5  # Python itself takes a part of it


def test_the_end_keeps_its_time_although_the_log_has_to_be_moved_into_the_file(
    disk: SlowDisk, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first hand-over does it, in the background, and takes many times as long."""
    folder, _ = stage.place("moves", FILE)
    store = SQLiteStore(folder / "alerts.db", "another one's")
    for _ in range(6):
        store.append(bytes(1_000_000))  # the main thread leaves it to others
    for name, value in disk.environment(5).items():
        monkeypatch.setenv(name, value)
    result = stage.run("moves", "late()", FILE, again=False, options={"exit_timeout": 1})
    assert result.code == 0, result.error
    assert disk.notes.stat().st_size > 0
    assert result.end < 3, result.error


def test_logging_and_forks_do_not_wait_for_the_disk(
    disk: SlowDisk, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sync takes 0.3 s; the worker has to do with the file all the time."""
    for name, value in disk.environment(0.3).items():
        monkeypatch.setenv(name, value)
    result = stage.run(
        "lock",
        """
        longest = {"getLogger": 0, "fork": 0}

        def timed(name, call):
            started = time.monotonic()
            call()
            longest[name] = max(longest[name], time.monotonic() - started)

        def fork():
            if (child := os.fork()) == 0:
                os._exit(0)
            os.waitpid(child, 0)

        early()
        for number in range(20):
            log.critical("mark-%d" % number)
            timed("getLogger", lambda: logging.getLogger(f"new.{number}"))
            timed("fork", fork)
        print(longest["getLogger"], longest["fork"])
        """,
        FILE,
        again=False,
        flags=("-W", "ignore::DeprecationWarning"),
    )
    assert result.code == 0, result.error
    get_logger, fork = map(float, result.out.split())
    assert get_logger < 0.25
    assert fork < 1
