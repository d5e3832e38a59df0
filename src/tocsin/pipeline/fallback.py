"""Where an alert goes that can't be mailed: standard error, or a folder of `.eml` files."""

from __future__ import annotations

import contextlib
import io
import os
import select
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol, TextIO

from tocsin.pipeline.sending import silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tocsin.mail.message import Message


_PATIENCE = 2.0  # seconds for a reader of standard error that takes nothing
_CHUNK = getattr(select, "PIPE_BUF", 512)  # bytes that never block where there is room at all
_writing: threading.Thread | None = None
_unread = False  # whether the reader took nothing, when there was last something to say


def say(text: str) -> None:
    """Write a line to standard error, if there is one.

    A reader that takes nothing for two seconds loses the rest: the program must be able to end.
    """
    stream = sys.stderr
    if stream is None:
        return
    line = f"tocsin: {text}\n"
    with contextlib.suppress(OSError, ValueError):  # it may be closed
        descriptor = _read_by_another(stream)
        if descriptor is not None:
            _write(descriptor, line.encode(stream.encoding, stream.errors or "backslashreplace"))
        elif type(stream) in {io.TextIOWrapper, io.StringIO}:
            _write_to(stream, line)
        else:
            _write_beside(stream, line)


def _write_to(stream: TextIO, line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        stream.write(line)
        stream.flush()


def _write_beside(stream: TextIO, line: str) -> None:
    """Write to an object of the application's, which may wait for what it likes."""
    global _writing  # noqa: PLW0603 - the next line has to know

    def write() -> None:
        with silent():  # it may be a logger
            _write_to(stream, line)

    if _writing is not None and _writing.is_alive():
        return
    _writing = threading.Thread(target=write, name="tocsin-stderr", daemon=True)
    try:
        _writing.start()
    except RuntimeError:  # since 3.12 none starts as the interpreter ends
        write()
        return
    _writing.join(_PATIENCE)


def _read_by_another(stream: object) -> int | None:
    """Return the descriptor of a pipe, a socket or a terminal; None for anything else.

    It is written to directly: a flush of the stream would wait for a lock, or for the reader.
    """
    if type(stream) is not io.TextIOWrapper or not hasattr(select, "poll"):
        return None
    try:
        descriptor = stream.fileno()
        return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor
    except (OSError, ValueError):
        return None


def _write(descriptor: int, data: bytes) -> None:
    """Write, as long as the reader goes on to read."""
    global _unread  # noqa: PLW0603 - the next line has to know
    own = _opened_anew(descriptor)
    target = descriptor if own is None else own
    ready = select.poll()
    ready.register(target, select.POLLOUT)
    try:
        while data:
            if not ready.poll(0 if _unread else _PATIENCE * 1000):
                _unread = True
                return
            with contextlib.suppress(BlockingIOError):  # another process was faster
                data = data[os.write(target, data[:_CHUNK]) :]
                _unread = False
    finally:
        if own is not None:
            os.close(own)


def _opened_anew(descriptor: int) -> int | None:
    """Return another descriptor of a pipe or a terminal, whose writes never block; None without.

    Whether they block belongs to the opened file, which other processes share.
    """
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    return None


class Fallback(Protocol):
    """Take what can't be mailed. Any thread may call it; nothing is raised."""

    def keep(self, why: str, message: Message, plain: Callable[[], str]) -> None:
        """Keep an alert.

        Args:
            why: what became of it, in a few words.
            message: the alert, with the recipients who don't get it.
            plain: makes its text.
        """
        ...


class StandardError:
    """Tell the alert on standard error."""

    def keep(self, why: str, message: Message, plain: Callable[[], str]) -> None:  # noqa: ARG002 - as the protocol has it
        """Write it there."""
        say(f"{why}:\n\n{plain()}")


class Folder:
    """Keep the alert as a file that mail programs open.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, why: str, message: Message, plain: Callable[[], str]) -> None:
        """Write the file, as a whole or not at all; where that fails, tell it on standard error."""
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(4).hex()}"
        final, part = self._path / f"{name}.eml", self._path / f".{name}.part"
        try:
            data = message.to_mime().as_bytes()
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - it has to be the owner's alone from the start
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.rename(final)
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            say(f"{why}, and can't be kept in {str(self._path)!r} ({error}):\n\n{plain()}")
        else:
            say(f"{why}; it is kept as {str(final)!r}")
