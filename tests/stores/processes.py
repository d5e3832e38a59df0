"""Other processes, for the tests of a store that processes share."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import traceback
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path


class Child:
    """A process that does something, and tells its parent what came of it.

    Args:
        work: what it does; it gets a function that tells the parent something before the end.
    """

    def __init__(self, work: Callable[[Callable[[object], None]], object]) -> None:
        readable, writable = os.pipe()
        with warnings.catch_warnings():  # the child uses no thread of its parent
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            os.close(readable)
            _be_the_child(work, writable)
        os.close(writable)
        self._said = os.fdopen(readable, encoding="utf-8")
        self._ended = False

    def hear(self) -> Any:
        """Return what it tells next, or its result."""
        line = self._said.readline()
        assert line, "it has died"
        kind, value = json.loads(line)
        assert kind == "said", value
        return value

    def end(self, number: int | None = None) -> None:
        """Wait for its end, or bring it about by a signal."""
        if not self._ended:
            if number is not None:
                os.kill(self.pid, number)
            os.waitpid(self.pid, 0)
            self._said.close()
            self._ended = True


def _be_the_child(work: Callable[[Callable[[object], None]], object], writable: int) -> None:
    def say(value: object, kind: str = "said") -> None:
        os.write(writable, f"{json.dumps([kind, value])}\n".encode())

    try:
        say(work(say))
    except BaseException:  # noqa: BLE001 - it is the parent's to raise
        say(traceback.format_exc(), "failed")
    finally:
        os._exit(0)


def in_child(work: Callable[[], object]) -> Any:
    """Return what a function returns in a process of its own."""
    child = Child(lambda _: work())
    try:
        return child.hear()
    finally:
        child.end()


def all_at_once(works: Sequence[Callable[[], object]]) -> list[Any]:
    """Return what each of several processes returns, which begin at the same moment."""
    readable, writable = os.pipe()

    def run(work: Callable[[], object]) -> object:
        os.close(writable)
        os.read(readable, 1)  # nothing comes but the end of all writers
        return work()

    children = [Child(lambda _, work=work: run(work)) for work in works]  # type: ignore[misc] # its own work
    os.close(writable)
    os.close(readable)
    try:
        return [child.hear() for child in children]
    finally:
        for child in children:
            child.end()


@contextlib.contextmanager
def locked(path: Path, kind: str = "IMMEDIATE") -> Generator[Child]:
    """Have another process hold a lock on a database in the block, or until it is killed."""

    def hold(say: Callable[[object], None]) -> None:
        file = sqlite3.connect(path, isolation_level=None)
        if kind == "EXCLUSIVE":
            file.execute("PRAGMA locking_mode = EXCLUSIVE")
        file.execute(f"BEGIN {kind}")
        say("locked")
        signal.pause()

    child = Child(hold)
    try:
        assert child.hear() == "locked"
        yield child
    finally:
        child.end(signal.SIGKILL)
