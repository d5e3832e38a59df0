"""What earlier versions have written, as the next one reads it: one step for each version.

A step changes the data of a `State` or a `Batch` in place: JSON, before anything is built of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def _from_1(kind: str, data: dict[str, Any]) -> None:
    """A digest's date was the store's time, too; and nobody knew which groups are echoes."""
    if kind == "State":
        for known in data.get("groups", {}).values():
            known["apart"] = True
        for outgoing in data.get("outgoing", {}).values():
            outgoing["at"] = outgoing["digest"]["date"]


STEPS: tuple[Callable[[str, dict[str, Any]], None], ...] = (_from_1,)
"""The first one reads version 1, the second one version 2, and so on."""
