"""A scheduler that fails."""

from __future__ import annotations

from typing import Never

from celery.beat import Scheduler


class Broken(Scheduler):  # type: ignore[misc]
    """Fails at once."""

    def tick(self, *_: object, **__: object) -> Never:
        raise KeyError("no schedule")
