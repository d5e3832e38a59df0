"""The INI file of `logging.config.fileConfig`, as the mapping that `dictConfig` takes.

The `kwargs` of alert handlers are evaluated as `fileConfig` does it: as Python expressions. Those
of other handlers are left alone.
"""

from __future__ import annotations

import configparser
import logging
from typing import Any

from tocsin.exceptions import ConfigError


def read_ini(name: str, text: str) -> dict[str, Any]:
    """Return the configuration in a file's text.

    Args:
        name: the file's name, for errors.
        text: its text.

    Raises:
        ConfigError: it is no such file.
    """
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text)
        return _Reading(name, parser).config()
    except configparser.ParsingError as error:  # its text shows lines of the file
        line = getattr(error, "lineno", None) or error.errors[0][0]
        raise ConfigError(f"{name}:{line}: no valid INI file") from None
    except configparser.Error as error:
        raise ConfigError(f"{name}: no valid INI file: {_problem(error)}") from None


def _problem(error: configparser.Error) -> str:
    """Return what is wrong, without the values of keys."""
    if isinstance(error, configparser.NoSectionError):
        return f"the section [{error.section}] is missing"
    if isinstance(error, configparser.NoOptionError):
        return f"the section [{error.section}] has no {error.option!r}"
    names = [getattr(error, key, None) for key in ("section", "option")]
    where = " ".join(f"{one!r}" for one in names if one)
    return f"{type(error).__name__} at {where}" if where else type(error).__name__


class _Reading:
    def __init__(self, name: str, parser: configparser.ConfigParser) -> None:
        self._name = name
        self._parser = parser

    def config(self) -> dict[str, Any]:
        loggers = {
            self._parser.get(section, "qualname"): self._logger(section)
            for section in self._sections("logger")
            if section != "logger_root"
        }
        return {
            "version": 1,
            "disable_existing_loggers": False,  # an argument of `fileConfig`, not in the file
            "handlers": {
                section.removeprefix("handler_"): self._handler(section)
                for section in self._sections("handler")
            },
            "loggers": loggers,
            "root": self._logger("logger_root"),
        }

    def _sections(self, kind: str) -> list[str]:
        return [f"{kind}_{name}" for name in self._names(f"{kind}s", "keys")]

    def _names(self, section: str, key: str) -> list[str]:
        names = self._parser.get(section, key).split(",")
        return [name.strip() for name in names if name.strip()]

    def _handler(self, section: str) -> dict[str, Any]:
        given = self._parser[section]
        found: dict[str, Any] = {"class": self._class(given.get("class", ""))}
        if given.get("level"):
            found["level"] = given["level"]
        if "AlertHandler" in found["class"] or "tocsin" in found["class"]:
            found.update(self._keywords(section, given.get("kwargs", "{}")))
        return found

    @staticmethod
    def _class(name: str) -> str:
        """Return a class's full name: `fileConfig` looks into the module `logging` first."""
        if "." not in name and hasattr(logging, name):
            return f"logging.{name}"
        return f"logging.{name}" if name.startswith("handlers.") else name

    def _keywords(self, section: str, text: str) -> dict[str, Any]:
        try:
            # `fileConfig` evaluates the same text in the same way.
            found = eval(text, dict(vars(logging)))  # noqa: S307
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - any; its text may show a secret
            kind = type(error).__name__
            raise ConfigError(
                f"{self._name}: [{section}] kwargs is no expression: {kind}"
            ) from None
        if not isinstance(found, dict):
            kind = type(found).__name__
            raise ConfigError(f"{self._name}: [{section}] kwargs: expected a dict, got {kind}")
        return dict(found)

    def _logger(self, section: str) -> dict[str, Any]:
        given = self._parser[section]
        found: dict[str, Any] = {
            "handlers": self._names(section, "handlers"),
            "propagate": given.getint("propagate", 1) != 0,
        }
        if given.get("level"):
            found["level"] = given["level"]
        return found
