"""The configuration: builds the parts of a handler from its options."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin import levels, options
from tocsin.alerts.digest import Audience
from tocsin.alerts.settings import Policy
from tocsin.events.frames import OwnCode
from tocsin.exceptions import ConfigError
from tocsin.integrations.known import INTEGRATIONS
from tocsin.integrations.names import Start, app_name
from tocsin.mail.base import EmailHandler, address_option, get_handler_class
from tocsin.pipeline.assembly import Parts
from tocsin.pipeline.fallback import Folder, StandardError
from tocsin.pipeline.recipients import build_addresses, build_recipients
from tocsin.render.sender import Sender
from tocsin.render.templating import Templates
from tocsin.stores.base import Store
from tocsin.stores.urls import file_of
from tocsin.text import short

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from email.headerregistry import Address

    from tocsin.events.capture import Origin
    from tocsin.pipeline.context import Context
    from tocsin.pipeline.fallback import Fallback
    from tocsin.redact.base import Redacts


def build_parts(
    *,
    email: object,
    app: object,
    environment: str,
    version: str,
    from_addr: str | Address | None,
    reply_to: object,
    policy: Policy | Mapping[str, Any] | None,
    audience: tuple[object, object, object],
    templates: object,
    redact: object,
    context: Context | None,
    origin_of: Callable[[logging.LogRecord], Origin | None],
    app_packages: object,
    fallback: object,
    give_up_after: object,
    exit_timeout: object,
    in_memory: bool,
) -> Parts:
    """Return the parts of a handler, built from its options.

    The arguments are the options of `AlertHandler`, with some exceptions: `audience` is a tuple
    of the options `to`, `cc` and `bcc`; `context` is the buffer for context, and `origin_of`
    returns the request or task of a record; and `in_memory` says whether the store is in memory.

    Raises:
        ConfigError: an option is missing or wrong.
    """
    email_handler = build_email(email)
    to, cc, bcc = audience
    if isinstance(to, tuple) and not to:  # it wasn't given
        to = email_handler.recipients
    return Parts(
        email=email_handler,
        sender=Sender(
            app=short(script_name() if app is None else options.text("app", app), 100),
            environment=_optional("environment", environment),
            from_addr=build_from_addr(from_addr, email_handler),
            reply_to=build_addresses("reply_to", reply_to),
            policy=build_policy(policy),
            footnote="Counts are those of one process." if in_memory else "",
        ),
        audience=build_audience(to, cc, bcc),
        templates=build_templates(templates),
        redactor=build_redactor(redact),
        version=_optional("version", version),
        context=context,
        origin_of=origin_of,
        own=OwnCode(options.texts("app_packages", app_packages)),
        fallback=build_fallback(fallback),
        give_up_after=options.seconds("give_up_after", give_up_after),
        exit_timeout=options.seconds("exit_timeout", exit_timeout),
    )


def build_email(value: object) -> EmailHandler:
    """Return the given email handler, or build one from a mapping of options.

    Raises:
        ConfigError: an option is wrong, or the class named by `handler` can't be loaded.
    """
    if isinstance(value, EmailHandler):
        return value
    kind, given = email_options(value)
    return kind.from_config(given)


def email_options(value: object) -> tuple[type[EmailHandler], dict[str, Any]]:
    """Return the class of an email handler, and its options, from the option `email`.

    Raises:
        ConfigError: the value is no mapping, or the class named by `handler` can't be loaded.
    """
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        options.fail("email", f"expected a mapping or an EmailHandler, got {options.kind(value)}")
    try:
        handler = get_handler_class(value.get("handler") or "smtp")
    except ConfigError as error:
        raise ConfigError(f"email.{error}") from error.__cause__
    return handler, {name: value[name] for name in value if name != "handler"}


def stand_in_recipients(email: object) -> tuple[str, ...]:
    """Return the recipients of a handler that sends nothing, where only `email` may name them.

    Args:
        email: the option, of which nothing is built.
    """
    named = email.get("handler") if isinstance(email, Mapping) else None
    return () if named in {None, "smtp", "test"} else ("recipients@localhost",)


def build_policy(value: Policy | Mapping[str, Any] | None) -> Policy:
    """Return the given policy, or build one from a mapping of fields.

    Raises:
        ConfigError: a field is unknown or wrong.
    """
    if isinstance(value, Policy):
        return value
    given = options.section(
        "policy", {} if value is None else value, [field.name for field in fields(Policy)]
    )
    if "urgent_level" in given:
        given["urgent_level"] = levels.build_level("policy.urgent_level", given["urgent_level"])
    try:
        return Policy(**given)
    except ConfigError as error:
        text, found, _ = str(error).rpartition("str")
        name = text.partition(":")[0].removeprefix("policy.")
        if found and isinstance(given.get(name), str):
            got = options.got_for_boolean if "true or false" in text else options.got
            raise ConfigError(text + got(given[name])) from None
        raise


def build_store(value: object, scope: str) -> Store:
    """Return the store that the option `store` names.

    Args:
        value: `memory:`, or `sqlite:` and a path; or a callable that returns a store for a scope.
        scope: a text that differs between handlers whose events are kept apart.

    Raises:
        ConfigError: there is no such store, or it can't be used.
    """
    if callable(value):
        store = value(scope)
        if not isinstance(store, Store):
            options.fail(
                "store",
                f"expected a callable that returns a Store; it returned {options.kind(store)}",
            )
        return store
    place = store_file(value)
    if place is None:
        from tocsin.stores.memory import MemoryStore  # noqa: PLC0415 - loaded only if it is used

        return MemoryStore()
    path = options.file_path("store", place)
    if os.path.isdir(path):  # noqa: PTH112 - `Path.is_dir` may raise PermissionError
        options.fail("store", f"{str(path)!r} is a folder; expected the path of a file")
    try:
        from tocsin.stores.sqlite import SQLiteStore  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ConfigError(f"store: this Python can't use SQLite: {error}") from error

    return SQLiteStore(path, scope)


def store_file(value: object) -> str | None:
    """Return the file that a store's URL names; None for a store in memory.

    Raises:
        ConfigError: the value is no URL of a store.
    """
    try:
        return file_of(options.text("store", value), windows=os.name == "nt")
    except ConfigError:
        raise
    except ValueError as error:
        options.fail("store", str(error))


def build_audience(to: object, cc: object = (), bcc: object = ()) -> Callable[[], Audience]:
    """Return a callable that returns the current recipients of a digest.

    Raises:
        ConfigError: one of the lists can't be used, or `to` names no recipient.
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


