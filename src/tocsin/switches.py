"""The switches: whether the alert handlers of a process send, collect, or do nothing.

- `TOCSIN_ENABLED=0` in the environment: they do nothing, as with `enabled: false`.
- `TOCSIN_ENABLED=1`: they do as configured, also while pytest runs.
- Not set: they do as configured; while pytest runs, they collect mails instead of sending them.

While the command `tocsin` runs, handlers that a module of the user's builds do nothing.
"""

from __future__ import annotations

import contextlib
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from tocsin.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tocsin.mail.base import EmailHandler
    from tocsin.pipeline.assembly import Parts
    from tocsin.pipeline.engine import Engine

VARIABLE = "TOCSIN_ENABLED"
_SHOWN = 10  # characters of a wrong value that an error shows


class Collects(Protocol):
    """The interface of a collector: what an alert handler consists of while it sends nothing."""

    def email(self, value: object, /) -> EmailHandler:
        """Return the email handler that keeps the mails, for the option `email`.

        Raises:
            ConfigError: the option is wrong; secrets may be missing.
        """
        ...

    def engine(self, parts: Parts, store: object, /) -> Engine:
        """Return the engine of a handler; it doesn't open the store that the option names.

        Raises:
            ConfigError: the option `store` is wrong.
        """
        ...


_make: Callable[[], Collects] | None = None
_off = False
# Whether the next handler that this thread builds does as configured, whatever else holds.
_exempt: ContextVar[bool] = ContextVar("tocsin_exempt", default=False)


def collect_with(make: Callable[[], Collects] | None) -> Callable[[], Collects] | None:
    """Let the handlers that are built from now on collect; None: let them do as configured.

    Args:
        make: returns the collector, called for each handler.

    Returns:
        The argument of the call before.
    """
    global _make
    earlier, _make = _make, make
    return earlier


@contextlib.contextmanager
def turned_off() -> Generator[None]:
    """Let the handlers that are built in the block do nothing, also after it."""
    earlier = _turn_off(True)
    try:
        yield
    finally:
        _turn_off(earlier)


def _turn_off(value: bool, /) -> bool:
    global _off
    earlier, _off = _off, value
    return earlier


@contextlib.contextmanager
def as_configured() -> Generator[None]:
    """Let the first handler that this thread builds in the block do as configured.

    Only the first one: its constructor may import a module that builds others.
    """
    token = _exempt.set(True)
    try:
        yield
    finally:
        _exempt.reset(token)


def read(*, enabled: bool) -> tuple[bool, Collects | None]:
    """Return whether a handler takes records, and its collector if it collects.

    Args:
        enabled: the handler's option of that name.

    Raises:
        ConfigError: the environment variable has another value than 0 or 1.
    """
    if _exempt.get():
        _exempt.set(False)
        return enabled, None
    if _off:
        return False, None
    value = os.environ.get(VARIABLE, "").strip()
    if value not in {"", "0", "1"}:
        got = repr(value) if len(value) <= _SHOWN else "a longer text"
        raise ConfigError(f"{VARIABLE}: expected 0 or 1 in the environment variable, got {got}")
    make = None if value == "1" else _make
    enabled = enabled and (value != "0" or make is not None)
    return enabled, make() if enabled and make is not None else None
