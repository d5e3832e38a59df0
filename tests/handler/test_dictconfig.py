"""The handler as `logging.config` builds it, from a dict and from files."""

from __future__ import annotations

import json
import logging
import logging.config
import subprocess
import sys
import threading
import time
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from parts import bare_server, parts_of, smtp_server, worker_of
from typing_extensions import override

from tocsin import AlertHandler, ConfigError, SMTPEmailHandler, TestEmailHandler
from tocsin.config import build_policy, build_store
from tocsin.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tocsin.mail.base import AnyMessage

TEAM = ["ops@example.com", "Night <night@example.com>"]
TEST_EMAIL = TestEmailHandler()
PORT = 2_525
NO_STORE = (
    "store: expected 'memory:', 'sqlite:///full/path/alerts.db', or 'sqlite:alerts.db' for a file "
    "in the working directory"
)
STORES: dict[str, MemoryStore] = {}


@pytest.fixture(autouse=True)
def _clean() -> Generator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    logging.config.dictConfig({"version": 1, "loggers": {"shop": {"handlers": []}}})
    root.handlers[:], root.level = before
    for logger in root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
            logger.propagate = True
    TEST_EMAIL.outbox.clear()


def configured(options: dict[str, Any], **more: Any) -> AlertHandler:
    """Configure logging with one alert handler on the logger "shop"; return the handler."""
    given = {"class": "tocsin.AlertHandler", "to": "ops@example.com", "from_addr": "a@example.com"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"alerts": {**given, "email": {"handler": "test"}, **options}},
            "loggers": {"shop": {"handlers": ["alerts"], "propagate": False}},
            **more,
        }
    )
    return found()


def found() -> AlertHandler:
    (handler,) = logging.getLogger("shop").handlers
    assert isinstance(handler, AlertHandler)
    return handler


def outbox(handler: AlertHandler) -> list[AnyMessage]:
    email = parts_of(handler).email
    assert isinstance(email, TestEmailHandler)
    return email.outbox


CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "alerts": {
            "class": "tocsin.AlertHandler",
            "to": ["ops@example.com", "Night <night@example.com>"],
            "from_addr": "Shop <alerts@example.com>",
            "app": "shop",
            "environment": "production",
            "email": {"host": "mail.example.com", "port": 587, "use_starttls": True},
            "policy": {"group_wait": 5},
        }
    },
    "loggers": {"shop": {"handlers": ["alerts"], "propagate": False}},
}
TOML = """
version = 1
disable_existing_loggers = false
[handlers.alerts]
class = "tocsin.AlertHandler"
to = ["ops@example.com", "Night <night@example.com>"]
from_addr = "Shop <alerts@example.com>"
app = "shop"
environment = "production"
email = {host = "mail.example.com", port = 587, use_starttls = true}
policy = {group_wait = 5}
[loggers.shop]
handlers = ["alerts"]
propagate = false
"""


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        json.loads(json.dumps(CONFIG)),
        tomllib.loads(TOML),
        yaml.safe_load(yaml.safe_dump(CONFIG)),
    ],
    ids=["dict", "json", "toml", "yaml"],
)
def test_a_configuration_reads_the_same_from_every_format(config: dict[str, Any]) -> None:
    logging.config.dictConfig(config)
    handler = found()
    assert handler.level == logging.ERROR
    assert handler.name == "alerts"
    assert list(parts_of(handler).audience().to) == TEAM
    assert parts_of(handler).sender.identity == "shop production"
    assert parts_of(handler).sender.policy.group_wait == 5
    email = parts_of(handler).email
    assert isinstance(email, SMTPEmailHandler)
    assert (email.host, email.port, email.use_starttls) == ("mail.example.com", 587, True)


