"""The levels: which records are alerts, and which are kept as context."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING

from tocsin import options
from tocsin.pipeline.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_CONTEXT = 1000


def build_context(
    size: object, key: object, owner_of: Callable[[logging.LogRecord], object]
) -> Context | None:
    """Return the buffer for the records before an error; None if its size is 0.

    Raises:
        ConfigError: `size` isn't a number of records, or `key` isn't a context variable.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= _MAX_CONTEXT:
        got = options.got(size) if isinstance(size, bool) or not isinstance(size, int) else size
        options.fail("context", f"expected a number of records from 0 to {_MAX_CONTEXT}, got {got}")
    if key is not None and not isinstance(key, ContextVar):
        hint = "; in a configuration, write ext://module.NAME" if isinstance(key, str) else ""
        options.fail("context_key", f"expected a ContextVar, got {options.kind(key)}{hint}")
    if key is not None and not size:
        options.fail("context_key", "has no effect without context, the number of records to keep")
    return Context(size, key, owner_of) if size else None


def build_alert_level(value: object, context: Context | None) -> int:
    """Return the lowest level of an alert.

    Raises:
        ConfigError: there is no such level, or the handler keeps no context.
    """
    level = build_level("alert_level", value)
    if level != logging.ERROR and context is None:
        options.fail("alert_level", "has no effect without context; set level instead")
    return level


def check_level(level: int, alert_level: int, context: Context | None) -> None:
    """Check that records for the context pass the handler's level.

    Raises:
        ConfigError: the handler keeps context, but ignores all records below `alert_level`.
    """
    if context is not None and level >= alert_level:
        low, high = logging.getLevelName(level), logging.getLevelName(alert_level)
        options.fail(
            "context",
            f"no record below alert_level ({high}) passes level ({low}); "
            "set level to DEBUG or INFO",
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
