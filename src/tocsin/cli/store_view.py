"""The view of a store: its accounts, groups, digests and leader, as values for JSON."""

from __future__ import annotations

import os
import platform
import time
from typing import TYPE_CHECKING, Any

from tocsin.alerts.policy import causes, rate_of
from tocsin.text import short

if TYPE_CHECKING:
    from tocsin.alerts.history import History
    from tocsin.alerts.outgoing import Outgoing
    from tocsin.alerts.policy import Cause
    from tocsin.alerts.state import State
    from tocsin.cli.stored import Stored

SHORT = 6
"""Hexadecimal digits of a fingerprint that name a group."""
_MAX_TITLE = 120


class StoreView:
    """Show a store at one moment. All times are those of this process's clock.

    Args:
        stored: the store.

    Raises:
        StoreError: it can't be read.
    """

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._policy = stored.parts.sender.policy
        self._contents, now = stored.contents()
        self.now: float = now
        self.state: State = stored.state(self._contents, now)
        self._ahead = self.now - time.time()

    def document(self) -> dict[str, Any]:
        """Return all that is known."""
        state = self.state
        groups = [self._group(name, history) for name, history in state.groups.items()]
        groups.sort(key=lambda group: (-group["unmailed"], -(group["seen"] or 0)))
        due = [group["next"] for group in groups if group["next"]]
        due += [mail["next"] for mail in self._mails() if mail["next"]]
        return {
            "handler": self._stored.name,
            "app": self._stored.identity,
            "store": str(self._stored.path),
            "leader": self._leader(),
            "received": state.received,
            "mailed": state.mailed,
            "pending": state.pending,
            "undelivered": state.undelivered,
            "unmerged_batches": len(self._contents.batches),
            "budget": {
                name: {
                    "left": state.budget(name).left(self._policy, self.now),
                    "of": self._policy.burst,
                }
                for name in ("normal", "urgent")
            },
            "latest_mail": self._wall(state.mail_at) if state.mail_at else None,
            "next": min(due, key=lambda one: float(one["at"]), default=None),
            "trouble": self._trouble(),
            "mails": self._mails(),
            "groups": groups,
        }

    def _leader(self) -> dict[str, Any] | None:
        found = self._contents
        if not found.owner:
            return None
        host, pid = _process(found.owner)
        return {
            "owner": short(found.owner, 100),
            "host": host,
            "pid": pid,
            "at": self._wall(found.led_at),
            "leads_now": found.ends > self.now,
            "alive": _is_alive(host, pid),
        }

    def _trouble(self) -> dict[str, Any] | None:
        trouble = self.state.trouble
        if trouble is None:
            return None
        return {
            "since": self._wall(trouble.since),
            "attempts": trouble.count,
            "problem": short(trouble.problem, 300),
        }

    def _mails(self) -> list[dict[str, Any]]:
        return [self._mail(outgoing) for outgoing in self.state.outgoing.values()]

    def _mail(self, outgoing: Outgoing) -> dict[str, Any]:
        claimed = outgoing.claimed_until > self.now
        at = max(self.now, self.state.due_at(outgoing))
        return {
            "message_id": short(outgoing.digest.message_id, 200),
            "decided": self._wall(outgoing.at),
            "events": outgoing.digest.count,
            "groups": [entry.group.fingerprint[:SHORT] for entry in outgoing.digest.entries],
            "owed": [short(address, 200) for address in outgoing.owed],
            "some_have_it": outgoing.counted,
            "failures": outgoing.failures,
            "sent_by": short(outgoing.claimed_by, 100) if claimed else None,
            "next": {"at": self._wall(at), "reason": "again"},
        }

    def _group(self, name: str, history: History) -> dict[str, Any]:
        pending = history.pending
        cause = self._next(history)
        return {
            "group": name[:SHORT],
            "fingerprint": name,
            "title": short(history.title, _MAX_TITLE),
            "level": short(
                history.title.partition(" ")[0] if pending is None else pending.level_name, 20
            ),
            "events": history.total,
            "unmailed": 0 if pending is None else pending.count,
            "a_minute": max(0.0, rate_of(history, self.now)),
            "seen": self._wall(history.seen_at),
            "last_told": None if history.told is None else self._wall(history.told.at),
            "next": None
            if cause is None
            else {"at": self._wall(max(cause.at, self.now)), "reason": cause.reason},
        }

    def _next(self, history: History) -> Cause | None:
        if history.pending is None:
            return None
        found = causes(self.state, history, self._policy, self.now)
        return min(found, key=lambda cause: cause.at, default=None)

    def _wall(self, at: float) -> float:
        return at - self._ahead


def _process(owner: str) -> tuple[str, int | None]:
    """Return the host and the number of the process that leads."""
    host, _, rest = short(owner, 200).rpartition("-")[0].rpartition("-")
    return (host, int(rest)) if host and rest.isdecimal() else (owner, None)


def _is_alive(host: str, pid: int | None) -> bool | None:
    """Return whether a process is alive; None if that can't be known here."""
    if pid is None or host != (platform.node() or "localhost") or os.name != "posix":
        return None
    if pid == os.getpid():  # the command doesn't lead: its number was another process's
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
