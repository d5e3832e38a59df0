"""What nobody catches: it reaches a handler before the program, or the thread, ends of it."""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_LOGGER = "uncaught"


class ExceptHook:
    """Hand what reaches `sys.excepthook` and `threading.excepthook` to a handler, then go on.

    What was there before is still called. The handler is held weakly: hooks outlive what set them.

    Args:
        handle: takes a record.
    """

    def __init__(self, handle: Callable[[logging.LogRecord], object]) -> None:
        self._handle = weakref.WeakMethod(handle)
        self._program = sys.excepthook
        self._thread = threading.excepthook
        self._on = True
        sys.excepthook = self._in_program
        threading.excepthook = self._in_thread

    def stop(self) -> None:
        """Take the hooks back; where somebody has set others since, only do nothing any more."""
        self._on = False
        if sys.excepthook == self._in_program:
            sys.excepthook = self._program
        if threading.excepthook == self._in_thread:
            threading.excepthook = self._thread

    def _in_program(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        self._log("Uncaught exception", kind, error, trace)
        self._program(kind, error, trace)

    def _in_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            name = args.thread.name if args.thread is not None else "a thread"
            self._log(
                f"Uncaught exception in {name}", args.exc_type, args.exc_value, args.exc_traceback
            )
        self._thread(args)

    def _log(
        self,
        message: str,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        handle = self._handle()
        if handle is None or not self._on or not issubclass(kind, Exception):
            return  # KeyboardInterrupt and the like are how somebody ends it
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
