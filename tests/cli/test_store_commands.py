"""`tocsin status`, `retry` and `drop` on real stores, with and without a live process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from mail_servers import PASSWORD, Project, Run

from tocsin.alerts.codec import load
from tocsin.alerts.state import State
from tocsin.stores.sqlite_look import look_at
from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("projects",)

PROGRAM = """
import logging, logging.config, sys, tomllib
logging.config.dictConfig(tomllib.load(open("shop.toml", "rb")))
for line in sys.argv[1:]:
    logging.getLogger("shop.pay").error(line)
(handler,) = logging.root.handlers
handler.flush()
"""
LIVE = """
import logging, logging.config, sys, tomllib
logging.config.dictConfig(tomllib.load(open("shop.toml", "rb")))
(handler,) = logging.root.handlers
for line in sys.stdin:
    logging.getLogger("shop.pay").error(line.strip())
    handler.flush()
    print("logged", flush=True)
"""


def write(project: Project, port: int, **handler: str) -> None:
    options = {
        "app": '"shop"',
        "environment": '"production"',
        "store": f'"sqlite:{project.folder}/alerts.db"',
        "exit_timeout": "20",
        **handler,
    }
    project.write(port, **options)


def log(project: Project, *lines: str, code: str = PROGRAM) -> str:
    """Let a program log errors, and end; return its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", code, *lines],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stderr


@pytest.fixture
def dead_port() -> int:
    """Return a port on which no server listens."""
    with ScriptedSMTPServer() as server:
        return server.port


def status(project: Project) -> dict[str, Any]:
    run = project.run("status", "shop.toml", "--json")
    assert (run.code, run.err) == (0, "")
    (document,) = json.loads(run.out)
    assert document["received"] == (
        document["mailed"] + document["pending"] + document["undelivered"]
    )
    state = stored_state(project.folder)
    waiting = sum(group.count for group in state.unmailed)
    waiting += sum(one.digest.count for one in state.outgoing.values() if not one.counted)
    assert state.pending == waiting
    return dict(document)


def stored_state(folder: Path) -> State:
    """Return the only state in the store, as its leader has committed it."""
    (found,) = look_at(folder / "alerts.db").scopes.values()
    return State() if found.state is None else load(State, found.state)