def test_references_are_resolved_in_nested_mappings_and_lists() -> None:
    """A nested mapping resolves `ext://` by key and a list by index, and in no other way."""
    here = "ext://test_dictconfig"
    handler = configured(
        {
            "to": ["cfg://team.lead", "ops@example.com"],
            "email": {"handler": "smtp", "host": "cfg://mail.host", "port": f"{here}.PORT"},
            "policy": {"group_wait": "cfg://mail.wait"},
        },
        team={"lead": "lead@example.com"},
        mail={"host": "mail.example.com", "wait": 7},
    )
    assert list(parts_of(handler).audience().to) == [
        "lead@example.com",
        "ops@example.com",
    ]
    email = parts_of(handler).email
    assert isinstance(email, SMTPEmailHandler)
    assert (email.host, email.port) == ("mail.example.com", PORT)
    assert parts_of(handler).sender.policy.group_wait == 7


def test_a_list_and_an_email_handler_may_be_objects_of_the_program() -> None:
    handler = configured(
        {"to": "ext://test_dictconfig.TEAM", "email": "ext://test_dictconfig.TEST_EMAIL"}
    )
    assert list(parts_of(handler).audience().to) == TEAM
    assert parts_of(handler).email is TEST_EMAIL


def test_level_formatter_and_filters_are_loggings_own() -> None:
    handler = configured(
        {"level": "WARNING", "formatter": "short", "filters": ["ours"]},
        formatters={"short": {"format": "<%(name)s> %(message)s"}},
        filters={"ours": {"name": "shop.pay"}},
    )
    assert handler.level == logging.WARNING
    logging.getLogger("shop.pay").warning("taken")
    logging.getLogger("shop.stock").error("filtered out")
    handler.flush()
    (mail,) = outbox(handler)
    assert "<shop.pay> taken" in str(mail.text)  # type: ignore[union-attr]
    assert handler.stats.seen == 1


def test_two_lists_of_people_are_two_handlers() -> None:
    handlers = {
        name: {
            "class": "tocsin.AlertHandler",
            "to": f"{name}@example.com",
            "from_addr": "a@example.com",
            "level": level,
            "email": {"handler": "test"},
        }
        for name, level in (("team", "ERROR"), ("boss", "CRITICAL"))
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "handlers": handlers,
            "loggers": {"shop": {"handlers": ["team", "boss"], "propagate": False}},
        }
    )
    logging.getLogger("shop").error("one")
    logging.getLogger("shop").critical("two")
    told = {}
    for handler in logging.getLogger("shop").handlers:
        handler.close()
        assert isinstance(handler, AlertHandler)
        told[handler.name] = handler.stats.seen
        for mail in outbox(handler):
            assert [item.username for item in mail.to] == [handler.name]  # type: ignore[union-attr]
    assert told == {"team": 2, "boss": 1}


def test_existing_loggers_are_disabled_as_anywhere() -> None:
    existing = logging.getLogger("existing.before")
    configured({}, disable_existing_loggers=True)
    assert existing.disabled
    existing.disabled = False


def test_a_new_configuration_sends_what_the_old_one_had() -> None:
    handler = configured({"email": "ext://test_dictconfig.TEST_EMAIL"})
    logging.getLogger("shop").error("before")
    configured({"email": "ext://test_dictconfig.TEST_EMAIL"})
    logging.getLogger("shop").error("after")
    found().close()
    handler.close()
    counts = [int(mail.headers["X-Tocsin-Count"]) for mail in TEST_EMAIL.outbox]  # type: ignore[union-attr]
    assert sum(counts) == 2


