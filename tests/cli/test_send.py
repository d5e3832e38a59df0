"""`tocsin send` sends one real alert, and tells for each recipient what the server said."""

from __future__ import annotations

import email
import email.policy
import os
import socket
import subprocess
import sys
from typing import Any

import pytest
from mail_servers import ACCOUNTS, LOGIN, Project, Run

from tocsin.testing import Act, ScriptedSMTPServer

pytest_plugins = ("projects",)


def send(project: Project, *args: str) -> Run:
    return project.run("send", "shop.toml", *args)


def results(run: Run) -> dict[str, str]:
    return {one["address"]: one["result"] for one in run.document["recipients"]}


def test_an_alert_goes_to_all_recipients(project: Project) -> None:
    with ScriptedSMTPServer(
        {".": "250 2.0.0 Ok: queued as 4F2C"},
        tls_context=project.server_tls(),
        tls=True,
        accounts=ACCOUNTS,
    ) as server:
        project.write(server.port, f"use_tls = true\n{LOGIN}", app='"shop"', level='"CRITICAL"')
        run = send(project)
    (received,) = server.messages
    message = email.message_from_bytes(received.data, policy=email.policy.default)
    assert run.code == 0
    assert run.out.splitlines() == [
        "ann@example.com  accepted  250 2.0.0 Ok: queued as 4F2C",
        "bo@example.com   accepted  250 2.0.0 Ok: queued as 4F2C",
        "cy@example.com   accepted  250 2.0.0 Ok: queued as 4F2C",
        f"ID {message['Message-ID']}; accepted is not yet delivered: look into spam too",
    ]
    assert "shop: CRITICAL Test alert" in message["Subject"]
    assert run.err == ""


def test_without_app_the_mail_names_the_configuration(project: Project) -> None:
    """It was "tocsin send:0 in None", of the application "tocsin"."""
    with ScriptedSMTPServer() as server:
        project.write(server.port)
        run = send(project, "--json")
        assert send(project).out.splitlines()[-2] == f"note  {run.document['notes'][0]}"
        project.write(server.port, app='"shop"')
        assert send(project, "--json").document["notes"] == []
    message = email.message_from_bytes(server.messages[0].data, policy=email.policy.default)
    body: Any = message.get_body(("plain",))
    text = body.get_content()
    assert "shop.toml:4 in handlers.alerts" in text
    assert "tocsin send" not in text
    assert run.document["notes"][0].startswith("app is not set")


def test_one_address_alone(project: Project) -> None:
    with ScriptedSMTPServer() as server:
        project.write(server.port, cc='["dee@example.com"]')
        run = send(project, "--to", "me@example.com", "--json")
    assert results(run) == {"me@example.com": "accepted"}
    assert server.messages[0].recipients == ("me@example.com",)
    assert run.document["subject"].startswith("[1x")


def test_each_recipient_has_its_result(project: Project) -> None:
    replies: dict[str, str] = {"bo": "550 5.1.1 gone", "cy": "450 4.2.1 try later"}

    def answer(command: str, _: object) -> str | None:
        return next((reply for name, reply in replies.items() if f"<{name}@" in command), None)

    with ScriptedSMTPServer({"RCPT": answer}) as server:
        project.write(server.port)
        run = send(project, "--json")
        assert results(run) == {
            "ann@example.com": "accepted",
            "bo@example.com": "refused",
            "cy@example.com": "deferred",
        }
        assert run.code == 1
        assert "accepted for 1 of 3; accepted is not yet" in send(project).out
        del replies["bo"]
        assert send(project).code == 3


@pytest.mark.parametrize(
    ("script", "code", "result"),
    [
        ({".": Act.CLOSE}, 1, "unknown"),
        ({".": "451 4.3.0 later"}, 3, "deferred"),
        ({"MAIL": "550 5.7.1 not you"}, 1, "refused"),
        ({"RCPT": "451 4.7.1 Greylisted"}, 3, "deferred"),
    ],
)
def test_what_was_not_accepted_is_never_called_sent(
    script: Any, code: int, result: str, project: Project
) -> None:
    with ScriptedSMTPServer(script) as server:
        project.write(server.port)
        run = send(project, "--json")
        text = send(project).out
    assert (run.code, set(results(run).values())) == (code, {result})
    assert server.messages == []
    last = text.splitlines()[-1]
    assert last.endswith("it may have arrived" if result == "unknown" else "so nothing arrives")
    assert "not yet delivered" not in text


def test_a_wrong_password_sends_nothing(project: Project) -> None:
    with ScriptedSMTPServer(tls_context=project.server_tls(), tls=True, accounts={}) as server:
        project.write(server.port, f"use_tls = true\n{LOGIN}")
        run = send(project)
    lines = run.out.splitlines()
    assert (run.code, lines[0]) == (1, "ann@example.com  not sent")
    assert lines[3].startswith(f"why  localhost:{server.port}: login of ")
    assert lines[4] == "fix  tocsin check shop.toml shows the step that fails"


