"""The ways to start and to end a process, and what each costs: the table of docs/lifecycle.md.

A program of each way logs two errors: "early", which its store has when the end comes, and "late",
immediately before it. It is run with the store in memory and with the one in a file; then a next
start of it looks for what is left in that file.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import re
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tocsin import AlertHandler
from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pytest

MEMORY, FILE = "memory", "file"
STORES = (MEMORY, FILE)

HEAD = '''
import atexit, gc, logging, logging.config, os, signal, sys, threading, time

CONFIG = {{
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {{
        "alerts": {{
            "class": "tocsin.AlertHandler",
            "app": {app!r},
            "to": "ops@example.com",
            "from_addr": "alerts@example.com",
            "email": {{"host": "127.0.0.1", "port": {port}}},
            "store": {store!r},
            **{options!r},
        }},
    }},
    "root": {{"level": "INFO", "handlers": ["alerts"]}},
}}
log = logging.getLogger("shop")

def alerts():
    return logging._handlers["alerts"]

def until(condition, seconds=20):
    """Wait for it, at most so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "in vain"
        threading.Event().wait(0.002)

def early():
    """Log an error, and see that the store has it, and that nobody leads there."""
    log.error("mark-early")
    until(lambda: (handler := alerts()).stats.store is not None and not handler._engine.worker.busy)

