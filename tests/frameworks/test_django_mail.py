"""Mails through Django's backend: what arrives, and the receipts."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from programs import APPS, free_port

from tocsin.testing import Act, ScriptedSMTPServer

ALL = ["ada@example.com", "bo@example.com", "cy@example.com"]
BO = ["bo@example.com"]
SCRIPTS: dict[str, dict[str, Any]] = {
    "all is well": {},
    "recipients are refused": {
        "RCPT": ["550 5.1.1 gone", "450 4.2.2 full", "550 no", "550 5.7.1 no"]
    },
    "the sender is refused": {"MAIL": ["550 5.7.1 not you", "451 later"]},
    "the message is refused": {".": ["554 5.6.0 spam", "451 4.3.0 busy"]},
    "the login is refused": {"AUTH": "535 5.7.8 wrong"},
    "the connection ends": {".": [Act.CLOSE, None]},
}
_LOGIN = "535 5.7.8 wrong"


@pytest.fixture(scope="module")
def sent() -> dict[str, tuple[dict[str, Any], list[Any]]]:
    """By script: what the program tells, and what the server has received."""
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(ScriptedSMTPServer(script))
            for name, script in SCRIPTS.items()
        }
        ports = [str(one.port) for one in servers.values()]
        run = subprocess.run(
            [sys.executable, APPS / "django_mailer.py", *ports, str(free_port())],
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not run.returncode, run.stderr
        told = json.loads(run.stdout)
        received = [one.messages for one in servers.values()] + [[]]
    assert "s3cret" not in run.stdout
    return dict(zip([*SCRIPTS, "no server"], zip(told, received, strict=True), strict=True))


Sent = dict[str, tuple[dict[str, Any], list[Any]]]


def _receipt(**results: Any) -> dict[str, Any]:
    return {"accepted": [], "refused": {}, "deferred": {}, "unknown": []} | results


def test_a_message_arrives_as_it_is(sent: Sent) -> None:
    told, (first, _) = sent["all is well"]
    assert told["error"] == "NoneType"
    assert told["receipts"] == [_receipt(accepted=ALL), _receipt(accepted=BO)]
    assert first.sender == "shop@example.com"
    assert first.username == "shop"
    assert list(first.recipients) == ALL
    mail = email.message_from_bytes(first.data, policy=email.policy.default)
    assert mail["From"] == "Shop <shop@example.com>"
    assert mail["To"] == "Ada <ada@example.com>"
    assert mail["Cc"] == "bo@example.com"
    assert mail["Bcc"] is None
    assert mail["Reply-To"] == "ops@example.com"
    assert mail["Message-ID"] == "<1@example.com>"
    assert mail["X-Tocsin-App"] == "shop"
    assert mail.get_body(("plain",)).get_content().strip() == "text with an é"  # type: ignore[union-attr]
    assert mail.get_body(("html",)).get_content().strip() == "<p>html</p>"  # type: ignore[union-attr]
    names = [part.get_filename() for part in mail.walk() if part.get_filename()]
    assert names == ["a.csv", "é.txt", "p.png"]


def test_a_later_attempt_goes_to_the_rest_of_the_recipients(sent: Sent) -> None:
    _, (_, rest) = sent["all is well"]
    assert list(rest.recipients) == BO
    mail = email.message_from_bytes(rest.data, policy=email.policy.default)
    assert mail["To"] == "ada@example.com, bo@example.com"
    assert mail["Cc"] == "cy@example.com"


@pytest.mark.parametrize(
    ("case", "first", "second"),
    [
        (
            "recipients are refused",
            _receipt(
                refused={"ada@example.com": "550 5.1.1 gone", "cy@example.com": "550 no"},
                deferred={"bo@example.com": "450 4.2.2 full"},
            ),
            _receipt(refused={"bo@example.com": "550 5.7.1 no"}),
        ),
        (
            "the sender is refused",
            _receipt(refused=dict.fromkeys(ALL, "550 5.7.1 not you")),
            _receipt(deferred={"bo@example.com": "451 later"}),
        ),
        (
            "the message is refused",
            _receipt(refused=dict.fromkeys(ALL, "554 5.6.0 spam")),
            _receipt(deferred={"bo@example.com": "451 4.3.0 busy"}),
        ),
        ("the connection ends", _receipt(unknown=ALL), _receipt(accepted=BO)),
        (
            "the login is refused",
            _receipt(deferred=dict.fromkeys(ALL, _LOGIN)),
            _receipt(deferred=dict.fromkeys(BO, _LOGIN)),
        ),
    ],
)
def test_receipts(sent: Sent, case: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    told, _ = sent[case]
    assert told["receipts"] == [first, second]
    assert told["error"] == ("LoginError" if "login" in case else "SendError")


def test_without_a_server(sent: Sent) -> None:
    """Another try makes sense, and no recipient has the message."""
    told, _ = sent["no server"]
    deferred = [list(one["deferred"]) for one in told["receipts"]]
    assert deferred == [ALL, BO]
    assert "ConnectionRefusedError" in told["text"]


WRONG = """
from django.conf import settings
from tocsin import ConfigError, get_handler_class

for before, wrong in [
    (None, {}),
    ({"EMAIL_USE_TLS": True}, {"using": "alerts"}),
    ({}, {"backend": "shop.Backend"}),
    ({}, {"default_from": "nobody"}),
    ({}, {"hots": "localhost"}),
    ({}, {}),
]:
    if before:
        settings.configure(EMAIL_USE_SSL=True, **before)
    try:
        get_handler_class("django").from_config(wrong)
    except ConfigError as error:
        print(error)
"""


def test_wrong_options_and_settings() -> None:
    """Each is told when the handler is built, with its key."""
    run = subprocess.run(
        [sys.executable, "-c", WRONG], capture_output=True, text=True, timeout=60, check=True
    )
    both = "EMAIL_USE_TLS/EMAIL_USE_SSL are mutually exclusive, so only set one of those settings"
    both += " to True."
    assert [line.partition(", but")[0] for line in run.stdout.splitlines()] == [
        "email.handler: the settings of Django can't be used: Requested setting ADMINS",
        "email.using: the settings of Django have no MAILERS",
        "email.backend: can't be used: No module named 'shop'",
        f"email.backend: can't be used: {both}",
        "email.hots: unknown option; known are backend, using, default_from",
        f"email.backend: can't be used: {both}",
    ]
