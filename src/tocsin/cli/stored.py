"""The store of a configuration: where an alert handler's events wait, seen from outside."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from tocsin import config, options
from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.codec import load
from tocsin.alerts.state import State
from tocsin.cli.configuration import parts_of, read_configuration
from tocsin.cli.output import UsageError
from tocsin.exceptions import ConfigError, StoreError, TocsinError
from tocsin.pipeline.assembly import assemble
from tocsin.stores.memory import MemoryStore
from tocsin.stores.sqlite_look import Contents, look_at
from tocsin.stores.urls import file_of
from tocsin.text import short

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

    from tocsin.cli.configuration import AlertEntry
    from tocsin.pipeline.assembly import Parts
    from tocsin.pipeline.worker import Worker

_SEPARATOR = "\x1f"  # of the parts of a scope


class Stored:
    """The store of one alert handler.

    Args:
        entry: the handler's entry in a configuration.
        sends: whether mails are sent; else the option `email` and its secrets don't matter.

    Attributes:
        name: the handler's name.
        parts: what the handler's options have made.
        path: the store's file.
        identity: the application and its environment.

    Raises:
        ConfigError: an option is wrong.
        TocsinError: the store can't be read from outside.
    """

    def __init__(self, entry: AlertEntry, *, sends: bool = False) -> None:
        self.name: str = entry.name
        handler = entry.build() if sends else entry.build_without_email()
        with contextlib.closing(handler):
            self.parts: Parts = parts_of(handler)
        self.path: Path = _path(entry)
        self._option = entry.store
        if entry.options.get("app") is not None:
            sender = self.parts.sender
            self.scope: str = _SEPARATOR.join((sender.app, sender.environment, self.name))
        else:
            self.scope = self._only_scope()
        app, environment, _ = (*self.scope.split(_SEPARATOR), "", "")[:3]
        self.identity: str = short(f"{app} {environment}", 200)

    def contents(self) -> tuple[Contents, float]:
        """Return what the store has, and the store's time. Nothing is written.

        Raises:
            StoreError: it can't be read.
        """
        found = self._scopes().get(self.scope, Contents())
        return found, found.now(time.time(), time.monotonic())

    def state(self, contents: Contents, now: float) -> State:
        """Return the state, with the batches merged that no leader has merged yet.

        Args:
            contents: what the store has.
            now: the store's time.

        Raises:
            StoreError: it was written by a later version, or is damaged.
        """
        try:
            state = State() if contents.state is None else load(State, contents.state)
            for batch in contents.batches:
                receive(state, load(Batch, batch), self.parts.sender.policy, now)
        except StoreError as error:
            raise StoreError(f"'{self.path}': {error}") from error
        return state

    def worker(self) -> Worker:
        """Return a worker for this process, which leads the store as each process does.

        Raises:
            ConfigError: the store can't be used by this user.
        """
        return assemble(
            self.parts, config.build_store(self._option, self.scope), spare=MemoryStore()
        )

    def _scopes(self) -> Mapping[str, Contents]:
        look = look_at(self.path)
        if look.version not in {0, look.known}:
            raise StoreError(
                f"'{look.path}' was made by another release: version {look.version}, "
                f"not {look.known}"
            )
        return look.scopes

    def _only_scope(self) -> str:
        """Return the scope of the one program that uses the store under this handler's name.

        Without the option `app`, the scope has the name of a script that isn't known here.
        """
        ending = _SEPARATOR.join(("", self.parts.sender.environment, self.name))
        found = [scope for scope in self._scopes() if scope.endswith(ending)]
        if len(found) > 1:
            names = ", ".join(short(scope.split(_SEPARATOR)[0], 100) for scope in found)
            raise ConfigError(
                f"app: missing, and several programs use the store: {names}; "
                "set app in the configuration"
            )
        return found[0] if found else _SEPARATOR.join((self.parts.sender.app, ending[1:]))


def find_one(args: argparse.Namespace, *, sends: bool = False) -> Stored:
    """Return the store of the one handler that the arguments name.

    Args:
        args: the arguments.
        sends: as for `Stored`.

    Raises:
        UsageError: there is no such configuration or handler, or there are several handlers.
        ConfigError: an option is wrong.
        TocsinError: a store can't be read from outside.
    """
    alerts = read_configuration(args).alerts
    if len(alerts) > 1:
        names = ", ".join(entry.name for entry in alerts)
        raise UsageError(f"there are several alert handlers; choose one with --handler: {names}")
    return Stored(alerts[0], sends=sends)


def lead_until() -> float:
    """Return until when the command waits to lead, as a point of `time.monotonic`."""
    return time.monotonic() + 15.0  # a lease lasts 10 s at most


def _path(entry: AlertEntry) -> Path:
    """Return the file of a handler's store."""
    value = entry.store
    if callable(value):
        raise TocsinError(
            f"handler {entry.name}: its store is an object of your program; only a store in an "
            "SQLite file can be read from outside"
        )
    try:
        place = file_of(options.text("store", value), windows=os.name == "nt")
    except ValueError as error:
        raise ConfigError(f"store: {error}") from None
    if place is None:
        raise TocsinError(
            f"handler {entry.name}: its store is memory:, which only the program itself can read; "
            "set store: sqlite:///PATH in the configuration, or look at handler.stats in the "
            "program"
        )
    path = options.file_path("store", place)
    if os.path.lexists(path) and not os.path.isfile(path):  # noqa: PTH113 - as below
        raise TocsinError(f"handler {entry.name}: {str(path)!r} is no regular file")
    if not os.path.isfile(path):  # noqa: PTH113 - `Path.is_file` may raise PermissionError
        raise TocsinError(
            f"handler {entry.name}: there is no file {str(path)!r}; the program makes it when it "
            "starts"
        )
    return path
