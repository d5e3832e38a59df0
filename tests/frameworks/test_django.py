"""Django under its servers, in commands and in tests."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from programs import Mails, fetch, free_port, running, serving, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer

SETTINGS = {"DJANGO_SETTINGS_MODULE": "django_shop.settings"}
GUNICORN = ["gunicorn", "-b", "127.0.0.1:{port}"]
UVICORN_WORKER = ["-k", "uvicorn_worker.UvicornWorker"]
SERVERS = {
    "runserver": ["python", "-m", "django", "runserver", "--noreload", "127.0.0.1:{port}"],
    "gunicorn": [*GUNICORN, "django_shop.servers:wsgi"],
    "gunicorn with threads": [*GUNICORN, "--threads", "4", "django_shop.servers:wsgi"],
    "gunicorn for ASGI": [*GUNICORN, *UVICORN_WORKER, "django_shop.servers:asgi"],
    "uvicorn": ["uvicorn", "--port", "{port}", "django_shop.servers:asgi"],
}


@pytest.mark.row(
    "Django under `runserver`, gunicorn, uvicorn, and gunicorn with uvicorn's worker",
    "django",
    "gunicorn",
    "uvicorn",
    "uvicorn-worker",
)
@pytest.mark.parametrize("under", SERVERS)
def test_django(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, under: str) -> None:
    port = free_port()
    command = [part.format(port=port) for part in SERVERS[under]]
    with serving(command, port, tmp_path, server, **SETTINGS):
        assert fetch(port, "/fine") == 200
        request_id = {"X-Request-ID": "r-7"}
        assert fetch(port, "/pay/7?token=s3cret&page=2", headers=request_id) == 500
        assert fetch(port, "/parcels/track/8") == 500
        assert fetch(port, "/logged") == 500
        assert fetch(port, "/told?password=s3cret") == 200
        assert fetch(port, "/down/1?password=s3cret") == 503
        assert fetch(port, "/down/2") == 503
        assert fetch(port, "/broken") == 500
        assert fetch(port, "/fine?fussy=1") == 500
        assert fetch(port, "/login", form={"pin": "1234", "card": "5555"}) == 500
        assert fetch(port, "/no-such-page") == 404
        mails.wait_for_events(9)
    assert mails.groups == 8
    text = mails.text
    assert (
        "Request: GET /pay/7?token=[redacted]&page=2, route /pay/<int:number>, status 500, "
        "request id r-7\n" in text
    )
    assert "paying order 7" in text
    assert "Request: GET /parcels/track/8, route /parcels/track/<int:number>, status 500" in text
    assert "tracking order 8" in text
    assert "all is fine" not in text, "a record of another request"
    assert "could not order" in text
    assert "Server Error: /logged" not in text
    assert "Request: GET /told?password=[redacted], route /told\n" in text
    assert "503 Service Unavailable: /down/1" in text
    assert "route /down/<int:number>, status 503" in text
    assert "500 Internal Server Error: /broken" in text
    assert "ArithmeticError: fussy middleware\n    in django_shop.middleware" in text
    assert "Request: POST /login, route /login, status 500\n" in text
    for secret in ("s3cret", "1234", "5555", "form pin", "client ", "HTTP/1.1", "Request: <"):
        assert secret not in text


@pytest.mark.parametrize("under", ["gunicorn", "uvicorn"])
def test_a_stream_that_breaks(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, under: str
) -> None:
    """The server logs it. Its status is not known, as the answer had begun."""
    port = free_port()
    command = [part.format(port=port) for part in SERVERS[under]]
    with serving(command, port, tmp_path, server, **SETTINGS):
        assert fetch(port, "/fine") == 200
        fetch(port, "/stream")
        mails.wait_for_events(1)
    assert "OSError: stream broke\n    in django_shop.urls.stream.<locals>.parts" in mails.text
    assert "Request: GET /stream" in mails.text
    assert "status" not in mails.text


@pytest.mark.parametrize("under", ["gunicorn with threads", "uvicorn"])
def test_data_about_a_person(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, under: str
) -> None:
    """Nothing is read for it: not the user, which takes a query, and not a form."""
    port = free_port()
    command = [part.format(port=port) for part in SERVERS[under]]
    with serving(command, port, tmp_path, server, **SETTINGS, PERSONAL="1"):
        browser = {"User-Agent": "browser", "Cookie": "sessionid=s3cret"}
        form = {"pin": "1234", "card": "5555"}
        for user in ("seen", "unseen"):
            assert fetch(port, "/login", form=form | {"user": user}, headers=browser) == 500
        assert fetch(port, "/unread", form={"pin": "1234"}, headers=browser) == 500
        mails.wait_for_events(3)
    text = " ".join(mails.text.split())
    assert "status 500, user 4711, client 127.0.0.1, form pin, card, user, host" in text
    assert "status 500, client 127.0.0.1, form pin, card, user, host" in text
    assert "Request: POST /unread, route /unread, status 500, client 127.0.0.1, host" in text
    assert "user-agent browser" in text
    for secret in ("s3cret", "1234", "5555", "no such table"):
        assert secret not in text


@pytest.mark.parametrize("under", ["gunicorn with threads", "uvicorn"])
def test_requests_at_the_same_time(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, under: str
) -> None:
    """Each error has the records of its own request, and threads are used again."""
    port = free_port()
    command = [part.format(port=port) for part in SERVERS[under]]
    with serving(command, port, tmp_path, server, **SETTINGS):
        with ThreadPoolExecutor() as threads:
            for _ in range(2):
                paths = ["/mix/tea", "/mix/milk"]
                assert list(threads.map(fetch, [port, port], paths)) == [500, 500]
        mails.wait_for_events(4)
    (first, second) = mails.text.partition("EOFError: no milk\n    in ")[::2]
    drinks = sorted((first, second), key=lambda part: "mixing tea" not in part)
    assert ["mixing tea" in part for part in drinks] == [True, False]
    assert ["mixing milk" in part for part in drinks] == [False, True]


def test_beside_the_handler_of_django(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    port = free_port()
    command = [part.format(port=port) for part in SERVERS["gunicorn"]]
    with serving(command, port, tmp_path, server, **SETTINGS, BESIDE="1"):
        assert fetch(port, "/pay/7") == 500
        wait_for(lambda: len(mails.all) == 2, "two mails")
    subjects = {str(one["Subject"]) for one in mails.all}
    assert "[Django] ERROR (EXTERNAL IP): Internal Server Error: /pay/7" in subjects


@pytest.mark.parametrize("variable", ["CUT_OFF", "DISABLE"])
def test_loggers_of_django_that_a_configuration_cuts_off_or_disables(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, variable: str
) -> None:
    port = free_port()
    command = [part.format(port=port) for part in SERVERS["gunicorn"]]
    with serving(command, port, tmp_path, server, **SETTINGS, **{variable: "1"}):
        assert fetch(port, "/fine") == 200
        assert fetch(port, "/pay/7") == 500
        mails.wait_for_events(1)


def test_a_worker_that_takes_too_long(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    port = free_port()
    command = [part.format(port=port) for part in [*SERVERS["gunicorn"], "-t", "1"]]
    with serving(command, port, tmp_path, server, **SETTINGS):
        assert fetch(port, "/slow") == 500
        mails.wait_for_events(1)
    assert "WorkerTimeout in django_shop.urls.slow" in mails.all[0]["Subject"]
    assert "Request: GET /slow, route /slow, status 500" in mails.text


def test_nothing_is_sent_in_debug_mode(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    port = free_port()
    command = [part.format(port=port) for part in SERVERS["runserver"]]
    with serving(command, port, tmp_path, server, **SETTINGS, DEBUG="1") as program:
        assert fetch(port, "/pay/7") == 500
        program.stop(signal.SIGINT)
    assert not mails.all


@pytest.mark.row("Commands of Django: `manage.py restock`", "django")
def test_a_command_that_fails(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    with running(["python", "-m", "django", "restock"], tmp_path, server, **SETTINGS) as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the command")
    mails.wait_for_events(1)
    assert "InterruptedError in django_shop.management.commands.restock" in mails.all[0]["Subject"]


@pytest.mark.row("Tests of a Django project: `manage.py test`", "django")
def test_the_tests_of_a_project(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    """Django keeps mails in its outbox, so no mail leaves."""
    command = ["python", "-m", "django", "test", "django_shop.tests.ShopTests"]
    with running(command, tmp_path, server, **SETTINGS, BACKEND="1") as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the tests")
    assert program.process.returncode == 0, program.output
    assert "Ran 1 test" in program.output
    assert not mails.all


@pytest.mark.row("Tests of a Django project: `manage.py test`", "django")
def test_tests_that_end_before_an_alert_is_due(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    """At the end of the process, Django has put its own backend back."""
    command = ["python", "-m", "django", "test", "django_shop.tests.QuickTests"]
    with running(command, tmp_path, server, **SETTINGS, BACKEND="1") as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the tests")
    assert program.process.returncode == 0, program.output
    assert "Ran 1 test" in program.output
    assert not mails.all


@pytest.mark.parametrize("off", [{"DEBUG": "1"}, {"TOCSIN_ENABLED": "0"}])
def test_a_handler_that_is_off_needs_no_recipients(
    tmp_path: Path, server: ScriptedSMTPServer, off: dict[str, str]
) -> None:
    """`ADMINS` has them, and only the email handler knows that."""
    command = ["python", "-m", "django", "check"]
    with running(command, tmp_path, server, **SETTINGS, BACKEND="1", **off) as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the check")
    assert program.process.returncode == 0, program.output


@pytest.mark.row("Mails through Django's `EMAIL_BACKEND`", "django")
def test_mails_through_the_backend_of_django(
    tmp_path: Path, server: ScriptedSMTPServer, mails: Mails
) -> None:
    port = free_port()
    command = [part.format(port=port) for part in SERVERS["gunicorn"]]
    with serving(command, port, tmp_path, server, **SETTINGS, BACKEND="1"):
        assert fetch(port, "/pay/7") == 500
        mails.wait_for_events(1)
    (mail,) = mails.all
    assert mail["To"] == "ada@example.com, bo@example.com"
