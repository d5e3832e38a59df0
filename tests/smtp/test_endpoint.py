"""Where a server is, as a configuration can say it: host, URL, provider."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from peers import FROM, mail

from tocsin import ConfigError, SMTPEmailHandler
from tocsin.mail.providers import PROVIDERS
from tocsin.testing import ScriptedSMTPServer

SECRET = "hunter2-very-secret"
LOGIN = {"username": "u", "password": SECRET}


def transport(config: dict[str, Any]) -> tuple[str, int, str]:
    """Return host, port and kind of TLS."""
    made = SMTPEmailHandler.from_config(config)
    assert (made.tls_context is not None) == (made.use_tls or made.use_starttls)
    return made.host, made.port, "tls" * made.use_tls or "starttls" * made.use_starttls or "none"


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({}, ("localhost", 25, "none")),
        ({"host": "h"}, ("h", 25, "none")),
        ({"use_tls": True}, ("localhost", 465, "tls")),
        ({"port": 465}, ("localhost", 465, "tls")),
        ({"port": 465, "use_tls": False}, ("localhost", 465, "none")),
        ({"port": 465, "use_starttls": True}, ("localhost", 465, "tls")),
        ({"port": 587}, ("localhost", 587, "none")),
        ({"port": 2525, "use_tls": True}, ("localhost", 2525, "tls")),
        ({"use_starttls": True}, ("localhost", 25, "starttls")),
        ({"port": 587, "use_starttls": True}, ("localhost", 587, "starttls")),
        ({"use_tls": True, "use_starttls": True}, ("localhost", 465, "tls")),
        ({"use_tls": False, "use_starttls": True}, ("localhost", 25, "starttls")),
        ({"host": "bücher.example"}, ("xn--bcher-kva.example", 25, "none")),
        ({"host": "faß.example"}, ("xn--fa-hia.example", 25, "none")),
        ({"host": None, "port": None, "use_tls": None}, ("localhost", 25, "none")),
    ],
)
def test_port_and_tls_go_by_each_other(config: dict[str, Any], found: tuple[str, int, str]) -> None:
    """Port 465 is TLS, TLS is port 465, and `use_tls` wins."""
    assert transport(config) == found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("smtp://h", ("h", 25, "none")),
        ("smtp://h:2525", ("h", 2525, "none")),
        ("smtp://h:465", ("h", 465, "tls")),
        ("smtps://h", ("h", 465, "tls")),
        ("smtps://h/", ("h", 465, "tls")),
        ("SMTPS://H:4650", ("h", 4650, "tls")),
        ("smtp+starttls://h", ("h", 587, "starttls")),
        ("smtp+starttls://h:25", ("h", 25, "starttls")),
        ("smtps://[::1]:465", ("::1", 465, "tls")),
        ("smtp://bücher.example", ("xn--bcher-kva.example", 25, "none")),
    ],
)
def test_a_url_says_host_port_and_tls(url: str, found: tuple[str, int, str]) -> None:
    assert transport({"url": url}) == found


@pytest.mark.parametrize(
    "option", [{"port": 2525}, {"use_tls": False}, {"use_starttls": True}], ids=str
)
def test_a_url_says_alone_how_to_connect(option: dict[str, object]) -> None:
    """`smtps://` beside `use_tls: false` would be mail in the clear."""
    (name,) = option
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler.from_config({"url": "smtps://mail.example.com", **option})
    assert str(caught.value) == f"email.{name}: can't be used together with 'url', which sets it"


@pytest.mark.parametrize(
    ("userinfo", "username", "password"),
    [
        ("u:p", "u", "p"),
        ("u%40example.com:p%3A%2F%23%25%20", "u@example.com", "p:/#% "),
        ("u@example.com:p", "u@example.com", "p"),
        ("u:p:q", "u", "p:q"),
        ("%C3%BC:p%C3%A4ss", "ü", "päss"),
    ],
)
def test_a_url_may_hold_a_login(userinfo: str, username: str, password: str) -> None:
    """RFC 3986 §3.2.1, percent-encoded where a character has another meaning."""
    made = SMTPEmailHandler.from_config({"url": f"smtp://{userinfo}@h"})
    assert (made.username, made.password) == (username, password)


def test_a_urls_user_may_have_a_password_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", SECRET)
    with ScriptedSMTPServer(accounts={FROM: SECRET}) as server:
        url = f"smtp://{FROM}@127.0.0.1:{server.port}"
        SMTPEmailHandler.from_config({"url": url, "password_env": "TEST_SECRET"}).send(mail())
    assert server.messages[0].username == FROM


SCHEMES = "email.url: expected one of smtp://, smtps://, smtp+starttls://"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (7, "email.url: expected text, got int; quote it"),
        ("", "email.url: expected text, got an empty string"),
        ("mail.example.com", SCHEMES),
        ("mail.example.com:465", SCHEMES),
        ("http://h", SCHEMES),
        ("smtp://", "email.url: expected a host, as in smtps://user@mail.example.com:465"),
        ("smtp://:25", "email.url: expected a host, as in smtps://user@mail.example.com:465"),
        ("smtp:h", "email.url: expected a host, as in smtps://user@mail.example.com:465"),
        ("smtp://h:0", "email.port: expected a whole number from 1 to 65535, got 0"),
        ("smtp://h/x", "email.url: expected nothing behind the host and the port"),
        ("smtp://h?x=1", "email.url: expected nothing behind the host and the port"),
        ("smtp://h#x", "email.url: expected nothing behind the host and the port"),
        ("smtp://u@h", "email.password: missing; a username needs one (or an access_token)"),
        ("smtp://u:@h", "email.password: missing; a username needs one (or an access_token)"),
        (
            f"smtp://:{SECRET}@h",
            "email.username: missing; a password or an access_token needs one",
        ),
        ("smtp://a b", "email.host: expected a name without blanks, got 'a b'"),
    ],
)
def test_a_url_that_is_wrong_is_told(url: object, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler.from_config({"url": url})
    assert str(caught.value) == error


BAD_URL = (
    "email.url: can't be read; expected smtps://user:password@host:465, with user and "
    "password percent-encoded ('/' is %2F)"
)


@pytest.mark.parametrize(
    "url",
    [
        "smtp://h:65536",
        "smtp://h:x",
        "smtp://h:-1",
        "smtp://[::1",
        f"smtp://u:{SECRET}/x@h",
        f"smtp://u:{SECRET}#x@h",
        f"smtp://u:[{SECRET}@h",
        f"smtp://u:{SECRET}\u2100@h",
        f"smtp://u:{SECRET}%ff@h",
    ],
)
def test_a_url_that_can_not_be_read_is_told_without_the_password(url: str) -> None:
    """The standard library's errors show the part that they don't understand."""
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler.from_config({"url": url})
    assert str(caught.value) == BAD_URL
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# Providers


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_says_all_that_is_needed(name: str) -> None:
    row = PROVIDERS[name]
    region = {"region": "eu-west-1"} if row.regional else {}
    config = {"provider": name, **region, **LOGIN}
    assert transport(config) == (row.host_in(region.get("region")), row.port, row.tls)
    made = SMTPEmailHandler.from_config(config)
    assert made.recipients_per_message == row.recipients_per_message


@pytest.mark.parametrize(
    ("beside", "found"),
    [
        ({"port": 587, "use_starttls": True}, ("smtp.gmail.com", 587, "starttls")),
        ({"port": 2525, "use_tls": True}, ("smtp.gmail.com", 2525, "tls")),
        ({"use_tls": True}, ("smtp.gmail.com", 465, "tls")),
        ({"port": 25}, ("smtp.gmail.com", 25, "none")),
        ({"port": None}, ("smtp.gmail.com", 465, "tls")),
    ],
)
def test_what_is_given_beside_a_provider_wins(
    beside: dict[str, Any], found: tuple[str, int, str]
) -> None:
    """Port and TLS belong together: one of them replaces all."""
    assert transport({"provider": "gmail", **beside}) == found


def test_a_host_that_idna_does_not_know_is_told() -> None:
    """RFC 5891: what can't be a name is no reason to ask for another one."""
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler(host="☃ü" * 40 + ".example")
    assert str(caught.value).startswith("host: expected a name, got '☃ü☃ü")


