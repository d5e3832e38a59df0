"""Upgrades: steps from the data of each earlier version to the data of the next version.

A step changes the JSON data of a `State` or a `Batch` in place, before `codec` reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def _from_1(kind: str, data: dict[str, Any]) -> None:
    """Add the fields `apart` and `at`, which version 1 does not have.

    In version 1 a digest's date was the store's time. Whether groups were echoes was not noted.
    """
    if kind == "State":
        for history in data.get("groups", {}).values():
            history["apart"] = True
        for outgoing in data.get("outgoing", {}).values():
            outgoing["at"] = outgoing["digest"]["date"]


STEPS: tuple[Callable[[str, dict[str, Any]], None], ...] = (_from_1,)
"""The first step upgrades version 1, the second one version 2, and so on."""
