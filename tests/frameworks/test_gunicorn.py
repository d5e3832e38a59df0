"""Applications without a framework under servers for WSGI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from programs import Mails, fetch, free_port, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer


def _errors(port: int) -> None:
    assert fetch(port, "/fine") == 200
    assert fetch(port, "/raw?token=s3cret&page=2", headers={"X-Request-ID": "r-7"}) == 500
    assert fetch(port, "/stream") == 200


def _check(mails: Mails) -> None:
    text = mails.text
    assert "Request: GET /raw?token=[redacted]&page=2, status 500, request id r-7" in text
    assert "LookupError: no such order\n    in wsgi_shop.app" in text
    assert "ArithmeticError: stream broke\n    in wsgi_shop.app" in text
    assert "Request: GET /stream\n" in text, "the status of a stream that broke is not known"
    assert "a request for /raw" in text
    assert "a request for /fine" not in text, "a record of another request"
    assert "s3cret" not in text


@pytest.mark.row(
    "An application for WSGI under gunicorn, also with threads or `--preload`", "gunicorn"
)
@pytest.mark.parametrize("options", [[], ["--threads", "4"], ["--preload"]])
def test_wsgi_under_gunicorn(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, options: list[str]
) -> None:
    port = free_port()
    command = ["gunicorn", "-b", f"127.0.0.1:{port}", *options, "wsgi_shop:app"]
    with serving(command, port, tmp_path, server):
        _errors(port)
        assert fetch(port, "/socket") == 0, "gunicorn takes it for an error of its connection"
        mails.wait_for_events(3)
    assert mails.groups == 3
    _check(mails)
    assert "FileNotFoundError: no price list\n    in wsgi_shop.app" in mails.text


@pytest.mark.row("A worker that gunicorn ends: WORKER TIMEOUT", "gunicorn", "flask")
@pytest.mark.parametrize("handler_in_main", [False, True])
def test_a_worker_that_takes_too_long(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, handler_in_main: bool
) -> None:
    """The main process tells it only if it has the handler, as by `logconfig_dict`."""
    port = free_port()
    command = ["gunicorn", "-b", f"127.0.0.1:{port}", "-t", "1", "flask_shop:app"]
    environ = {}
    if handler_in_main:
        command[1:1] = ["-c", "python:gunicorn_conf"]
        environ = {"LOG_CONFIG": "gunicorn"}
    with serving(command, port, tmp_path, server, **environ):
        assert fetch(port, "/slow?token=s3cret") == 500
        mails.wait_for_events(1 + handler_in_main)
    text = mails.text
    assert "WorkerTimeout: the request took longer than gunicorn's timeout" in text
    assert "in flask_shop.slow" in text
    assert "Request: GET /slow?token=[redacted], route /slow, status 500" in text
    assert ("WORKER TIMEOUT (pid:" in text) is handler_in_main
    assert "SystemExit" not in text
    assert "s3cret" not in text


def test_the_handler_in_the_configuration_of_gunicorn(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    port = free_port()
    command = ["gunicorn", "-b", f"127.0.0.1:{port}", "-c", "python:gunicorn_conf", "wsgi_shop:app"]
    with serving(command, port, tmp_path, server, LOG_CONFIG="gunicorn"):
        _errors(port)
        mails.wait_for_events(2)
    _check(mails)


def test_a_configuration_that_disables_existing_loggers(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    """It disables the loggers of gunicorn, which speak again."""
    port = free_port()
    command = ["gunicorn", "-b", f"127.0.0.1:{port}", "wsgi_shop:app"]
    with serving(command, port, tmp_path, server, DISABLE="1"):
        _errors(port)
        mails.wait_for_events(2)


@pytest.mark.row("An application for WSGI under waitress", "waitress")
def test_wsgi_under_waitress(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    port = free_port()
    with serving(["python", "-m", "wsgi_shop"], port, tmp_path, server, PORT=str(port)):
        _errors(port)
        mails.wait_for_events(2)
    _check(mails)
