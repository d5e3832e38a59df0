"""The emitter: the part of a logging handler that takes records. It neither waits nor raises."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from typing_extensions import override

from tocsin.events.records import plain
from tocsin.pipeline.intake import Wake
from tocsin.pipeline.sending import sending_here

if TYPE_CHECKING:
    import threading

    from tocsin.pipeline.context import Context
    from tocsin.pipeline.engine import Engine


class Adapts(Protocol):
    """The integrations of a handler."""

    on: bool  # whether a framework is loaded

    def adapt(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """Return a record as the application would have logged it; None if it was counted."""
        ...

    def hides(self, record: logging.LogRecord) -> bool:
        """Return whether a record is no context, as its message has the client's address."""
        ...

    def ends(self, record: logging.LogRecord) -> bool:
        """Return whether the process may end after a record with no chance to send it."""
        ...


class Emitter(logging.Handler):
    """Take records: count them, and wake the worker."""

    _engine: Engine
    _enabled: bool
    _context: Context | None  # keeps the records below the alert level
    _alert_level: int
    _frameworks: Adapts

    @override
    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit a record. The handler has no lock: the intake has its own."""
        # Since 3.12 a filter may return another record.
        passed: Any = self.filter(record)
        if isinstance(passed, logging.LogRecord):
            record = passed
        if passed:
            self.emit(record)
        return passed  # type: ignore[no-any-return] # as logging.Handler.handle does

    @override
    def createLock(self) -> None:
        """Have no lock, as a `logging.NullHandler`.

        `logging.shutdown` holds it while a mail takes its time, and needs the module's lock then;
        `dictConfig` holds that one, and would wait for this.
        """
        self.lock: threading.RLock | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Take a record. It never raises, and does no I/O unless the process may end right away."""
        try:
            try:
                name = record.name
                if type(record.created) is not float or type(name) is not str:
                    record = plain(record, time.time())
                    name = record.name
                own = name[:6] == "tocsin" and name[6:7] in {"", "."}
                if own or not self._enabled or sending_here():
                    return
                if self._context is not None and record.levelno < self._alert_level:
                    self._keep(record, self._context)
                    return
                frameworks = self._frameworks
                if frameworks.on:
                    adapted = frameworks.adapt(record)
                    if adapted is not record and self._is_no_alert(adapted):
                        return
                    record = adapted or record
                engine = self._engine
                if record.process != engine.process:  # it is new; or the record is another one's
                    engine.check_process()
                wake = engine.intake.add(record, self.formatter)
            except Exception:  # noqa: BLE001 - raised again, if no field of it is unusual
                self._emit_plain(record)
                return
            if wake or engine.thread.current is None:
                self._wake(record, wake)
        except Exception:  # noqa: BLE001 - the application comes first
            self._tell_failure(record)

    def _is_no_alert(self, adapted: logging.LogRecord | None) -> bool:
        """Return whether a record was counted before, or has got a lower level: it is context."""
        if adapted is None:
            return True
        if adapted.levelno >= (self.level if self._context is None else self._alert_level):
            return False
        if self._context is not None:
            self._keep(adapted, self._context)
        return True

    def _keep(self, record: logging.LogRecord, context: Context) -> None:
        if not self._frameworks.hides(record):
            context.note(record)

    def _wake(self, record: logging.LogRecord, wake: Wake) -> None:
        self._engine.worker.wake(urgent=wake is Wake.NOW)
        if self._frameworks.on and self._frameworks.ends(record):
            self.flush()

    def _begin(self, name: str) -> None:
        """Begin under a name. A handler whose store cannot be opened is closed."""
        try:
            begun = self._engine.begin(name)
        except Exception:
            if not self._engine.process:  # nothing must use a handler that is only half built
                self.close()
            raise
        if begun:
            self._engine.resume()

    def _tell_failure(self, record: logging.LogRecord) -> None:
        """Tell that a record could not be taken, as an exception is handled."""
        with contextlib.suppress(Exception):  # while the interpreter ends it may raise itself
            if sys.is_finalizing():
                self._engine.worker.complain_late()
            else:
                self.handleError(record)

    def _emit_plain(self, record: logging.LogRecord) -> None:
        """Take what can be kept of a record that can't be taken as it is."""
        usual = plain(record, time.time())
        if usual is record:
            self._engine.intake.drop()
            raise  # noqa: PLE0704 - what is being handled
        self.emit(usual)
