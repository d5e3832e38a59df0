"""A logging configuration: its alert handlers, built without side effects.

Of the handlers, only alert handlers are built: no log file is opened. They have their store in
memory, and watch no uncaught exceptions. The loggers are left as they are.
"""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tocsin.cli.output import UsageError
from tocsin.cli.resolver import Resolver, copy_of
from tocsin.cli.sources import described, read_source
from tocsin.exceptions import ConfigError
from tocsin.handler import AlertHandler
from tocsin.hints import LEVELS
from tocsin.mail.outbox import TestEmailHandler

if TYPE_CHECKING:
    import argparse

    from tocsin.cli.sources import Source
    from tocsin.pipeline.assembly import Parts

_KEY = re.compile(r"([A-Za-z_]\w*(?:\.\w+|\[\d+\])*): ")
# Options that would have an effect on this process, or on others.
_HARMLESS: dict[str, object] = {"store": "memory:", "uncaught": False, "integrations": False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a configuration, and one of its alert handlers."""
    parser.add_argument(
        "config",
        metavar="CONFIG",
        help="a TOML, JSON, YAML or INI file with a logging configuration, or module:NAME",
    )
    parser.add_argument(
        "--django",
        action="store_true",
        help="CONFIG is the module of Django's settings, such as shop.settings",
    )
    parser.add_argument("--handler", metavar="NAME", help="only this handler of the configuration")


def repeated(args: argparse.Namespace) -> str:
    """Return the arguments of `add_arguments` as a shell takes them, for another command."""
    words = ["--django"] if args.django else []
    words.append(args.config)
    return shlex.join([*words, "--handler", args.handler] if args.handler else words)


def read_configuration(args: argparse.Namespace) -> Configuration:
    """Read the configuration that the arguments of `add_arguments` name.

    Raises:
        UsageError: there is no such file, module or handler.
        ConfigError: it is no logging configuration, or has no alert handler.
    """
    return Configuration(read_source(args.config, django=args.django), only=args.handler)


class EntryError(ConfigError):
    """An option of an alert handler is wrong.

    Args:
        place: the file and the line.
        handler: the handler's name.
        problem: what is wrong; it begins with the key.
        line: the line of the key; None if it is unknown.

    Attributes:
        problem: as the argument.
        line: as the argument.
    """

    def __init__(self, place: str, handler: str, problem: str, line: int | None) -> None:
        super().__init__(f"{place}, handler {handler}: {problem}")
        self.problem: str = problem
        self.line: int | None = line


class Configuration:
    """A logging configuration with at least one alert handler.

    Args:
        source: the configuration.
        only: the name of the one handler to look at; None for all.

    Attributes:
        label: its name, as the user has written it.
        data: its mapping.
        alerts: the entries of its alert handlers; of the one that is looked at alone.
        names: the names of all its alert handlers.
        unknown: name of a handler → why its class can't be loaded.

    Raises:
        UsageError: there is no handler of the name `only`.
        ConfigError: it is no logging configuration, or has no alert handler.
    """

    def __init__(self, source: Source, *, only: str | None = None) -> None:
        self.label: str = source.label
        try:
            self.data: Mapping[str, Any] = copy_of(source.data)
        except Exception as error:  # a mapping of the user's may raise anything
            raise ConfigError(f"{self.label}: {described(error)}") from error
        self._lines = source.lines
        self.unknown: dict[str, str] = {}
        if self.data.get("version") != 1:
            given = "expected 1" if "version" in self.data else "missing"
            raise ConfigError(
                f"{self.place('version')}: version: {given}; dictConfig needs version: 1"
            )
        handlers = self.data.get("handlers")
        if not isinstance(handlers, Mapping):
            raise ConfigError(f"{self.place('handlers')}: handlers: expected a mapping")
        for name in handlers:
            if not isinstance(name, str):
                kind = type(name).__name__
                raise ConfigError(f"{self.label}: handlers: expected text as a name, got {kind}")
        found = [name for name in handlers if self._is_alert_handler(name)]
        if only is not None and only not in found:
            known = ", ".join(map(str, found)) or "none"
            raise UsageError(f"{self.label} has no alert handler {only!r}; it has: {known}")
        if not found:
            reason = "".join(f"; {name}: {text}" for name, text in self.unknown.items())
            raise ConfigError(f"{self.label}: no handler has the class tocsin.AlertHandler{reason}")
        self.names: frozenset[str] = frozenset(found)
        self.alerts: list[AlertEntry] = [
            AlertEntry(self, name) for name in found if only in {None, name}
        ]

    def line(self, *path: str) -> int | None:
        """Return the line of a key, or of the nearest mapping around it; None if it is unknown."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None

    def place(self, *path: str) -> str:
        """Return the file and the line of a key, as `shop.toml:12`."""
        line = self.line(*path)
        return self.label if line is None else f"{self.label}:{line}"

    def resolver(self) -> Resolver:
        """Return what builds this configuration's parts, on a copy of it."""
        return Resolver(copy_of(self.data))

    def _is_alert_handler(self, name: str) -> bool:
        try:
            found = self.resolver().handler_class(name)
        except Exception as error:  # noqa: BLE001 - importing a module may raise anything
            cause = error.__cause__ or error
            self.unknown[name] = described(cause)
            return False
        return isinstance(found, type) and issubclass(found, AlertHandler)


class AlertEntry:
    """The entry of an alert handler in a configuration.

    Args:
        configuration: the configuration.
        name: the handler's name.

    Attributes:
        name: the same.
    """

    def __init__(self, configuration: Configuration, name: str) -> None:
        self.name: str = name
        self._configuration = configuration

    @property
    def options(self) -> Mapping[str, Any]:
        """The options as they are written; `ext://` and `cfg://` are resolved as they are read."""
        found: Mapping[str, Any] = self._configuration.resolver().config["handlers"][self.name]
        return found

    def written(self, *keys: str) -> object:
        """Return the value of a key as it is written; None if it is missing."""
        found: Any = self._configuration.data["handlers"][self.name]
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    @property
    def store(self) -> object:
        """The option `store`, which `build` replaces by the memory."""
        return self.options.get("store", "memory:")

    def build(self, **changes: object) -> AlertHandler:
        """Build the handler, with its store in memory.

        Args:
            **changes: options that replace those of the configuration.

        Raises:
            EntryError: an option is wrong.
        """
        resolver = self._configuration.resolver()
        known = {**_HARMLESS, **changes}
        try:
            return resolver.build(
                self.name, {key: known[key] for key in known if key in LEVELS[""]}
            )
        except Exception as error:
            problem = self._problem(error)
            found = _KEY.match(problem)
            keys = () if found is None else re.sub(r"\[\d+\]", "", found[1]).split(".")
            path = ("handlers", self.name, *keys)
            place, line = self._configuration.place(*path), self._configuration.line(*path)
            raise EntryError(place, self.name, problem, line) from error

    def build_without_email(self) -> AlertHandler:
        """Build the handler without the option `email`: its secrets may be missing here.

        Raises:
            EntryError: another option is wrong.
        """
        email = TestEmailHandler(default_from="nobody@localhost")
        # Without `to`, `email` names the recipients, such as ADMINS of Django.
        other = {} if self.options.get("to") else {"to": "nobody@localhost"}
        return self.build(email=email, **other)

    def line(self, *keys: str) -> int | None:
        """Return the line of one of the handler's keys; None if it is unknown."""
        return self._configuration.line("handlers", self.name, *keys)

    @staticmethod
    def _problem(error: BaseException) -> str:
        """Return the problem of an option, in one line and without secrets."""
        found: BaseException | None = error
        while found is not None:
            if isinstance(found, ConfigError):
                return str(found)
            found = found.__cause__
        if isinstance(error, ValueError) and str(error).startswith("Unknown level: "):
            name = str(error).partition(": ")[2]  # of `dictConfig`
            known = [one for one in logging.getLevelNamesMapping() if one in name.upper()]
            return f"level: unknown level {name}; write {(known or ['ERROR'])[0]}"
        return f"it can't be built: {described(error.__cause__ or error)}"


def parts_of(handler: AlertHandler) -> Parts:
    """Return what the options of a handler have made."""
    return handler._engine.parts  # noqa: SLF001 - the command shows what users can't see elsewhere
