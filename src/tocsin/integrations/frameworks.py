"""The integrations of one handler: they adapt its records, and tell where a record comes from."""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from tocsin.events.fields import exception_of
from tocsin.events.frames import is_library
from tocsin.integrations import carriers, web
from tocsin.integrations.base import AccessLog, Integration
from tocsin.integrations.repeats import Repeats
from tocsin.text import attempt

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from tocsin.events.capture import Origin


class Frameworks:
    """Adapt the records of frameworks, and find the request or the task of a record.

    Args:
        integrations: those that the handler has.
        personal_data: whether data about a person may be told.

    Attributes:
        on: whether a framework is loaded. Without one, a record needs no look.
    """

    def __init__(self, integrations: Sequence[Integration], *, personal_data: bool) -> None:
        self.on: bool = False
        self._integrations = integrations
        self._personal_data = personal_data
        self._loaded: tuple[Integration, ...] = ()
        self._modules = 0  # how many modules were loaded at the last look
        self._servers = {logger: one for one in integrations for logger in one.loggers}
        for one in integrations:
            self._servers |= dict.fromkeys(one.access, AccessLog())
        self._clients = (
            {} if personal_data else dict(pair for one in integrations for pair in one.clients)
        )
        self._functions = {name for one in integrations for name, _ in one.functions}
        self._repeats = Repeats()
        self._note = self._repeats.note
        self._last = threading.local()
        self._look()  # the first record may come before the loggers are looked at

    @property
    def loaded(self) -> tuple[Integration, ...]:
        """The integrations whose framework is loaded; looked up anew."""
        self._look()
        return self._loaded

    def adapt(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """Return a record as the application would have logged it; None if it was counted before.

        Args:
            record: a record of at least the alert level.
        """
        server = self._servers.get(record.name)
        if server is None and record.funcName in self._functions:
            server = self._server(record)
        if server is None:
            # Each record of the application needs these lines.
            info = record.exc_info
            if type(info) is tuple and isinstance(info[1], BaseException):
                self._note(record, info[1])
            elif type(record.msg) is dict and (error := exception_of(record)) is not None:
                self._note(record, error)
            taken: logging.LogRecord | None = record
        else:
            taken = self._adapt(record, server)
        if self._tells and taken is not None:
            for tell in self._tells:
                with contextlib.suppress(Exception):  # an object of a framework may raise anything
                    tell(taken)
        return taken

    def _adapt(self, record: logging.LogRecord, server: Integration) -> logging.LogRecord | None:
        if self._is_last(record):
            return None
        try:
            adapted = server.adapt(record)
        except Exception:  # noqa: BLE001 - as above; the event counts nevertheless
            return record
        error = None if adapted is None else exception_of(adapted)
        if adapted is None or error is None or adapted.levelno < record.levelno:
            return adapted  # with a lower level, it is context, and counts later
        return None if self._repeats.is_repeat(adapted, error) else adapted

    def hides(self, record: logging.LogRecord) -> bool:
        """Return whether a record is no context, as its message has the client's address."""
        start = self._clients.get(record.name)
        return start is not None and attempt(record.msg).startswith(start)

    def ends(self, record: logging.LogRecord) -> bool:
        """Return whether the process may end after a record with no chance to send it."""
        return any(ends(record) for ends in self._ends)

    def origin(self, record: logging.LogRecord) -> Origin | None:
        """Return the request or the task in which a record was logged; None if there is none."""
        for one in self.loaded:
            found = one.origin(record, personal_data=self._personal_data)
            if found is not None:
                return found
        if not self.on:
            return None
        request = self._request(record)
        if request is None:
            return None
        error = exception_of(record)
        if error is not None and not request.status and request.method != "WEBSOCKET":
            server = self._server(record)
            if server is not None and _is_of_library(record):  # it reached the server
                request = request._replace(status=server.status(record, error))
        return request.origin(personal_data=self._personal_data)

    def _request(self, record: logging.LogRecord) -> web.WebRequest | None:
        for one in self._loaded:
            found = one.request(record, personal_data=self._personal_data)
            if found is not None:
                return found
        return web.of_carrier(carriers.of_error(exception_of(record)))

    def owner(self, record: logging.LogRecord) -> object:
        """Return a value that is the same for all records of a request or task; None without one.

        Args:
            record: a record that this thread has just logged.
        """
        if not self.on:
            modules = len(sys.modules)
            if modules == self._modules:
                return None
            self._modules = modules
            if not self.loaded:  # it may be loaded after logging was set up
                return None
        for owner in self._owners:
            found = owner(record)
            if found is not None:
                return found
        error = exception_of(record)
        if error is not None:
            carrier = carriers.in_traceback(error.__traceback__)
            if carrier is not None:
                return carriers.token(carrier)
        return carriers.owner_here()

    def _look(self) -> None:
        self._loaded = tuple(one for one in self._integrations if one.loaded)
        # Only what an integration defines is called: a record costs little where nothing does.
        self._ends = tuple(one.ends for one in self._defining("ends"))
        self._owners = tuple(one.owner for one in self._defining("owner"))
        self._tells = tuple(one.told for one in self._defining("told"))
        self.on = bool(self._loaded)

    def _defining(self, method: str) -> list[Integration]:
        """Return the loaded integrations that define a method themselves."""
        default = getattr(Integration, method)
        return [one for one in self._loaded if getattr(type(one), method) is not default]

    def _server(self, record: logging.LogRecord) -> Integration | None:
        """Return the integration of the framework that has logged a record; None if none has."""
        found = self._servers.get(record.name)
        if found is None and record.funcName in self._functions:
            found = next((one for one in self._integrations if one.has_logged(record)), None)
        return found

    def _is_last(self, record: logging.LogRecord) -> bool:
        """Return whether the handler has just had a record, as it may be on several loggers."""
        last = getattr(self._last, "record", None)
        if last is not None and last() is record:
            return True
        self._last.record = weakref.ref(record)
        return False


def _is_of_library(record: logging.LogRecord) -> bool:
    """Return whether the code of a library or of a framework logged a record."""
    return type(record.pathname) is str and is_library(record.pathname)