class _LazyRedactor:
    """A redactor that is built at its first use, in the worker: its many patterns take time."""

    def __init__(self, patterns: tuple[str, ...], *, defaults: bool) -> None:
        self._patterns = patterns
        self._defaults = defaults

    @cached_property
    def _redactor(self) -> Redacts:
        from tocsin.redact.redactor import Redactor  # noqa: PLC0415 - loaded at the first use

        return Redactor(self._patterns, defaults=self._defaults)

    def text(self, text: str, /) -> str:
        return self._redactor.text(text)

    def field(self, name: str, value: str, /) -> str:
        return self._redactor.field(name, value)


def build_redactor(value: object) -> Redacts:
    """Return the redactor that the option `redact` asks for.

    Args:
        value: `True` for the built-in patterns; `False` for none; or patterns to use in addition to
            the built-in ones.

    Raises:
        ConfigError: a pattern isn't a regular expression.
    """
    if isinstance(value, bool):
        return _LazyRedactor((), defaults=value)
    patterns = options.texts("redact", value)
    for position, pattern in enumerate(patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            options.fail(f"redact[{position}]", f"expected a regular expression: {error}")
    return _LazyRedactor(patterns, defaults=True)


def build_fallback(value: object) -> Fallback:
    """Return the fallback, for alerts that can't be mailed: standard error, or a folder.

    Raises:
        ConfigError: there is no such folder, or it can't be written to.
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
    """Return the templates of mails: those of the folder, and built-in ones for the rest.

    Raises:
        ConfigError: there is no such folder, or one of its templates can't be used.
    """
    # An absolute path, because a daemon changes its working directory.
    return Templates(
        None if value is None else str(options.file_path("templates", value).absolute())
    )


def build_from_addr(value: str | Address | None, email: EmailHandler) -> Address:
    """Return the sender's address: the given one, else that of the email handler.

    Raises:
        ConfigError: there is none, or it isn't an address.
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
    """Return the application's name: that of the module that a server loads, or of the script."""
    try:
        folder = str(Path.cwd())
    except OSError:  # it was removed
        folder = ""
    known = [name for one in INTEGRATIONS if one.loaded and (name := one.app())]
    return app_name(Start(sys.argv, sys.orig_argv, os.environ, folder, known))


def _optional(key: str, value: str) -> str:
    return "" if value in ("", None) else short(options.text(key, value), 100)