def test_a_new_configuration_does_not_wait_for_a_silent_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`dictConfig` closes the old handlers while it holds the lock that all of logging needs.

    And it gives nothing up: the program goes on, so the old handler goes on trying.
    """
    with bare_server() as port:
        old = configured(
            {"email": {"host": "127.0.0.1", "port": port, "timeout": 0.2}, "exit_timeout": 30}
        )
        logging.getLogger("shop").error("before")
        started = time.monotonic()
        configured({})
        assert time.monotonic() - started < 1
        asked = worker_of(old).ask(0)  # type: ignore[arg-type] # behind the one that dictConfig asked for
        assert worker_of(old).wait(asked, time.monotonic() + 20)
    assert "could not be mailed" not in capsys.readouterr().err
    assert old.stats.mails_failed >= 1
    assert old.stats.store is not None
    assert (old.stats.store.pending, old.stats.store.undelivered) == (1, 0)
    email = parts_of(old).email
    assert isinstance(email, SMTPEmailHandler)
    with smtp_server() as (mailbox, port):
        email.port = port
        old.close()
        assert mailbox.told == 1


INI = """
[loggers]
keys=root,shop
[handlers]
keys=alerts
[formatters]
keys=
[logger_root]
handlers=
[logger_shop]
qualname=shop
handlers=alerts
propagate=0
[handler_alerts]
class=tocsin.AlertHandler
level=WARNING
kwargs={"to": "ops@example.com", "from_addr": "a@example.com", "email": {"handler": "test"}}
"""


def test_a_file_of_fileconfig_works(tmp_path: Path) -> None:
    path = tmp_path / "logging.ini"
    path.write_text(INI, encoding="utf-8")
    logging.config.fileConfig(path, disable_existing_loggers=False)
    logging.getLogger("shop").warning("from a file")
    handler = found()
    handler.flush()
    assert handler.level == logging.WARNING
    assert len(outbox(handler)) == 1


def test_a_handler_that_could_not_be_built_is_unknown_to_logging() -> None:
    """Else the next configuration stumbles over the half of it that an error holds on to."""
    with pytest.raises(ValueError, match="Unable to configure") as caught:
        configured({"to": "nobody"})
    configured({})
    assert caught.value.__traceback__ is not None


@pytest.mark.parametrize("uncaught", [False, True])
def test_a_handler_whose_store_could_not_be_opened_is_of_no_use(*, uncaught: bool) -> None:
    """The error holds on to it, while the program ends or is configured again."""
    before = sys.excepthook, threading.excepthook
    with pytest.raises(ValueError, match="Unable to configure") as caught:
        configured({"store": "sqlite:////no/such/folder/a.db", "uncaught": uncaught})
    assert isinstance(caught.value.__cause__, ConfigError)
    assert (sys.excepthook, threading.excepthook) == before
    assert "alerts" not in logging._handlers  # type: ignore[attr-defined]
    configured({})


class Wrapped(logging.Handler):
    """A handler that has an alert handler, which no configuration names."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.inner = AlertHandler(to="a@x.example", from_addr="b@x.example", **options)

    @override
    def handle(self, record: logging.LogRecord) -> bool:
        return self.inner.handle(record)  # without a lock


def wrapped(**options: Any) -> AlertHandler:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"wrapped": {"()": Wrapped, **options}},
            "loggers": {"shop": {"handlers": ["wrapped"]}},
        }
    )
    (handler,) = logging.getLogger("shop").handlers
    assert isinstance(handler, Wrapped)
    return handler.inner


def test_a_handler_within_another_one_names_its_bad_store_when_it_is_built() -> None:
    with pytest.raises(ValueError, match="Unable to configure") as caught:
        wrapped(store="sqlite:////no/such/folder/a.db")
    assert isinstance(caught.value.__cause__, ConfigError)


def test_a_handler_within_another_one_has_begun_when_threads_log() -> None:
    """Each thread would begin it, and records of all but one would be lost."""
    handler = wrapped(email={"handler": "test"})
    assert handler.send_now()
    begun = worker_of(handler)
    logging.getLogger("shop").error("boom")
    assert worker_of(handler) is begun
    assert handler.stats.seen == 1


