"""Levels: which records are alerts, and which are kept as their context."""

from __future__ import annotations

import logging
from contextvars import ContextVar

from tocsin import options
from tocsin.pipeline.context import Context

_MAX_CONTEXT = 1000


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
