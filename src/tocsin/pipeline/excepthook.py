"""Uncaught exceptions, as records: of the program, of its threads, and of a notebook's cells."""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from tocsin.pipeline.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_LOGGER = "uncaught"


class ExceptHook:
    """Pass uncaught exceptions to a handler, then call the earlier hooks.

    The hooks are `sys.excepthook` and `threading.excepthook`. They have only a weak reference to
    the handler, because a hook may exist longer than its handler. IPython tells of each cell.

    Args:
        handle: the method of the handler that takes a record.
    """

    def __init__(self, handle: Callable[[logging.LogRecord], object]) -> None:
        self._handle = weakref.WeakMethod(handle)
        self._installed: set[str] = set()
        self._cells = Cells(self._in_cell)
        self.start()

    def start(self) -> None:
        """Install the hooks. After `stop`, this installs them again."""
        self._on = True
        if "program" not in self._installed:
            self._earlier_in_program = sys.excepthook
            sys.excepthook = self._in_program
        if "thread" not in self._installed:
            self._earlier_in_thread = threading.excepthook
            threading.excepthook = self._in_thread
        self._installed = {"program", "thread"}
        self._cells.start()

    def stop(self) -> None:
        """Restore the earlier hooks.

        If another hook was installed since, it stays: it may call this one, which then passes
        nothing to the handler.
        """
        self._on = False
        self._cells.stop()
        if sys.excepthook == self._in_program:
            sys.excepthook = self._earlier_in_program
            self._installed.discard("program")
        if threading.excepthook == self._in_thread:
            threading.excepthook = self._earlier_in_thread
            self._installed.discard("thread")

    def _in_program(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        self._log("Uncaught exception", kind, error, trace)
        self._earlier_in_program(kind, error, trace)

    def _in_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            name = args.thread.name if args.thread is not None else "a thread"
            self._log(
                f"Uncaught exception in {name}", args.exc_type, args.exc_value, args.exc_traceback
            )
        self._earlier_in_thread(args)

    def _in_cell(self, error: BaseException) -> None:
        self._log("Uncaught exception in a cell", type(error), error, error.__traceback__)

    def _log(
        self,
        message: str,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        handle = self._handle()
        if handle is None or not self._on or not issubclass(kind, Exception):
            return  # KeyboardInterrupt and SystemExit end a program on purpose
        code = None if trace is None else trace.tb_frame.f_code
        record = logging.LogRecord(
            _LOGGER,
            logging.CRITICAL,
            code.co_filename if code else "",
            trace.tb_lineno if trace else 0,
            message,
            (),
            (kind, error, trace),
            code.co_name if code else None,
        )
        handle(record)
