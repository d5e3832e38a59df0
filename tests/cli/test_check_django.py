"""`tocsin check --django`: Django's mail server, senders and recipients, in its settings' words.

Each run is a process of its own: Django keeps its settings for good.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from mail_servers import PASSWORD, Project, Run

from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Mapping

pytest_plugins = ("projects",)

LOGGING = """
SECRET_KEY = "x"
ALERTS = {"class": "tocsin.AlertHandler", "email": {"handler": "django"}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "alerts": ALERTS,
        "console": {"class": "logging.StreamHandler"},
        "mail": {"class": "django.utils.log.AdminEmailHandler"},
    },
    "loggers": {"django": {"level": "INFO"}},
    "root": {"handlers": ["alerts", "console"]},
}
"""
SETTINGS = {
    "ADMINS": [("Ann", "ann@example.com"), ("Bo", "bo@example.com")],
    "SERVER_EMAIL": "alerts@example.com",
    "EMAIL_HOST": "localhost",
}


def check(
    project: Project, settings: Mapping[str, object], *args: str, more: str = "", name: str = ""
) -> Run:
    """Check a project of Django with these settings."""
    lines = [f"{key} = {value!r}" for key, value in settings.items()]
    text = "\n".join([LOGGING, "del LOGGING['handlers']['mail']", *lines, more])
    (project.folder / "shop_settings.py").write_text(text, encoding="utf-8")
    words = [name] if name else ["--django", "shop_settings"]
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", "check", "--json", *words, *args],
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "SSL_CERT_FILE": str(project.folder / "ca.pem")},
    )
    assert PASSWORD not in done.stdout + done.stderr
    run = Run(done.returncode, done.stdout, done.stderr)
    if done.stdout and "error" not in run.document:
        run.each_has_a_fix()
    return run


def the(run: Run, status: str) -> dict[str, object]:
    (finding,) = run.findings(status)
    return dict(finding)


@pytest.mark.parametrize("how", ["EMAIL_USE_SSL", "EMAIL_USE_TLS"])
def test_each_step_of_its_server_is_tried(how: str, project: Project) -> None:
    """It said that only email handlers that speak SMTP are checked further."""
    with ScriptedSMTPServer(
        tls_context=project.server_tls(), tls=how == "EMAIL_USE_SSL", accounts={"shop": PASSWORD}
    ) as server:
        login = {"EMAIL_HOST_USER": "shop", "EMAIL_HOST_PASSWORD": PASSWORD}
        run = check(project, {**SETTINGS, **login, "EMAIL_PORT": server.port, how: True})
        assert server.messages == []
    assert (run.code, run.findings("WARN")) == (0, [])
    found = [(one["step"], one["text"]) for one in run.findings("ok")]
    assert ("sender", "alerts@example.com, from SERVER_EMAIL") in found
    assert ("recipients", "2: ann@example.com, bo@example.com") in found
    assert ("password", "from EMAIL_HOST_PASSWORD, set") in found
    assert ("TLS", "1.3") in found
    assert ("login", "shop, by PLAIN") in found
    assert ("recipient", "bo@example.com accepted") in found


def test_a_closed_port_is_told_in_the_words_of_the_settings(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    run = check(project, {**SETTINGS, "EMAIL_PORT": str(port)})
    assert run.code == 3
    assert the(run, "LATER")["step"] == "connect"
    run = check(project, {**SETTINGS, "EMAIL_HOST": "mail.example.com"}, "--no-connect")
    warning = the(run, "WARN")
    assert warning["fix"] == "set EMAIL_USE_SSL (port 465), or EMAIL_USE_TLS (port 587)"


def test_a_wrong_password_and_a_refused_sender(project: Project) -> None:
    login = {"EMAIL_HOST_USER": "shop", "EMAIL_HOST_PASSWORD": PASSWORD}
    with ScriptedSMTPServer(accounts={}) as server:
        run = check(project, {**SETTINGS, **login, "EMAIL_PORT": server.port})
    assert run.code == 1
    assert the(run, "FAIL")["fix"] == "correct EMAIL_HOST_USER and EMAIL_HOST_PASSWORD"
    with ScriptedSMTPServer({"MAIL": "550 5.7.1 not yours"}) as server:
        run = check(project, {**SETTINGS, "EMAIL_PORT": server.port})
    assert str(the(run, "FAIL")["fix"]).startswith("set SERVER_EMAIL to an address")


@pytest.mark.parametrize(
    ("settings", "step", "text", "fix"),
    [
        ({"ADMINS": []}, "recipients", "to: missing", "set ADMINS in the settings of Django"),
        ({"SERVER_EMAIL": "nobody"}, "sender", "SERVER_EMAIL", "correct"),
        ({"EMAIL_PORT": "abc"}, "server", "EMAIL_PORT", "correct the setting EMAIL_PORT"),
    ],
)
def test_settings_that_cannot_be_used(
    settings: Mapping[str, object], step: str, text: str, fix: str, project: Project
) -> None:
    run = check(project, {**SETTINGS, **settings}, "--no-connect")
    fault = the(run, "FAIL")
    assert run.code == 1
    assert (fault["step"], text in str(fault["text"])) == (step, True)
    assert str(fault["fix"]).startswith(fix)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "root@localhost, from SERVER_EMAIL"),
        ({"DEFAULT_FROM_EMAIL": "webmaster@localhost"}, "webmaster@localhost, from DEFAULT_FROM_"),
    ],
)
def test_the_sender_of_nobody_is_a_warning(
    settings: Mapping[str, object], text: str, project: Project
) -> None:
    kept = {key: SETTINGS[key] for key in ("ADMINS", "EMAIL_HOST")}
    warning = the(check(project, {**kept, **settings}, "--no-connect"), "WARN")
    assert (warning["step"], str(warning["text"])[: len(text)]) == ("sender", text)
    run = check(project, {**kept, "DEFAULT_FROM_EMAIL": "a@example.com"}, "--no-connect")
    texts = [one["text"] for one in run.findings("ok")]
    assert "a@example.com, from DEFAULT_FROM_EMAIL" in texts


def test_half_a_login_is_a_warning(project: Project) -> None:
    run = check(project, {**SETTINGS, "EMAIL_HOST_USER": "shop"}, "--no-connect")
    assert the(run, "WARN")["text"] == "EMAIL_HOST_USER is set, EMAIL_HOST_PASSWORD is empty"


def test_another_backend_is_tried_by_send(project: Project) -> None:
    backend = "django.core.mail.backends.console.EmailBackend"
    run = check(project, {**SETTINGS, "EMAIL_BACKEND": backend})
    assert run.code == 0
    assert the(run, "skip")["fix"] == "tocsin send --django shop_settings tries it"


@pytest.mark.parametrize(
    ("more", "fix"),
    [
        ("del LOGGING['loggers']", "name django under loggers, without handlers"),
        (
            "LOGGING['handlers']['old'] = {'class': 'django.utils.log.AdminEmailHandler'}",
            "remove 'old' from the configuration",
        ),
    ],
)
def test_admin_email_handlers_are_a_warning(more: str, fix: str, project: Project) -> None:
    run = check(project, SETTINGS, "--no-connect", more=more)
    warning = the(run, "WARN")
    assert "AdminEmailHandler" in str(warning["text"])
    assert str(warning["fix"]).startswith(fix)
    assert run.code == 0
    assert check(project, SETTINGS, "--no-connect", "--strict", more=more).code == 1
    assert check(project, SETTINGS, "--no-connect", "--strict").code == 0


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("shop_settings:LOGGING", ""),
        ("shop_settings:LOGGING", "from django.conf import settings\nsettings.DEBUG"),
    ],
)
def test_settings_without_the_option_are_a_fault(name: str, more: str, project: Project) -> None:
    run = check(project, SETTINGS, more=more, name=name)
    assert "not configured" in str(the(run, "FAIL")["text"])
    assert the(run, "FAIL")["fix"] == "name the settings of Django: tocsin check --django MODULE"