def problem(options: dict[str, Any]) -> str:
    """Return what the user sees beneath dictConfig's "Unable to configure handler 'alerts'"."""
    with pytest.raises(ValueError, match="Unable to configure handler 'alerts'") as caught:
        configured(options)
    return str(caught.value.__cause__)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown option": ({"too": "a@x"}, "too: unknown option; did you mean 'to'?"),
    "unknown option, near": (
        {"enviroment": "x"},
        "enviroment: unknown option; did you mean 'environment'?",
    ),
    "to is missing": ({"to": []}, "to: missing; name at least one recipient"),
    "to is empty": ({"to": " , "}, "to: missing; name at least one recipient"),
    "to is None": ({"to": None}, "to: expected an address or a list of them, got None"),
    "to is a number": ({"to": 5}, "to: expected an address or a list of them, got int"),
    "to holds a number": (
        {"to": ["a@x", 5]},
        "to[1]: expected an address, got int",
    ),
    "bad address": (
        {"to": "ops.example.com"},
        "to: 'ops.example.com' is not an address: expected name@domain",
    ),
    "bad address in a list": (
        {"cc": ["a@x", "b@@x"]},
        "cc: 'b@@x' is not an address: check the part before the '@'",
    ),
    "injected address": (
        {"bcc": ["a@x\r\nBcc: b@x"]},
        "bcc: 'a@x\\r\\nBcc: b@x' is not an address: check the part before the '@'",
    ),
    "reply_to in a file": (
        {"reply_to": {"file": "ops.txt"}},
        "reply_to: expected an address or a list of them, got dict",
    ),
    "bad reply_to": (
        {"reply_to": "Me <"},
        "reply_to: 'Me <' is not an address: expected name@domain",
    ),
    "bad from_addr": (
        {"from_addr": "me"},
        "from_addr: 'me' is not an address: expected name@domain",
    ),
    "from_addr of a wrong type": ({"from_addr": 5}, "from_addr: expected an address, got int"),
    "from_addr is missing": (
        {"from_addr": None},
        "from_addr: missing; set it, or email.default_from, or an address as username",
    ),
    "app of a wrong type": ({"app": 5}, "app: expected text, got int; quote it"),
    "app is empty": ({"app": ""}, "app: expected text, got an empty string"),
    "environment of a wrong type": (
        {"environment": 5},
        "environment: expected text, got int; quote it",
    ),
    "email of a wrong type": (
        {"email": "smtp"},
        "email: expected a mapping or an EmailHandler, got str",
    ),
    "unknown email handler": (
        {"email": {"handler": "carrier"}},
        "email.handler: 'carrier' is unknown; known are django, smtp, test, or 'module:Class'",
    ),
    "email handler that can't be loaded": (
        {"email": {"handler": "nowhere:X"}},
        "email.handler: can't load 'nowhere:X': No module named 'nowhere'",
    ),
    "email handler that is none": (
        {"email": {"handler": "json:JSONDecoder"}},
        "email.handler: 'json:JSONDecoder' is no subclass of tocsin.mail.EmailHandler",
    ),
    "unknown email option": (
        {"email": {"hots": "x"}},
        "email.hots: unknown option; did you mean 'host'?",
    ),
    "port of a wrong type": (
        {"email": {"port": "25"}},
        (
            "email.port: expected a whole number from 1 to 65535, got str '25'; "
            "write it without quotes"
        ),
    ),
    "port out of range": (
        {"email": {"port": 0}},
        "email.port: expected a whole number from 1 to 65535, got 0",
    ),
    "timeout of zero": (
        {"email": {"timeout": 0}},
        "email.timeout: expected a number of seconds above 0, got 0",
    ),
    "variable that isn't set": (
        {"email": {"username": "a@x", "password_env": "TOCSIN_NOT_SET"}},
        "email.password_env: the environment variable 'TOCSIN_NOT_SET' is not set",
    ),
    "file that isn't there": (
        {"email": {"username": "a@x", "password_file": "/nowhere/secret"}},
        "email.password_file: can't read '/nowhere/secret': No such file or directory",
    ),
    "two sources of a password": (
        {"email": {"username": "a@x", "password": "hunter2", "password_env": "HOME"}},
        "email.password_env: can't be used together with 'password'; give one of them",
    ),
    "username without password": (
        {"email": {"username": "a@x"}},
        "email.password: missing; a username needs one (or an access_token)",
    ),
    "password without username": (
        {"email": {"password": "hunter2"}},
        "email.username: missing; a password or an access_token needs one",
    ),
    "password of a wrong type": (
        {"email": {"username": "a@x", "password": ["hunter2"]}},
        "email.password: expected text or a callable, got list",
    ),
    "CA file that isn't there": (
        {"email": {"use_tls": True, "tls_ca_file": "/nowhere/ca.pem"}},
        "email.tls_ca_file: can't read '/nowhere/ca.pem': No such file or directory",
    ),
    "unknown policy field": (
        {"policy": {"group_wiat": 5}},
        "policy.group_wiat: unknown option; did you mean 'group_wait'?",
    ),
    "policy field of a wrong type": (
        {"policy": {"group_wait": "5"}},
        "policy.group_wait: expected a number of seconds, got str '5'; write it without quotes",
    ),
    "policy of a wrong type": ({"policy": 5}, "policy: expected a mapping of options, got int"),
    "policy that is false": ({"policy": False}, "policy: expected a mapping of options, got bool"),
    "urgent_level is no level": (
        {"policy": {"urgent_level": "CRTICAL"}},
        "policy.urgent_level: expected a level, got 'CRTICAL'",
    ),
    "unknown store": (
        {"store": "mysql:///x"},
        f"{NO_STORE}, got 'mysql:///x'",
    ),
    "store that is a file's name": ({"store": "alerts.db"}, f"{NO_STORE}, got 'alerts.db'"),
    "store with two slashes": (
        {"store": "sqlite://alerts.db"},
        f"{NO_STORE}, got 'sqlite://alerts.db'",
    ),
    "store with a password": (
        {"store": "mysql://shop:hunter2@db/x"},
        f"{NO_STORE}, got a URL with a user in it",
    ),
    "store on another host": (
        {"store": "sqlite://host/x"},
        f"{NO_STORE}, got 'sqlite://host/x'",
    ),
    "store of a wrong type": ({"store": 5}, "store: expected text, got int; quote it"),
    "store in SQLite's memory": (
        {"store": "sqlite:///:memory:"},
        f"{NO_STORE}, got 'sqlite:///:memory:'",
    ),
    "callable that returns no store": (
        {"store": "ext://builtins.str"},
        "store: expected a callable that returns a Store; it returned str",
    ),
    "version of a wrong type": ({"version": 0}, "version: expected text, got int; quote it"),
    "environment that is a list": ({"environment": []}, "environment: expected text, got list"),
    "cc that is false": ({"cc": False}, "cc: expected an address or a list of them, got bool"),
    "alert_level without what it is for": (
        {"alert_level": "WARNING"},
        "alert_level: has no effect without context; set level instead",
    ),
    "app_packages of a wrong type": (
        {"app_packages": 5},
        "app_packages: expected text or a list of it, got int; quote it",
    ),
    "app_packages with an empty name": (
        {"app_packages": ["a", ""]},
        "app_packages[1]: expected text, got an empty string",
    ),
    "exit_timeout of a wrong type": (
        {"exit_timeout": "5"},
        "exit_timeout: expected a number of seconds, got str '5'; write it without quotes",
    ),
    "exit_timeout below zero": (
        {"exit_timeout": -1},
        "exit_timeout: expected a number of seconds, got -1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_option_is_named_with_what_would_be_right(case: str) -> None:
    options, expected = BAD[case]
    if "email" in options and isinstance(options["email"], dict):
        options = {**options, "email": {"handler": "smtp", **options["email"]}}
    text = problem(options)
    assert text == expected
    assert "hunter2" not in text


@pytest.mark.parametrize("name", ["SMTPEmailHandler", "TestEmailHandler"])
def test_an_email_handler_is_no_logging_handler(name: str) -> None:
    text = problem({"class": f"tocsin.{name}"})
    assert text == (
        f"class: {name} sends messages and is no logging handler; "
        "use 'tocsin.AlertHandler', with these options under its key 'email'"
    )


def test_an_urgent_level_may_be_named() -> None:
    """Levels have names everywhere else in a logging configuration."""
    policy = build_policy({"urgent_level": "ERROR"})
    assert policy.urgent_level == logging.ERROR


def test_the_memory_store_needs_no_quotes_in_yaml() -> None:
    """`memory:` without quotes is a mapping there."""
    assert isinstance(build_store("memory", ""), type(build_store("memory:", "")))


def open_store(scope: str) -> MemoryStore:
    return STORES.setdefault(scope, MemoryStore())


def test_a_store_may_be_of_ones_own() -> None:
    """A callable opens it, and is told what keeps its events apart."""
    handler = configured({"store": f"ext://{__name__}.open_store", "app": "mine"})
    logging.getLogger("shop").error("boom")
    assert handler.send_now()
    lease = STORES["mine\x1f\x1falerts"].lead("me", 1)
    assert lease is not None
    assert lease.read(1)[0] is not None


def test_a_configuration_builds_a_handler_once() -> None:
    """It names a handler after building it, and a store keeps events apart by that name."""
    opened: list[str] = []

    def opens(scope: str) -> MemoryStore:
        opened.append(scope)
        return MemoryStore()

    handler = configured({"store": opens, "app": "once"})
    assert opened == ["once\x1f\x1falerts"]
    handler.name = "alerts"
    logging.getLogger("shop").error("boom")
    handler.name = "another"  # its events stay where they are
    assert opened == ["once\x1f\x1falerts"]


def test_a_store_that_cannot_be_opened_leaves_no_handler_that_sends(tmp_path: Path) -> None:
    """The next configuration closes all handlers, also one that was built in part."""
    place = tmp_path / "alerts.db"
    place.write_bytes(b"not a database, but a text file")
    text = problem({"store": f"sqlite:{place}"})
    assert "store:" in text
    handler = configured({})
    assert handler.stats.seen == 0


def test_without_sqlite_a_store_in_a_file_is_refused(tmp_path: Path) -> None:
    """Python can be built without it."""
    program = f"""
import sys
sys.modules["sqlite3"] = None
from tocsin import AlertHandler
AlertHandler(to="a@x.example", from_addr="a@x.example", store="sqlite:///{tmp_path}/alerts.db")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "ConfigError: store: this Python can't use SQLite: " in done.stderr


def test_a_bad_level_is_refused_by_logging_itself() -> None:
    assert problem({"level": "LOUD"}) == "Unknown level: 'LOUD'"


def test_the_email_handler_named_as_a_logging_handler_is_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="Unable to configure handler 'mail'") as caught:
        logging.config.dictConfig(
            {"version": 1, "handlers": {"mail": {"class": "tocsin.SMTPEmailHandler"}}}
        )
    assert "use 'tocsin.AlertHandler'" in str(caught.value.__cause__)


def test_a_program_without_a_script_has_a_name() -> None:
    code = (
        "import sys; sys.argv[0] = {!r}\n"
        "from tocsin.config import script_name; print(script_name())"
    )
    for name, expected in (
        ("/srv/app/serve.py", "serve"),
        ("/srv/shop/__main__.py", "shop"),
        ("-c", "python"),
        ("", "python"),
    ):
        result = subprocess.run(
            [sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True
        )
        assert result.stdout.strip() == expected


def test_a_handler_goes_on_with_what_an_earlier_one_of_its_name_has_told() -> None:
    """Its state and budget: the same error beside 60 configurations was 60 mails."""
    for number in range(60):
        handler = configured({"app": "again", "email": TEST_EMAIL})
        logging.getLogger("shop").error("boom %d", number)
        handler.flush()
        assert threading.active_count() < 20
    mails: list[Any] = TEST_EMAIL.outbox
    end = time.monotonic() + 20
    while not handler.send_now():  # an earlier one may lead for a moment
        assert time.monotonic() < end
    assert sum(int(mail.headers["X-Tocsin-Count"]) for mail in mails) == 60
    assert len(mails) <= 3


def test_a_handler_without_a_name_begins_anew() -> None:
    """Two of them can't be told apart, and may be for different people."""
    for _ in range(2):
        options = {"to": "ops@example.com", "from_addr": "a@example.com", "app": "unnamed"}
        handler = AlertHandler(email=TEST_EMAIL, **options)  # type: ignore[arg-type]
        handler.handle(logging.makeLogRecord({"name": "shop", "levelno": 40, "msg": "boom"}))
        handler.close()
    mails: list[Any] = TEST_EMAIL.outbox
    assert [mail.headers["X-Tocsin-Count"] for mail in mails] == ["1", "1"]