def files(folder: Path) -> dict[str, str]:
    """Return the files of the store, but for the index of the log: locks are in there."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name.startswith("alerts.db") and not path.name.endswith("-shm")
    }


def full_for_bo(command: str, connection: object) -> str | None:
    return "452 4.2.2 mailbox full" if "<bo@" in command else None


# status


def test_what_waits_and_why(project: Project, dead_port: int) -> None:
    write(project, dead_port)
    log(project, *["Charging failed"] * 7, "Stock is negative")
    before = files(project.folder)
    run = project.run("status", "shop.toml")
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0] == f"{project.folder}/alerts.db, handler alerts, shop production"
    assert "received   8 = mailed 0 + pending 8 + undelivered 0" in run.out
    assert "Connection refused" in run.out
    assert "which has ended, led" in run.out
    assert "normal 6 of 6, urgent 6 of 6 mails left" in run.out
    row = next(line for line in lines if line.endswith("ERROR Charging failed in shop.pay"))
    name, events, unmailed = row.split()[:3]
    assert (len(name), events, unmailed) == (6, "7", "7")
    assert files(project.folder) == before
    document = status(project)
    assert document["groups"][0]["group"] == name
    assert document["leader"]["alive"] is False
    assert document["next"]["reason"] == "new"


def test_without_a_process_nothing_is_announced(project: Project, dead_port: int) -> None:
    """It said "next still 01:17:41, in 15 min", and no process was left to send that mail."""
    write(project, dead_port)
    log(project, "Charging failed")
    run = project.run("status", "shop.toml", "--handler", "alerts")
    lines = run.out.splitlines()
    number = next(number for number, line in enumerate(lines) if line.startswith("  next "))
    assert lines[number + 1].split(maxsplit=3) == [
        "no",
        "process",
        "leads:",
        "start the program, or tocsin retry shop.toml --handler alerts",
    ]
    assert ", in " not in run.out
    with live(project) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("Charging failed\n")
        process.stdin.flush()
        assert process.stdout.readline() == "logged\n"
        assert "no process leads" not in project.run("status", "shop.toml").out
        process.stdin.close()


def test_the_command_is_never_the_leader(project: Project, dead_port: int) -> None:
    """The number of a process that has ended may be that of the command."""
    write(project, dead_port)
    log(project, "Charging failed")
    (leader,) = leaders(project)
    owner = f"{leader.rsplit('-', 2)[0]}-{os.getpid()}-{leader.rsplit('-', 1)[1]}"
    damage(project, f"UPDATE leases SET owner = '{owner}'")
    assert status(project)["leader"]["alive"] is False
    assert "no process leads" in project.run("status", "shop.toml").out


def leaders(project: Project) -> list[str]:
    return [found.owner for found in look_at(project.folder / "alerts.db").scopes.values()]


def live(project: Project) -> subprocess.Popen[str]:
    """Start a program that logs what it reads."""
    return subprocess.Popen(
        [sys.executable, "-c", LIVE],
        cwd=project.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_what_was_mailed_and_who_is_owed_a_mail(project: Project) -> None:
    with ScriptedSMTPServer({"RCPT": full_for_bo}) as server:
        write(project, server.port)
        log(project, "Charging failed")
    document = status(project)
    assert (document["mailed"], document["pending"]) == (1, 0)
    (mail,) = document["mails"]
    assert mail["owed"] == ["bo@example.com"]
    assert mail["some_have_it"]
    assert document["groups"][0]["title"] == "ERROR Charging failed in shop.pay"
    run = project.run("status", "shop.toml")
    assert "with 1 event for bo@example.com (other recipients have it); tried again" in run.out


def test_batches_that_no_leader_has_merged_are_counted(project: Project, dead_port: int) -> None:
    write(project, dead_port)
    log(project, "Charging failed")
    code = PROGRAM.replace("handler.flush()", "import os, time\n").replace(
        "(handler,)", "from tocsin.pipeline import round as r\nr.Round._decide = None\n(handler,)"
    )
    appended = "import time\nwhile not handler.stats.handed_over: time.sleep(0.01)\nos._exit(0)\n"
    log(project, "Stock is negative", code=code + appended)
    assert status(project)["received"] == 2


def test_without_app_the_only_program_of_the_store_is_found(
    project: Project, dead_port: int
) -> None:
    write(project, dead_port, app='"shop"')
    log(project, "Charging failed")
    text = (project.folder / "shop.toml").read_text(encoding="utf-8")
    (project.folder / "shop.toml").write_text(text.replace('app = "shop"\n', ""), encoding="utf-8")
    assert status(project)["app"] == "shop production"
    write(project, dead_port, app='"second"')
    log(project, "Charging failed")
    (project.folder / "shop.toml").write_text(text.replace('app = "shop"\n', ""), encoding="utf-8")
    run = project.run("status", "shop.toml")
    assert (run.code, "several programs use the store: second, shop" in run.err) == (1, True)


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        ('"memory:"', "only the program itself can read"),
        ('"sqlite:none.db"', "there is no file 'none.db'"),
        ('"ext://test_store_commands.no_store"', "an object of your program"),
    ],
)
@pytest.mark.parametrize("command", ["status", "retry", "drop"])
def test_stores_that_cannot_be_read_from_outside(
    project: Project, store: str, problem: str, command: str
) -> None:
    write(project, 25, store=store)
    args = ["--all", "--yes"] if command == "drop" else []
    run = project.run(command, "shop.toml", *args)
    assert (run.code, problem in run.err) == (1, True)
    assert not (project.folder / "none.db").exists()


def no_store(scope: str) -> object:
    raise AssertionError(scope)


def test_a_file_of_another_program(project: Project) -> None:
    (project.folder / "alerts.db").write_bytes(b"x" * 9000)
    write(project, 25)
    run = project.run("status", "shop.toml")
    assert (run.code, "can't be read" in run.err) == (1, True)


def damage(project: Project, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(project.folder / "alerts.db")) as sql, sql:
        sql.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leases SET now = 'x'",
        "UPDATE leases SET ends = 9e999",
        "UPDATE leases SET owner = X'1b5b324a'",
        "UPDATE states SET data = 3",
        "UPDATE states SET data = '{}'",
        "INSERT INTO batches (scope, data) SELECT scope, '[' FROM states",
        "ALTER TABLE states RENAME TO others",
        "PRAGMA user_version = 9",
    ],
)
@pytest.mark.parametrize("command", ["status", "drop"])
def test_a_damaged_store_is_an_error_with_its_name(
    project: Project, dead_port: int, statement: str, command: str
) -> None:
    write(project, dead_port)
    log(project, "Charging failed")
    damage(project, statement)
    args = ["--all", "--yes"] if command == "drop" else []
    run = project.run(command, "shop.toml", "--json", *args)
    assert run.code == run.document["exit_code"] == 1
    assert "alerts.db'" in run.document["error"]


def test_a_folder_in_the_place_of_the_store(project: Project) -> None:
    (project.folder / "alerts.db").mkdir()
    write(project, 25)
    assert "is no regular file" in project.run("status", "shop.toml").err


def test_only_retry_needs_the_password(
    project: Project, dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator who logs in has not the environment of the service."""
    write(project, dead_port)
    log(project, "Charging failed")
    monkeypatch.delenv("SMTP_APP_PASSWORD")
    project.write(
        dead_port,
        'username = "a"\npassword_env = "SMTP_APP_PASSWORD"',
        app='"shop"',
        environment='"production"',
        store=f'"sqlite:{project.folder}/alerts.db"',
    )
    assert status(project)["pending"] == 1
    run = project.run("retry", "shop.toml")
    assert (run.code, "SMTP_APP_PASSWORD" in run.err) == (1, True)
    assert project.run("drop", "shop.toml", "--all", "--yes").code == 0
    assert status(project)["undelivered"] == 1


