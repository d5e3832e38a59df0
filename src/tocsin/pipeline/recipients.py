"""The recipients of an alert: a fixed list, a file, or a callable, asked again for each mail.

If a file or a callable fails, its last good list is used, with a note that the mail shows. No lock
is held while a callable runs.
"""

from __future__ import annotations

import inspect
import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tocsin import options
from tocsin.exceptions import ConfigError
from tocsin.mail.address import (
    AddressList,
    prepare_address,
    reject_line_break,
    several,
    split_addresses,
)
from tocsin.pipeline.sending import silent
from tocsin.text import attempt, short

if TYPE_CHECKING:
    from tocsin.alerts.digest import Audience

_TIMEOUT = 5.0  # seconds to wait for the application's callable
_MAX_BYTES = 1_000_000
_MAX_ANSWER = 100_000  # addresses: a generator may have no end
_THREAD = "tocsin-recipients"
_MAX_ERROR = 2_000  # characters of an error that are read
_ASYNC = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
_LINE_END = re.compile(rb"\r\n?|\n")
_PATH = re.compile(r"[^@,;\s]*(?:[/\\][^@,;\s]*|\.txt)")  # text like a path, without an @
_QUOTED_OR_COMMENT = re.compile(r'("(?:[^"\\]|\\.?)*"?)|#.*')


@dataclass(frozen=True, slots=True)
class Current:
    """The recipients as they are now.

    Attributes:
        addresses: a list of the caller's own. It is empty only if there was no good list so far.
        note: what is wrong with the source, as one line; "" if it is in order.
    """

    addresses: AddressList
    note: str


class Recipients(Protocol):
    """A source of recipients. Threads may call it at the same time, also in a forked child."""

    def current(self) -> Current:
        """Return the recipients as they are now, within seconds. It never raises."""
        ...


def build_recipients(key: str, value: object) -> Recipients:
    """Return a source of recipients.

    Args:
        key: the option's name, for error messages.
        value: text with commas, an `Address`, or a list of them; `{"file": path}`, a file with one
            address on each line, where `#` outside of quotes starts a comment; or a callable that
            returns addresses. It isn't called yet.

    Raises:
        ConfigError: no recipient, no address, a file that can't be used, or an async callable.
    """
    if isinstance(value, Mapping):
        return _FromFile(f"{key}.file", options.section(key, value, ["file"]).get("file"))
    if callable(value):
        if any(test(one) for test in _ASYNC for one in (value, type(value).__call__)):
            options.fail(key, "expected a callable that isn't async")
        return _FromCallable(value)
    if isinstance(value, str | os.PathLike) and _PATH.fullmatch(str(value)):
        options.fail(
            key, f"expected an address or a list of them; for a file, write {{file: {value}}}"
        )
    addresses = build_addresses(key, value)
    if not addresses:
        options.fail(key, "missing; name at least one recipient")
    return _Fixed(addresses)


def bare_addresses(audience: Audience) -> tuple[str, ...]:
    """Return the bare addresses of all recipients of a digest, each once."""
    recipients = AddressList((*audience.to, *audience.cc, *audience.bcc))
    return tuple(address.addr_spec for address in recipients)


def build_addresses(key: str, value: object) -> AddressList:
    """Return the addresses of an option: text with commas between them, a list, or one address.

    Raises:
        ConfigError: the value, or an item of the list, isn't an address.
    """
    expected = "expected an address or a list of them"
    if isinstance(value, Mapping):  # it would be read as a list of its keys
        options.fail(key, f"{expected}, got {options.kind(value)}")
    if isinstance(value, list | tuple):  # dictConfig's lists resolve `ext://` only by index
        value = [value[index] for index in range(len(value))]
        for index, item in enumerate(value):
            if not isinstance(item, str | Address):
                options.fail(f"{key}[{index}]", f"expected an address, got {options.kind(item)}")
    try:
        given: Any = split_addresses(value) if isinstance(value, str) else value
        items = [given] if isinstance(given, Address) else list(given)
        addresses = AddressList(items)
        for item in items:
            reject_line_break(item)
    except ValueError as error:
        options.fail(key, str(error))
    except (TypeError, AttributeError):
        options.fail(key, f"{expected}, got {options.kind(value)}")
    return addresses


class _Fixed:
    def __init__(self, addresses: Iterable[Address]) -> None:
        self._addresses = tuple(addresses)

    def current(self) -> Current:
        return _current(self._addresses)

    def __repr__(self) -> str:
        return f"<recipients: {len(self._addresses)}, fixed>"


class _Reading(NamedTuple):
    version: tuple[int, ...] | None = None  # of the file; None: read it again in any case
    addresses: tuple[Address, ...] = ()
    problem: str = ""


class _FromFile:
    def __init__(self, key: str, value: object) -> None:
        path = options.file_path(key, value)
        self._name = short(str(path), 200)
        self._path = path.absolute()  # a daemon changes its directory
        # A slower thread may replace this by an older reading: then the next call reads again.
        self._reading = self._read(_Reading())
        if self._reading.problem:
            options.fail(key, self._reading.problem)

    def current(self) -> Current:
        reading = self._reading = self._read(self._reading)
        return _current(reading.addresses, reading.problem, "the last good list is used")

    def _read(self, last: _Reading) -> _Reading:
        version = None
        try:
            # The version is read first: if the file changes then, the next call reads it again.
            found = self._path.stat()
            version = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            if version == last.version:
                return last
            if not stat.S_ISREG(found.st_mode):  # to open a pipe could wait without end
                return _Reading(version, last.addresses, f"{self._name}: not a regular file")
            with self._path.open("rb") as file:
                return _Reading(version, _parse(self._name, file.read(_MAX_BYTES + 1)))
        except OSError as error:
            return _Reading(None, last.addresses, f"can't read {self._name!r}: {error.strerror}")
        except ValueError as error:
            return _Reading(version, last.addresses, str(error))

    def __repr__(self) -> str:
        known, state = len(self._reading.addresses), self._reading.problem or "good"
        return f"<recipients: {known}, from the file {self._name}; {state}>"


