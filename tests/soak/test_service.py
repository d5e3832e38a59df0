"""Eight workers of a real gunicorn that all fail at once: they send what one process would send.

They are configured by the example's own file, and as README's service is.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from waiting import wait_for

from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from email.message import EmailMessage

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
WORKERS = 8
REQUESTS = 64
# What the next start sends: a process that loads the same settings.
NEXT_START = """
import logging, service
(handler,) = (one for one in logging.getLogger().handlers if one.name == "alerts")
print(handler.send_now(), handler.stats.store)
"""


def example() -> dict[str, Any]:
    """Return the settings of the example."""
    return tomllib.loads((EXAMPLES / "service.toml").read_text(encoding="utf-8"))


def readme() -> dict[str, Any]:
    """Return the settings of README's service."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (found,) = (one for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "sqlite" in one)
    settings: dict[str, Any] = yaml.safe_load(found)
    return settings


def toml(value: object) -> str:
    """Return a value in a line of TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)


class Service:
    """The example's service under gunicorn, with these settings but for the places."""

    def __init__(
        self, folder: Path, mail_port: int, settings: dict[str, Any], *options: str
    ) -> None:
        self._said = folder / "gunicorn.txt"
        people = folder / "oncall.txt"
        people.write_text("oncall@example.com\n", encoding="utf-8")
        handler = settings["handlers"]["alerts"]
        handler["email"] = {"host": "127.0.0.1", "port": mail_port}
        handler["store"] = f"sqlite:///{folder / 'alerts.db'}"
        handler.setdefault("from_addr", "alerts@example.com")
        if isinstance(handler["to"], dict):
            handler["to"] = {"file": str(people)}
        lines = [f"{name} = {toml(value)}" for name, value in settings.items()]
        (folder / "logging.toml").write_text("\n".join(lines), encoding="utf-8")
        self.environment = {**os.environ, "SHOP_LOGGING": str(folder / "logging.toml")}
        self._command = [
            sys.executable,
            *("-m", "gunicorn", "--workers", str(WORKERS), "--bind", "127.0.0.1:0"),
            *("--chdir", str(EXAMPLES), *options, "service:application"),
        ]

    @property
    def said(self) -> str:
        """What gunicorn and its workers have written."""
        return self._said.read_text(encoding="utf-8")

    @property
    def workers(self) -> set[int]:
        """The workers' processes."""
        return {int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.said)}

    @contextlib.contextmanager
    def running(self) -> Generator[None]:
        """Run it, and stop it gently."""
        with self._said.open("wb") as said:
            process = subprocess.Popen(
                self._command, env=self.environment, stdout=said, stderr=said, cwd=EXAMPLES
            )
        try:
            wait_for(lambda: len(self.workers) == WORKERS or process.poll() is not None)
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0, self.said
        finally:
            if process.poll() is None:
                for pid in (*self.workers, process.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            process.wait()

    def fail(self, times: int) -> int:
        """Send it requests that fail, so many that each worker is busy; return how many did."""
        listening = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.said)
        assert listening, self.said

        def ask(order: int) -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", int(listening[1]), timeout=30)
            with contextlib.closing(connection):
                connection.request("GET", f"/checkout?order={order}")
                return connection.getresponse().status == http.client.INTERNAL_SERVER_ERROR

        with ThreadPoolExecutor(2 * WORKERS) as customers:
            return sum(customers.map(ask, range(times)))

    def start_once_more(self) -> str:
        """Start another process, which sends what is left, and ends."""
        command = [sys.executable, "-c", NEXT_START]
        done = subprocess.run(
            command, env=self.environment, cwd=EXAMPLES, capture_output=True, text=True, check=True
        )
        return done.stdout


def read(server: ScriptedSMTPServer) -> list[EmailMessage]:
    """Return the mails that have come."""
    policy = email.policy.default
    return [email.message_from_bytes(one.data, policy=policy) for one in server.messages]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preloaded"])
@pytest.mark.parametrize("settings", [example, readme])
def test_eight_workers_that_fail_at_once_send_one_mail(
    tmp_path: Path, settings: Callable[[], dict[str, Any]], options: tuple[str, ...]
) -> None:
    """It counts what all of them have logged, and names each; a gentle stop loses nothing."""
    with ScriptedSMTPServer() as server:
        service = Service(tmp_path, server.port, settings(), *options)
        with service.running():
            assert service.fail(REQUESTS) == REQUESTS
            wait_for(lambda: server.messages)
            (mail,) = read(server)
            assert (mail["X-Tocsin-Reason"], mail["X-Tocsin-Count"]) == ("new", str(REQUESTS))
            body = mail.get_body(("plain",))
            assert body is not None
            told = body.get_content()
            assert f" {REQUESTS} in {WORKERS} processes (" in told
            counts = {int(pid): int(n) for pid, n in re.findall(r"(\d+): (\d+)[,)]", told)}
            assert ({*counts}, sum(counts.values())) == (service.workers, REQUESTS)
            service.fail(REQUESTS)
        assert len(server.messages) == 1  # it is known: the rest waits
        assert "tocsin:" not in service.said
        assert service.start_once_more().startswith("True")
        mails = read(server)
        assert [int(one["X-Tocsin-Count"]) for one in mails] == [REQUESTS, REQUESTS]