def test_of_several_handlers_each_store_that_can_be_read_is_shown(
    project: Project, dead_port: int
) -> None:
    write(project, dead_port)
    log(project, "Charging failed")
    text = (project.folder / "shop.toml").read_text(encoding="utf-8")
    second = '[handlers.second]\nclass = "tocsin.AlertHandler"\nto = "a@example.com"\n'
    (project.folder / "shop.toml").write_text(
        text + second + 'from_addr = "a@example.com"\n', encoding="utf-8"
    )
    run = project.run("status", "shop.toml", "--json")
    first, other = json.loads(run.out)
    assert (run.code, first["pending"], other["handler"]) == (1, 1, "second")
    assert "only the program itself can read" in other["error"]
    assert other["error"] in project.run("status", "shop.toml").out


# retry


@pytest.mark.parametrize("seconds", ["nan", "-1", "inf", "soon", "0"])
def test_retry_takes_a_time_to_wait(project: Project, seconds: str) -> None:
    run = project.run("retry", "shop.toml", f"--timeout={seconds}")
    assert (run.code, "--timeout" in run.err) == (2, True)


def test_retry_sends_what_waits(project: Project, dead_port: int) -> None:
    write(project, dead_port)
    log(project, "Charging failed")
    run = project.run("retry", "shop.toml")
    assert run.code == 3
    assert run.out.startswith("1 event waited for a later attempt; 0 mails were sent now.\n")
    assert "Connection refused" in run.out
    with ScriptedSMTPServer() as server:
        write(project, server.port)
        run = project.run("retry", "shop.toml")
        assert (run.code, run.out) == (
            0,
            "1 event waited for a later attempt; 1 mail was sent now.\n",
        )
        assert len(server.messages) == 1
        run = project.run("retry", "shop.toml", "--json")
        assert (run.code, run.document["waited"], run.document["pending"]) == (0, 0, 0)
        assert len(server.messages) == 1
    assert status(project)["mailed"] == 1


def test_retry_sends_to_the_recipients_that_lack_a_mail(project: Project) -> None:
    with ScriptedSMTPServer({"RCPT": full_for_bo}) as server:
        write(project, server.port)
        log(project, "Charging failed")
        (first,) = server.messages
    with ScriptedSMTPServer() as server:
        write(project, server.port)
        run = project.run("retry", "shop.toml")
        assert run.code == 0
        (second,) = server.messages
    assert second.recipients == ("bo@example.com",)
    assert message_id(second.data) == message_id(first.data)
    assert status(project)["mails"] == []


def message_id(data: bytes) -> bytes:
    return next(line for line in data.splitlines() if line.startswith(b"Message-ID:"))


# drop


