"""Leftovers: the memory stores of named handlers that were closed.

The next handler of the same name, as after another `dictConfig`, goes on with such a store: it
knows which groups were told, and how many mails may still be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.forks import on_fork

if TYPE_CHECKING:
    from tocsin.stores.base import Store

_MAX = 20  # the oldest are forgotten
_left: list[tuple[object, Store]] = []
_generation = 0


def generation() -> int:
    """Return a number that grows with each `forget_alerts`."""
    return _generation


def leave(place: object, store: Store, since: int) -> None:
    """Keep a store for the next handler at the same place.

    Args:
        place: equal for two handlers that share events.
        store: the store.
        since: the generation in which its handler was built; an earlier one is ignored.
    """
    if since == _generation:
        _left.append((place, store))
        del _left[:-_MAX]


def take(place: object) -> Store | None:
    """Return the store that was left at a place, once; None if there is none."""
    for index, (left, store) in enumerate(_left):
        if left == place:
            del _left[index]
            return store
    return None


def forget_alerts() -> None:
    """Let each handler that is built from now on begin anew, whatever handlers there were before.

    For tests. In a program, a new configuration must not mail again what was told.
    """
    global _generation  # noqa: PLW0603 - it grows
    _generation += 1
    _left.clear()


on_fork(_left.clear)
