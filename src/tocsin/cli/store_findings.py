"""Findings about a store: it is read, and neither made nor changed."""

from __future__ import annotations

import json
import os
import shlex
import time
from typing import TYPE_CHECKING

from tocsin import options
from tocsin.alerts.batch import Batch
from tocsin.alerts.codec import VERSION, load
from tocsin.alerts.state import State
from tocsin.cli.configuration import parts_of
from tocsin.cli.report import Finding
from tocsin.exceptions import StoreError, TocsinError
from tocsin.stores.urls import file_of

if TYPE_CHECKING:
    from tocsin.cli.configuration import AlertEntry
    from tocsin.handler import AlertHandler
    from tocsin.stores.sqlite_look import Look

_NEWER = "Tocsin of this program is older than the one that wrote the store"


def of_store(entry: AlertEntry, handler: AlertHandler | None) -> Finding:
    """Return what is known about the store that an entry names.

    Args:
        entry: the entry.
        handler: the handler, if it could be built.
    """
    value = entry.store
    if callable(value):
        return Finding(status="ok", step="store", text="from a callable, not asked")
    try:
        place = file_of(options.text("store", value), windows=os.name == "nt")
        if place is None:
            return Finding(status="ok", step="store", text="in memory, for one process")
        from tocsin.stores.sqlite_look import look_at  # noqa: PLC0415 - loads sqlite3

        return _of_file(entry, handler, look_at(options.file_path("store", place)))
    except (TocsinError, ValueError) as error:
        problem = str(error).removeprefix("store: ")
        return Finding(
            status="FAIL",
            step="store",
            text=problem,
            means="the handler can't be built",
            fix="correct the path, or give a file that a program with Tocsin has made",
            line=entry.line("store"),
        )


def of_app(entry: AlertEntry) -> Finding | None:
    """Return a warning if a store in a file has the name of a program that is not known here."""
    value = entry.store
    if entry.options.get("app") or not isinstance(value, str) or not value.startswith("sqlite:"):
        return None
    return Finding(
        status="WARN",
        step="app",
        text="not set, and the store is a file",
        means="tocsin status, retry and drop can't tell its programs apart: each has its own name",
        fix="set app",
        line=entry.line(),
    )


def _of_file(entry: AlertEntry, handler: AlertHandler | None, look: Look) -> Finding:
    line = entry.line("store")
    if look.problem:
        missing = not look.path.parent.exists()
        make = f"create it: mkdir -p {shlex.quote(str(look.path.parent))}"
        give = "give the folder and the file to the user that runs the program"
        return Finding(
            status="FAIL",
            step="store",
            text=look.problem,
            means="the handler can't be built" if missing else "it can't be built by this user",
            fix=make if missing else give,
            line=line,
        )
    if not look.exists:
        return Finding(status="ok", step="store", text=f"{look.path}, made when the program starts")
    scope = _scope(entry, handler, look)
    try:
        words = _contents(look, scope)
    except StoreError as error:
        return Finding(
            status="FAIL",
            step="store",
            text=f"{look.path}: {error}",
            means=_NEWER,
            fix="use the same release in all programs that share the store",
            line=line,
        )
    return Finding(status="ok", step="store", text=", ".join([f"{look.path}, writable", *words]))


def _scope(entry: AlertEntry, handler: AlertHandler | None, look: Look) -> str:
    """Return the scope of the handler in the file; "" if there is none.

    Without the option `app`, the name of the program's script is a part of it. Then any name does.
    """
    if handler is None:
        return ""
    sender = parts_of(handler).sender
    end = f"\x1f{sender.environment}\x1f{entry.name}"
    if entry.options.get("app") is not None:
        wanted = f"{sender.app}{end}"
        return wanted if wanted in look.scopes else ""
    return next((scope for scope in look.scopes if scope.endswith(end)), "")


def _contents(look: Look, scope: str) -> list[str]:
    if look.version not in {0, look.known}:
        raise StoreError(f"made by another release: version {look.version}, not {look.known}")
    if not scope:
        return ["nothing waits"]
    found = look.scopes[scope]
    state = State() if found.state is None else load(State, found.state)
    batches = [load(Batch, one) for one in found.batches]
    waiting = state.pending + sum(group.count for one in batches for group in one.groups)
    plural = "event waits" if waiting == 1 else "events wait"
    version = VERSION if found.state is None else json.loads(found.state)["version"]
    return [
        f"{waiting} {plural}" if waiting else "nothing waits",
        f"{found.owner if found.ends > time.time() else 'no process'} leads",
        f"version {version}",
    ]
