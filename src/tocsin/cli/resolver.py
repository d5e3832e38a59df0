"""The resolver: builds single handlers of a configuration, as `dictConfig` does."""

from __future__ import annotations

import logging.config
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from tocsin.exceptions import ConfigError
from tocsin.forks import logging_lock
from tocsin.switches import as_configured

if TYPE_CHECKING:
    from tocsin.handler import AlertHandler

_DEPTH = 50


class Resolver(logging.config.DictConfigurator):
    """Build single handlers of a configuration, as `dictConfig` does."""

    def handler_class(self, name: str) -> object:
        """Return the class of a handler, or the callable that makes it."""
        entry = self.config["handlers"][name]
        if not isinstance(entry, Mapping):
            raise ConfigError(f"expected a mapping, got {type(entry).__name__}")
        found = entry.get("()", entry.get("class"))
        return self.resolve(found) if isinstance(found, str) else found

    def build(self, name: str, changes: Mapping[str, object]) -> AlertHandler:
        """Build an alert handler with its filters; the formatter of an alert handler has no use.

        Args:
            name: the handler's name.
            changes: options that replace those of the configuration.
        """
        entry = self.config["handlers"][name]
        for key in changes:
            entry[key] = changes[key]
        entry.pop("formatter", None)
        for filter_name in entry.get("filters") or ():
            if isinstance(filter_name, str):
                filters = self.config["filters"]
                filters[filter_name] = self.configure_filter(filters[filter_name])
        self._import_modules(entry, set())
        self.handler_class(name)
        with as_configured(), logging_lock():  # as `dictConfig` does
            handler: Any = self.configure_handler(entry)
            handler.setLevel(handler.level)  # checks it together with the context
            handler.name = name
            return cast("AlertHandler", handler)

    def _import_modules(self, value: Any, seen: set[int]) -> None:
        """Import what an entry names: a module may build handlers, which are not to be live."""
        if isinstance(value, str):
            found = self.convert(value)
            if found is not value and isinstance(found, Mapping | list | tuple):
                self._import_modules(found, seen)
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            for inner in dict.values(value) if isinstance(value, dict) else value:
                self._import_modules(inner, seen)


def copy_of(value: Any) -> Any:
    """Return a copy of nested mappings and lists: building a handler changes its entry.

    What is in several places, as an alias of YAML, is copied once.

    Raises:
        ConfigError: it has too many levels, or contains itself.
    """
    copies: dict[int, Any] = {}

    def copied(value: Any, depth: int) -> Any:
        if not isinstance(value, Mapping) and type(value) not in {list, tuple}:
            return value
        if depth > _DEPTH:
            raise ConfigError(
                f"the configuration has more than {_DEPTH} levels, or contains itself"
            )
        if id(value) not in copies:
            copies[id(value)] = (
                {key: copied(value[key], depth + 1) for key in value}
                if isinstance(value, Mapping)
                else type(value)(copied(item, depth + 1) for item in value)
            )
        return copies[id(value)]

    return copied(value, 0)
