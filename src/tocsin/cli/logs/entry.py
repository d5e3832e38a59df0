"""An entry of a log: the facts that one line states about a record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_FIELDS: Mapping[str, Any] = {}
_NAMES = {
    "TRACE": 5,
    "NOTICE": 25,
    "SUCCESS": 25,
    "ERR": logging.ERROR,
    "EXCEPTION": logging.ERROR,
    "CRIT": logging.CRITICAL,
    "ALERT": logging.CRITICAL,
    "EMERG": logging.CRITICAL,
    "EMERGENCY": logging.CRITICAL,
    "PANIC": logging.CRITICAL,
}
_MAX_DIGITS = 4  # of a level's number


class Entry(NamedTuple):
    """The start of a record in a log.

    Attributes:
        level: the level's number.
        time: the time as it is written; None if the line has none.
        logger: the logger's name; "" if the line has none.
        message: the text.
        fields: further attributes of the record, such as `exc_text`.
        whole: whether the entry is complete: no further line belongs to it.
    """

    level: int
    time: object
    logger: str
    message: str
    fields: Mapping[str, Any] = _NO_FIELDS
    whole: bool = False


def level_names() -> dict[str, int]:
    """Return the names of levels in capitals, those of this process's logging included."""
    return {**_NAMES, **{name.upper(): no for name, no in logging.getLevelNamesMapping().items()}}


def level_of(value: object, names: Mapping[str, int]) -> int | None:
    """Return a level's number, from its name or its number; None if it is no level.

    Args:
        value: such as "error", "ERROR", 40, "40", or "Level 35".
        names: `level_names()`.
    """
    if isinstance(value, str):
        known = names.get(value.strip().upper())
        digits = value.strip().removeprefix("Level ")
        return (
            int(digits)
            if known is None and digits.isdecimal() and len(digits) <= _MAX_DIGITS
            else known
        )
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value < 10**_MAX_DIGITS
    ):
        return int(value)
    return None
