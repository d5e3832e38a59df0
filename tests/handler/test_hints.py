"""What a wrong configuration is told: the key that was meant, and where it belongs."""

from __future__ import annotations

import dataclasses
import logging
import logging.config
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from parts import parts_of

from tocsin import AlertHandler, ConfigError, Policy, SMTPEmailHandler
from tocsin.handler import _KNOWN
from tocsin.hints import LEVELS
from tocsin.mail.providers import ALIASES, PROVIDERS, find

if TYPE_CHECKING:
    from pathlib import Path

GIVEN: dict[str, Any] = {"to": "a@x.example", "from_addr": "b@x.example"}


def error(**options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        AlertHandler(**{**GIVEN, **options})
    return str(caught.value)


def test_the_keys_of_each_level_are_those_of_the_code() -> None:
    assert sorted(LEVELS[""]) == sorted(_KNOWN)
    email = ["handler", *SMTPEmailHandler._OPTIONS, *SMTPEmailHandler._CONFIG_OPTIONS]
    assert sorted(LEVELS["email"]) == sorted(email)
    assert sorted(LEVELS["policy"]) == sorted(field.name for field in dataclasses.fields(Policy))


def test_no_key_is_of_two_levels() -> None:
    keys = [key for level in LEVELS.values() for key in level]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"toaddrs": "a@x"}, "toaddrs: unknown option; use 'to'"),
        ({"fromaddr": "a@x"}, "fromaddr: unknown option; use 'from_addr'"),
        ({"mailhost": "h"}, "mailhost: unknown option; use 'host' under 'email'"),
        (
            {"credentials": ("u", "p")},
            "credentials: unknown option; use 'username' and 'password_env' under 'email'",
        ),
        ({"secure": ()}, "secure: unknown option; use 'use_starttls' under 'email'"),
        ({"subject": "x"}, "subject: unknown option; use 'app' and 'environment'"),
        ({"email": {"mailhost": "h"}}, "email.mailhost: unknown option; use 'host'"),
        (
            {"email": {"toaddrs": "h"}},
            "email.toaddrs: unknown option; use 'to' beside 'email', not under it",
        ),
        ({"host": "h"}, "host: unknown option; it belongs under 'email'"),
        ({"timeout": 5}, "timeout: unknown option; it belongs under 'email'"),
        ({"group_wait": 5}, "group_wait: unknown option; it belongs under 'policy'"),
        (
            {"email": {"group_wait": 5}},
            "email.group_wait: unknown option; it belongs under 'policy'",
        ),
        (
            {"policy": {"exit_timeout": 5}},
            "policy.exit_timeout: unknown option; it belongs beside 'policy', not under it",
        ),
        ({"grup_wait": 5}, "grup_wait: unknown option; did you mean 'group_wait' under 'policy'?"),
        ({"enviroment": "x"}, "enviroment: unknown option; did you mean 'environment'?"),
        ({"to": {"path": "x"}}, "to.path: unknown option; known are file"),
        ({"to": {"host": "x"}}, "to.host: unknown option; known are file"),
        *[
            (
                {"email": {"handler": "test", name: "x"}},
                (
                    f"email.{name}: unknown option; the email handler 'smtp' has {has!r}, "
                    "and the one given here has only: default_from"
                ),
            )
            for name, has in {"host": "host", "port": "port", "mailhost": "host"}.items()
        ],
        (
            {"email": {"handler": "test", "hots": "x"}},
            "email.hots: unknown option; known are default_from",
        ),
    ],
)
def test_an_unknown_key_is_told_what_it_is_here(options: dict[str, Any], said: str) -> None:
    assert error(**options) == said


