"""FastAPI and Starlette under their servers."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from programs import (
    APPS,
    Mails,
    at_the_same_time,
    free_port,
    get,
    running,
    serving,
    through_a_socket,
    wait_for,
)
from uvicorn.config import LOGGING_CONFIG

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer

SERVERS = {
    "uvicorn": "uvicorn {app} --port {port}",
    "gunicorn": "gunicorn {app} -b 127.0.0.1:{port} -k uvicorn_worker.UvicornWorker",
    "hypercorn": "hypercorn {app} -b 127.0.0.1:{port}",
    "daphne": "daphne {app} -p {port}",
}
PACKAGES = {
    "gunicorn": pytest.mark.row(
        "FastAPI under gunicorn with uvicorn-worker", "fastapi", "gunicorn", "uvicorn-worker"
    ),
    "hypercorn": pytest.mark.row("FastAPI under hypercorn", "fastapi", "hypercorn"),
    "daphne": pytest.mark.row("FastAPI under daphne", "fastapi", "daphne"),
}


def command(server: str, app: str, port: int) -> list[str]:
    return SERVERS[server].format(app=app, port=port).split()


def fail_everywhere(port: int) -> int:
    """Let each endpoint of the shop fail; return how many errors that are."""
    assert get(port, "/async/7?token=s3cret&page=2", **{"X-Request-ID": "r-7"}) == 500
    assert get(port, "/thread/8") == 500
    assert get(port, "/logged/9") == 500
    assert get(port, "/by-server/3") == 500
    assert get(port, "/group") == 500
    assert get(port, "/background") == 200
    assert get(port, "/stream") == 200
    assert get(port, "/handled/4") == 503
    assert get(port, "/told/5") == 200
    assert get(port, "/admin/orders/6") == 500
    assert get(port, "/gather/2") == 500
    return 11


def check_everything(mails: Mails) -> None:
    """Look at each group that `fail_everywhere` makes: each error is there once."""
    told = mails.about("LookupError: async order")
    assert (
        "Request: GET /async/7?token=[redacted]&page=2, route /async/{number}, status 500" in told
    )
    assert "request id r-7" in told
    assert "shop  async order 7" in told
    assert "in fastapi_shop.in_task" in told
    told = mails.about("KeyError: 'thread order'")
    assert "Request: GET /thread/8, route /thread/{number}, status 500" in told
    assert "shop  thread order 8" in told
    assert "order 9 failed" in mails.about("ValueError: no such order", "/logged/9")
    assert "order 3 of too many" in mails.about("OverflowError", "/by-server/3")
    told = mails.about("OSError: disk full", "together with TimeoutError: slow")
    assert "Request: GET /group, route /group, status 500" in told
    told = mails.about("RuntimeError: no invoice", "shop  writing the invoice")
    assert "Request: GET /background, route /background\n" in told
    told = mails.about("ZeroDivisionError: second line", "shop  reading the second line")
    assert "Request: GET /stream, route /stream\n" in told
    told = mails.about("OutOfStockError: 4", "out of stock: 4", "shop  handled order 4")
    assert "Request: GET /handled/4, route /handled/{number}\n" in told
    told = mails.about("ArithmeticError", "order 2 has two parts", "first part of order 2")
    assert "shop  second part of order 2" in told
    assert "route /told/{number}" in mails.about("an order without a price", "shop  told order 5")
    told = mails.about("NotImplementedError: admin order", "shop  admin order 6")
    assert "Request: GET /admin/orders/6, route /admin/orders/{number}, status 500" in told
    assert "s3cret" not in mails.text


@pytest.mark.row(
    "FastAPI under uvicorn, logging set up in the application", "fastapi", "uvicorn", "starlette"
)
def test_fastapi_under_uvicorn(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    port = free_port()
    with serving(command("uvicorn", "fastapi_shop:app", port), port, tmp_path, server):
        count = fail_everywhere(port) + at_the_same_time(port) + through_a_socket(port)
        mails.wait_for_events(count)
    assert mails.events == mails.groups == count
    check_everything(mails)
    mails.check_each_for_itself()
    told = mails.about("PermissionError: socket order", "shop  socket order 5")
    assert "Request: WEBSOCKET /socket/5?token=[redacted], route /socket/{number}\n" in told
    assert "127.0.0.1" not in mails.about("LookupError: async order")


@pytest.mark.row("FastAPI with middleware under uvicorn", "fastapi", "uvicorn")
def test_middleware_disabled_loggers_and_personal_data(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    """The application's configuration disables the server's loggers; they speak all the same."""
    port = free_port()
    environ = {"MIDDLEWARE": "1", "DISABLE_EXISTING": "1", "ALERTS": '{"personal_data": true}'}
    with serving(command("uvicorn", "fastapi_shop:app", port), port, tmp_path, server, **environ):
        count = fail_everywhere(port) + at_the_same_time(port)
        mails.wait_for_events(count)
    assert mails.events == mails.groups == count
    check_everything_but_ends(mails)
    mails.check_each_for_itself()
    told = mails.about("LookupError: async order", "shop  begin /async/7")
    assert f"client 127.0.0.1, host 127.0.0.1:{port}, user-agent Python-urllib" in told


def check_everything_but_ends(mails: Mails) -> None:
    """Look at the groups, whose lines about requests go on."""
    assert "status 500" in mails.about("LookupError: async order", "shop  async order 7")
    assert "status 500" in mails.about("KeyError: 'thread order'", "shop  thread order 8")
    assert "status" not in mails.about("RuntimeError: no invoice", "shop  writing the invoice")
    assert "status" not in mails.about("ZeroDivisionError: second", "shop  reading the second line")
    mails.about("NotImplementedError: admin order", "status 500", "shop  admin order 6")


def configuration(port: int, *, usual: bool) -> dict[str, Any]:
    """Return a configuration for `--log-config`, with or without uvicorn's usual loggers."""
    alerts = {
        "class": "tocsin.AlertHandler",
        "to": "oncall@example.com",
        "from_addr": "alerts@example.com",
        "email": {"host": "127.0.0.1", "port": port},
        "policy": {"group_wait": 0.5},
        "level": "INFO",
        "context": 20,
    }
    bare = {"version": 1, "disable_existing_loggers": False}
    found: dict[str, Any] = LOGGING_CONFIG if usual else bare
    return {
        **found,
        "handlers": {**found.get("handlers", {}), "alerts": alerts},
        "root": {"level": "INFO", "handlers": ["alerts"]},
    }


