"""What `tocsin check` finds in a configuration alone: keys, secrets, store, loggers, policy."""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from mail_servers import PASSWORD, Project, Run

from tocsin import AlertHandler
from tocsin.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("projects",)


def check(project: Project, text: str, *args: str, name: str = "shop.yaml") -> Run:
    """Check a configuration without a connection; `ALERTS` in it is a whole alert handler."""
    entry = "{class: tocsin.AlertHandler, to: [ann@example.com], from_addr: a@example.com}"
    (project.folder / name).write_text(text.replace("ALERTS", entry), encoding="utf-8")
    shown = project.run("check", name, "--no-connect", *args)
    found = project.run("check", name, "--no-connect", "--json", *args)
    assert shown.code == found.code == found.document["exit_code"]
    found.each_has_a_fix()
    return found


def of(run: Run, step: str, *statuses: str) -> list[dict[str, Any]]:
    wanted = statuses or ("ok", "WARN", "FAIL")
    return [one for status in wanted for one in run.findings(status) if one["step"] == step]


def with_keys(keys: str) -> str:
    lines = "\n".join(f"    {line}" for line in keys.splitlines())
    return (
        "version: 1\ndisable_existing_loggers: false\nhandlers:\n  alerts:\n"
        "    class: tocsin.AlertHandler\n"
        f"{lines}\nroot: {{handlers: [alerts]}}\n"
    )


GOOD = "to: [ann@example.com]\nfrom_addr: alerts@example.com\n"


@pytest.mark.parametrize(
    ("keys", "step", "line", "told"),
    [
        (GOOD + "email:\n  prot: 25", "keys", 9, ("email.prot: unknown option", "did you mean")),
        ("from_addr: a@x\nto: [ann]", "recipients", 7, ("to: 'ann' is not an address", "")),
        ("to: [ann@example.com]\nfrom_addr: a@", "sender", 7, ("from_addr: 'a@' is not", "")),
        ("to: [ann@example.com]", "sender", 4, ("from_addr: missing", "set it, or email.default")),
        (
            GOOD + "email:\n  username: u\n  password_env: NOT_SET",
            "password",
            10,
            ("email.password_env: the environment variable 'NOT_SET' is not set", ""),
        ),
        (
            GOOD + f"email:\n  username: u\n  password_file: {PASSWORD}",
            "password",
            10,
            ("can't read a file of this name", "expected a path, not the password itself"),
        ),
        (GOOD + "policy: {burst: 0}", "policy", 8, ("policy.burst: expected a whole number", "")),
    ],
)
def test_a_wrong_key_is_a_fault_with_its_line(
    keys: str, step: str, line: int, told: tuple[str, str], project: Project
) -> None:
    run = check(project, with_keys(keys))
    assert run.code == 1
    (fault,) = run.findings("FAIL")
    assert (fault["step"], fault["line"]) == (step, line)
    assert told[0] in fault["text"]
    assert fault.get("fix", "").startswith(told[1])
    assert [one["text"] for one in run.findings("skip")] == ["after the handler is built"]
    assert of(run, "store", "ok"), "what doesn't need the handler is checked all the same"


