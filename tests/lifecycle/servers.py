"""Servers that fork, as they are: gunicorn and Celery, in front of a small application."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lives import Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from lives import Result, Stage

BIN = Path(sys.executable).parent
SECONDS = 30

WEB = """
def app(environ, start_response):
    {"/early": early, "/late": late}.get(environ["PATH_INFO"], int)()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""

TASKS = """
import celery.signals

app = celery.Celery("shop", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control",
}

@celery.signals.setup_logging.connect
def configure(**_):
    logging.config.dictConfig(CONFIG)

@app.task
def fail():
    early()
    late()
    open("done", "w").close()
"""


def until(condition: Callable[[], bool]) -> None:
    """Wait for it; a server has no event to wait for."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "in vain"
        threading.Event().wait(0.02)


def stopped(server: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Stop it gently."""
    server.terminate()
    out, error = server.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(server.args, server.returncode, out, error)


@dataclass(frozen=True, kw_only=True)
class Gunicorn(Life):
    """Two workers; a request that logs, another one, and the end.

    Attributes:
        arguments: more of the command.
    """

    program: str = WEB
    arguments: tuple[str, ...] = ()

    def run(self, stage: Stage, app: str, store: str) -> Result:
        """Serve two requests."""
        path = stage.script(app, self.program, store, name="shop.py")
        command = [
            str(BIN / "gunicorn"),
            "-w",
            "2",
            "-b",
            "127.0.0.1:0",
            *self.arguments,
            "shop:app",
        ]

        def serve() -> subprocess.CompletedProcess[str]:
            with subprocess.Popen(
                command, cwd=path.parent, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as server:
                assert server.stderr is not None
                line = ""
                while "Listening at: " not in line:
                    line = server.stderr.readline()
                    assert line, "it has ended"
                address = line.partition("Listening at: ")[2].partition(" ")[0]
                for what in ("early", "late"):
                    with urllib.request.urlopen(f"{address}/{what}", timeout=SECONDS) as answer:
                        assert answer.read() == b"done"
                return stopped(server)

        return stage.watch(app, store, serve)


@dataclass(frozen=True, kw_only=True)
class Celery(Life):
    """A task that logs, and a warm shutdown."""

    program: str = TASKS

    def run(self, stage: Stage, app: str, store: str) -> Result:
        """Run a task."""
        path = stage.script(app, self.program, store, name="shop.py", before="import celery")
        folder = path.parent
        for name in ("queue", "control"):
            (folder / name).mkdir()
        ask = [sys.executable, "-c", "import shop; shop.fail.delay()"]
        subprocess.run(ask, cwd=folder, check=True, timeout=SECONDS)
        command = [str(BIN / "celery"), "-A", "shop", "worker", "--pool=prefork", "-c", "2"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]

        def serve() -> subprocess.CompletedProcess[str]:
            with subprocess.Popen(
                [*command, *quiet],
                cwd=folder,
                stderr=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as server:
                until((folder / "done").exists)
                return stopped(server)

        return stage.watch(app, store, serve)


SERVERS = [
    Gunicorn(how="gunicorn, stopped gently"),
    Gunicorn(how="gunicorn with `--preload`, stopped gently", arguments=("--preload",)),
    Celery(how="Celery with `--pool=prefork`, stopped gently"),
]
