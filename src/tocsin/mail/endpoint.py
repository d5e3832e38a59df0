"""The server in a configuration: a host, a URL, or a provider's name."""

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
    """Return the constructor's arguments that `url` or `provider` replaces.

    Options beside a provider's name win over the provider's table; any of `port`, `use_tls` and
    `use_starttls` replaces all three.

    Args:
        given: the options of the configuration.

    Returns:
        Argument → value; empty if only a host is given.

    Raises:
        ConfigError: more than one of `host`, `url` and `provider` is given, or one is wrong.
    """
    source = options.one_of("email", given, ("host", "url", "provider"))
    if given.get("region") is not None and source != "provider":
        options.fail("email.region", "has no effect without a provider")
    if source == "url":
        for name in _TRANSPORT:
            if given.get(name) is not None:
                options.fail(f"email.{name}", "can't be used together with 'url', which sets it")
        return _of_url(given["url"])
    return _of_provider(given) if source == "provider" else {}


def _of_provider(given: Mapping[str, Any]) -> dict[str, Any]:
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


def _of_url(value: object) -> dict[str, Any]:
    """Return the arguments in `smtps://user:password@host:465`. No error shows the password."""
    key = "email.url"
    url = options.text(key, value)
    try:
        parts = urlsplit(url)
        said = {
            "host": parts.hostname,
            "port": parts.port,
            "username": unquote(parts.username or "", errors="strict"),
            "password": unquote(parts.password or "", errors="strict"),
        }
    except ValueError:  # its text may hold a part of the password
        raise ConfigError(
            f"{key}: can't be read; expected smtps://user:password@host:465, with user and "
            "password percent-encoded ('/' is %2F)"
        ) from None
    if parts.scheme not in _SCHEMES:
        options.fail(key, f"expected one of {', '.join(f'{name}://' for name in _SCHEMES)}")
    if not parts.hostname:
        options.fail(key, "expected a host, as in smtps://user@mail.example.com:465")
    if parts.path.strip("/") or parts.query or parts.fragment:
        options.fail(key, "expected nothing behind the host and the port")
    given = {name: value for name, value in said.items() if value not in (None, "")}
    return {**_SCHEMES[parts.scheme], **given}


def login_hint(host: str) -> str:
    """Return what the mail service at a host says about its logins; "" for an unknown host."""
    host = host.removesuffix(".").lower()
    for provider in PROVIDERS.values():
        before, _, after = provider.host.partition("{region}")
        known = host == before if not after else host.startswith(before) and host.endswith(after)
        if known:
            return provider.login_hint
    return ""