@pytest.mark.parametrize(
    "value",
    [
        "a@x.example; b@x.example",
        "a@x.example\nb@x.example",
        "a@x.example b@x.example",
        "Ann <a@x.example>; Bo <b@x.example>",
        "Ann <a@x.example>\nBo <b@x.example>",
        "a@x.example; Bo <b@x.example>",
        ["a@x.example, b@x.example"],
        ["Ann <a@x.example>, Bo <b@x.example>"],
        ["a@x.example, Bo <b@x.example>"],
        ["ok@x.example", "a@x.example;b@x.example"],
    ],
)
@pytest.mark.parametrize("key", ["to", "cc", "bcc", "reply_to"])
def test_addresses_are_separated_by_commas(key: str, value: Any) -> None:
    text = error(**{key: value})
    assert text.startswith(f"{key}: ")
    assert "but several: separate addresses by commas; in a list, each is an item" in text


def test_one_address_is_not_several() -> None:
    assert "but several" in error(from_addr="a@x.example, b@x.example")
    assert "but several" in error(email={"handler": "test", "default_from": "a@x, b@x"})


@pytest.mark.parametrize(
    "value",
    [
        "Ops\nTeam <a@x.example>",
        ["Ops\r\nBcc: someone <a@x.example>"],
        "b@x.example, Ops\rTeam <a@x.example>",
    ],
)
def test_a_line_break_in_an_address_is_an_error(value: Any) -> None:
    assert "is not an address: it has a line break in it" in error(to=value)


@pytest.mark.parametrize("key", ["from_addr", "reply_to"])
def test_a_line_break_in_a_senders_address_is_one_too(key: str) -> None:
    assert "it has a line break in it" in error(**{key: "Ops\nTeam <a@x.example>"})


def test_folding_is_no_line_break() -> None:
    handler = AlertHandler(
        to="Ops\r\n Team <a@x.example>,\n\tNight\n Team <b@x.example>,\nc@x.example\n",
        from_addr="Shop\n alerts <s@x.example>\n",
    )
    names = [str(one) for one in parts_of(handler).audience().to]
    assert names == ["Ops  Team <a@x.example>", "Night  Team <b@x.example>", "c@x.example"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"email": {"port": "587"}}, "email.port: expected .* got str '587'; write it without quo"),
        ({"email": {"timeout": " 2.5"}}, "email.timeout: expected .* got str ' 2.5'; write it"),
        ({"context": "20"}, "context: expected .* got str '20'; write it without quotes"),
        ({"give_up_after": "3600"}, "give_up_after: expected .* got str '3600'; write it"),
        ({"policy": {"burst": "6"}}, "policy.burst: expected .* got str '6'; write it"),
        ({"email": {"timeout": "2 s"}}, "email.timeout: expected .* got str$"),
        ({"policy": {"at_exit": 1}}, "policy.at_exit: expected true or false, got int$"),
        ({"policy": {"burst": []}}, "policy.burst: expected a whole number .* got list$"),
        ({"policy": {"repeat_after": 86400}}, "policy.repeat_max: expected at least .* got 14400$"),
    ],
)
def test_a_number_as_text_is_shown(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}"):
        AlertHandler(**{**GIVEN, **options})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"version": 4.2}, "version: expected text, got float; quote it"),
        ({"version": 4}, "version: expected text, got int; quote it"),
        ({"app": 5}, "app: expected text, got int; quote it"),
        ({"environment": True}, "environment: expected text, got bool; quote it"),
        ({"app": []}, "app: expected text, got list"),
        ({"app_packages": 5}, "app_packages: expected text or a list of it, got int; quote it"),
        ({"email": {"username": 12345}}, "email.username: expected text, got int; quote it"),
        (
            {"email": {"username": "u", "password": 12345}},
            "email.password: expected text or a callable, got int; quote it",
        ),
    ],
)
def test_what_a_file_reads_as_a_number_is_to_be_quoted(options: dict[str, Any], said: str) -> None:
    assert error(**options) == said


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"email": {"use_tls": "yes"}}, "email.use_tls"),
        ({"uncaught": "true"}, "uncaught"),
        ({"policy": {"at_exit": "false"}}, "policy.at_exit"),
    ],
)
def test_true_and_false_have_no_quotes(options: dict[str, Any], key: str) -> None:
    assert error(**options) == (
        f"{key}: expected true or false, got str; write true or false without quotes"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": "error"}, "level: expected a level, got 'error'; write it in capitals: ERROR"),
        (
            {"alert_level": "info", "context": 5},
            "alert_level: expected a level, got 'info'; write it in capitals: INFO",
        ),
        (
            {"policy": {"urgent_level": "Error"}},
            "policy.urgent_level: expected a level, got 'Error'; write it in capitals: ERROR",
        ),
        ({"level": "eror"}, "level: expected a level, got 'eror'"),
        ({"level": 1.5}, "level: expected a level, got 1.5"),
    ],
)
def test_a_level_is_written_in_capitals(options: dict[str, Any], said: str) -> None:
    assert error(**options) == said