def late():
    """Log an error, and note when."""
    file = os.open("late", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(file, str(time.monotonic()).encode())
    os.close(file)
    log.error("mark-late")

def work(_=None):
    early()
    late()

logging.config.dictConfig(CONFIG)
'''


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What becomes of the two errors.

    Attributes:
        said: in the table's words.
        mailed: the ones that are mailed before the process is gone.
        next: the ones that are mailed by the next start.
        maybe: the ones that are so only where they were handed over in time.
        told: the ones whose text is on standard error.
    """

    said: str
    mailed: frozenset[str] = frozenset()
    next: frozenset[str] = frozenset()
    maybe: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()


NOT_AT_ALL, BY_THE_MAIL = "no", "for the mail"
EARLY, LATE = frozenset({"early"}), frozenset({"late"})
BOTH = EARLY | LATE

SENT = Outcome(said="sent", mailed=BOTH)
LOST = Outcome(said="lost")
LAST_SECOND = Outcome(
    said="the last second is lost; the next start sends the rest", next=EARLY, maybe=LATE
)
NOT_LATE = Outcome(said="sent, except this last error", mailed=EARLY)
TOLD = Outcome(said="written to `fallback`", told=BOTH)
NEXT = Outcome(said="sent by the next start", next=BOTH)


@dataclass(frozen=True, kw_only=True)
class Life:
    """A way to start and to end.

    Attributes:
        how: in the table's words.
        program: what it does, after `HEAD`.
        memory: what it costs with the store in memory.
        file: what it costs with the store in a file.
        code: what it ends with.
        options: of the handler.
        before: what it does before it imports anything.
    """

    how: str
    program: str
    memory: Outcome = SENT
    file: Outcome = SENT
    code: int = 0
    options: Mapping[str, object] = field(default_factory=dict)
    before: str = ""

    @property
    def held_up(self) -> str:
        """Whether the end waits for something, in the table's words."""
        return BY_THE_MAIL if self.memory.mailed or self.memory.told else NOT_AT_ALL

    def outcome(self, store: str) -> Outcome:
        return self.memory if store == MEMORY else self.file

    def run(self, stage: Stage, app: str, store: str) -> Result:
        """Live it."""
        return stage.run(app, self.program, store, before=self.before, options=self.options)


LIVES = [
    Life(
        how="the script ends, or calls `sys.exit`",
        program="early(); late(); sys.exit(3)",
        code=3,
    ),
    Life(
        how="an uncaught exception",
        program="early(); late(); raise RuntimeError('nobody catches it')",
        code=1,
    ),
    Life(
        how="Ctrl-C (`SIGINT`)",
        program="""
        early()
        late()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
        except KeyboardInterrupt:
            sys.exit(130)
        """,
        code=130,
    ),
    Life(
        how="`SIGTERM`, which the program turns into `sys.exit`",
        program="""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        early()
        late()
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
        """,
        code=143,
    ),
    Life(
        how="`SIGTERM`, which the program doesn't handle",
        program="early(); late(); os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
        code=-15,
        memory=LOST,
        file=LAST_SECOND,
    ),
    Life(
        how="`kill -9`, also by the system when memory runs out; a crash",
        program="early(); late(); os.kill(os.getpid(), signal.SIGKILL)",
        code=-9,
        memory=LOST,
        file=LAST_SECOND,
    ),
    Life(how="`os._exit`", program="early(); late(); os._exit(0)", memory=LOST, file=LAST_SECOND),
    Life(
        how="`os.execv` and similar functions",
        program="early(); late(); os.execv(sys.executable, [sys.executable, '-c', ''])",
        memory=LOST,
        file=LAST_SECOND,
    ),
    Life(
        how="the program logs after `logging.shutdown()`",
        program="early(); logging.shutdown(); late()",
    ),
    Life(
        how="a thread logs after the end of the script",
        program="""
        def outlive():
            threading.main_thread().join()
            late()

        early()
        threading.Thread(target=outlive).start()
        """,
    ),
    Life(
        how="pending tasks log while they are cancelled at the end of `asyncio.run`",
        program="""
        import asyncio

        async def pending():
            try:
                await asyncio.Event().wait()
            finally:
                late()

        async def main():
            global task
            task = asyncio.ensure_future(pending())
            await asyncio.to_thread(early)

        asyncio.run(main())
        """,
    ),
    Life(
        how="an `atexit` hook logs",
        program="atexit.register(late); early()",
    ),
    Life(
        how="an `atexit` hook logs that was registered before `logging` was imported",
        before="import atexit; atexit.register(lambda: late())",
        program="early()",
    ),
    Life(
        how="a `__del__` logs after all hooks, while Python shuts down",
        program="""
        class Last:
            def __del__(self):
                late()

        early()
        last = Last()
        """,
        memory=NOT_LATE,
        file=NOT_LATE,
    ),
    Life(
        how="the mail server is down, or doesn't answer",
        program="early(); late()",
        options={"exit_timeout": 1, "email": {"host": "127.0.0.1", "port": 1}},
        memory=TOLD,
        file=NEXT,
    ),
    Life(
        how="a child of `os.fork` that calls `sys.exit`",
        program="""
        if os.fork() == 0:
            early()
            late()
            sys.exit()
        os.wait()
        """,
    ),
    Life(
        how="a child of `os.fork` that calls `os._exit` or `os.execv`",
        program="""
        if os.fork() == 0:
            early()
            late()
            os._exit(0)
        os.wait()
        """,
        memory=LOST,
        file=LAST_SECOND,
    ),
    Life(
        how="a child that a thread has forked, and that ends with the function of this thread",
        program="""
        def fork():
            if os.fork() == 0:
                early()
                late()
            else:
                os.wait()

        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        """,
    ),
    Life(
        how="a child that was forked without Python's `os.fork`, as in uWSGI",
        program="""
        import ctypes

        if ctypes.PyDLL(None).fork() == 0:
            early()
            late()
            sys.exit()
        os.wait()
        """,
    ),
    *(
        Life(
            how=f"a child of `multiprocessing` ({method}) that returns",
            program=f"""
            import multiprocessing

            if __name__ == "__main__":
                child = multiprocessing.get_context({method!r}).Process(target=work)
                child.start()
                child.join()
            """,
        )
        for method in ("fork", "spawn", "forkserver")
    ),
    Life(
        how="children of a `Pool`, after `close()` and `join()`; of a `ProcessPoolExecutor`",
        program="""
        import multiprocessing

        pool = multiprocessing.get_context("fork").Pool(1)
        pool.map(work, [0])
        pool.close()
        pool.join()
        """,
    ),
    Life(
        how="children of a `Pool` at the end of its `with` block; a child that is terminated",
        program="""
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(1) as pool:
            pool.map(work, [0])
        """,
        memory=LOST,
        file=LAST_SECOND,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a process, and its next start, have come to.

    Attributes:
        code: what it has ended with.
        seconds: how long it took.
        end: how long it was there after the second error.
        out: its output.
        error: its standard error.
        mailed: the errors that were mailed before it was gone, each as often as it was.
        next: those that the next start has mailed.
    """

    code: int
    seconds: float
    end: float
    out: str
    error: str
    mailed: tuple[str, ...]
    next: tuple[str, ...]


class Stage:
    """One mail server for all programs; each has an application's name of its own."""

    def __init__(self, folder: Path, server: ScriptedSMTPServer) -> None:
        self.folder = folder
        self.server = server

    @classmethod
    @contextlib.contextmanager
    def open(cls, factory: pytest.TempPathFactory) -> Iterator[Self]:
        """Be there for the tests of a module."""
        with ScriptedSMTPServer() as server:
            yield cls(factory.mktemp("lives"), server)

    def mailed(self, app: str) -> tuple[str, ...]:
        """Return which errors were mailed, from one application."""
        names: list[str] = []
        for message in list(self.server.messages):
            mail = email.message_from_bytes(message.data, policy=email.policy.default)
            if mail["X-Tocsin-App"] == app:
                body = mail.get_body(("plain",))
                assert body is not None
                names += sorted(set(re.findall(r"mark-(\w+)", body.get_content())))
        return tuple(names)

    def counted(self, app: str) -> int:
        """Return how many events are in the mails of one application."""
        mails = (email.message_from_bytes(message.data) for message in list(self.server.messages))
        return sum(int(mail["X-Tocsin-Count"]) for mail in mails if mail["X-Tocsin-App"] == app)

    def place(self, app: str, store: str) -> tuple[Path, str]:
        """Return a folder for a program, and the URL of its store."""
        folder = self.folder / app
        folder.mkdir(exist_ok=True)
        return folder, "memory:" if store == MEMORY else f"sqlite:///{folder}/alerts.db"

    def script(
        self,
        app: str,
        program: str,
        store: str,
        *,
        name: str = "program.py",
        before: str = "",
        options: Mapping[str, object] | None = None,
    ) -> Path:
        """Write a program, which configures logging and goes on from there."""
        folder, url = self.place(app, store)
        head = HEAD.format(app=app, port=self.server.port, store=url, options=dict(options or {}))
        path = folder / name
        path.write_text(f"{before}\n{head}\n{textwrap.dedent(program)}\n", encoding="utf-8")
        return path

    def run(
        self,
        app: str,
        program: str,
        store: str = MEMORY,
        *,
        before: str = "",
        options: Mapping[str, object] | None = None,
        flags: tuple[str, ...] = (),
        again: bool = True,
    ) -> Result:
        """Run a program, and then, if `again`, its next start."""
        path = self.script(app, program, store, before=before, options=options)
        return self.watch(
            app,
            store,
            lambda: subprocess.run(
                [sys.executable, "-X", "faulthandler", *flags, str(path)],
                cwd=path.parent,
                capture_output=True,
                text=True,
                timeout=40,
                check=False,
            ),
            again=again,
        )

    def watch(
        self,
        app: str,
        store: str,
        run: Callable[[], subprocess.CompletedProcess[str]],
        *,
        again: bool = True,
    ) -> Result:
        """See what a process comes to, and its next start."""
        started = time.monotonic()
        done = run()
        ended = time.monotonic()
        late = self.place(app, store)[0] / "late"
        mailed = self.mailed(app)
        if store == FILE and again:
            self.start_again(app)
        return Result(
            code=done.returncode,
            seconds=ended - started,
            end=ended - float(late.read_text() if late.exists() else "nan"),
            out=done.stdout,
            error=done.stderr,
            mailed=mailed,
            next=self.mailed(app)[len(mailed) :],
        )

    def start_again(self, app: str, *, seconds: float = 20) -> bool:
        """Do what a next start does, without waiting for what isn't due."""
        handler = AlertHandler(
            name="alerts",
            app=app,
            to="ops@example.com",
            from_addr="alerts@example.com",
            email={"host": "127.0.0.1", "port": self.server.port},
            store=self.place(app, FILE)[1],
        )
        try:
            return handler.send_now(seconds)
        finally:
            handler.close()
