"""`tocsin check` finds each fault of a mail server, says how to fix it, and sends nothing."""

from __future__ import annotations

import datetime as dt
import http.server
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from mail_servers import ACCOUNTS, LOGIN, PASSWORD, Project, Run

from tocsin.cli.server_words import days_left, explained, goes_in_the_clear, names_of
from tocsin.exceptions import ConnectError
from tocsin.mail.receipt import Reply
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ("projects",)
NOW = dt.datetime.now(dt.UTC)


def steps(run: Run, status: str) -> list[str]:
    return [finding["step"] for finding in run.findings(status)]


def the(run: Run, status: str) -> dict[str, Any]:
    (finding,) = run.findings(status)
    return finding


@pytest.mark.parametrize("how", ["use_tls", "use_starttls"])
def test_a_good_server_is_good_in_each_step(how: str, project: Project) -> None:
    tls = project.server_tls()
    features = ["PIPELINING", "SIZE 35000000", "LIMITS RCPTMAX=20"]
    with ScriptedSMTPServer(
        tls_context=tls, tls=how == "use_tls", accounts=ACCOUNTS, features=features
    ) as server:
        project.write(server.port, f"{how} = true\n{LOGIN}")
        run = project.check()
    assert run.code == 0
    sections = {one["kind"]: one for one in run.document["sections"]}
    assert sections["server"]["title"] == f"localhost:{server.port}"
    found = {one["step"]: one["text"] for one in sections["server"]["findings"]}
    assert found["TLS"] == "1.3"
    assert found["certificate"].startswith("localhost, 127.0.0.1, valid for ")
    assert found["extensions"] == "PIPELINING, SIZE 35 MB, LIMITS RCPTMAX=20"
    assert found["login"] == "alerts@example.com, by PLAIN"
    assert found["sender"] == "alerts@example.com accepted"
    accepted = [one["text"] for one in sections["server"]["findings"] if one["step"] == "recipient"]
    assert accepted == [f"{name}@example.com accepted" for name in ("ann", "bo", "cy")]
    assert all(
        "milliseconds" in one
        for one in sections["server"]["findings"]
        if "valid" not in one["text"]
    )
    handler = {one["step"]: one["text"] for one in sections["handler"]["findings"]}
    assert handler["password"] == "from the variable SMTP_APP_PASSWORD, set"
    assert sections["mails"]["findings"][0] == {
        "step": "new",
        "status": "ok",
        "text": "after 10 s; CRITICAL at once",
    }
    assert server.messages == []
    for connection in server.connections:
        assert connection.commands[-2:] == ["RSET", "QUIT"]
        assert "DATA" not in connection.commands


@pytest.mark.parametrize(("days", "code"), [(-2, 1), (5, 0)])
def test_a_certificate_that_ends(days: int, code: int, project: Project) -> None:
    tls = project.server_tls(NOW - dt.timedelta(days=90), NOW + dt.timedelta(days=days, hours=1))
    with ScriptedSMTPServer(tls_context=tls, tls=True) as server:
        project.write(server.port, f"use_tls = true\n{LOGIN}")
        project.add_console()
        run = project.check()
    assert run.code == code
    if days < 0:
        fault = the(run, "FAIL")
        assert (fault["step"], fault["line"]) == ("TLS", 10), "the line of the host"
        assert "certificate has expired" in fault["text"]
        assert "renewed" in fault["fix"]
        assert steps(run, "skip") == ["greeting", "extensions", "login", "sender", "recipients"]
        assert not any(one.commands for one in server.connections)
    else:
        warning = the(run, "WARN")
        assert warning["text"] == f"localhost, 127.0.0.1, valid for {days} more days"
        assert warning["fix"] == "renew it on the server"


def test_a_wrong_password(project: Project) -> None:
    with ScriptedSMTPServer(tls_context=project.server_tls(), tls=True, accounts={}) as server:
        project.write(server.port, f"use_tls = true\n{LOGIN}")
        run = project.check()
    assert run.code == 1
    fault = the(run, "FAIL")
    assert fault["step"] == "login"
    assert fault["text"].endswith("535 5.7.8 wrong user name or password")
    assert fault["fix"] == "put the right password into SMTP_APP_PASSWORD, or correct username"
    assert steps(run, "skip") == ["sender", "recipients"]


def test_a_server_that_repeats_the_password_does_not_make_it_known(project: Project) -> None:
    script = {"AUTH": f"535 5.7.8 {PASSWORD} is wrong"}
    with ScriptedSMTPServer(script, tls_context=project.server_tls(), tls=True) as server:
        project.write(server.port, f"use_tls = true\n{LOGIN}")
        assert "*** is wrong" in the(project.check(), "FAIL")["text"]


