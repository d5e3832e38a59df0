"""The configuration: from the options of a handler to its parts."""

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
    from collections.abc import Callable
    from email.headerregistry import Address

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
    app_packages: object,
    fallback: object,
    give_up_after: object,
    exit_timeout: object,
    in_memory: bool,
) -> Parts:
    """Return the parts of a handler, made from the options of the same names.

    `audience` has the options `to`, `cc` and `bcc`; `in_memory` says whether the store is in
    memory.

    Raises:
        ConfigError: an option is missing or wrong.
    """
    mails = build_email(email)
    return Parts(
        email=mails,
        sender=Sender(
            app=short(script_name() if app is None else options.text("app", app), 100),
            environment=_optional("environment", environment),
            from_addr=build_from_addr(from_addr, mails),
            reply_to=build_addresses("reply_to", reply_to),
            policy=build_policy(policy),
            footnote="Counts are those of one process." if in_memory else "",
        ),
        audience=build_audience(*audience),
        templates=build_templates(templates),
        redactor=build_redactor(redact),
        version=_optional("version", version),
        context=context,
        own=OwnCode(options.texts("app_packages", app_packages)),
        fallback=build_fallback(fallback),
        give_up_after=options.seconds("give_up_after", give_up_after),
        exit_timeout=options.seconds("exit_timeout", exit_timeout),
    )


def build_email(value: object) -> EmailHandler:
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
        given["urgent_level"] = levels.build_level("policy.urgent_level", given["urgent_level"])
    try:
        return Policy(**given)
    except ConfigError as error:
        text, kind, _ = str(error).rpartition("str")
        name = text.partition(":")[0].removeprefix("policy.")
        if kind and isinstance(given.get(name), str):
            got = options.got_for_boolean if "true or false" in text else options.got
            raise ConfigError(text + got(given[name])) from None
        raise


def build_store(value: object, scope: str) -> Store:
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


def build_from_addr(value: str | Address | None, email: EmailHandler) -> Address:
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


def _optional(key: str, value: str) -> str:
    return "" if value in ("", None) else short(options.text(key, value), 100)
