"""Flask under its servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from programs import Mails, fetch, free_port, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer

SERVERS = {
    "gunicorn": ["gunicorn", "-b", "127.0.0.1:{port}", "flask_shop:app"],
    "gunicorn with threads": [
        "gunicorn", "-b", "127.0.0.1:{port}", "--threads", "4", "flask_shop:app",
    ],
    "the development server": ["flask", "--app", "flask_shop", "run", "-p", "{port}"],
}  # fmt: skip


@pytest.mark.row(
    "Flask under gunicorn, also with threads, and its development server", "flask", "gunicorn"
)
@pytest.mark.parametrize("under", SERVERS)
def test_flask(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, under: str) -> None:
    port = free_port()
    command = [part.format(port=port) for part in SERVERS[under]]
    with serving(command, port, tmp_path, server):
        assert fetch(port, "/fine") == 200
        request_id = {"X-Request-ID": "r-7"}
        assert fetch(port, "/pay/7?token=s3cret&page=2", headers=request_id) == 500
        assert fetch(port, "/logged") == 500
        assert fetch(port, "/told/3?password=s3cret") == 200
        assert fetch(port, "/down") == 503
        assert fetch(port, "/stream") == 200
        assert fetch(port, "/login", form={"pin": "1234", "card": "5555"}) == 500
        mails.wait_for_events(5)
    assert mails.groups == 5
    text = mails.text
    assert (
        "Request: GET /pay/7?token=[redacted]&page=2, route /pay/<int:number>, status 500, "
        "request id r-7" in text
    )
    assert "paying order 7" in text
    assert "all is fine" not in text, "a record of another request"
    assert "could not order" in text
    assert "Exception on /logged" not in text
    assert "Request: GET /told/3?password=[redacted], route /told/<int:number>" in text
    assert "ArithmeticError: stream broke\n    in flask_shop." in text
    assert "Request: GET /stream\n" in text
    assert "Request: POST /login, route /login, status 500" in text
    for secret in ("s3cret", "1234", "5555", "form pin", "client "):
        assert secret not in text


def test_data_about_a_person(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    port = free_port()
    command = ["gunicorn", "-b", f"127.0.0.1:{port}", "flask_shop:app"]
    with serving(command, port, tmp_path, server, PERSONAL="1"):
        assert fetch(port, "/login", form={"pin": "1234", "card": "5555"}) == 500
        assert fetch(port, "/pay/7", headers={"User-Agent": "browser"}) == 500
        mails.wait_for_events(2)
    text = mails.text
    assert "client 127.0.0.1, form pin, card, host" in text
    assert "user-agent browser" in text
    for secret in ("1234", "5555"):
        assert secret not in text


@pytest.mark.row("Flask under waitress", "flask", "waitress")
def test_flask_under_waitress(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    port = free_port()
    command = ["waitress-serve", "--listen", f"127.0.0.1:{port}", "flask_shop:app"]
    with serving(command, port, tmp_path, server):
        assert fetch(port, "/pay/7") == 500
        assert fetch(port, "/stream") == 200
        mails.wait_for_events(2)
    assert "Request: GET /pay/7, route /pay/<int:number>, status 500" in mails.text
