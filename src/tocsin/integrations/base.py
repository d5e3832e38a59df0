"""The interface of an integration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tocsin.events.capture import Origin


class Integration:
    """What one framework needs. A subclass states what differs from these defaults.

    Attributes:
        name: the integration's name, as the option `integrations` has it.
        modules: the framework is loaded if one of these modules is.
        loggers: the loggers of the framework that log failures of the application. Where they
            are cut off from the root logger, or disabled, its handlers are added to them.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]
    loggers: ClassVar[tuple[str, ...]] = ()

    @property
    def loaded(self) -> bool:
        """Whether the framework is loaded."""
        return any(module in sys.modules for module in self.modules)

    def connect(self, settle: Callable[[], None]) -> None:
        """Let the framework call a function whenever it has changed the handlers of loggers.

        The calling thread does not have the lock of logging.

        Args:
            settle: adds the handlers where they are missing; the same function each time.
        """

    def adapt(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """Return a record of one of the loggers as the application would have logged it.

        Args:
            record: a record of at least the alert level. It is not changed, as other handlers have
                it too.

        Returns:
            The record; or a copy with the exception that the framework has wrapped, or with a
            level below that of alerts; or None if the framework logs this error a second time.
        """
        return record

    def origin(self, record: logging.LogRecord, *, personal_data: bool) -> Origin | None:
        """Return the request or the task in which a record was logged; None if there is none.

        Args:
            record: the record. Its logger may be any logger.
            personal_data: whether data about a person may be told: the user, the client's address.
        """
        return None

    def owner(self, record: logging.LogRecord) -> object:
        """Return a value that is the same for all records of a request or task; None without one.

        Args:
            record: a record that this thread has just logged.
        """
        return None

    def ends(self, record: logging.LogRecord) -> bool:
        """Return whether the process may end after a record with no chance to send it.

        The thread that logs waits for a mail then.
        """
        return False

    def app(self) -> str | None:
        """Return the application's name as the framework knows it; None if it does not."""
        return None