def test_drop_gives_up_one_group(project: Project, dead_port: int) -> None:
    (project.folder / "kept").mkdir()
    write(project, dead_port, fallback='"kept"')
    log(project, "Charging failed", "Charging failed", "Stock is negative")
    groups = {group["title"]: group["group"] for group in status(project)["groups"]}
    name = groups["ERROR Charging failed in shop.pay"]
    run = project.run("drop", "shop.toml", name, "--yes")
    assert (run.code, run.out) == (0, "2 events dropped, and counted as undelivered.\n")
    assert "this alert was dropped; it is kept as" in run.err
    (kept,) = (project.folder / "kept").iterdir()
    assert b"Charging failed" in kept.read_bytes()
    assert b"Stock" not in kept.read_bytes()
    document = status(project)
    assert (document["pending"], document["undelivered"]) == (1, 2)
    with ScriptedSMTPServer() as server:  # what is left is sent, and soon
        write(project, server.port)
        log(project, "Charging failed")
        assert project.run("retry", "shop.toml").code == 0
        data = b"".join(message.data for message in server.messages)
    assert b"Stock is negative" in data
    document = status(project)
    assert (document["received"], document["mailed"], document["undelivered"]) == (4, 2, 2)
    assert document["pending"] == 0


def test_drop_all_with_a_mail_that_some_recipients_have(project: Project) -> None:
    with ScriptedSMTPServer({"RCPT": full_for_bo}) as server:
        write(project, server.port)
        log(project, "Charging failed")
    run = project.run("drop", "shop.toml", "--all", "--yes")
    assert run.code == 0
    assert run.out == "1 mail is not sent any more to the recipients that lack it.\n"
    assert "this alert was dropped to bo@example.com" in run.err
    document = status(project)
    assert (document["mails"], document["mailed"], document["undelivered"]) == ([], 1, 0)


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        ((), 2, "name a group"),
        (("ab", "--all"), 2, "name a group"),
        (("--all",), 2, "--yes"),
        (("nothing", "--yes"), 1, "there is no group 'nothing'"),
    ],
)
def test_drop_is_careful(
    project: Project, dead_port: int, args: tuple[str, ...], code: int, problem: str
) -> None:
    write(project, dead_port)
    log(project, "Charging failed")
    run = drop_elsewhere(project, *args)
    assert (run.code, problem in run.err) == (code, True)
    assert status(project)["pending"] == 1


def drop_elsewhere(project: Project, *args: str) -> Run:
    """Run the command without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", "drop", "shop.toml", *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Run(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("answer", "code", "pending"),
    [
        (b"n\n", 1, 1),
        (b"\n", 1, 1),
        (b"\x04", 1, 1),  # Ctrl-D
        (b"\xff\n", 1, 1),
        (b"y\n", 0, 0),
    ],
)
def test_on_a_terminal_it_asks(
    project: Project, dead_port: int, answer: bytes, code: int, pending: int
) -> None:
    write(project, dead_port)
    log(project, "Charging failed")
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "tocsin", "drop", "shop.toml", "--all", "--json"],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        os.write(leader, answer)
        out, asked = process.communicate(timeout=60)
    os.close(leader)
    os.close(follower)
    assert b"Drop 1 event of 1 group?" in asked
    document = json.loads(out)
    assert (process.returncode, document["exit_code"]) == (code, code)
    assert document["dropped"] == 1 - pending
    assert status(project)["pending"] == pending


def test_nothing_to_drop(project: Project) -> None:
    with ScriptedSMTPServer() as server:
        write(project, server.port)
        log(project, "Charging failed")
    run = project.run("drop", "shop.toml", "--all", "--yes")
    assert (run.code, run.out) == (0, "Nothing is unmailed, so nothing was dropped.\n")


def test_beside_a_live_process(project: Project, dead_port: int) -> None:
    """The accounts hold, whichever process does what."""
    write(project, dead_port, policy="{burst = 100}")
    with subprocess.Popen(
        [sys.executable, "-c", LIVE],
        cwd=project.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        deadline = time.monotonic() + 100
        for number in range(6):
            process.stdin.write(f"Failure {chr(97 + number)}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "logged\n"
            assert status(project)["leader"]["alive"]
            if number % 2:
                assert project.run("drop", "shop.toml", "--all", "--yes").code in {0, 3}
            else:
                assert project.run("retry", "shop.toml").code in {0, 3}
            assert time.monotonic() < deadline
        process.stdin.close()
    document = status(project)
    assert (document["received"], document["mailed"]) == (6, 0)
    project.run("drop", "shop.toml", "--all", "--yes")
    assert status(project)["undelivered"] == 6
    assert PASSWORD  # `Project.run` looks for it in each output