def test_a_level_that_is_set_later_is_checked_the_same() -> None:
    handler = AlertHandler(**GIVEN)
    with pytest.raises(ConfigError, match=r"^level: expected a level, got 'info'; write it in cap"):
        handler.setLevel("info")
    assert handler.level == logging.ERROR
    handler.setLevel("INFO")
    assert handler.level == logging.INFO


@pytest.mark.parametrize("key", ["to", "cc", "bcc"])
@pytest.mark.parametrize("value", ["/etc/shop/oncall.txt", "oncall.txt", "C:\\shop\\oncall"])
def test_a_path_is_told_how_a_file_is_given(key: str, value: str) -> None:
    for given in (value, PurePosixPath(value)):
        assert error(**{key: given}) == (
            f"{key}: expected an address or a list of them; for a file, write {{file: {value}}}"
        )


def test_a_word_is_no_path() -> None:
    assert error(to="oncall") == "to: 'oncall' is not an address: expected name@domain"


def test_a_folder_that_is_none_is_told() -> None:
    assert error(fallback="/nope/x") == (
        "fallback: expected 'stderr' or a folder; '/nope/x' is not a folder"
    )
    long = "/" + "a" * 5000  # the file system refuses to look at it
    assert error(fallback=long).endswith("is not a folder")


# Passwords in the wrong key

NO_VARIABLE = "expected the name of an environment variable, not the password itself"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("env", "abcd efgh ijkl mnop", NO_VARIABLE),
        ("env", "abcdefghijklmnop", NO_VARIABLE),
        ("env", "s3cret!", NO_VARIABLE),
        ("env", "$ecret", "expected the name of an environment variable; write it without $"),
        ("env", "${PASS}", "expected the name of an environment variable; write it without $"),
        (
            "file",
            "abcd efgh ijkl mnop",
            "can't read a file of this name; expected a path, not the password itself",
        ),
        (
            "file",
            "hunter2",
            "can't read a file of this name; expected a path, not the password itself",
        ),
    ],
)
@pytest.mark.parametrize("credentials", [None, "/run/credentials/shop"])
def test_a_password_in_the_wrong_key_is_not_shown(
    key: str, value: str, said: str, credentials: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    if credentials:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", credentials)
        said = said.replace("of this name;", "of this name, nor in $CREDENTIALS_DIRECTORY;")
    text = error(email={"username": "u", f"password_{key}": value})
    assert text == f"email.password_{key}: {said}"


def test_a_variable_may_have_any_name_if_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("smtp-password", "x")
    handler = AlertHandler(**GIVEN, email={"username": "u", "password_env": "smtp-password"})
    email = parts_of(handler).email
    assert isinstance(email, SMTPEmailHandler)
    password = email.password
    assert (password() if callable(password) else password) == "x"


@pytest.mark.parametrize("key", ["password", "access_token"])
def test_a_line_break_at_the_end_of_a_password_is_an_error(key: str) -> None:
    """YAML's `|` leaves it."""
    for end in ("\n", "\r\n"):
        assert error(email={"username": "u", key: f"hunter2{end}"}) == (
            f"email.{key}: ends with a line break; leave it out"
        )


def test_a_text_that_nothing_fills_in_is_an_error() -> None:
    assert error(environment="${ENV}") == (
        "environment: expected text, got a placeholder of the form ${NAME}; environment "
        "variables are not replaced here; set the value in Python or by your deployment's tool"
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tocsin.SMTPEmailHandler", "smtp"),
        ("tocsin.mail.smtp.SMTPEmailHandler", "smtp"),
        ("SMTPEmailHandler", "smtp"),
        ("tocsin.TestEmailHandler", "test"),
        ("shop.mail.Handler", "shop.mail:Handler"),
    ],
)
def test_the_dotted_name_of_an_email_handler_is_told_its_other_name(name: str, meant: str) -> None:
    expected = f"email.handler: {name!r} is unknown; did you mean {meant!r}?"
    assert error(email={"handler": name}) == expected


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("outlook", "microsoft365"),
        ("office365", "microsoft365"),
        ("ses", "amazon-ses"),
        ("aws", "amazon-ses"),
        ("google", "gmail"),
    ],
)
def test_some_services_have_other_names(alias: str, name: str) -> None:
    assert find(alias) is PROVIDERS[name]
    assert not set(ALIASES) & set(PROVIDERS)