def test_a_limit_beside_a_provider_wins() -> None:
    config = {"provider": "gmail", "recipients_per_message": 7, "timeout": 3}
    made = SMTPEmailHandler.from_config(config)
    assert (made.recipients_per_message, made.timeout) == (7, 3)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"provider": "gmial"}, "email.provider: unknown 'gmial'; did you mean 'gmail'?"),
        (
            {"provider": "xyz"},
            f"email.provider: unknown 'xyz'; known are {', '.join(PROVIDERS)}",
        ),
        ({"provider": 365}, "email.provider: expected text, got int; quote it"),
        (
            {"provider": "amazon-ses"},
            "email.region: 'amazon-ses' needs one, such as 'eu-west-1'",
        ),
        (
            {"provider": "amazon-ses", "region": "EU West"},
            "email.region: expected a name such as 'eu-west-1', got 'EU West'",
        ),
        ({"provider": "amazon-ses", "region": 1}, "email.region: expected text, got int; quote it"),
        ({"provider": "gmail", "region": "eu"}, "email.region: 'gmail' has no regions"),
        ({"host": "h", "region": "eu"}, "email.region: has no effect without a provider"),
        ({"url": "smtp://h", "region": "eu"}, "email.region: has no effect without a provider"),
        ({"region": "eu"}, "email.region: has no effect without a provider"),
        (
            {"host": "h", "url": "smtp://h"},
            "email.url: can't be used together with 'host'; give one of them",
        ),
        (
            {"provider": "gmail", "url": "smtp://h"},
            "email.provider: can't be used together with 'url'; give one of them",
        ),
        (
            {"provider": "gmail", "host": "h"},
            "email.provider: can't be used together with 'host'; give one of them",
        ),
    ],
)
def test_a_place_that_is_wrong_is_told(config: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler.from_config(config)
    assert str(caught.value) == error
