"""The pool: open sessions that a handler keeps between two calls of `send`.

Sessions are kept only inside a `with handler.connect()` block. A session belongs to the process
that has opened it: a child of a fork closes the parent's sessions without a word, as a QUIT would
end the parent's conversation.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tocsin.forks import on_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tocsin.mail.session import Session


class Pool:
    """Open sessions, for any thread.

    Args:
        connect: opens a new session, given the point of `time.monotonic` at which to give up.
    """

    def __init__(self, connect: Callable[[float], Session]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._sessions: list[Session] = []
        self._keeping = 0  # `with` blocks that are open
        on_fork(self.abandon)

    def __len__(self) -> int:
        """Return how many sessions are kept."""
        return len(self._sessions)

    @contextlib.contextmanager
    def keep(self) -> Generator[None]:
        """Open a session now, and keep sessions until the end of the outermost `with` block.

        Raises:
            ConnectError: the session can't be opened.
        """
        session = self.take(float("inf"))
        with self._lock:
            self._keeping += 1
            self._sessions.append(session)
        try:
            yield
        finally:
            with self._lock:
                self._keeping -= 1
            if not self._keeping:
                self.close()

    def take(self, until: float) -> Session:
        """Return a kept session that can still be used, or a new one.

        Args:
            until: when to give up, as a point of `time.monotonic`.

        Raises:
            ConnectError: no session can be opened.
        """
        while True:
            with self._lock:
                session = self._sessions.pop() if self._sessions else None
            if session is None:
                return self._connect(until)
            if not session.stale():
                return session
            session.close()

    def give_back(self, session: Session) -> None:
        """Keep the session if sessions are kept now and it can still be used; else close it."""
        with self._lock:
            keep = self._keeping > 0 and not session.stale()
            if keep:
                self._sessions.append(session)
        if not keep:
            session.close()

    def close(self) -> None:
        """Close all kept sessions. The pool can be used again."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def abandon(self) -> None:
        """Leave all kept sessions to the parent process; for the child of a fork."""
        self._lock = threading.Lock()  # another thread of the parent may have held it
        sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.abandon()
