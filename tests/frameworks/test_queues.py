"""RQ, Dramatiq, APScheduler, and pools of processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from programs import APPS, Mails, running, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer


def enqueue(program: str, broker: str, *jobs: list[object]) -> None:
    """Run a program that sends jobs: each is a name and arguments."""
    subprocess.run(
        [sys.executable, APPS / program, *map(json.dumps, jobs)],
        env={**os.environ, "BROKER": broker, "SMTP_PORT": "1"},
        check=True,
    )


def about(mails: Mails, start: str) -> str:
    """Return what the mails tell of the group whose title begins so."""
    text = mails.text.replace("\r\n", "\n")
    groups = re.split(r"^\d+   \S+ +(?:ERROR|CRITICAL)|^-{70}$", text, flags=re.MULTILINE)
    (found,) = [group for group in groups if re.search(rf"\n    {re.escape(start)}", group)]
    return found


@pytest.mark.row("RQ, SimpleWorker", "rq", "redis")
def test_rq_in_one_process(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, redis_url: str
) -> None:
    command = ["rq", "worker", "--url", redis_url, "--worker-class", "rq.SimpleWorker", "orders"]
    secret = {"password": "s3cret"}
    enqueue(
        "rq_send.py",
        redis_url,
        ["works", 1],
        ["fails", 2, secret],
        ["divides", 3],
        ["logged", 4],
        ["retried"],
    )
    with running([*command, "--burst"], tmp_path, server) as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the worker")
    assert mails.events == mails.groups == 4
    fails = about(mails, "LookupError: no order 2\n    in rq_jobs.fails")
    assert "job 2 begins" in fails
    assert "job 1 works" not in fails
    assert re.search(
        r"Job: rq_jobs\.fails, id [0-9a-f-]{36}, queue orders, "
        r"arguments \[2\] \{'password': '\[redacted\]'\}\n",
        fails,
    )
    assert "job_id=" not in fails
    assert fails.count("Traceback") == 0
    assert "order 4 failed" in about(mails, "ValueError: no such customer")
    about(mails, "ZeroDivisionError: division by zero\n    in rq_jobs.divides")
    about(mails, "ConnectionError: the bank is away\n    in rq_jobs.retried")
    assert "s3cret" not in mails.text


@pytest.mark.row("RQ, a process for each job", "rq", "redis")
@pytest.mark.parametrize("store", ["memory:", "sqlite:///{}/alerts.db"])
def test_rq_with_a_process_for_each_job(
    store: str, tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, redis_url: str
) -> None:
    """The process of a job ends by `os._exit`; nothing is lost, and nothing waits."""
    jobs: list[list[object]] = [["fails", 2], ["told", 3], ["logged", 4], ["lost"], ["fails", 5]]
    enqueue("rq_send.py", redis_url, *jobs)
    command = ["rq", "worker", "--url", redis_url, "--burst", "orders"]
    with running(command, tmp_path, server, STORE=store.format(tmp_path)) as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the worker")
    assert "Work-horse terminated unexpectedly" in program.output
    in_memory = store == "memory:"
    # With a store in a file, the last one waits in the store.
    assert mails.events == (4 if in_memory else 3), mails.text
    assert mails.groups == (4 if in_memory else 3)


@pytest.mark.row("Dramatiq", "dramatiq", "redis")
def test_dramatiq(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, redis_url: str) -> None:
    enqueue("dramatiq_actors.py", redis_url)
    command = ["dramatiq", "dramatiq_actors", "--processes", "1", "--threads", "1"]
    with running(command, tmp_path, server, BROKER=redis_url):
        wait_for(lambda: mails.events >= 4, "four errors")
    assert mails.groups == 4
    fails = about(mails, "LookupError: no order 2\n    in dramatiq_actors.fails")
    assert "actor 2 begins" in fails
    assert "actor 1 works" not in fails
    assert re.search(
        r"Actor: fails, id [0-9a-f-]{36}, queue orders, "
        r"arguments \(2,\) \{'password': '\[redacted\]'\}\n",
        fails,
    )
    assert "order 3 failed" in about(mails, "ValueError: no such customer")
    assert "retries 2 of 2" in about(mails, "ConnectionError: the bank is away")
    about(mails, "BrokenPipeError: the disk is away\n    in dramatiq_actors.patient")


@pytest.mark.row("APScheduler, threads", "apscheduler")
def test_apscheduler_in_threads(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    with running(["python", str(APPS / "scheduled.py"), "threads"], tmp_path, server) as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the program")
    assert mails.events == mails.groups == 1
    fails = about(mails, "LookupError: no order 1\n    in scheduled.fails")
    assert "Job: Nightly bill, id nightly" in fails
    assert "job 1 begins" in fails
    assert "a job works" not in fails


@pytest.mark.row("APScheduler, asyncio", "apscheduler")
def test_apscheduler_in_tasks(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    with running(["python", str(APPS / "scheduled.py"), "asyncio"], tmp_path, server) as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the program")
    assert mails.events == mails.groups == 2
    about(mails, "LookupError: no order 1\n    in scheduled.fails")
    fails = about(mails, "LookupError: no order 2\n    in scheduled.fails_in_task")
    assert "Job: Hourly bill, id hourly" in fails
    assert "job 2 begins" in fails
    assert "job 1 begins" not in fails


def test_pools(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    with running(["python", str(APPS / "pools.py")], tmp_path, server) as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the program")
    assert mails.events == 2
    assert mails.groups == 1
    price = about(mails, "KeyError: 'apple'\n    in pools.price")
    assert re.search(r"> pools\.py:\d+ in price\n", price)
    assert "RemoteTraceback" not in price