@dataclass(slots=True)
class _Call:
    over: threading.Event = field(default_factory=threading.Event)
    late: bool = False  # whether it has exceeded the time limit
    addresses: tuple[Address, ...] = ()
    problem: str = ""


class _FromCallable:
    """Call the application's callable in a thread: it may hang. Calls at one time share one."""

    def __init__(self, ask: Callable[[], object], timeout: float = _TIMEOUT) -> None:
        self._ask = ask
        name = getattr(ask, "__qualname__", None) or type(ask).__qualname__
        self._name = short(f"{getattr(ask, '__module__', None) or 'builtins'}.{name}", 100)
        self._timeout = timeout
        self._good: tuple[Address, ...] = ()
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may ask as well
        self._call = _Call(problem="not asked yet")
        self._call.over.set()
        self._process = os.getpid()

    def current(self) -> Current:
        if self._process != os.getpid():  # a fork: the thread that has the lock is gone
            self._begin()
        with self._lock:
            new = self._call.over.is_set()
            call = self._call = _Call() if new else self._call
        # While the interpreter ends, a new thread never runs; since Python 3.12, its start raises.
        if new and (sys.is_finalizing() or not self._start(call)):
            if self._good:
                call.problem = "no thread can be started to ask it"
                call.over.set()
            else:
                self._run(call)
        if not call.over.wait(0 if call.late else self._timeout):
            late, call.late = call.late, True
            problem = "an earlier call hangs" if late else f"no answer in {self._timeout:g} s"
        elif not (problem := call.problem):
            return _current(call.addresses)
        tail = "its last good answer is used" if self._good else "it has given no good answer yet"
        return _current(self._good, f"{self._name}: {problem}", tail)

    def _start(self, call: _Call) -> bool:
        try:
            threading.Thread(target=self._run, args=(call,), name=_THREAD, daemon=True).start()
        except (RuntimeError, MemoryError):
            return False
        return True

    def _run(self, call: _Call) -> None:
        try:
            with silent():  # what the application logs here must not cause a mail
                call.addresses = self._good = _checked(self._ask())
        except ConfigError as error:
            call.problem = short(str(error), 150)
        except BaseException as error:  # noqa: BLE001 - the application may raise anything
            # The text is mailed, and an error of the application may contain a password.
            from tocsin.redact.redactor import Redactor  # noqa: PLC0415 - large and rarely used

            text = Redactor().text(attempt(error)[:_MAX_ERROR])
            call.problem = f"{type(error).__name__}: {short(text, 150)}"
        finally:
            call.over.set()

    def __repr__(self) -> str:
        call = self._call
        state = call.problem or "answered"
        if not call.over.is_set():
            state = "hangs" if call.late else "being asked"
        return f"<recipients: {len(self._good)}, from the callable {self._name}; {state}>"


def _current(addresses: Iterable[Address], problem: str = "", tail: str = "") -> Current:
    copy = AddressList()
    list.extend(copy, addresses)  # without the check of `AddressList`: it was done before
    return Current(copy, short(f"{problem}; {tail}", 500) if problem else "")


def _checked(answer: object) -> tuple[Address, ...]:
    """Return the addresses in a callable's answer, or raise a `ConfigError`."""
    if isinstance(answer, Iterable) and not isinstance(answer, str | bytes | list | Mapping):
        answer = list(islice(answer, _MAX_ANSWER + 1))
    addresses = build_addresses("answer", answer)
    if not addresses:
        options.fail("answer", "no address in it")
    if len(addresses) > _MAX_ANSWER:
        options.fail("answer", f"more than {_MAX_ANSWER:,} addresses")
    return tuple(addresses)


def _parse(name: str, data: bytes) -> tuple[Address, ...]:
    """Return the addresses in a file, or raise a `ValueError` with the name and the line."""
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{name}: larger than {_MAX_BYTES:,} bytes")
    addresses: list[Address] = []
    for number, line in enumerate(_LINE_END.split(data), 1):
        try:
            if entry := _QUOTED_OR_COMMENT.sub(r"\1", line.decode("utf-8-sig")).strip():
                addresses.append(_prepare(entry))
        except ValueError as error:
            reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error
            raise ValueError(f"{name} line {number}: {reason}") from None
    if not addresses:
        raise ValueError(f"{name}: no address in it")
    return tuple(addresses)


def _prepare(entry: str) -> Address:
    shown = repr(short(entry, 60))
    if split_addresses(entry) != [entry] or several(entry):
        raise ValueError(f"{shown}: one address a line; a name with a comma needs quotes")
    try:
        return prepare_address(entry)
    except ValueError as error:
        raise ValueError(f"{shown} {short(str(error).removeprefix(repr(entry)), 100)}") from None
