"""Findings about loggers: whose records don't reach an alert handler, by the configuration alone.

The loggers of known servers are left out where the handler's integrations attach it to them, and
those that are silent on purpose: see `tocsin.integrations.silent`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tocsin.cli.django_server import admin_handlers
from tocsin.cli.report import Finding
from tocsin.exceptions import ConfigError
from tocsin.integrations.known import build_integrations
from tocsin.integrations.silent import is_meant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.cli.configuration import AlertEntry, Configuration


def of_loggers(configuration: Configuration, entry: AlertEntry) -> Iterator[Finding]:
    """Return the findings about the loggers of a configuration, for one alert handler."""
    found = list(_problems(configuration, entry))
    yield from found
    if not found:
        yield Finding(status="ok", step="loggers", text="all reach the handler")
    yield from _admins(configuration)
    yield from _console(configuration)


def _admins(configuration: Configuration) -> Iterator[Finding]:
    """Yield a warning if Django mails errors, too."""
    names, stays = admin_handlers(configuration.data)
    for name in names or (["mail_admins"] if stays else []):
        yield Finding(
            status="WARN",
            step="loggers",
            text=f"the AdminEmailHandler {name!r} of Django sends as well",
            means="each error of a view is mailed to ADMINS once more, one mail for each",
            fix=f"remove {name!r} from the configuration"
            if names
            else "name django under loggers, without handlers: 'django': {'level': 'INFO'}",
        )


def _console(configuration: Configuration) -> Iterator[Finding]:
    """Yield a warning if the root logger has alert handlers alone."""
    data = configuration.data
    root = _mapping(data.get("root")) or _mapping(_mapping(data.get("loggers")).get(""))
    if root.get("handlers") and _names(root) <= _ends(configuration):
        yield Finding(
            status="WARN",
            step="console",
            text="the root logger has no other handler",
            means="the program's log is on no console: without any handler, Python would write "
            "warnings there",
            fix="add a handler with the class logging.StreamHandler to the handlers of root",
            line=configuration.line("root", "handlers"),
        )


def _problems(configuration: Configuration, entry: AlertEntry) -> Iterator[Finding]:
    data = configuration.data
    carriers = _carriers(data, entry.name)
    loggers: dict[str, Mapping[str, Any]] = {
        str(name): value
        for name, value in _mapping(data.get("loggers")).items()
        if isinstance(value, Mapping)
    }
    root = _mapping(data.get("root")) or loggers.pop("", {})
    having = {name for name, value in loggers.items() if carriers & _names(value)}
    at_root = bool(carriers & _names(root))
    if not having and not at_root:
        yield Finding(
            status="FAIL",
            step="loggers",
            text=f"no logger has the handler {entry.name!r}",
            means="no record reaches it",
            fix=f"add {entry.name!r} to the handlers of root",
            line=configuration.line("root"),
        )
        return
    integrated = _integrated(entry)
    ends = _ends(configuration)
    for name, value in loggers.items():
        meant = is_meant(name) or name.partition(".")[0] in integrated or ends & _names(value)
        if not meant and not _reaches(name, loggers, having, at_root=at_root):
            yield _cut_off(configuration, entry, name)
        elif _silent(value):
            yield _too_high(configuration, name, ("loggers", name, "level"))
    if at_root and _silent(root):
        yield _too_high(configuration, "root", ("root", "level"))
    if data.get("disable_existing_loggers", True):
        yield Finding(
            status="WARN",
            step="loggers",
            text="disable_existing_loggers is not false",
            means="loggers that exist before logging is set up are turned off, with their errors",
            fix="set disable_existing_loggers: false",
            line=configuration.line("disable_existing_loggers"),
        )


def _integrated(entry: AlertEntry) -> set[str]:
    """Return the root packages of the servers to whose loggers the integrations add the handler."""
    value = entry.options.get("integrations", True)
    try:
        found = build_integrations(value)
    except ConfigError:  # told with the keys
        return set()
    names = {name for one in found for name in (one.name, *one.loggers)}
    return {name.partition(".")[0] for name in names} | ({"celery"} if value is True else set())


def _ends(configuration: Configuration) -> set[str]:
    """Return the handlers of loggers that are cut off on purpose.

    They are alert handlers, of which one is enough, and each `logging.NullHandler`.
    """
    nothing = {
        str(name)
        for name, value in _mapping(configuration.data.get("handlers")).items()
        if _mapping(value).get("class") in {"logging.NullHandler", logging.NullHandler}
    }
    alerts = (_carriers(configuration.data, name) for name in configuration.names)
    return nothing.union(*alerts)


def _carriers(data: Mapping[str, Any], name: str) -> set[str]:
    """Return the handlers that lead to a handler: itself, and those that pass records on to it."""
    found = {name}
    handlers = _mapping(data.get("handlers"))
    while True:
        more = {
            str(one)
            for one, value in handlers.items()
            if isinstance(value, Mapping)
            and found & ({str(value.get("target"))} | _names(value))
            and one not in found
        }
        if not more:
            return found
        found |= more


def _names(value: Mapping[str, Any]) -> set[str]:
    """Return the handlers that a logger, or a handler with a queue, names."""
    found = value.get("handlers")
    if isinstance(found, str) or not isinstance(found, Iterable):
        return {str(found)}
    return {str(one).removeprefix("cfg://handlers.") for one in found}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _reaches(
    name: str, loggers: Mapping[str, Mapping[str, Any]], having: set[str], *, at_root: bool
) -> bool:
    """Return whether the records of a logger come to a logger with the handler."""
    while name:
        if name in having:
            return True
        if not loggers.get(name, {}).get("propagate", True):
            return False
        name = name.rpartition(".")[0]
    return at_root


def _silent(value: Mapping[str, Any]) -> bool:
    """Return whether a logger's level leaves out errors."""
    level = value.get("level")
    if isinstance(level, str):
        level = logging.getLevelNamesMapping().get(level)
    return isinstance(level, int) and level > logging.ERROR


def _cut_off(configuration: Configuration, entry: AlertEntry, name: str) -> Finding:
    handler = repr(entry.name)
    return Finding(
        status="WARN",
        step="loggers",
        text=f"{name} does not reach the handler",
        means=f"its errors are not mailed, nor those of loggers below it: no way to {handler}",
        fix=f"add {handler} to its handlers, or set propagate: true",
        line=configuration.line("loggers", name, "propagate"),
    )


def _too_high(configuration: Configuration, name: str, path: tuple[str, ...]) -> Finding:
    return Finding(
        status="WARN",
        step="loggers",
        text=f"{name} has a level above ERROR",
        means="it creates no records for errors",
        fix="set its level to ERROR or lower",
        line=configuration.line(*path),
    )
