"""The guest: a handler on the root logger, added to the loggers of servers that are cut off."""

from __future__ import annotations

import contextlib
import logging
import sys
import weakref
from typing import TYPE_CHECKING

from tocsin.forks import holds_logging_lock, logging_lock
from tocsin.integrations import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.integrations.frameworks import Frameworks
    from tocsin.integrations.silent import Silent

_held: set[logging.Handler] = set()
"""The handlers on the root logger, and new ones: Celery forgets the root's handlers."""
_returned: weakref.WeakSet[logging.Handler] = weakref.WeakSet()
"""The handlers that were added to the root logger again."""


class Guest:
    """A handler that is to be on the loggers of servers.

    Args:
        handler: the handler; it is held only while it is on the root logger.
        frameworks: its integrations.
        revive: called if a configuration has closed the handler and left it on the root logger.
        warn: called with the application's own loggers that became silent.

    Attributes:
        added: the loggers that the handler was added to, and the integration of each.
        closed: whether the handler was closed.
    """

    def __init__(
        self,
        handler: logging.Handler,
        frameworks: Frameworks,
        *,
        revive: Callable[[], object],
        warn: Callable[[Silent], object],
    ) -> None:
        self.added: dict[str, str] = {}
        self.closed: bool = False
        self._handler = weakref.ref(handler)
        self._frameworks = frameworks
        self._revive = revive
        self._warn = warn
        self._seen = False  # on any logger
        self._root: list[logging.Handler] | None = None  # the root's list that had the handler
        self._warned: set[str] = set()
        self._told: dict[str, str] = {}  # what `added` was
        self._news: list[tuple[str | None, str]] = []  # not told yet: its name, and the loggers
        self._configured = False
        with logging_lock():  # a thread may be looking at all guests
            guests.add(self)

    @property
    def is_new(self) -> bool:
        """Whether the handler was on no logger so far, and may come to one."""
        return not (self._seen or self.closed) and self._handler() is not None

    @property
    def integrations(self) -> dict[str, tuple[str, ...]]:
        """The integrations whose framework is loaded, each with the loggers of `added`."""
        added = dict(self.added)
        return {
            one.name: tuple(sorted(name for name, by in added.items() if by == one.name))
            for one in self._frameworks.loaded
        }

    @property
    def has_servers(self) -> bool:
        """Whether a server is loaded, to whose loggers the handler may have to be added."""
        return self._handler() is not None and any(
            one.is_server and one.loggers for one in self._frameworks.loaded
        )

    def connect(self, settle: Callable[[], None]) -> None:
        """Let loaded frameworks call a function when they have changed the handlers of loggers."""
        for one in self._frameworks.loaded:
            one.connect(settle)

    def expect(self) -> None:
        """Add the handler where it will be missing, as a configuration is about to use it.

        So it is there when the configuration ends: a job may fail before the thread has looked. If
        it does not come to the root logger, `settle` removes it. The calling thread has the lock of
        logging.
        """
        handler = self._handler()
        if handler is not None and handler not in logging.root.handlers:
            self._configured = True
            for guest in guests:
                if guest.closed:  # by this configuration: this handler is there instead
                    guest.leave()
            _held.add(handler)  # until it is known on which loggers it is
            self._add(handler)

    def settle(self) -> Silent | None:
        """Add the handler where it is missing, and return the application's new silent loggers.

        The calling thread has the lock of logging.

        Returns:
            The loggers; or None if the handler is not in use any more.
        """
        handler, root = self._handler(), logging.root
        if handler is None:
            return None
        if handler not in root.handlers and self._was_replaced(handler):
            root.addHandler(handler)
            _returned.add(handler)
        if handler not in root.handlers:
            self.leave()
            if self.closed:
                return None
            self._seen = self._seen or any(handler in one.handlers for one in silent.loggers())
            return silent.find(handler).without(self._warned)
        self._root, self._seen = root.handlers, True
        _held.add(handler)
        self._add(handler)
        if self.added != self._told:
            text = ", ".join(f"{name} ({by})" for name, by in sorted(self.added.items()))
            self._news.append((handler.name, text or "no logger"))
            self._told = self.added
        if self.closed:
            self.closed = False
            self._revive()
        return silent.find(handler).without(self._warned)

    def tell(self) -> None:
        """Log, at level DEBUG, the loggers that the handler was added to, if they have changed."""
        with contextlib.suppress(IndexError):
            news = self._news.pop()
            logging.getLogger("tocsin").debug("alert handler %r was added to: %s", *news)

    def warn(self, found: Silent) -> None:
        """Warn of silent loggers."""
        if any(found):
            self._warned.update(*found)
            self._warn(found)

    def close(self) -> None:
        """Leave, unless a configuration closes the handler: it may stay where it is.

        Loggers may have become silent since the last configuration, as modules were imported.
        """
        handler, again = self._handler(), self.closed
        self.closed = True
        if not holds_logging_lock():
            if handler is not None and not again:
                self.warn(silent.find(handler).without(self._warned))
            self.leave()

    def leave(self) -> None:
        """Remove the handler from the loggers that it was added to, and let it go."""
        handler = self._handler()
        if handler is None:
            return
        self.detach()
        self._root = None
        _held.discard(handler)

    def detach(self) -> None:
        """Remove the handler from the loggers that it was added to, until it is added again."""
        added, self.added = self.added, {}
        if (handler := self._handler()) is not None:
            for name in added:
                logging.getLogger(name).removeHandler(handler)

    def _was_replaced(self, handler: logging.Handler) -> bool:
        """Return whether the root logger has another list of handlers, without an alert handler.

        So does Celery. An application removes a handler from the list.
        """
        others = [one for one in logging.root.handlers if one not in _returned]
        if "celery" not in sys.modules or any(type(one) is type(handler) for one in others):
            return False
        if self._root is not None:
            return self._root is not logging.root.handlers
        # Celery may be faster than the first look at the loggers.
        return (
            self._configured
            and not self._seen
            and bool(others)
            and all(type(one.formatter).__module__.startswith("celery.") for one in others)
            and not any(handler in one.handlers for one in silent.loggers())
        )

    def _add(self, handler: logging.Handler) -> None:
        wanted: dict[str, str] = {}
        for one in self._frameworks.loaded:
            for name in one.loggers:
                logger = _logger(name)
                if logger is None:
                    continue
                logger.disabled = False
                if (end := self._end(logger, handler)) is not None:
                    wanted[end.name] = one.name
        for name in self.added.keys() - wanted.keys():
            logging.getLogger(name).removeHandler(handler)
        for name in wanted:
            logging.getLogger(name).addHandler(handler)
        self.added = wanted

    def _end(
        self, logger: logging.Logger | None, handler: logging.Handler
    ) -> logging.Logger | None:
        """Return the logger at which records stop before the handler; None if they reach it."""
        while logger is not None:
            if handler in logger.handlers and logger.name not in self.added:
                return None
            if not logger.propagate:
                return logger
            logger = logger.parent
        return None


def _logger(name: str) -> logging.Logger | None:
    """Return the logger of a name if it exists."""
    found = logging.root.manager.loggerDict.get(name)
    return found if isinstance(found, logging.Logger) else None


guests: weakref.WeakSet[Guest] = weakref.WeakSet()
"""All guests. Only a thread that has the lock of logging goes through them."""
