"""Programs without a server: batch jobs, tasks, and what they print."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from programs import APPS, Mails, running

from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def headlines(mails: Mails) -> set[tuple[str, str]]:
    """Return the first two lines of each group."""
    lines = [line.strip() for line in mails.text.splitlines()]
    rules = [number for number, line in enumerate(lines) if line == "-" * 70]
    starts = [number + 2 for number in rules[:-1]]
    return {(lines[start], lines[start + 1].removeprefix("in ")) for start in starts}


@pytest.mark.row("asyncio: tasks, callbacks; executors")
def test_what_nobody_waits_for(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    with running(["python", str(APPS / "tasks_shop.py")], tmp_path, server) as program:
        assert program.process.wait(60) == 0
    assert headlines(mails) == {
        ("LookupError: order 1", "tasks_shop.pay"),
        ("TimeoutError", "tasks_shop.ship"),
        ("TimeoutError", "tasks_shop.refund"),
        ("KeyError: 'no note'", "tasks_shop.note"),  # logged twice, counted once
        ("ZeroDivisionError: ring", "tasks_shop.ring"),
        ("OSError: called", "tasks_shop.called"),
    }
    assert (mails.events, mails.groups) == (7, 6)
    assert "tasks_shop: ERROR" in str(mails.all[0]["Subject"])


def as_cron(arguments: list[str], server: ScriptedSMTPServer, **environ: str) -> str:
    """Run a job as cron does: a bare environment, the root folder, no terminal."""
    paths = [str(APPS), *(path for path in sys.path if path.endswith("src"))]
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd="/",
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join(paths),
            "SMTP_PORT": str(server.port),
            **environ,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ended.stderr


@pytest.mark.row("A job of cron that fails")
def test_a_job_that_fails_sends_one_mail(server: ScriptedSMTPServer, mails: Mails) -> None:
    error = as_cron([str(APPS / "nightly.py"), "fail"], server)
    assert "LookupError: no account 9" in error  # as without Tocsin
    assert "tocsin" not in error
    (mail,) = mails.all
    assert str(mail["Subject"]) == (
        "[1x, 2 new, 2 kinds] nightly: CRITICAL LookupError in nightly.book"
    )
    assert headlines(mails) == {
        ("LookupError: no account 9", "nightly.book"),
        ("booking 0 failed", "ledger"),
    }
    assert mails.events == 4


def test_a_job_that_ends_well_sends_one_mail_of_its_errors(
    server: ScriptedSMTPServer, mails: Mails
) -> None:
    assert as_cron([str(APPS / "nightly.py")], server) == ""
    assert str(mails.all[0]["Subject"]).startswith("[3x, 1 new] nightly: ERROR ")
    assert mails.events == 3


def test_a_job_given_as_code(server: ScriptedSMTPServer, mails: Mails) -> None:
    as_cron(["-c", "import nightly; nightly.main(); nightly.book(9)"], server)
    assert "python: CRITICAL LookupError in nightly.book" in str(mails.all[0]["Subject"])


@pytest.fixture
def login() -> Iterator[ScriptedSMTPServer]:
    with ScriptedSMTPServer(accounts={"alerts@example.com": "s3cret"}) as server:
        yield server


@pytest.mark.row("A service of systemd with LoadCredential")
def test_a_password_of_systemd(tmp_path: Path, login: ScriptedSMTPServer) -> None:
    (tmp_path / "smtp-password").write_text("s3cret\n", encoding="utf-8")
    error = as_cron([str(APPS / "nightly.py")], login, CREDENTIALS_DIRECTORY=str(tmp_path))
    assert error == ""
    assert len(login.messages) == 1
    error = as_cron([str(APPS / "nightly.py")], login, CREDENTIALS_DIRECTORY="/nowhere")
    assert "email.password_file: can't read a file of this name, nor in $CREDENT" in error


LIBRARIES = (
    "aiohttp.web",
    "apscheduler.schedulers.background",
    "asyncio",
    "celery",
    "daphne.server",
    "django.core.handlers.base",
    "dramatiq",
    "fastapi",
    "flask",
    "gunicorn.app.base",
    "hypercorn.logging",
    "ipykernel.kernelapp",
    "kombu",
    "loguru",
    "quart.logging",
    "redis",
    "rq",
    "structlog",
    "tornado.web",
    "twisted.python.log",
    "urllib3",
    "uvicorn.config",
    "werkzeug",
)


@pytest.mark.parametrize("disable", ["True", "False"])
def test_no_library_is_told_as_silent(disable: str, server: ScriptedSMTPServer) -> None:
    code = f"""
import alerting, logging.config, {", ".join(LIBRARIES)}
config = alerting.logging_config()
logging.config.dictConfig(config | {{"disable_existing_loggers": {disable}}})
from tocsin.integrations import arrival
arrival.settle()
"""
    assert as_cron(["-W", "ignore", "-c", code], server) == ""


def test_silent_loggers_of_a_program_are_told(server: ScriptedSMTPServer) -> None:
    code = """
import alerting, logging.config
logging.getLogger("shop.old")
config = alerting.logging_config(loggers={"shop.db": {"propagate": False}})
logging.config.dictConfig(config | {"disable_existing_loggers": True})
logging.getLogger("shop.late").propagate = False
"""
    lines = as_cron(["-c", code], server).splitlines()
    assert all(line.startswith("tocsin: warning: errors of the logger") for line in lines)
    for name in ("'shop.old'", "'shop.db'", "'shop.late'"):
        assert sum(name in line for line in lines) == 1
    assert any("set disable_existing_loggers to false" in line for line in lines)
