"""Waiting for something that happens in its own time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_for(condition: Callable[[], object], *, seconds: float = 30) -> None:
    """Wait until it holds. What passes the time is an event that never comes."""
    until, never = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < until, "it never came"
        never.wait(0.01)
