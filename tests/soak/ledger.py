"""What the processes have noted, what the mails say, and whether the two agree."""

from __future__ import annotations

import collections
import email
import email.policy
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tocsin.testing import ReceivedMessage

GROUP = re.compile(r"^\d+ +[A-Z]+ +ERROR +soak\.(\S+)  ([\d,]+) x$", re.MULTILINE)
EVERYBODY = {"a@example.com", "b@example.com"}


@dataclass
class Notes:
    """What the processes have noted, by kind of event; all together.

    Attributes:
        logged: events that may have been logged.
        kept: events of which they knew that the store has them.
        alone: why some couldn't use the store.
        accounts: received, mailed, pending and undelivered, at the end.
    """

    logged: collections.Counter[str] = field(default_factory=collections.Counter)
    kept: collections.Counter[str] = field(default_factory=collections.Counter)
    alone: set[str] = field(default_factory=set)
    accounts: tuple[int, ...] = ()

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Notes:
        """Return what is in their files."""
        notes = cls()
        for path in paths:
            latest: dict[str, list[str]] = {}
            for line in path.read_text(encoding="utf-8").splitlines():
                word, *rest = line.split(" ")
                latest[word] = rest
            for word, counter in (("logged", notes.logged), ("kept", notes.kept)):
                number = int(latest.get(word, ["0"])[0])
                counter[path.stem] += (number + 1) // 2
                counter["all"] += number // 2
            if "alone" in latest:
                notes.alone.add(" ".join(latest["alone"]))
            if "accounts" in latest:
                notes.accounts = tuple(map(int, latest["accounts"]))
        return notes


@dataclass
class Mails:
    """What the mails say.

    Attributes:
        counted: events in mails, by kind.
        distinct: how many digests.
        copies: how many times somebody has got a digest once more.
        wrong: what must not be, in words.
    """

    counted: collections.Counter[str] = field(default_factory=collections.Counter)
    distinct: int = 0
    copies: int = 0
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, received: Sequence[ReceivedMessage]) -> Mails:
        """Return what these say; each digest once, however often it came."""
        mails = cls()
        digests: dict[str, list[ReceivedMessage]] = {}
        for one in received:
            name = str(email.message_from_bytes(one.data)["Message-ID"])
            digests.setdefault(name, []).append(one)
        mails.distinct = len(digests)
        for name, copies in digests.items():
            mails._read(name, copies)
        return mails

    def _read(self, name: str, copies: list[ReceivedMessage]) -> None:
        if any(one.data != copies[0].data for one in copies):
            self.wrong.append(f"{name} came with different contents")
        got = [address for one in copies for address in one.recipients]
        if {*got} != EVERYBODY:
            self.wrong.append(f"{name} went to {sorted({*got})} alone")
        self.copies += len(got) - len({*got})
        message = email.message_from_bytes(copies[0].data, policy=email.policy.default)
        body = message.get_body(("plain",))
        text = "" if body is None else body.get_content().replace("\r", "")
        found = {kind: int(count.replace(",", "")) for kind, count in GROUP.findall(text)}
        if sum(found.values()) != int(message["X-Tocsin-Count"]):
            self.wrong.append(f"{name} counts {message['X-Tocsin-Count']}, and tells {found}")
        self.counted.update(found)


def compare(notes: Notes, mails: Mails) -> list[str]:
    """Return what doesn't agree, in words."""
    wrong = list(mails.wrong)
    for kind in {*notes.logged, *mails.counted}:
        logged, kept, counted = notes.logged[kind], notes.kept[kind], mails.counted[kind]
        if not kept <= counted <= logged:
            wrong.append(f"{kind}: {kept} were kept, {counted} counted, {logged} logged")
    total = mails.counted.total()
    if notes.accounts != (total, total, 0, 0):
        wrong.append(f"the mails count {total}, the store's accounts are {notes.accounts}")
    wrong += [f"a process went on alone: {reason}" for reason in notes.alone]
    return wrong
