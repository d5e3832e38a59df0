"""Putting the parts together from what a configuration says."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin import options
from tocsin.alerts.policy import Policy
from tocsin.exceptions import ConfigError
from tocsin.mail.address import AddressList, prepare_address
from tocsin.mail.base import EmailHandler, get_handler_class

if TYPE_CHECKING:
    from email.headerregistry import Address

    from tocsin.stores.base import Store


def build_email(value: EmailHandler | Mapping[str, Any] | None) -> EmailHandler:
    """Return an email handler: the one given, or one made from its options.

    Raises:
        ConfigError: an option is wrong, or `handler` names nothing that can be loaded.
    """
    if isinstance(value, EmailHandler):
        return value
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        options.fail("email", f"expected a mapping or an EmailHandler, got {options.kind(value)}")
    try:
        handler = get_handler_class(value.get("handler") or "smtp")
    except ConfigError as error:
        raise ConfigError(f"email.{error}") from error.__cause__
    return handler.from_config({name: value[name] for name in value if name != "handler"})


def build_policy(value: Policy | Mapping[str, Any] | None) -> Policy:
    """Return a policy: the one given, or one with some fields set.

    Raises:
        ConfigError: a field is unknown or wrong.
    """
    if isinstance(value, Policy):
        return value
    given = options.section(
        "policy", {} if value is None else value, [field.name for field in fields(Policy)]
    )
    level = given.get("urgent_level")
    if isinstance(level, str):
        levels = logging.getLevelNamesMapping()
        if level not in levels:
            options.fail("policy.urgent_level", f"expected a level, got {level!r}")
        given["urgent_level"] = levels[level]
    return Policy(**given)


def build_store(value: str) -> Store:
    """Return the store that a URL names.

    Raises:
        ConfigError: there is no such store.
    """
    if options.text("store", value).removesuffix(":") != "memory":
        options.fail("store", f"expected 'memory:', got {value!r}")
    from tocsin.stores.memory import MemoryStore  # noqa: PLC0415 - only the store that is used

    return MemoryStore()


def build_addresses(key: str, value: object) -> AddressList:
    """Return a list of addresses: from text with commas, from a list, or from one address.

    Raises:
        ConfigError: something isn't an address.
    """
    if isinstance(value, list):  # dictConfig's resolves `ext://` by index only
        value = [value[index] for index in range(len(value))]
    try:
        return AddressList(value)  # type: ignore[arg-type] # told apart by the errors
    except ValueError as error:
        options.fail(key, str(error))
    except (TypeError, AttributeError):
        options.fail(key, f"expected an address or a list of them, got {options.kind(value)}")


def build_sender(value: str | Address | None, email: EmailHandler) -> Address:
    """Return who sends: what is given, else what the email handler says.

    Raises:
        ConfigError: nobody, or no address.
    """
    if value is None:
        sender = email.sender
        if sender is None:
            options.fail(
                "from_addr", "missing; set it, or email.default_from, or an address as username"
            )
        return sender
    try:
        return prepare_address(value)
    except ValueError as error:
        options.fail("from_addr", str(error))
    except (TypeError, AttributeError):
        options.fail("from_addr", f"expected an address, got {options.kind(value)}")


def script_name() -> str:
    """Return the name of what runs: the script's, or the package's that `python -m` runs."""
    path = Path(sys.argv[0] if sys.argv else "")
    return (path.parent.name if path.stem == "__main__" else path.stem) or "python"
