"""Loggers: those that exist, and those that are the application's own."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from tocsin.events.frames import is_library

if TYPE_CHECKING:
    from collections.abc import Iterator


def find(name: str) -> logging.Logger | None:
    """Return the logger of a name if it exists."""
    found = logging.root.manager.loggerDict.get(name)
    return found if isinstance(found, logging.Logger) else None


def existing() -> Iterator[logging.Logger]:
    """Yield the existing loggers, without the root logger."""
    for one in list(logging.root.manager.loggerDict.values()):
        if isinstance(one, logging.Logger):
            yield one


def is_own(logger: logging.Logger) -> bool:
    """Return whether a logger is the application's, and not meant to be cut off.

    A logger that is cut off on purpose has a `logging.NullHandler`, or writes the access log.
    """
    root, _, last = logger.name.partition(".")
    module = sys.modules.get(root)
    path = getattr(module, "__file__", None) or ""
    library = module is not None and (not path or is_library(path))
    meant = any(isinstance(one, logging.NullHandler) for one in logger.handlers)
    return not (library or meant or root == "tocsin" or (last or root).endswith("access"))