def test_a_login_that_is_refused_for_now(project: Project) -> None:
    script = {"AUTH": "454 4.7.0 temporary failure"}
    with ScriptedSMTPServer(script, tls_context=project.server_tls(), tls=True) as server:
        project.write(server.port, f"use_tls = true\n{LOGIN}")
        run = project.check()
    assert (run.code, steps(run, "LATER")) == (3, ["login"])


def test_a_refused_sender(project: Project) -> None:
    with ScriptedSMTPServer({"MAIL": "550 5.7.1 not owned by you"}) as server:
        project.write(server.port)
        run = project.check()
    assert run.code == 1
    fault = the(run, "FAIL")
    assert (fault["step"], fault["line"]) == ("sender", 7)
    assert fault["text"] == "alerts@example.com: 550 5.7.1 not owned by you"
    assert fault["fix"] == "set from_addr to an address that this account may send from"
    assert steps(run, "skip") == ["recipients"]


def test_a_server_that_wants_a_login(project: Project) -> None:
    with ScriptedSMTPServer({"MAIL": "530 5.7.0 authentication required"}) as server:
        project.write(server.port)
        run = project.check()
    assert run.code == 1
    assert the(run, "FAIL")["fix"] == "the server wants a login: set username and password"


def test_one_refused_recipient_of_three_is_a_fault_that_names_it(project: Project) -> None:
    def answer(command: str, _: object) -> str | None:
        return "550 5.1.1 no such mailbox" if "<bo@" in command else None

    with ScriptedSMTPServer({"RCPT": answer}) as server:
        project.write(server.port)
        run = project.check()
    assert run.code == 1
    fault = the(run, "FAIL")
    assert (fault["step"], fault["line"]) == ("recipient", 6)
    assert fault["text"] == "bo@example.com: 550 5.1.1 no such mailbox"
    assert fault["fix"] == "correct the address, or remove it"
    assert len([one for one in run.findings("ok") if one["step"] == "recipient"]) == 2
    assert run.findings("skip") == []


def test_a_server_that_does_not_relay(project: Project) -> None:
    with ScriptedSMTPServer({"RCPT": "554 5.7.1 Relay access denied"}) as server:
        project.write(server.port)
        run = project.check()
    assert the(run, "FAIL")["fix"].startswith("log in")
    assert the(run, "FAIL")["text"].startswith("ann@example.com, bo@example.com, cy@example.com:")


def test_greylisting_is_worth_another_try(project: Project) -> None:
    with ScriptedSMTPServer({"RCPT": "451 4.7.1 Greylisted"}) as server:
        project.write(server.port)
        run = project.check()
    assert run.code == 3
    assert "greylisting" in the(run, "LATER")["means"]


def test_a_fault_counts_more_than_greylisting(project: Project) -> None:
    def answer(command: str, _: object) -> str:
        return "550 5.1.1 gone" if "<bo@" in command else "450 4.2.0 later"

    with ScriptedSMTPServer({"RCPT": answer}) as server:
        project.write(server.port)
        assert project.check().code == 1


def test_a_server_that_closes_at_a_recipient(project: Project) -> None:
    script = {"RCPT": [None, ("421 4.7.0 too many errors", Act.CLOSE)] * 2}
    with ScriptedSMTPServer(script) as server:
        project.write(server.port)
        run = project.check()
    assert run.code == 3
    assert "421 4.7.0 too many errors" in the(run, "LATER")["text"]


def test_a_server_without_starttls(project: Project) -> None:
    with ScriptedSMTPServer() as server:
        project.write(server.port, f"use_starttls = true\n{LOGIN}")
        run = project.check()
    assert run.code == 1
    fault = the(run, "FAIL")
    assert (fault["step"], fault["text"]) == ("TLS", "the server doesn't offer STARTTLS")
    assert "set use_tls" in fault["fix"]
    assert fault["line"] == 13
    assert not any("MAIL" in command for command in server.connections[0].commands)


