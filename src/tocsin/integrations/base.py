"""The interface of an integration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from tocsin.events.fields import exception_of
from tocsin.integrations import carriers

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tocsin.events.capture import Origin
    from tocsin.integrations.web import WebRequest


class Integration:
    """What one framework needs. A subclass states what differs from these defaults.

    Attributes:
        name: the integration's name, as the option `integrations` has it.
        modules: the framework is loaded if one of these modules is.
        loggers: the loggers of the framework that log failures of the application. Where they
            are cut off from the root logger, or disabled, its handlers are added to them.
        functions: the functions of the framework that log errors of the application with another
            logger, which is the application's: the name of the function, and its module.
        access: the loggers of the framework that log answers, one line each. A record of theirs
            is no alert, whatever its level: the error that it comes from was logged before.
        is_server: whether other code than the application sets up the loggers.
        clients: the loggers of the framework that log the client's address, each with the start of
            such messages. They are no context, unless data about a person may be told.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]
    loggers: ClassVar[tuple[str, ...]] = ()
    functions: ClassVar[tuple[tuple[str, str], ...]] = ()
    access: ClassVar[tuple[str, ...]] = ()
    is_server: ClassVar[bool] = True
    clients: ClassVar[tuple[tuple[str, str], ...]] = ()

    @property
    def loaded(self) -> bool:
        """Whether the framework is loaded."""
        return any(module in sys.modules for module in self.modules)

    def has_logged(self, record: logging.LogRecord) -> bool:
        """Return whether one of `functions` has logged a record."""
        return any(
            record.funcName == function
            and record.pathname == getattr(sys.modules.get(module), "__file__", None)
            for function, module in self.functions
        )

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

    def told(self, record: logging.LogRecord) -> None:
        """Note a record that is an alert.

        Args:
            record: a record that this thread has just logged. Its logger may be any logger.
        """

    def status(self, record: logging.LogRecord, error: BaseException) -> str:
        """Return the status of the answer to the request whose error is logged; "" if unknown.

        Args:
            record: a record of one of the loggers.
            error: its exception.
        """
        return "" if carriers.response_started(error.__traceback__) else "500"

    def origin(self, record: logging.LogRecord, *, personal_data: bool) -> Origin | None:
        """Return the task in which a record was logged; None if there is none.

        Args:
            record: the record. Its logger may be any logger.
            personal_data: whether data about a person may be told: the user, the client's address.
        """
        return None

    def request(self, record: logging.LogRecord, *, personal_data: bool) -> WebRequest | None:
        """Return the request in which a record was logged; None if there is none.

        The requests that servers hand on are found without it. It returns what only the framework
        knows, such as the route.

        Args:
            record: as for `origin`.
            personal_data: as for `origin`.
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


class AccessLog(Integration):
    """A logger of answers: its records are no alerts, unless they have an exception."""

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord | None:
        return None if exception_of(record) is None else record
