"""The fallback for alerts that can't be mailed: standard error, or a folder of `.eml` files."""

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


_PATIENCE = 2.0  # seconds to wait for a reader of standard error that reads nothing
_CHUNK = getattr(select, "PIPE_BUF", 512)  # bytes; if `poll` reports room, they fit
_stuck: threading.Thread | None = None
_unread = False  # whether the reader read nothing of the latest line in time


def say(text: str) -> None:
    """Write a line to standard error, if there is one.

    If the reader reads nothing for two seconds, the rest of the line is dropped, so that the
    program can end.
    """
    stream = sys.stderr
    if stream is None:
        return
    line = f"tocsin: {text}\n"
    with contextlib.suppress(OSError, ValueError):  # it may be closed
        descriptor = _descriptor_of(stream)
        if descriptor is not None:
            _write_to_descriptor(
                descriptor, line.encode(stream.encoding, stream.errors or "backslashreplace")
            )
        elif type(stream) in {io.TextIOWrapper, io.StringIO}:
            _write_to_stream(stream, line)
        else:
            _write_in_thread(stream, line)


def _write_to_stream(stream: TextIO, line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        stream.write(line)
        stream.flush()


def _write_in_thread(stream: TextIO, line: str) -> None:
    """Write in a thread of its own: a stream of the application may wait without end."""
    global _stuck  # noqa: PLW0603 - the next call looks at it

    def write() -> None:
        with silent():  # the stream may log
            _write_to_stream(stream, line)

    if _stuck is not None and _stuck.is_alive():
        return
    thread = threading.Thread(target=write, name="tocsin-stderr", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # since Python 3.12, no thread starts while the interpreter ends
        write()
        return
    thread.join(_PATIENCE)
    if thread.is_alive():
        _stuck = thread


def _descriptor_of(stream: object) -> int | None:
    """Return the descriptor of a pipe, a socket or a terminal; None for anything else.

    `say` writes to it directly: to flush the stream could mean to wait for a lock or the reader.
    """
    if type(stream) is not io.TextIOWrapper or not hasattr(select, "poll"):
        return None
    try:
        descriptor = stream.fileno()
        return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor
    except (OSError, ValueError):
        return None


def _write_to_descriptor(descriptor: int, data: bytes) -> None:
    """Write as long as the reader continues to read."""
    global _unread  # noqa: PLW0603 - the next call looks at it
    own = _reopened(descriptor)
    target = descriptor if own is None else own
    ready = select.poll()
    ready.register(target, select.POLLOUT)
    try:
        while data:
            if not ready.poll(0 if _unread else _PATIENCE * 1000):
                _unread = True
                return
            with contextlib.suppress(BlockingIOError):  # another process has filled the room
                data = data[os.write(target, data[:_CHUNK]) :]
                _unread = False
    finally:
        if own is not None:
            os.close(own)


def _reopened(descriptor: int) -> int | None:
    """Return a second descriptor of a pipe or a terminal, whose writes don't block; None if none.

    The flag O_NONBLOCK can't be set on the first descriptor: it would change the writes of all
    processes that share it.
    """
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    return None


class Fallback(Protocol):
    """The place for alerts that can't be mailed. Any thread may call it; it never raises."""

    def keep(self, why: str, message: Message, plain: Callable[[], str]) -> None:
        """Keep an alert.

        Args:
            why: why it was not mailed, as the start of a sentence.
            message: the alert, addressed to the recipients that don't get it.
            plain: returns the text of the alert.
        """
        ...


class StandardError:
    """Write alerts to standard error."""

    def keep(self, why: str, message: Message, plain: Callable[[], str]) -> None:  # noqa: ARG002 - the protocol's
        """Write the alert's text to standard error."""
        say(f"{why}:\n\n{plain()}")


class Folder:
    """Keep each alert in a folder, as a file that mail programs can open.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, why: str, message: Message, plain: Callable[[], str]) -> None:
        """Write the file, whole or not at all; if that fails, write to standard error instead."""
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(4).hex()}"
        final, part = self._path / f"{name}.eml", self._path / f".{name}.part"
        try:
            data = message.to_mime().as_bytes()
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - `Path.open` can't set the mode
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
