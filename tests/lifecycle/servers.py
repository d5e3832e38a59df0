"""Servers that fork, as they are: gunicorn, uWSGI, and Celery, with a small application."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lives import LAST_SECOND, LOST, Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from lives import Result, Stage

BIN = Path(sys.executable).parent
SECONDS = 30
# Requests wait there until a worker takes them.
LISTENS = re.compile(r"(?:Listening at: http://|bound to TCP address )127\.0\.0\.1:(\d+)")

WEB = """
def busy():
    late()
    threading.Event().wait()

def app(environ, start_response):
    {"/early": early, "/late": late, "/busy": busy}[environ["PATH_INFO"]]()
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


def until(condition: Callable[[], object]) -> None:
    """Wait for it; a server has no event to wait for."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "in vain"
        threading.Event().wait(0.02)


def ask(port: int, what: str) -> http.client.HTTPConnection:
    """Send a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request("GET", f"/{what}")
    return connection


def stopped(server: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Stop it gently."""
    server.terminate()
    out, error = server.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(server.args, server.returncode, out, error)


@dataclass(frozen=True, kw_only=True)
class Web(Life):
    """A request that logs, another one that does, and the end.

    Attributes:
        command: the server's.
        arguments: more of it.
        second: what the other request is: "late"; or "busy", which isn't over at the end.
    """

    program: str = WEB
    command: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    second: str = "late"

    def run(self, stage: Stage, app: str, store: str) -> Result:
        """Serve two requests."""
        path = stage.script(app, self.program, store, name="shop.py")
        said = path.with_name("said")

        def serve() -> subprocess.CompletedProcess[str]:
            with (
                said.open("w", encoding="utf-8") as log,
                subprocess.Popen(
                    [str(BIN / self.command[0]), *self.command[1:], *self.arguments],
                    cwd=path.parent,
                    stdout=log,
                    stderr=log,
                    text=True,
                ) as server,
            ):
                until(lambda: LISTENS.search(said.read_text(encoding="utf-8")))
                found = LISTENS.search(said.read_text(encoding="utf-8"))
                assert found is not None
                for what in ("early", self.second):
                    with contextlib.closing(ask(int(found[1]), what)) as connection:
                        if what == "busy":
                            until(path.with_name("late").exists)
                        else:
                            assert connection.getresponse().read() == b"done"
                            until(lambda: self.is_idle(path.parent))
                server.terminate()
                code = server.wait(SECONDS)
            return subprocess.CompletedProcess(self.command, code, "", said.read_text("utf-8"))

        return stage.watch(app, store, serve)

    def is_idle(self, folder: Path) -> bool:
        """Return whether a request that was answered is over for the worker, too."""
        return True


@dataclass(frozen=True, kw_only=True)
class UWSGI(Web):
    """uWSGI, which runs no hooks in a worker that is busy."""

    command: tuple[str, ...] = (
        *("uwsgi", "--master", "--die-on-term", f"--virtualenv={sys.prefix}", "--stats=stats"),
        *("--http-socket=127.0.0.1:0", "--module=shop:app"),
    )

    def is_idle(self, folder: Path) -> bool:
        """Ask its own statistics."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as stats:
            stats.connect(str(folder / "stats"))
            told = json.loads(b"".join(iter(lambda: stats.recv(65536), b"")))
        return all(worker["status"] == "idle" for worker in told["workers"])


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


GUNICORN = ("gunicorn", "--workers=2", "--bind=127.0.0.1:0", "shop:app")
SERVERS = [
    Web(how="gunicorn, stopped gently", command=GUNICORN),
    Web(
        how="gunicorn with `--preload`, stopped gently", command=GUNICORN, arguments=("--preload",)
    ),
    UWSGI(how="uWSGI, stopped between requests", arguments=("--processes=2",)),
    UWSGI(
        how="uWSGI with `--lazy-apps`, stopped between requests",
        arguments=("--processes=2", "--lazy-apps"),
    ),
    UWSGI(
        how="uWSGI, stopped in the middle of a request",
        arguments=("--processes=1",),
        second="busy",
        memory=LOST,
        file=LAST_SECOND,
    ),
    Celery(how="Celery with `--pool=prefork`, stopped gently"),
]
