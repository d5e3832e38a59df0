"""Silent loggers: loggers of the application whose errors do not reach an alert handler.

A logger is cut off if it does not propagate, or it was disabled by a configuration. Loggers of
libraries, and loggers that are meant to be silent, don't count.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, NamedTuple

from tocsin.events.frames import is_library

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 3  # names in a text
_NOT_OWN = frozenset({"tocsin", "py"})  # "py.warnings" is the logger of the standard library


class Silent(NamedTuple):
    """The names of silent loggers.

    Attributes:
        cut_off: loggers with `propagate` False, with no alert handler.
        disabled: loggers that are disabled.
    """

    cut_off: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()

    def without(self, known: set[str]) -> Silent:
        """Return the loggers that are not known yet."""
        return Silent(*(tuple(one for one in names if one not in known) for names in self))

    def texts(self) -> Iterator[str]:
        """Yield a sentence for the loggers that are cut off, and one for the disabled ones."""
        if self.cut_off:
            yield (
                f"errors of {_named(self.cut_off)} don't reach the alert handler, because "
                "propagate is False: add the handler to such a logger, or a logging.NullHandler "
                "if that is meant"
            )
        if self.disabled:
            yield (
                f"errors of {_named(self.disabled)} are not logged, because a configuration has "
                "disabled such loggers: set disable_existing_loggers to false in it"
            )


def find(handler: logging.Handler) -> Silent:
    """Return the silent loggers whose errors a handler would get otherwise.

    Args:
        handler: an alert handler.
    """
    cut_off: list[str] = []
    disabled: list[str] = []
    for logger in loggers():
        if not _is_own(logger) or logger.getEffectiveLevel() > logging.CRITICAL:
            continue
        if logger.disabled:
            if _is_below(logger, handler):
                disabled.append(logger.name)
        elif not logger.propagate and _is_below(logger, handler) and not _reaches(logger, handler):
            cut_off.append(logger.name)
    return Silent(tuple(cut_off), tuple(disabled))


def loggers() -> Iterator[logging.Logger]:
    """Yield the existing loggers, without the root logger."""
    for one in list(logging.root.manager.loggerDict.values()):
        if isinstance(one, logging.Logger):
            yield one


def _is_below(logger: logging.Logger, handler: logging.Handler) -> bool:
    """Return whether a handler would get a logger's records, if that logger propagated."""
    found: logging.Logger | None = logger
    while found is not None:
        if handler in found.handlers:
            return True
        if found is not logger and not found.propagate:
            return False
        found = found.parent
    return False


def _reaches(logger: logging.Logger, handler: logging.Handler) -> bool:
    """Return whether a logger that does not propagate has an alert handler, this or another one."""
    return any(type(one) is type(handler) for one in logger.handlers)


def _is_own(logger: logging.Logger) -> bool:
    """Return whether a logger is the application's, and not meant to be silent.

    A logger that is cut off on purpose has a `logging.NullHandler`, or writes the access log.
    """
    root = logger.name.partition(".")[0]
    nothing = any(isinstance(one, logging.NullHandler) for one in logger.handlers)
    return not (nothing or is_meant(logger.name) or _is_of_library(root))


def is_meant(name: str) -> bool:
    """Return whether a logger's name says that its errors need not reach an alert handler."""
    root, _, last = name.partition(".")
    return (last or root).endswith("access") or root in _NOT_OWN


def _is_of_library(root: str) -> bool:
    """Return whether a logger's first name is that of a library."""
    module = sys.modules.get(root) or sys.modules.get(root.lower())
    if module is None:  # classes of traitlets, on which Jupyter is built, have loggers
        return root[:1].isupper() and "traitlets" in sys.modules
    path = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")
    return is_library(path) if path else root != "__main__"


def _named(names: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"the logger {shown}" if len(names) == 1 else f"the loggers {shown}{more}"