def test_a_closed_port_may_open_later(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    project.write(port)
    run = project.check()
    assert run.code == 3
    failure = the(run, "LATER")
    assert (failure["step"], failure["line"]) == ("connect", 11)
    assert "no server listens on this port" in failure["means"]
    assert steps(run, "skip") == ["greeting", "extensions", "sender", "recipients"]


@pytest.fixture
def web_port() -> Iterator[int]:
    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_port_of_a_web_server(web_port: int, project: Project) -> None:
    project.write(web_port)
    path = project.folder / "shop.toml"
    path.write_text(path.read_text().replace("timeout = 5", "timeout = 0.2"))
    run = project.check()
    assert run.code == 1
    assert the(run, "FAIL")["means"] == "a web server answers on this port"
    assert the(run, "FAIL")["step"] == "greeting"


def test_a_port_that_wants_tls_from_the_start(project: Project) -> None:
    with ScriptedSMTPServer(tls_context=project.server_tls(), tls=True) as server:
        project.write(server.port)
        path = project.folder / "shop.toml"
        path.write_text(path.read_text().replace("timeout = 5", "timeout = 0.2"))
        run = project.check()
    assert run.code == 1
    assert (the(run, "FAIL")["step"], the(run, "FAIL")["fix"]) == ("greeting", "set use_tls")


def test_a_port_that_has_no_tls(project: Project) -> None:
    with ScriptedSMTPServer() as server:
        project.write(server.port, "use_tls = true")
        run = project.check()
    assert run.code == 1
    assert the(run, "FAIL")["step"] == "TLS"
    assert "set use_starttls instead of use_tls" in the(run, "FAIL")["fix"]


def test_a_server_that_speaks_http_at_once(project: Project) -> None:
    with ScriptedSMTPServer({"connect": b"HTTP/1.1 400 Bad Request\r\n\r\n"}) as server:
        project.write(server.port)
        run = project.check()
    assert (run.code, the(run, "FAIL")["means"]) == (1, "a web server answers on this port")


def test_a_server_that_speaks_another_protocol(project: Project) -> None:
    with ScriptedSMTPServer({"connect": b"SSH-2.0-OpenSSH_9.6\r\n"}) as server:
        project.write(server.port)
        run = project.check()
    assert (run.code, the(run, "FAIL")["means"]) == (1, "the server on this port speaks no SMTP")


@pytest.mark.parametrize(
    ("script", "step", "fix"),
    [
        ({"EHLO": "999 hello"}, "extensions", "look into the log of the server"),
        ({"MAIL": "354 go on"}, "sender", "look into the log of the server"),
        ({"RCPT": "250 OK\r\n250 OK"}, "recipients", "look into the log of the server"),
    ],
)
def test_a_server_that_breaks_the_rules(
    script: dict[str, str], step: str, fix: str, project: Project
) -> None:
    with ScriptedSMTPServer(script) as server:
        project.write(server.port)
        run = project.check()
    (fault,) = run.findings("FAIL")
    assert (run.code, fault["step"], fault["fix"]) == (1, step, fix)


def test_a_server_that_wants_a_certificate(project: Project) -> None:
    context = project.server_tls()
    project.ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with ScriptedSMTPServer(tls_context=context) as server:
        project.write(server.port, 'use_starttls = true\ntls_ca_file = "ca.pem"')
        (fault,) = project.check().findings("FAIL")
    assert "certificate required" in fault["text"]
    assert fault["fix"] == "set tls_context to one that has loaded the certificate"


def test_a_server_with_old_versions_of_tls() -> None:
    cause = ssl.SSLError(1, "unsupported protocol")
    cause.reason = "TLSV1_ALERT_PROTOCOL_VERSION"
    error = ConnectError("STARTTLS failed", reply=Reply(None, None, ""))
    error.__cause__ = cause
    assert explained("TLS", error, "")[1] == "turn TLS 1.2 or 1.3 on at the server"


def test_a_size_of_any_number_is_read(project: Project) -> None:
    for size, shown in (("9" * 400, "8BITMIME"), ("20000000", "SIZE 20 MB"), ("0", "8BITMIME")):
        hello = f"250-mail.example.com\n250-8BITMIME\n250 SIZE {size}"
        with ScriptedSMTPServer({"EHLO": hello}) as one:
            project.write(one.port)
            assert shown in project.check().out


def test_what_a_server_says_cannot_change_the_terminal(project: Project) -> None:
    with ScriptedSMTPServer({"MAIL": b"550 5.7.1 \x1b[2Jgone\x07\r\n"}) as server:
        project.write(server.port)
        run = project.run("check", "shop.toml")
    assert run.code == 1
    assert "\x1b" not in run.out
    assert "gone" in run.out


def test_many_recipients_are_one_line(project: Project) -> None:
    people = ", ".join(f'"p{number}@example.com"' for number in range(30))
    with ScriptedSMTPServer() as server:
        project.write(server.port, "recipients_per_message = 20", to=f"[{people}]")
        run = project.check()
    assert run.code == 0
    found = [one for one in run.findings("ok") if one["step"] == "recipients"]
    assert [one["text"] for one in found] == [
        "30: p0@example.com, p1@example.com, p2@example.com, ...",
        "30 accepted",
    ]


def test_without_a_connection_nothing_is_opened(project: Project) -> None:
    with ScriptedSMTPServer() as server:
        project.write(server.port)
        run = project.check("--no-connect")
        assert server.connections == []
    assert run.code == 0
    assert the(run, "skip")["text"] == "--no-connect"


@pytest.mark.parametrize(
    ("host", "peer", "encrypted", "warned"),
    [
        ("localhost", None, False, False),
        ("127.0.0.1", None, False, False),
        ("mail.example.com", None, False, True),
        ("mail.example.com", None, True, False),
        ("mail.example.com", "127.0.0.1", False, False),
        ("mail.example.com", "::ffff:127.0.0.1", False, False),
        ("localhost", "192.0.2.25", False, True),
        ("localhost", "192.0.2.25", True, False),
    ],
)
def test_mails_that_go_unencrypted_to_another_machine(
    host: str, peer: str | None, encrypted: bool, warned: bool
) -> None:
    assert goes_in_the_clear(host, peer, encrypted=encrypted) is warned


def test_mails_in_the_clear_are_a_warning(project: Project) -> None:
    project.write(25)
    path = project.folder / "shop.toml"
    path.write_text(path.read_text().replace('"localhost"', '"mail.example.com"'))
    project.add_console()
    run = project.check("--no-connect")
    assert (run.code, the(run, "WARN")["step"]) == (0, "TLS")
    assert "unencrypted to mail.example.com" in the(run, "WARN")["text"]


def test_the_days_and_names_of_a_certificate() -> None:
    assert days_left("Jan  5 00:00:00 2030 GMT", 1893715200.0) == 1
    assert days_left("Jan  5 00:00:00 2030 GMT", 1893801601.0) == -1
    subject = ((("commonName", "mail.example.com"),),)
    assert names_of({"subject": subject}) == "mail.example.com"
    assert names_of({}) == "no name"


@pytest.mark.parametrize("email", ['handler = "test"'])
def test_another_email_handler_is_not_checked_further(email: str, project: Project) -> None:
    project.write(25)
    path = project.folder / "shop.toml"
    text = path.read_text()
    start = text.index("host =")
    path.write_text(text[:start] + email + "\n\n" + text[text.index("[root]") :])
    run = project.check()
    assert run.code == 0
    assert the(run, "skip")["step"] == "server"


def test_the_command_as_a_process(project: Project) -> None:
    """Once with a fault, once good, and once for a file that is not there."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tocsin", "check", *args],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )

    with ScriptedSMTPServer(
        tls_context=project.server_tls(), tls=True, accounts=ACCOUNTS
    ) as server:
        project.write(server.port, f"use_tls = true\n{LOGIN}")
        project.add_console()
        good = run("shop.toml")
        assert (good.returncode, good.stderr) == (0, "")
        assert good.stdout.splitlines()[-1] == "all good; nothing sent"
        environment["SMTP_APP_PASSWORD"] = "wrong-and-secret"
        bad = run("shop.toml", "--json")
        assert (bad.returncode, bad.stderr) == (1, "")
        assert "wrong-and-secret" not in bad.stdout
    missing = run("nowhere.toml")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("tocsin: there is no file 'nowhere.toml'")


DJANGO = """\
SECRET_KEY = "x"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "alerts": {
            "class": "tocsin.AlertHandler",
            "to": ["ann@example.com"],
            "from_addr": "alerts@example.com",
        },
        "file": {"class": "logging.FileHandler", "filename": "shop.log"},
    },
    "root": {"handlers": ["alerts", "file"]},
}
"""


@pytest.mark.parametrize(
    ("settings", "module", "code", "text"),
    [
        (DJANGO, "shop_settings", 0, "shop_settings.LOGGING, handler alerts"),
        ("SECRET_KEY = 'x'", "shop_settings", 1, "shop_settings: LOGGING has no 'handlers'"),
        ("raise RuntimeError('no')", "shop_settings", 1, "can't be imported: RuntimeError: no"),
        (DJANGO, "shop_other", 2, "shop_other: there is no module 'shop_other'"),
    ],
)
def test_the_settings_of_django(
    settings: str, module: str, code: int, text: str, tmp_path: Path
) -> None:
    """In a process of its own: Django keeps its settings for good."""
    (tmp_path / "shop_settings.py").write_text(settings)
    run = subprocess.run(
        [sys.executable, "-m", "tocsin", "check", "--django", module, "--no-connect"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == code
    assert text in run.stdout + run.stderr
    assert not (tmp_path / "shop.log").exists(), "no other handler is built"


def test_a_look_up_takes_no_longer_than_the_time_out(project: Project) -> None:
    project.write(25)
    path = project.folder / "shop.toml"
    path.write_text(path.read_text().replace('"localhost"', '"nowhere.invalid"'))
    began = time.monotonic()
    run = project.check()
    assert time.monotonic() - began < 30
    (failure,) = run.findings("FAIL") + run.findings("LATER")
    assert failure["step"] == "name"
    assert failure["line"] == 10
