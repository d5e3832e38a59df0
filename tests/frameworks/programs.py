"""Programs of users, with a real framework under its real server, and the mails that they send."""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage, MIMEPart

    from tocsin.testing import ScriptedSMTPServer

APPS = Path(__file__).parent / "apps"
BIN = Path(sys.executable).parent
SECONDS = 60  # an upper limit; the machine may be slow


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until, f"{what} not within {SECONDS} s"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def get(port: int, path: str, **headers: str) -> int:
    """Return the status of the answer to a GET request; 0 if there is no answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def get_all(port: int, *paths: str) -> list[int]:
    """Return the statuses of the answers to GET requests, all on one connection."""
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    with contextlib.closing(connection):
        for path in paths:
            connection.request("GET", path)
            with connection.getresponse() as answer:
                answer.read()
                found.append(answer.status)
    return found


def at_the_same_time(port: int) -> int:
    """Let two requests log in turn, and fail; return how many errors that are."""
    threads = [
        threading.Thread(target=get, args=(port, f"/meet/{name}")) for name in ("ada", "bob")
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return len(threads)


def through_a_socket(port: int) -> int:
    """Let a websocket fail; return how many errors that are."""
    with connect(f"ws://127.0.0.1:{port}/socket/5?token=s3cret") as socket:
        socket.send("order")
        with contextlib.suppress(ConnectionClosed):
            socket.recv(SECONDS)
    return 1


def fetch(
    port: int,
    path: str,
    *,
    form: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> int:
    """Return the status of the answer, which is read to its end; 0 if it does not begin.

    Args:
        port: the server's.
        path: with a query.
        form: what is posted; by default, nothing.
        headers: of the request.
    """
    body = None if form is None else urllib.parse.urlencode(form)
    sent = dict(headers or {})
    if form is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    with contextlib.closing(connection):
        try:
            connection.request("GET" if form is None else "POST", path, body, sent)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException):
            return 0
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer.read()
        return answer.status


class Mails:
    """The mails that a server has received."""

    def __init__(self, server: ScriptedSMTPServer) -> None:
        self._server = server

    @property
    def all(self) -> list[EmailMessage]:
        return [
            email.message_from_bytes(one.data, policy=email.policy.default)
            for one in self._server.messages
        ]

    @property
    def text(self) -> str:
        """The text of all mails."""
        told = "\n".join(part.get_content() for part in map(_plain, self.all))
        return told.replace("\r\n", "\n")

    def about(self, *words: str) -> str:
        """Return the only group that has all of these words, as the mails tell it in text."""
        groups = [one for one in self.text.split("-" * 70) if "    First: " in one]
        found = [one for one in groups if all(word in one for word in words)]
        assert len(found) == 1, f"{len(found)} groups with {words} in\n{self.text}"
        return found[0]

    def check_each_for_itself(self) -> None:
        """Check that requests at the same time have the records of their own as context."""
        for error, name, other in (
            ("BlockingIOError", "ada", "bob"),
            ("InterruptedError", "bob", "ada"),
        ):
            told = self.about(f"{error}: {name}", f"step 0 of {name}", f"step 2 of {name}")
            assert f"of {other}" not in told

    def wait_for_events(self, count: int) -> None:
        """Wait until mails have told so many events; more are a failure."""
        wait_for(lambda: self.events >= count, f"{count} events in mails, now {self.events}")
        assert self.events == count, self.text

    @property
    def events(self) -> int:
        return sum(int(one["X-Tocsin-Count"]) for one in self.all)

    @property
    def groups(self) -> int:
        return sum(int(one["X-Tocsin-Groups"]) for one in self.all)


def _plain(message: EmailMessage) -> MIMEPart:
    part = message.get_body(("plain",))
    assert part is not None
    return part


@dataclass
class Program:
    """A program that runs: its process, and the file with what it prints."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask the program to end, and wait for its end; so all that it has to mail is mailed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                raise


def _heed_interrupts() -> None:
    """Let a program end at SIGINT, also where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def running(
    command: list[str], folder: Path, mails: ScriptedSMTPServer, **environ: str
) -> Iterator[Program]:
    """Run a program in a folder, with `SMTP_PORT` in its environment, and stop it at the end.

    Args:
        command: a script of the environment (`uvicorn`), or `python`, and arguments.
        folder: the working directory; a module of `apps` is found from there.
        mails: the mail server.
        environ: more variables.
    """
    log = folder / "output.txt"
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(APPS), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
        "SMTP_PORT": str(mails.port),
        **environ,
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - this process has no other locks to lose
        )
    program = Program(process, log)
    try:
        yield program
        program.stop()
    except BaseException:
        print(program.output[-8000:])  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def serving(
    command: list[str], port: int, folder: Path, mails: ScriptedSMTPServer, **environ: str
) -> Iterator[Program]:
    """Run a server, and wait until it listens on a port."""
    with running(command, folder, mails, **environ) as program:
        wait_for(
            lambda: listens(port) or program.process.poll() is not None, f"a listener on {port}"
        )
        assert program.process.poll() is None, program.output
        yield program
