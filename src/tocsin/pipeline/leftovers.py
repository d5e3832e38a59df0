"""The leftovers: the memory stores of closed handlers, for the next handler of the same name.

After a new `dictConfig`, a handler continues with the store of the handler before it. So it knows
which groups were told, and how many mails may still be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.forks import on_fork

if TYPE_CHECKING:
    from tocsin.stores.base import Store

_MAX = 20  # stores; if there are more, the oldest are forgotten
_left: list[tuple[object, Store]] = []
_generation = 0


def generation() -> int:
    """Return how often `forget_alerts` was called."""
    return _generation


def leave(place: object, store: Store, since: int) -> None:
    """Keep a store for the next handler at the same place.

    Args:
        place: a value that is equal for two handlers that share events.
        store: the store of the closed handler.
        since: the generation in which the handler was built; if `forget_alerts` was called after
            that, the store is not kept.
    """
    if since == _generation:
        _left.append((place, store))
        del _left[:-_MAX]


def take(place: object) -> Store | None:
    """Remove and return the store that was kept for a place; None if there is none."""
    for index, (left, store) in enumerate(_left):
        if left == place:
            del _left[index]
            return store
    return None


def forget_alerts() -> None:
    """Forget the alerts of earlier handlers: each handler built from now on starts from nothing.

    This is for tests. In a program, it would mail groups again that were already told.
    """
    global _generation  # noqa: PLW0603 - a counter
    _generation += 1
    _left.clear()


on_fork(_left.clear)
