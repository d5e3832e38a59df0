"""Where an alert goes that can't be mailed: standard error, or a folder of `.eml` files."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tocsin.mail.message import Message


def say(text: str) -> None:
    """Write a line to standard error, if there is one."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # it may be closed
            sys.stderr.write(f"tocsin: {text}\n")
            sys.stderr.flush()


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