def test_a_closed_port_is_worth_another_try(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    project.write(port)
    run = send(project, "--json")
    assert (run.code, set(results(run).values())) == (3, {"not sent"})
    assert "Connection refused" in run.document["why"]


@pytest.mark.parametrize(
    ("handler", "args", "code", "error"),
    [
        ({"enabled": "false"}, (), 1, "enabled: false; this handler sends nothing"),
        ({"levle": "1"}, (), 1, "shop.toml:8, handler alerts: levle: unknown option; did you mean"),
        ({}, ("--to", "me"), 2, "--to: 'me' is not an address"),
        ({}, ("--handler", "file"), 2, "no alert handler 'file'; it has: alerts"),
    ],
)
def test_nothing_is_sent_with(
    handler: dict[str, str], args: tuple[str, ...], code: int, error: str, project: Project
) -> None:
    with ScriptedSMTPServer() as server:
        project.write(server.port, **handler)
        run = send(project, *args)
        assert server.connections == []
    assert (run.code, run.out) == (code, "")
    assert error in run.err


def test_an_email_handler_that_keeps_mails_sends_none(project: Project) -> None:
    (project.folder / "shop.toml").write_text(
        'version = 1\n[handlers.a]\nclass = "tocsin.AlertHandler"\nto = "ann@example.com"\n'
        'from_addr = "a@example.com"\nemail = {handler = "test"}\n'
    )
    run = send(project)
    assert (run.code, run.out) == (1, "")
    assert "'test' keeps mails, and sends none" in run.err


FAILING = """
import tocsin

class Own(tocsin.EmailHandler):
    @classmethod
    def from_config(cls, config):
        return cls()

    def send(self, messages, *, deadline=None, on_transaction=None):
        raise RuntimeError("password=hunter2")
"""


def test_an_email_handler_of_the_users_may_raise_anything(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (project.folder / "shop_own_email.py").write_text(FAILING)
    (project.folder / "shop.toml").write_text(
        'version = 1\n[handlers.a]\nclass = "tocsin.AlertHandler"\nto = "ann@example.com"\n'
        'from_addr = "a@example.com"\nemail = {handler = "shop_own_email:Own"}\n'
    )
    run = send(project)
    assert run.code == 1
    assert run.out.splitlines()[:2] == [
        "ann@example.com  not sent",
        "why  RuntimeError: password=[redacted]",
    ]


def test_several_handlers_need_a_name(project: Project) -> None:
    entry = '\nclass = "tocsin.AlertHandler"\nto = "ann@example.com"\nfrom_addr = "a@example.com"\n'
    with ScriptedSMTPServer() as server:
        entry += f'email = {{host = "localhost", port = {server.port}}}\n'
        text = f"version = 1\n[handlers.one]{entry}[handlers.two]{entry}"
        (project.folder / "shop.toml").write_text(text)
        run = send(project)
        assert run.code == 2
        assert "several alert handlers; --handler takes one: one, two" in run.err
        assert send(project, "--handler", "two").code == 0
    assert len(server.messages) == 1


def test_the_store_is_not_used(project: Project) -> None:
    with ScriptedSMTPServer() as server:
        project.write(server.port, store='"sqlite:alerts.db"')
        assert send(project).code == 0
    assert sorted(one.name for one in project.folder.iterdir()) == ["ca.pem", "shop.toml"]


def test_the_command_as_a_process(project: Project) -> None:
    with ScriptedSMTPServer() as server:
        project.write(server.port)
        run = subprocess.run(
            [sys.executable, "-m", "tocsin", "send", "shop.toml"],
            capture_output=True,
            text=True,
            env=dict(os.environ),
            timeout=60,
            check=False,
        )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.count("accepted  250 2.0.0 queued") == 3
    assert len(server.messages) == 1


DJANGO = """
SECRET_KEY = "x"
ADMINS = [("Ann", "ann@example.com")]
SERVER_EMAIL = "alerts@example.com"
EMAIL_HOST = "localhost"
EMAIL_PORT = {port}
LOGGING = {{
    "version": 1,
    "handlers": {{"alerts": {{"class": "tocsin.AlertHandler", "email": {{"handler": "django"}}}}}},
    "root": {{"handlers": ["alerts"]}},
}}
"""


def test_django_sends_to_the_admins(project: Project) -> None:
    """It said that there is no recipient, where `check` had found them."""

    def send_by_django(port: int, more: str = "") -> subprocess.CompletedProcess[str]:
        text = DJANGO.format(port=port) + more
        (project.folder / "shop_settings.py").write_text(text, encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", "tocsin", "send", "--django", "shop_settings"],
            cwd=project.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with ScriptedSMTPServer() as server:
        run = send_by_django(server.port)
        assert (run.returncode, run.stderr) == (0, "")
    assert server.messages[0].recipients == ("ann@example.com",)
    run = send_by_django(server.port)
    assert run.stdout.splitlines()[:3] == [
        "ann@example.com  not sent",
        "why  ConnectionRefusedError: [Errno 111] Connection refused",
        "fix  tocsin check --django shop_settings shows the step that fails",
    ]
    assert run.returncode == 3
    with ScriptedSMTPServer(accounts={}) as server:
        run = send_by_django(server.port, 'EMAIL_HOST_USER = "a"\nEMAIL_HOST_PASSWORD = "b"')
    assert run.returncode == 1
    assert "why  Django's backend for mail: SMTP" in run.stdout
