"""Uncaught exceptions in the cells of a notebook: IPython calls no hook of Python for them."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_EVENT = "post_run_cell"


class Cells:
    """Pass the exceptions of cells to a function.

    Args:
        failed: takes the exception that has ended a cell.
    """

    def __init__(self, failed: Callable[[BaseException], object]) -> None:
        self._failed = failed
        self._events: Any = None

    def start(self) -> None:
        """Have IPython tell of each cell, if this program runs in it."""
        if self._events is None and (shell := _shell()) is not None:
            shell.events.register(_EVENT, self._after_cell)
            self._events = shell.events

    def stop(self) -> None:
        """Have IPython tell of no further cell."""
        events, self._events = self._events, None
        if events is not None:
            with contextlib.suppress(ValueError):  # it was removed
                events.unregister(_EVENT, self._after_cell)

    def _after_cell(self, result: Any) -> None:
        error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
        if isinstance(error, BaseException):
            self._failed(error)


def _shell() -> Any:
    """Return the shell in which this program runs; None outside of IPython."""
    module = sys.modules.get("IPython.core.interactiveshell")
    shells = getattr(module, "InteractiveShell", None)
    return shells.instance() if shells is not None and shells.initialized() else None