@pytest.mark.parametrize(
    ("keys", "status", "text"),
    [
        ("", "ok", "none, as there is no login"),
        ("password_env: SMTP_APP_PASSWORD", "ok", "from the variable SMTP_APP_PASSWORD, set"),
        ("password_file: secret.txt", "ok", "from the file secret.txt, read"),
        (f"password: {PASSWORD}", "WARN", "written in the configuration"),
        ("password: ext://shop_secrets.PASSWORD", "ok", "from ext://shop_secrets.PASSWORD, set"),
        ("password: ext://shop_secrets.ask", "ok", "from a callable, asked at the login"),
    ],
)
def test_a_password_is_told_by_its_place(
    keys: str, status: str, text: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (project.folder / "secret.txt").write_text(PASSWORD)
    (project.folder / "shop_secrets.py").write_text(
        f"PASSWORD = {PASSWORD!r}\ndef ask():\n    return PASSWORD\n"
    )
    email = f"email:\n  username: a@example.com\n  {keys}" if keys else ""
    (found,) = of(check(project, with_keys(GOOD + email)), "password")
    assert (found["status"], found["text"]) == (status, text)


def test_a_password_in_a_url_is_not_shown(project: Project) -> None:
    url = f"email: {{url: 'smtps://alerts:{PASSWORD}@mail.example.com'}}"
    run = check(project, with_keys(GOOD + url))
    (found,) = of(run, "password")
    assert (found["status"], found["line"]) == ("WARN", 8)


@pytest.mark.parametrize(
    ("keys", "source"),
    [
        ("from_addr: a@example.com", "from from_addr"),
        ("email: {default_from: a@example.com}", "from email.default_from"),
        (
            "email: {username: a@example.com, password_env: SMTP_APP_PASSWORD}",
            "from email.username",
        ),
    ],
)
def test_the_sender_is_told_with_its_source(keys: str, source: str, project: Project) -> None:
    run = check(project, with_keys(f"to: [ann@example.com]\n{keys}"))
    (found,) = of(run, "sender")
    assert found["text"] == f"a@example.com, {source}"


CALLABLES = """
def nobody():
    raise RuntimeError("password=hunter2")
"""


def test_recipients_that_a_program_does_not_tell(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (project.folder / "shop_rota.py").write_text(CALLABLES)
    keys = "to: ext://shop_rota.nobody\nfrom_addr: a@example.com"
    run = check(project, with_keys(keys))
    (found,) = of(run, "recipients", "FAIL")
    assert "RuntimeError: password=[redacted]" in found["text"]
    assert run.code == 1


def test_a_handler_that_is_not_enabled_is_a_warning(project: Project) -> None:
    run = check(project, with_keys(GOOD + "enabled: false"))
    assert run.code == 0
    assert of(run, "enabled", "WARN")[0]["line"] == 8
    assert run.findings("skip")[0]["text"] == "enabled: false"


def test_a_switch_in_the_environment_is_a_warning(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_ENABLED", "0")
    run = check(project, with_keys(GOOD + "email:\n  prot: 25"))
    assert run.code == 1, "the options are checked all the same"
    run = check(project, with_keys(GOOD))
    assert run.code == 0
    assert of(run, "enabled", "WARN")[0]["text"] == "TOCSIN_ENABLED=0 in the environment"
    run = project.run("send", "shop.yaml")
    assert run.code == 1
    assert "TOCSIN_ENABLED=0 in the environment; nothing is sent" in run.err


@pytest.mark.parametrize(
    ("policy", "text", "means"),
    [
        ("repeat_max: 86400", "repeat_max 86400", "silent for up to 24 h"),
        ("repeat_after: 7200", "repeat_after 7200", "silent for 2 h"),
        ("group_wait: 600", "group_wait 600", "mailed after 10 min only"),
    ],
)
def test_a_long_silence_is_a_warning(policy: str, text: str, means: str, project: Project) -> None:
    run = check(project, with_keys(f"{GOOD}policy:\n  {policy}"))
    (found,) = of(run, "policy")
    assert (found["status"], found["text"], found["line"]) == ("WARN", text, 9)
    assert found["means"].endswith(means)
    assert run.code == 0


def test_a_level_above_error_is_a_warning(project: Project) -> None:
    run = check(project, with_keys(GOOD + "level: CRITICAL"))
    assert of(run, "level")[0]["text"] == "level CRITICAL"


def test_what_would_be_mailed(project: Project) -> None:
    run = check(project, with_keys(GOOD + "policy: {repeat_after: 60, repeat_max: 60}"))
    found = {one["step"]: one["text"] for one in run.document["sections"][-1]["findings"]}
    assert found == {
        "new": "after 10 s; CRITICAL at once",
        "going on": "every 60 s",
        "worse": "10 times as often, at once",
        "quiet": "30 min after the last",
        "at most": "6 mails at once, then 1 per 10 min",
    }
    run = check(project, with_keys(GOOD + "policy: {at_exit: true}"))
    found = {one["step"]: one["text"] for one in run.document["sections"][-1]["findings"]}
    assert found["at the end"] == "one mail with everything"


# Loggers


def loggers(project: Project, text: str, **more: str) -> list[dict[str, Any]]:
    whole = {"disable_existing_loggers": "false", "handlers": "{alerts: ALERTS}", **more}
    lines = "\n".join(f"{key}: {value}" for key, value in whole.items())
    return of(check(project, f"version: 1\n{lines}\n{text}"), "loggers")


@pytest.mark.parametrize(
    "text",
    [
        "root: {handlers: [alerts]}",
        "root: {handlers: [alerts]}\nloggers: {shop: {level: INFO}, shop.audit: {}}",
        "root: {handlers: [alerts]}\nloggers: {shop: {propagate: false, handlers: [alerts]}}",
        "loggers: {'': {handlers: [alerts]}}",
        "loggers: {shop: {handlers: [alerts], propagate: false}, shop.db: {}}",
        "root: {handlers: [alerts]}\nloggers: {uvicorn: {propagate: false}, uvicorn.error: {}}",
        "root: {handlers: [alerts]}\nloggers: {gunicorn.error: {propagate: false}}",
    ],
)
def test_loggers_that_reach_the_handler(text: str, project: Project) -> None:
    (found,) = loggers(project, text)
    assert (found["status"], found["text"]) == ("ok", "all reach the handler")


def test_a_logger_that_is_cut_off_is_a_warning(project: Project) -> None:
    found = loggers(
        project,
        "root: {handlers: [alerts]}\nloggers:\n  shop.audit:\n    propagate: false\n"
        "  shop.audit.db: {}\n  other: {propagate: true}",
    )
    assert [one["text"] for one in found] == [
        "shop.audit does not reach the handler",
        "shop.audit.db does not reach the handler",
    ]
    assert (found[0]["status"], found[0]["line"]) == ("WARN", 7)
    assert found[0]["fix"] == "add 'alerts' to its handlers, or set propagate: true"


@pytest.mark.parametrize(
    ("integrations", "cut_off"),
    [("true", []), ("[uvicorn]", ["gunicorn.error"]), ("false", ["gunicorn.error", "uvicorn"])],
)
def test_the_loggers_of_servers_depend_on_the_integrations(
    integrations: str, cut_off: list[str], project: Project
) -> None:
    text = with_keys(f"{GOOD}integrations: {integrations}")
    text += "loggers: {gunicorn.error: {propagate: false}, uvicorn: {propagate: false}}\n"
    found = of(check(project, text), "loggers", "WARN")
    assert [one["text"].partition(" ")[0] for one in found] == cut_off


def test_a_handler_that_no_logger_has_is_a_fault(project: Project) -> None:
    (found,) = loggers(project, "root: {handlers: []}")
    assert (found["status"], found["text"]) == ("FAIL", "no logger has the handler 'alerts'")


@pytest.mark.parametrize(
    "other",
    [
        "{class: logging.handlers.MemoryHandler, capacity: 9, target: alerts}",
        "{class: logging.handlers.QueueHandler, handlers: [alerts]}",
        "{class: logging.handlers.QueueHandler, handlers: [cfg://handlers.alerts]}",
    ],
)
def test_a_handler_may_be_behind_another_one(other: str, project: Project) -> None:
    handlers = f"{{alerts: ALERTS, queue: {other}}}"
    (found,) = loggers(project, "root: {handlers: [queue]}", handlers=handlers)
    assert found["status"] == "ok"


@pytest.mark.parametrize("level", ["CRITICAL", "50"])
def test_a_logger_that_creates_no_errors_is_a_warning(level: str, project: Project) -> None:
    text = f"root: {{handlers: [alerts], level: {level}}}\nloggers: {{shop: {{level: {level}}}}}"
    found = loggers(project, text)
    assert [one["text"] for one in found] == [
        "shop has a level above ERROR",
        "root has a level above ERROR",
    ]


def test_loggers_that_are_turned_off_are_a_warning(project: Project) -> None:
    (found,) = loggers(project, "root: {handlers: [alerts]}", disable_existing_loggers="true")
    assert found["text"] == "disable_existing_loggers is not false"
    assert found["fix"] == "set disable_existing_loggers: false"


def test_a_handler_of_another_class_that_cannot_be_loaded_is_a_fault(project: Project) -> None:
    text = (
        "version: 1\nhandlers:\n  alerts: ALERTS\n  other: {class: nowhere.Handler}\n"
        "disable_existing_loggers: false\nroot: {handlers: [alerts]}"
    )
    run = check(project, text)
    (found,) = of(run, "handlers")
    assert found["line"] == 4
    assert found["text"] == "other: ModuleNotFoundError: No module named 'nowhere'"
    assert run.code == 1


def test_each_alert_handler_is_checked(project: Project) -> None:
    text = (
        "version: 1\nhandlers: {one: ALERTS, two: ALERTS}\n"
        "disable_existing_loggers: false\nroot: {handlers: [one, two]}"
    )
    run = check(project, text)
    titles = [one["title"] for one in run.document["sections"] if one["kind"] == "handler"]
    assert titles == ["shop.yaml, handler one", "shop.yaml, handler two"]
    run = project.run("check", "shop.yaml", "--no-connect", "--handler", "two", "--json")
    assert {one["handler"] for one in run.document["sections"]} == {"two"}


# The store


def store(project: Project, url: str, keys: str = "app: shop") -> dict[str, Any]:
    run = check(project, with_keys(f"{GOOD}store: {url}\n{keys}"))
    (found,) = of(run, "store")
    return found


def files(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def test_a_store_that_is_not_there_is_not_made(project: Project) -> None:
    found = store(project, "sqlite:alerts.db")
    assert found["text"] == f"{project.folder}/alerts.db, made when the program starts"
    assert files(project.folder) == {"ca.pem", "shop.yaml"}


def test_a_store_in_use_is_told_and_left_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.folder / "alerts.db"
    monkeypatch.setenv("TOCSIN_ENABLED", "1")
    handler = AlertHandler(
        to="ann@example.com",
        from_addr="a@example.com",
        app="shop",
        name="alerts",
        email={"handler": "test"},
        store=f"sqlite:{path}",
        policy={"group_wait": 3600},
    )
    handler.handle(handler_record())
    until = time.monotonic() + 20
    while "1 event waits" not in (text := store(project, "sqlite:alerts.db")["text"]):
        assert time.monotonic() < until, text
    assert text.startswith(f"{path}, writable, 1 event waits, ")
    assert text.endswith(" leads, version 2")
    assert "1 event waits" in store(project, "sqlite:alerts.db", "")["text"], "without app"
    assert "nothing waits" in store(project, "sqlite:alerts.db", "app: other")["text"]
    handler.send_now()
    handler.close()


def handler_record() -> Any:
    return logging.LogRecord("shop", logging.ERROR, "shop.py", 1, "it failed", (), None)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sqlite:nowhere/alerts.db", "does not exist"),
        ("sqlite:text.db", "can't be read: file is not a database"),
        ("sqlite:newer.db", "made by another release: version 9, not 1"),
        ("sqlite:state.db", "the store has a State of version 99, not 2 or earlier"),
        ("alerts.db", "expected 'memory:', 'sqlite:///full/path/alerts.db'"),
    ],
)
def test_a_store_that_cannot_be_used_is_a_fault(url: str, text: str, project: Project) -> None:
    (project.folder / "text.db").write_text("text, and no database at all" * 99)
    SQLiteStore(project.folder / "newer.db", "x")
    with sqlite3.connect(project.folder / "newer.db") as sql:
        sql.execute("PRAGMA user_version = 9")
    sql.close()
    lease = SQLiteStore(project.folder / "state.db", "shop\x1f\x1falerts").lead("web1", 60)
    assert lease is not None
    lease.commit(json.dumps({"version": 99, "data": {}}).encode(), ())
    found = store(project, url)
    assert (found["status"], found["line"]) == ("FAIL", 8)
    assert text in found["text"]


def test_a_store_of_the_users_is_not_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (project.folder / "shop_store.py").write_text("def make(scope):\n    raise SystemExit(9)\n")
    assert store(project, "ext://shop_store.make")["text"] == "from a callable, not asked"


def test_a_folder_that_is_not_there_is_to_be_created(project: Project) -> None:
    found = store(project, f"sqlite:{project.folder}/no such/alerts.db")
    assert found["fix"] == f"create it: mkdir -p '{project.folder}/no such'"


@pytest.mark.parametrize(
    ("keys", "step", "fix"),
    [
        ("email: {username: u, password_env: NOT_SET}", "password", "set it in the environment"),
        ("email: {username: u, password_env: EMPTY}", "password", "set it in the environment"),
        ("email: {username: '', password_env: HOME}", "password", "set it; without a login,"),
        ("email: {username: u}", "password", "set password_env or password_file;"),
        ("level: Error", "keys", "write ERROR"),
        ("level: loud", "keys", "write ERROR"),
        ("email: {handler: django}", "keys", "name the settings of Django: tocsin check --django"),
        ("email: {port: abc}", "keys", "correct email.port"),
        ("fallback: /nowhere", "keys", "make the folder"),
    ],
)
def test_each_fault_of_a_key_has_its_fix(
    keys: str, step: str, fix: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", "")
    (fault,) = check(project, with_keys(GOOD + keys)).findings("FAIL")
    assert (fault["step"], fault["fix"][: len(fix)], fault["line"]) == (step, fix, 8)


def test_an_alert_handler_alone_on_the_root_logger_is_a_warning(project: Project) -> None:
    """The program's own log was on no console any more."""
    run = check(project, with_keys(GOOD))
    (found,) = of(run, "console", "WARN")
    assert (found["text"], found["line"]) == ("the root logger has no other handler", 8)
    assert run.code == 0
    assert project.run("check", "shop.yaml", "--no-connect", "--strict").code == 1
    more = "handlers:\n  console: {class: logging.StreamHandler}\n  alerts:"
    text = with_keys(GOOD).replace("handlers:\n  alerts:", more)
    run = check(project, text.replace("[alerts]", "[alerts, console]"))
    assert of(run, "console") == []
    assert project.run("check", "shop.yaml", "--no-connect", "--strict").code == 0


# Whole configurations


def test_the_example_of_a_service_is_good(project: Project) -> None:
    text = yaml.safe_dump(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "alerts": {
                    "class": "tocsin.AlertHandler",
                    "to": ["oncall@example.com"],
                    "email": {
                        "provider": "gmail",
                        "username": "alerts@example.com",
                        "password_env": "SMTP_APP_PASSWORD",
                    },
                }
            },
            "root": {"level": "INFO", "handlers": ["alerts"]},
        }
    )
    run = check(project, text)
    assert run.code == 0
    assert [one["title"] for one in run.document["sections"]] == [
        "shop.yaml, handler alerts",
        "smtp.gmail.com:465",
        "Would mail",
    ]


def test_a_file_that_is_no_configuration_is_a_fault(project: Project) -> None:
    run = check(project, f"password: {PASSWORD}: x")
    assert run.code == 1
    (fault,) = run.findings("FAIL")
    assert fault["text"].startswith("shop.yaml:1: no valid YAML: mapping values are not allowed")


@pytest.mark.parametrize("args", [(), ("--help",), ("check", "--help"), ("send", "--help")])
def test_the_help_is_there(args: tuple[str, ...], project: Project) -> None:
    run = project.run(*args)
    assert run.code == (0 if args else 2)
    if len(args) == 2:
        assert "Exit codes: 0" in run.out
        assert "examples:" in run.out


@pytest.mark.parametrize(
    ("logger", "handlers", "warned"),
    [
        ("shop.pay", "plain", True),
        ("shop.access", "plain", False),
        ("shop.pay", "nothing", False),
        ("shop.pay", "second", False),
        ("shop.pay", "passing", False),
    ],
)
def test_a_logger_that_is_cut_off_on_purpose_is_left_out(
    logger: str, handlers: str, warned: bool, project: Project
) -> None:
    """As a running program does: see `tocsin.integrations.silent`."""
    text = (
        "version: 1\ndisable_existing_loggers: false\nhandlers:\n  alerts: ALERTS\n"
        "  second: ALERTS\n  plain: {class: logging.StreamHandler}\n"
        "  nothing: {class: logging.NullHandler}\n"
        "  passing: {class: logging.handlers.MemoryHandler, capacity: 1, target: second}\n"
        f"loggers:\n  {logger}: {{handlers: [{handlers}], propagate: false}}\n"
        "root: {handlers: [alerts]}\n"
    )
    run = check(project, text, "--handler", "alerts")
    found = of(run, "loggers", "WARN")
    assert [one["text"] for one in found] == (
        [f"{logger} does not reach the handler"] if warned else []
    )


def test_a_file_that_programs_share_by_their_own_names_is_a_warning(project: Project) -> None:
    store = f"store: 'sqlite:{project.folder}/alerts.db'"
    assert of(check(project, with_keys(f"{GOOD}{store}")), "app", "WARN")
    assert not of(check(project, with_keys(f"{GOOD}app: shop\n{store}")), "app", "WARN")
