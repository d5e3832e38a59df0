"""Celery: its worker with each kind of pool, its scheduler, and tasks that run in the caller."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from programs import APPS, Mails, Program, free_port, running, wait_for

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer


def worker(
    pool: str,
    folder: Path,
    server: ScriptedSMTPServer,
    *options: str,
    app: str = "celery_shop",
    **environ: str,
) -> contextlib.AbstractContextManager[Program]:
    """Run a worker. Tasks may be sent at once: they wait in the broker."""
    command = ["celery", "-A", app, "worker", "--pool", pool, "--concurrency", "2"]
    usual = ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    return running([*command, *usual, *options], folder, server, **environ)


def send(folder: Path, broker: str, *tasks: list[object], app: str = "celery_shop") -> None:
    """Send tasks: each is a name and arguments; the last may be a mapping of keyword arguments."""
    named = [json.dumps([f"{app}.{name}", *arguments]) for name, *arguments in tasks]
    subprocess.run(
        [sys.executable, APPS / "celery_send.py", *named],
        cwd=folder,
        env={"BROKER": broker},
        check=True,
    )


def text(mails: Mails) -> str:
    return mails.text.replace("\r\n", "\n")


def about(mails: Mails, start: str) -> str:
    """Return what the mails tell of the group whose title begins so."""
    groups = re.split(r"^\d+   \S+ +ERROR|^-{70}$", text(mails), flags=re.MULTILINE)
    (found,) = [group for group in groups if re.search(rf"\n    {re.escape(start)}", group)]
    return found


@pytest.mark.row("Celery, prefork", "celery", "billiard", "kombu")
def test_prefork(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, redis_url: str) -> None:
    store = f"sqlite:///{tmp_path}/alerts.db"
    with worker("prefork", tmp_path, server, BROKER=redis_url, STORE=store):
        send(
            tmp_path,
            redis_url,
            ["works", 1],
            ["fails", 3, {"password": "s3cret", "note": "x" * 300}],
            ["locked"],
            ["logged", 4],
            ["told", 5],
            ["retried"],
            ["auto"],
        )
        mails.wait_for_events(6)
        send(tmp_path, redis_url, ["hard", 8], ["soft"])
        mails.wait_for_events(8)
        send(tmp_path, redis_url, ["lost"])
        mails.wait_for_events(9)
    assert mails.events == 9
    assert mails.groups == 9
    fails = about(mails, "LookupError: no order 3\n    in celery_shop.fails")
    assert re.search(
        r"Task: celery_shop\.fails, id [0-9a-f-]{36}, queue orders, arguments \(3,\) "
        r"\{'password': '\[redacted\]', \.\.\.\n",
        fails,
    )
    assert "order 3 begins" in fails
    assert "order 1 works" not in fails
    assert "data=" not in fails
    locked = about(mails, "LockedError: order 7 is locked\n    in celery_shop.locked")
    assert "caused by TimeoutError: no key in time" in locked
    about(mails, "ValueError: no such customer\n    in celery_shop.logged")
    assert "Task: celery_shop.told, " in about(mails, "stock of 5 is low")
    retried = about(mails, "ConnectionError: the bank is away\n    in celery_shop.retried")
    assert "retries 2 of 2" in retried
    assert "attempt 2" in retried
    assert "retries 1 of 1" in about(mails, "BrokenPipeError: the disk is away")
    hard = about(mails, "TimeLimitExceeded: TimeLimitExceeded(1,)\n    in celery_shop.hard")
    assert "arguments (8,)" in hard
    about(mails, "SoftTimeLimitExceeded: SoftTimeLimitExceeded()\n    in celery_shop.soft")
    about(mails, "WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL)")
    assert "s3cret" not in text(mails)


@pytest.mark.row("Celery, threads and solo", "celery", "billiard", "kombu")
@pytest.mark.parametrize(
    "environ",
    [
        {"POOL": "threads", "NO_HIJACK": "1", "DISABLE": "1"},
        {"POOL": "solo", "SETUP_LOGGING": "1"},
    ],
)
def test_threads_and_solo(
    environ: dict[str, str],
    tmp_path: Path,
    server: ScriptedSMTPServer,
    mails: Mails,
    redis_url: str,
) -> None:
    with worker(environ["POOL"], tmp_path, server, BROKER=redis_url, **environ):
        send(
            tmp_path, redis_url, ["works", 1], ["fails", 2], ["logged", 3], ["told", 4], ["retried"]
        )
        mails.wait_for_events(4)
    assert mails.events == mails.groups == 4
    fails = about(mails, "LookupError: no order 2\n    in celery_shop.fails")
    assert "order 2 begins" in fails
    assert "order 1 works" not in fails
    assert "Task: celery_shop.fails, " in fails
    assert "retries 2 of 2" in about(mails, "ConnectionError: the bank is away")


@pytest.mark.row("Celery, prefork, processes that end", "celery", "billiard", "kombu")
def test_the_ends_of_processes_lose_nothing(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, redis_url: str
) -> None:
    """A child ends after one task, and the rest with the worker; no mail was due by then.

    As each child has a log of its own, it sets up logging again.
    """
    environ = {"BROKER": redis_url, "TASKS_PER_CHILD": "1", "GROUP_WAIT": "600"}
    with worker("prefork", tmp_path, server, "--logfile", "worker-%i.log", **environ):
        send(tmp_path, redis_url, *(["fails", number] for number in range(3)))
        wait_for(lambda: failures(tmp_path) == 3, "three failed tasks")
    assert mails.events == 3
    assert "Task: celery_shop.fails, " in mails.text


def failures(folder: Path) -> int:
    return sum(log.read_text().count("raised unexpected") for log in folder.glob("*.log"))


@pytest.mark.row("Celery, broker down", "celery", "kombu")
def test_a_broker_that_is_down(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    broker = f"redis://127.0.0.1:{free_port()}"
    command = ["celery", "-A", "celery_shop", "worker", "--pool", "solo"]
    with running(command, tmp_path, server, BROKER=broker) as program:
        mails.wait_for_events(1)
        wait_for(lambda: program.output.count("Cannot connect to redis") == 2, "a second try")
    assert mails.events == 2
    assert mails.groups == 2  # the same one, told again at the end
    assert len(set(re.findall(r"in celery\.\S+", mails.text))) == 1


@pytest.mark.row("Celery beat", "celery", "kombu")
def test_beat(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    command = ["celery", "-A", "celery_shop", "beat", "-S", "celery_broken_beat.Broken"]
    with running(command, tmp_path, server, BROKER="memory://") as program:
        wait_for(lambda: program.process.poll() is not None, "the end of beat")
    assert mails.events == 1
    assert "KeyError: 'no schedule'\n    in celery_broken_beat.Broken.tick" in text(mails)


@pytest.mark.row("Celery, tasks that run in the caller", "celery")
def test_eager_tasks(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    program = "import celery_shop as shop\nshop.app.conf.task_always_eager = True\n"
    tasks = "shop.fails.delay(1)\nshop.retried.delay()\n"
    with running(["python", "-c", program + tasks], tmp_path, server, BROKER="memory://") as ran:
        wait_for(lambda: ran.process.poll() is not None, "the end of the program")
    assert mails.events == mails.groups == 2
    assert "Task: celery_shop.fails, " in about(mails, "LookupError: no order 1")
    assert "retries 2 of 2" in about(mails, "ConnectionError: the bank is away")


@pytest.mark.row("Celery with Django's LOGGING", "celery", "django")
def test_with_django(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, redis_url: str
) -> None:
    with worker("solo", tmp_path, server, app="celery_django", BROKER=redis_url):
        send(tmp_path, redis_url, ["fails", 1], app="celery_django")
        mails.wait_for_events(1)
    assert mails.events == 1
    fails = about(mails, "LookupError: no order 1\n    in celery_django.fails")
    assert "order 1 begins" in fails
    assert "Task: celery_django.fails, " in fails


_FAST = """
import logging, logging.config, time
import alerting, celery

config = alerting.logging_config()
config["handlers"]["second"] = {**config["handlers"]["alerts"], "app": "second"}
config["root"]["handlers"].append("second")
app = celery.Celery("shop", broker="memory://")
with logging._lock:  # the thread that looks at the loggers waits
    logging.config.dictConfig(config)
    app.log.setup("INFO")
until = time.monotonic() + 30
while len(logging.root.handlers) < 3 and time.monotonic() < until:
    time.sleep(0.01)
logging.error("boom")
"""


def test_celery_may_replace_the_handlers_at_once(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    """As in a spawned child: all handlers come back, also those that were never looked at."""
    with running(["python", "-c", _FAST], tmp_path, server) as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the program")
    assert [one["X-Tocsin-Count"] for one in mails.all] == ["1", "1"]
    assert {one["X-Tocsin-App"] for one in mails.all} >= {"second"}