def test_a_service_is_near_another_name_of_it() -> None:
    assert error(email={"provider": "ofice365"}) == (
        "email.provider: unknown 'ofice365'; did you mean 'office365'?"
    )


@pytest.mark.parametrize("name", ["hotmail", "live", "msn", "outlook.com", "Hotmail"])
def test_an_account_of_outlook_com_is_no_other_services(name: str) -> None:
    assert error(email={"provider": name}) == (
        f"email.provider: unknown {name!r}; for an account of outlook.com set host: "
        "smtp-mail.outlook.com, port: 587, use_starttls: true, and an access_token"
    )


# A context that nothing reaches

NOTHING_BELOW = (
    "context: no record below alert_level (ERROR) passes level (ERROR); set level to DEBUG or INFO"
)


def test_a_context_that_the_level_keeps_empty_is_an_error() -> None:
    assert error(context=20) == NOTHING_BELOW
    assert error(context=20, level="CRITICAL").startswith("context: no record below alert_level (E")
    assert error(context=20, level="WARNING", alert_level="WARNING").startswith(
        "context: no record"
    )
    handler = AlertHandler(**GIVEN, context=20, level="WARNING")
    handler.setLevel("CRITICAL")  # at run time that is how a program makes it quiet
    assert handler.level == logging.CRITICAL


def config(**options: Any) -> dict[str, Any]:
    given = {"class": "tocsin.AlertHandler", **GIVEN, "context": 20, **options}
    return {"version": 1, "disable_existing_loggers": False, "handlers": {"alerts": given}}


@pytest.mark.parametrize("options", [{}, {"level": "ERROR"}])
def test_such_a_context_is_an_error_of_dictconfig_too(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Unable to configure handler 'alerts'") as caught:
        logging.config.dictConfig(config(**options))
    assert str(caught.value.__cause__) == NOTHING_BELOW
    logging.config.dictConfig(config(level="INFO"))
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})


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
qualname=shop.hints
handlers=alerts
[handler_alerts]
class=tocsin.AlertHandler
level={level}
kwargs={{"to": "a@x.example", "from_addr": "b@x.example", "context": 20}}
"""


def test_fileconfig_sets_the_level_after_the_name(tmp_path: Path) -> None:
    path = tmp_path / "logging.ini"
    path.write_text(INI.format(level="DEBUG"), encoding="utf-8")
    logging.config.fileConfig(path, disable_existing_loggers=False)
    path.write_text(INI.format(level="ERROR"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        logging.config.fileConfig(path, disable_existing_loggers=False)
    assert str(caught.value) == NOTHING_BELOW
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