@pytest.mark.row("FastAPI under uvicorn, logging set up by --log-config", "fastapi", "uvicorn")
@pytest.mark.parametrize("name", ["usual.json", "root-only.yaml"])
def test_log_config(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, name: str) -> None:
    write = json.dumps if name.endswith("json") else yaml.safe_dump
    (tmp_path / name).write_text(write(configuration(server.port, usual="usual" in name)))
    port = free_port()
    start = [*command("uvicorn", "fastapi_shop:app", port), "--log-config", name]
    with serving(start, port, tmp_path, server, LOG_CONFIG="1"):
        count = fail_everywhere(port)
        mails.wait_for_events(count)
    assert mails.events == mails.groups == count
    check_everything(mails)


@pytest.mark.row("FastAPI under uvicorn.run, logging set up before", "fastapi", "uvicorn")
def test_uvicorn_run_after_the_configuration(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    """Uvicorn's own configuration closes the handler; `uncaught` works all the same."""
    port = free_port()
    start = ["python", str(APPS / "fastapi_run.py")]
    with serving(start, port, tmp_path, server, PORT=str(port)):
        assert get(port, "/async/7") == 500
        assert get(port, "/in-a-thread") == 200
        mails.wait_for_events(2)
    assert mails.events == mails.groups == 2
    mails.about("LookupError: async order", "/async/{number}, status 500", "shop  async order 7")
    mails.about("RuntimeError: no stock in the thread", "CRITICAL")


@pytest.mark.row("FastAPI under uvicorn --reload", "fastapi", "uvicorn")
def test_reload(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    port = free_port()
    start = [*command("uvicorn", "fastapi_shop:app", port), "--reload"]
    changed = tmp_path / "changed.py"
    changed.write_text("")
    os.utime(changed, (0, 0))
    with serving(start, port, tmp_path, server) as program:
        assert get(port, "/async/7") == 500
        mails.wait_for_events(1)
        changed.write_text("# changed")
        wait_for(lambda: program.output.count("startup complete") == 2, "a second start")
        assert get(port, "/thread/8") == 500
        mails.wait_for_events(2)
    assert mails.events == 2
    mails.about("LookupError: async order", "shop  async order 7")
    mails.about("KeyError: 'thread order'", "shop  thread order 8")


@pytest.mark.row("FastAPI under uvicorn --workers 2", "fastapi", "uvicorn")
def test_two_workers(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    """Both send together what one process would send, with a store in a file."""
    port = free_port()
    start = [*command("uvicorn", "fastapi_shop:app", port), "--workers", "2"]
    options = {"store": f"sqlite:///{tmp_path}/alerts.db", "policy": {"group_wait": 1}}
    with serving(start, port, tmp_path, server, ALERTS=json.dumps(options)) as program:
        wait_for(lambda: program.output.count("startup complete") == 2, "two workers")
        for number in range(6):
            assert get(port, f"/async/{number}") == 500
        mails.wait_for_events(6)
    assert mails.events == 6
    assert mails.groups == 1


@pytest.mark.parametrize("name", [pytest.param(name, marks=row) for name, row in PACKAGES.items()])
def test_fastapi_under_other_servers(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, name: str
) -> None:
    port = free_port()
    with serving(command(name, "fastapi_shop:app", port), port, tmp_path, server):
        count = fail_everywhere(port) + at_the_same_time(port)
        mails.wait_for_events(count)
    assert mails.events == mails.groups == count
    check_everything(mails)
    mails.check_each_for_itself()


@pytest.mark.row("Starlette under uvicorn", "starlette", "uvicorn")
def test_starlette(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    port = free_port()
    with serving(command("uvicorn", "starlette_shop:app", port), port, tmp_path, server):
        assert get(port, "/orders/7") == 500
        assert get(port, "/shops/berlin/thread/8") == 500
        mails.wait_for_events(2)
    told = mails.about("LookupError: order", "shop  order 7")
    assert "Request: GET /orders/7, route /orders/{number:int}, status 500" in told
    told = mails.about("KeyError: 'thread order'", "shop  thread order 8")
    assert "GET /shops/berlin/thread/8, route /shops/{shop}/thread/{number:int}, status" in told


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn"])
@pytest.mark.parametrize("when", ["IMPORT", "START", "END"])
def test_a_start_or_an_end_that_fails(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, name: str, when: str
) -> None:
    """Uvicorn logs two records: the traceback as text, and that it exits.

    A failing import ends uvicorn as an uncaught exception; gunicorn logs it.
    """
    port = free_port()
    start = command(name, "starlette_shop:app", port)
    with running(start, tmp_path, server, **{f"FAIL_AT_{when}": "1"}) as program:
        if when == "END":
            wait_for(lambda: get(port, "/nothing") == 404, "an answer")
        else:
            wait_for(lambda: program.process.poll() is not None, "its end")
    mails.wait_for_events(1)
    error, place = {
        "IMPORT": ('ImportError("no driver")', "<module>"),
        "START": ('ConnectionError("no database")', "lifespan"),
        "END": ('ConnectionError("the database has gone")', "lifespan"),
    }[when]
    mails.about(f">     raise {error}", f"in starlette_shop.{place}\n")


@pytest.mark.parametrize("name", list(SERVERS))
def test_an_error_just_before_the_end(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, name: str
) -> None:
    """Uvicorn ends by the signal that it got: no exit hook runs."""
    port = free_port()
    start = command(name, "fastapi_shop:app", port)
    waiting = '{"policy": {"group_wait": 60}}'
    with serving(start, port, tmp_path, server, ALERTS=waiting) as program:
        assert get(port, "/logged/9") == 500
        assert mails.events == 0
        program.stop(signal.SIGTERM)
    assert mails.events == 1
