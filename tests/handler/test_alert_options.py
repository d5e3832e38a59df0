"""What an alert says and to whom, by the options: from dictConfig to the mail."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import logging.config
from typing import TYPE_CHECKING, Any

import pytest

from tocsin import AlertHandler, ConfigError, TestEmailHandler
from tocsin.testing import forget_alerts

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("request")
ROTA = ["first@example.com"]


def rota() -> list[str]:
    return ROTA


@pytest.fixture
def email() -> TestEmailHandler:
    return TestEmailHandler()


@pytest.fixture(autouse=True)
def _end() -> Generator[None]:
    yield
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    logging.getLogger("shop").propagate = True


def configured(email: TestEmailHandler, **options: Any) -> tuple[logging.Logger, AlertHandler]:
    given = {
        "class": "tocsin.AlertHandler",
        "to": "ops@example.com",
        "from_addr": "alerts@example.com",
        "app": "shop",
        "email": email,
        **options,
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"alerts": given},
            "loggers": {"shop": {"handlers": ["alerts"], "level": "DEBUG", "propagate": False}},
        }
    )
    logger = logging.getLogger("shop")
    (handler,) = logger.handlers
    assert isinstance(handler, AlertHandler)
    return logger, handler


def only(email: TestEmailHandler) -> Any:
    (mail,) = email.outbox
    return mail


def test_the_version_is_told(email: TestEmailHandler) -> None:
    logger, handler = configured(email, version="4.2.0")
    logger.error("boom")
    handler.flush()
    assert "(shop 4.2.0)" in only(email).text
    assert "4.2.0" in only(email).html


def test_context_shows_what_the_same_thread_logged_before(email: TestEmailHandler) -> None:
    logger, handler = configured(email, level="DEBUG", context=2)
    for number in range(3):
        logger.info("step %d", number)
    logger.error("boom")
    handler.flush()
    text = only(email).text
    assert "step 0" not in text
    assert text.index("Before it:") < text.index("step 1") < text.index("step 2")
    assert handler.stats.seen == 1


def test_context_is_not_an_alert_and_costs_no_mail(email: TestEmailHandler) -> None:
    logger, handler = configured(email, level="DEBUG", context=2)
    logger.warning("careful")
    handler.flush()
    assert (email.outbox, handler.stats.seen) == ([], 0)


def test_alert_level_says_what_is_an_alert(email: TestEmailHandler) -> None:
    logger, handler = configured(email, level="DEBUG", context=2, alert_level="WARNING")
    logger.info("step")
    logger.warning("careful")
    handler.flush()
    assert only(email).headers["X-Tocsin-Level"] == "WARNING"
    assert "step" in only(email).text


def test_without_context_all_that_arrives_is_an_alert(email: TestEmailHandler) -> None:
    logger, handler = configured(email, level="INFO")
    logger.info("started")
    handler.flush()
    assert only(email).headers["X-Tocsin-Level"] == "INFO"


def test_context_may_go_by_a_context_variable(email: TestEmailHandler) -> None:
    logger, handler = configured(
        email, level="DEBUG", context=5, context_key="ext://test_alert_options.REQUEST"
    )

    async def request(name: str) -> None:
        REQUEST.set(name)
        logger.info("%s began", name)
        await asyncio.sleep(0)
        if name == "b":
            logger.error("boom")

    async def main() -> None:
        await asyncio.gather(*map(request, "abc"))

    asyncio.run(main())
    handler.flush()
    text = only(email).text
    assert "b began" in text
    assert "a began" not in text
    assert "c began" not in text


def test_secrets_are_taken_out_of_all_that_is_told(email: TestEmailHandler) -> None:
    secret = "hunter2hunter2"
    logger, handler = configured(email, level="DEBUG", context=5)
    logger.info("login with password=%s", secret)
    error = ValueError(f"token={secret}")
    logger.error("password: %s", secret, extra={"api_key": secret}, exc_info=error)
    handler.flush()
    raw = only(email).to_mime().as_bytes().decode()
    assert secret not in raw
    assert raw.count("[redacted]") > 5


def test_redaction_can_be_extended_and_turned_off(email: TestEmailHandler) -> None:
    logger, handler = configured(email, redact=[r"customer (\d+)"])
    logger.error("customer 4711 has password=hunter2hunter2")
    handler.flush()
    assert "customer [redacted] has password=[redacted]" in only(email).text
    email.outbox.clear()
    forget_alerts()
    logger, handler = configured(email, redact=False)
    logger.error("customer 4711 has password=hunter2hunter2")
    handler.flush()
    assert "customer 4711 has password=hunter2hunter2" in only(email).text


def test_templates_of_ones_own_replace_those_of_their_names(
    email: TestEmailHandler, tmp_path: Path
) -> None:
    (tmp_path / "foot.txt.j2").write_text("See the runbook of {{ mail.app }}.\n")
    logger, handler = configured(email, templates=str(tmp_path))
    logger.error("boom")
    handler.flush()
    assert only(email).text.endswith("See the runbook of shop.\n")
    assert "1   NEW" in only(email).text


def test_a_list_in_a_file_is_read_again_when_it_changes(
    email: TestEmailHandler, tmp_path: Path
) -> None:
    oncall = tmp_path / "oncall.txt"
    oncall.write_text("Ada <ada@example.com>\n")
    logger, handler = configured(email, to={"file": str(oncall)})
    logger.error("first")
    handler.flush()
    oncall.write_text("bo@example.com # since Monday\n")
    logger.error("second")
    handler.flush()
    oncall.write_text("nobody at example\n")
    logger.error("third")
    handler.flush()
    mails: list[Any] = email.outbox
    assert [[str(one) for one in mail.to] for mail in mails] == [
        ["Ada <ada@example.com>"],
        ["bo@example.com"],
        ["bo@example.com"],
    ]
    assert "oncall.txt line 1: 'nobody at example' is not an address" in mails[2].text
    assert "oncall.txt" not in mails[1].text


def test_a_callable_is_asked_for_each_mail(email: TestEmailHandler) -> None:
    logger, handler = configured(email, to="ext://test_alert_options.rota", bcc="boss@example.com")
    ROTA[:] = ["first@example.com"]
    logger.error("first")
    handler.flush()
    ROTA[:] = ["second@example.com"]
    logger.error("second")
    handler.flush()
    ROTA.clear()
    logger.error("third")
    handler.flush()
    mails: list[Any] = email.outbox
    assert [mail.to[0].addr_spec for mail in mails] == [
        "first@example.com",
        "second@example.com",
        "second@example.com",
    ]
    assert [mail.bcc[0].addr_spec for mail in mails] == ["boss@example.com"] * 3
    assert "its last good answer is used" in mails[2].text


def test_while_nobody_is_known_the_alert_waits(
    email: TestEmailHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    logger, handler = configured(email, to="ext://test_alert_options.rota")
    ROTA.clear()
    logger.error("boom")
    handler.flush()
    assert email.outbox == []
    assert "no recipient is known; test_alert_options.rota" in capsys.readouterr().err
    assert handler.stats.store is not None
    assert handler.stats.store.pending == 1
    ROTA[:] = ["first@example.com"]
    handler.flush()
    assert only(email).to[0].addr_spec == "first@example.com"


def test_what_the_rota_logs_is_no_alert(email: TestEmailHandler) -> None:
    handler = AlertHandler(
        to=lambda: logging.getLogger("shop.rota").error("slow") or ROTA,  # type: ignore[func-returns-value]
        from_addr="alerts@example.com",
        email=email,
    )
    logger = logging.getLogger("shop.rota")
    logger.addHandler(handler)
    ROTA[:] = ["first@example.com"]
    try:
        logger.error("boom")
        handler.flush()
        handler.close()
    finally:
        logger.removeHandler(handler)
    assert handler.stats.seen == 1
    assert only(email).headers["X-Tocsin-Count"] == "1"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"context": -1}, "context: expected a number of records from 0 to 1000, got -1"),
        ({"context": True}, "context: expected a number of records from 0 to 1000, got bool"),
        (
            {"context": 5, "context_key": "x"},
            "context_key: expected a ContextVar, got str; in a configuration, write ext://module.NAME",
        ),
        (
            {"context_key": REQUEST},
            "context_key: has no effect without context, the number of records to keep",
        ),
        ({"alert_level": "LOUD"}, "alert_level: expected a level, got 'LOUD'"),
        ({"alert_level": True}, "alert_level: expected a level, got True"),
        ({"redact": 5}, "redact: expected text or a list of it, got int"),
        (
            {"redact": ["ok", "("]},
            "redact[1]: expected a regular expression: missing ), unterminated subpattern",
        ),
        ({"templates": 5}, "templates: expected a path, got int"),
        ({"version": 4.2}, "version: expected text, got float"),
        ({"to": {"file": "/none/oncall.txt"}}, "to.file: can't read '/none/oncall.txt': No such"),
        ({"to": {"path": "x"}}, "to.path: unknown option; known are file"),
        ({"cc": {"file": "/none/cc.txt"}}, "cc.file: can't read '/none/cc.txt': No such"),
        ({"bcc": "nobody"}, "bcc: 'nobody' is not an address: expected name@domain"),
        ({"to": ""}, "to: missing; name at least one recipient"),
    ],
)
def test_a_wrong_option_is_named_when_the_handler_is_built(
    options: dict[str, Any], error: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        AlertHandler(**{"to": "a@x.example", "from_addr": "b@x.example", **options})
    assert str(raised.value).startswith(error)
