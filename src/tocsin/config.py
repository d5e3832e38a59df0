"""Putting the parts together from what a configuration says."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin import options
from tocsin.alerts.digest import Audience
from tocsin.alerts.settings import Policy
from tocsin.exceptions import ConfigError
from tocsin.mail.base import EmailHandler, address_option, get_handler_class
from tocsin.pipeline.context import Context
from tocsin.pipeline.fallback import Folder, StandardError
from tocsin.pipeline.recipients import build_recipients
from tocsin.render.templating import Templates
from tocsin.stores.base import Store
from tocsin.stores.urls import file_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.headerregistry import Address

    from tocsin.pipeline.fallback import Fallback
    from tocsin.redact.base import Redacts

_MAX_CONTEXT = 1000


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
    if "urgent_level" in given:
        given["urgent_level"] = build_level("policy.urgent_level", given["urgent_level"])
    try:
        return Policy(**given)
    except ConfigError as error:
        text, kind, _ = str(error).rpartition("str")
        name = text.partition(":")[0].removeprefix("policy.")
        if kind and isinstance(given.get(name), str):
            got = options.got_for_boolean if "true or false" in text else options.got
            raise ConfigError(text + got(given[name])) from None
        raise


def build_store(value: str | Callable[[str], Store], scope: str) -> Store:
    """Return the store that a URL names.

    Args:
        value: `memory:`, or `sqlite:` and a path; or a callable that returns a store for a scope.
        scope: whose events they are.

    Raises:
        ConfigError: there is no such store, or it can't be used.
    """
    if callable(value):
        store = value(scope)
        if not isinstance(store, Store):
            options.fail(
                "store", f"expected a callable that returns a Store, and got {options.kind(store)}"
            )
        return store
    try:
        place = file_of(options.text("store", value), windows=os.name == "nt")
    except ConfigError:
        raise
    except ValueError as error:
        options.fail("store", str(error))
    if place is None:
        from tocsin.stores.memory import MemoryStore  # noqa: PLC0415 - only the store that is used

        return MemoryStore()
    path = options.file_path("store", place)
    if os.path.isdir(path):  # noqa: PTH112 - `Path.is_dir` raises where it may not look
        options.fail("store", f"{str(path)!r} is a folder; expected the path of a file")
    try:
        from tocsin.stores.sqlite import SQLiteStore  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ConfigError(f"store: this Python can't use SQLite: {error}") from error

    return SQLiteStore(path, scope)


def build_audience(to: object, cc: object = (), bcc: object = ()) -> Callable[[], Audience]:
    """Return what tells who gets a digest, each time it is asked.

    Raises:
        ConfigError: a list can't be used, or nobody is on the first one.
    """
    given = {"to": to, "cc": cc, "bcc": bcc}
    lists = {
        name: build_recipients(name, value)
        for name, value in given.items()
        if name == "to" or value or callable(value) or isinstance(value, int)
    }

    def audience() -> Audience:
        current = {name: source.current() for name, source in lists.items()}
        names = {name: tuple(map(str, one.addresses)) for name, one in current.items()}
        notes = tuple(one.note for one in current.values() if one.note)
        return Audience(**names, notes=notes)

    return audience


class _Redactor:
    """A redactor that is made when it is first used, by the worker: it has many patterns."""

    def __init__(self, patterns: tuple[str, ...], *, defaults: bool) -> None:
        self._patterns = patterns
        self._defaults = defaults

    @cached_property
    def _made(self) -> Redacts:
        from tocsin.redact.redactor import Redactor  # noqa: PLC0415 - as above

        return Redactor(self._patterns, defaults=self._defaults)

    def text(self, text: str, /) -> str:
        return self._made.text(text)

    def field(self, name: str, value: str, /) -> str:
        return self._made.field(name, value)


def build_redactor(value: object) -> Redacts:
    """Return what takes secrets out of text: `True`, `False` for nothing, or further patterns.

    Raises:
        ConfigError: a pattern isn't a regular expression.
    """
    if isinstance(value, bool):
        return _Redactor((), defaults=value)
    patterns = options.texts("redact", value)
    for position, pattern in enumerate(patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            options.fail(f"redact[{position}]", f"expected a regular expression: {error}")
    return _Redactor(patterns, defaults=True)


def build_fallback(value: object) -> Fallback:
    """Return what takes the alerts that can't be mailed: standard error, or a folder.

    Raises:
        ConfigError: there is no such folder, or nothing can be written to it.
    """
    if value == "stderr":
        return StandardError()
    path = options.file_path("fallback", value)
    if not os.path.isdir(path):  # noqa: PTH112 - as above
        options.fail("fallback", f"expected 'stderr' or a folder; {str(path)!r} is not a folder")
    if not os.access(path, os.W_OK | os.X_OK):
        options.fail("fallback", f"can't write to the folder {str(path)!r}")
    return Folder(path.absolute())


def build_templates(value: object) -> Templates:
    """Return the templates of mails: the built-in ones, or those of a folder before them.

    Raises:
        ConfigError: there is no such folder, or one of its templates can't be used.
    """
    # Absolute, as a daemon goes to another folder.
    return Templates(
        None if value is None else str(options.file_path("templates", value).absolute())
    )


def build_context(size: object, key: object) -> Context | None:
    """Return what keeps the last records before an error, or None.

    Raises:
        ConfigError: no size, or no context variable.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= _MAX_CONTEXT:
        got = options.got(size) if isinstance(size, bool) or not isinstance(size, int) else size
        options.fail("context", f"expected a number of records from 0 to {_MAX_CONTEXT}, got {got}")
    if key is not None and not isinstance(key, ContextVar):
        hint = "; a file names one as ext://module.NAME" if isinstance(key, str) else ""
        options.fail("context_key", f"expected a ContextVar, got {options.kind(key)}{hint}")
    if key is not None and not size:
        options.fail("context_key", "it needs context, the number of records to keep")
    return Context(size, key) if size else None


def build_alert_level(value: object, context: Context | None) -> int:
    """Return the level from which on a record is an alert.

    Raises:
        ConfigError: there is no such level, or nothing below it is kept.
    """
    level = build_level("alert_level", value)
    if level != logging.ERROR and context is None:
        options.fail("alert_level", "it needs context; without, level says what is an alert")
    return level


def check_level(level: int, alert_level: int, context: Context | None) -> None:
    """See whether a handler's level lets through what the context is made of.

    Raises:
        ConfigError: it doesn't.
    """
    if context is not None and level >= alert_level:
        low, high = logging.getLevelName(level), logging.getLevelName(alert_level)
        options.fail(
            "context",
            f"nothing below alert_level ({high}) passes level ({low}); set level to DEBUG or INFO",
        )


def build_level(key: str, value: object) -> int:
    """Return a level's number.

    Raises:
        ConfigError: there is no such level.
    """
    levels = logging.getLevelNamesMapping()
    if isinstance(value, str) and value in levels:
        return levels[value]
    if isinstance(value, bool) or not isinstance(value, int):
        capitals = value.upper() if isinstance(value, str) else ""
        hint = f"; write it in capitals: {capitals}" if capitals in levels else ""
        options.fail(key, f"expected a level, got {value!r}{hint}")
    return value


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
    return address_option("from_addr", value)


def script_name() -> str:
    """Return the name of what runs: the script's, or the package's that `python -m` runs."""
    path = Path(sys.argv[0] if sys.argv else "")
    return (path.parent.name if path.stem == "__main__" else path.stem) or "python"
