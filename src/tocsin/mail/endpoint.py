"""Where a server is, as a configuration can say it: a host, a URL, or a provider's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tocsin import options
from tocsin.exceptions import ConfigError
from tocsin.mail.providers import PROVIDERS, find

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINTS = ("url", "provider", "region")
_TRANSPORT = ("port", "use_tls", "use_starttls")
_SCHEMES: dict[str, dict[str, Any]] = {
    "smtp": {},
    "smtps": {"use_tls": True},
    "smtp+starttls": {"use_starttls": True, "port": 587},
}


def endpoint(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments that `host`, `url` or `provider` stand for.

    What is given beside a provider's name wins over its table: any of `port`, `use_tls` and
    `use_starttls` replaces all three.

    Args:
        given: the options of the configuration.

    Raises:
        ConfigError: more than one of them, or one that can't be.
    """
    source = options.one_of("email", given, ("host", "url", "provider"))
    if given.get("region") is not None and source != "provider":
        options.fail("email.region", "has no effect without a provider")
    if source == "url":
        for name in _TRANSPORT:
            if given.get(name) is not None:
                options.fail(f"email.{name}", "can't be used together with 'url', which says it")
        return _of_url(given["url"])
    if source == "provider":
        try:
            provider = find(given["provider"])
            found: dict[str, Any] = {"host": provider.host_in(given.get("region"))}
        except ConfigError as error:
            raise ConfigError(f"email.{error}") from None
        if provider.recipients_per_message is not None:
            found["recipients_per_message"] = provider.recipients_per_message
        if all(given.get(name) is None for name in _TRANSPORT):
            found["port"] = provider.port
            found["use_tls"] = provider.tls == "tls"
            found["use_starttls"] = provider.tls == "starttls"
        return found
    return {}


def _of_url(value: object) -> dict[str, Any]:
    """Read `smtps://user:password@host:465`; a password in it is never shown."""
    key = "email.url"
    url = options.text(key, value)
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
        username, password = (
            unquote(part or "", errors="strict") for part in (parts.username, parts.password)
        )
    except ValueError:
        # Its text may be a part of the password.
        raise ConfigError(
            f"{key}: can't be read; expected smtps://user:password@host:465, with user and "
            "password percent-encoded ('/' is %2F)"
        ) from None
    if parts.scheme not in _SCHEMES:
        options.fail(key, f"expected one of {', '.join(f'{name}://' for name in _SCHEMES)}")
    if not host:
        options.fail(key, "expected a host, as in smtps://user@mail.example.com:465")
    if parts.path.strip("/") or parts.query or parts.fragment:
        options.fail(key, "expected nothing behind the host and the port")
    found: dict[str, Any] = {**_SCHEMES[parts.scheme], "host": host}
    if port is not None:
        found["port"] = port
    if username:
        found["username"] = username
    if password:
        found["password"] = password
    return found


def login_hint(host: str) -> str:
    """Return what the service behind a host wants of a login; "" for a host that isn't known."""
    host = host.removesuffix(".").lower()
    for provider in PROVIDERS.values():
        before, _, after = provider.host.partition("{region}")
        known = host == before if not after else host.startswith(before) and host.endswith(after)
        if known:
            return provider.login_hint
    return ""
