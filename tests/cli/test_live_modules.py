"""A module that sets logging up when it is imported: no handler of it is live in the command."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from mail_servers import Project, Run

from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("projects",)

MODULE = """
import logging, logging.config, sys

LOGGING = {{
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {{
        "console": {{"class": "logging.StreamHandler"}},
        "alerts": {{
            "class": "tocsin.AlertHandler",
            "to": [{to}],
            "from_addr": "alerts@example.com",
            "app": "shop",
            "store": "sqlite:alerts.db",
            "policy": {{"group_wait": 3600}},
            "email": {email},
        }},
    }},
    "root": {{"handlers": ["console", "alerts"]}},
}}
SECRET_KEY = "x"
logging.config.dictConfig(LOGGING)
def ask(): return "ann@example.com"
def kill():  # an event waits, as its process is killed
    import os, time
    logging.getLogger("shop.pay").error("Charging failed")
    (handler,) = (one for one in logging.root.handlers if one.name == "alerts")
    while not handler.stats.handed_over:
        time.sleep(0.01)
    os._exit(0)
"""
NAMES = ("shop_live:LOGGING", "--django shop_live", "shop.toml")


def write(project: Project, port: int) -> None:
    """Write the module, and a file whose recipients are in it."""
    email = f'{{"host": "localhost", "port": {port}, "timeout": 5}}'
    text = MODULE.format(to='"ann@example.com"', email=email)
    (project.folder / "shop_live.py").write_text(text, encoding="utf-8")
    project.write(port, to='"ext://shop_live.ask"', app='"shop"', store='"sqlite:alerts.db"')


def python(project: Project, *args: str) -> Run:
    """Run Python in the project's folder, as its own process: at its end, handlers send."""
    done = subprocess.run(
        [sys.executable, *args],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"TOCSIN_ENABLED": ""},
    )
    return Run(done.returncode, done.stdout, done.stderr)


def digest(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name.startswith("alerts.db") and not path.name.endswith("-shm")
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_store_is_left_alone_and_nothing_is_sent(name: str, project: Project) -> None:
    """`status` led the store of such a module, and sent what waited in it at its end."""
    with ScriptedSMTPServer() as server:
        write(project, server.port)
        assert python(project, "-c", "import shop_live; shop_live.kill()").code == 0
        before = digest(project.folder)
        for command in ("status", "check"):
            run = python(project, "-m", "tocsin", command, *name.split())
            assert (run.code, run.err) == (0, "")
            assert "1 event waits" in run.out or "= mailed 0 + pending 1 +" in run.out
        assert server.messages == []
    assert digest(project.folder) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_store_that_is_not_there_is_not_made(name: str, project: Project) -> None:
    (project.folder / "app.log").write_text("2026-05-12 00:00:00 ERROR shop: failed\n")
    with ScriptedSMTPServer() as server:
        write(project, server.port)
        run = python(project, "-m", "tocsin", "check", *name.split())
        assert "made when the program starts" in run.out
        assert python(project, "-m", "tocsin", "replay", *name.split(), "app.log").code == 0
        assert server.messages == []
        assert python(project, "-m", "tocsin", "send", *name.split()).code == 0
        assert len(server.messages) == 1
    assert digest(project.folder) == {}


def test_a_handler_that_an_import_builds_is_off_for_good(project: Project) -> None:
    code = """
        import logging, sys
        from tocsin.cli.main import main
        main(["check", "shop_live:LOGGING", "--no-connect"])
        (handler,) = (one for one in logging.root.handlers if one.name == "alerts")
        logging.getLogger("shop").error("failed")
        assert handler.stats.seen == 0
        assert handler.send_now()
    """
    with ScriptedSMTPServer() as server:
        write(project, server.port)
        run = python(project, "-c", textwrap.dedent(code))
        assert (run.code, run.err) == (0, "failed\n")
        assert server.messages == []
    assert digest(project.folder) == {}
