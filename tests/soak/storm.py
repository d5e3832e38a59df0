"""Processes that log, some of which are killed, while the mail server has its moods."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ledger import Mails, Notes, compare
from weather import Weather
from writer import Options

from tocsin.testing import ScriptedSMTPServer

PROCESSES = 8
TICK = 0.02  # seconds
WRITER = Path(__file__).with_name("writer.py")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of it.

    Attributes:
        lives: processes that were started.
        kills: those that were killed.
        events: events in mails.
        unsure: events that were logged, of which nobody knew whether the store had them.
        mails: digests.
        copies: how many times somebody got one once more.
        seconds: how long it took.
        wrong: what must not be, in words.
    """

    lives: int
    kills: int
    events: int
    unsure: int
    mails: int
    copies: int
    seconds: float
    wrong: tuple[str, ...]


class Crowd:
    """Processes, of which another one is started when one has died."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.port = 0
        self.lives = self.kills = 0
        self.failed: list[str] = []
        self._folder = folder
        self._chance = chance
        self._living: dict[int, subprocess.Popen[bytes]] = {}
        self._said = (folder / "stderr.txt").open("ab")

    def tend(self) -> None:
        """Start as many as have died."""
        self._bury()
        while len(self._living) < PROCESSES:
            chance = self._chance
            self.start(
                Options(
                    life=f"p{self.lives}",
                    port=self.port,
                    folder=str(self._folder),
                    steps=chance.randint(1, 200) if chance.random() < 0.4 else 0,
                    events=chance.randint(50, 500) if chance.random() < 0.2 else sys.maxsize,
                    apart=chance.random() < 0.3,
                )
            )

    def start(self, options: Options) -> subprocess.Popen[bytes]:
        """Start a process."""
        command = [sys.executable, str(WRITER), json.dumps(asdict(options))]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self._said)
        self._living[process.pid] = process
        self.lives += 1
        return process

    def kill(self, pid: int) -> None:
        """Kill a process, if it is one of these."""
        process = self._living.get(pid)
        if process is not None:
            process.kill()

    def kill_any(self) -> None:
        """Kill one of them."""
        self.kill(self._chance.choice(list(self._living)))

    def kill_leader(self) -> bool:
        """Kill who leads at this moment, if somebody does."""
        place = f"file:{self._folder / 'alerts.db'}?mode=ro"
        row = None
        with (
            contextlib.suppress(sqlite3.OperationalError),  # nobody has made it yet
            contextlib.closing(sqlite3.connect(place, uri=True)) as file,
        ):
            row = file.execute("SELECT owner, ends FROM leases").fetchone()
        if row is None or row[1] < time.time():
            return False
        self.kill(int(row[0].split("-")[-2]))
        return True

    def end(self) -> None:
        """End them, half of them gently."""
        for number, process in enumerate(list(self._living.values())):
            if number % 2:
                process.terminate()
            else:
                process.kill()
        for process in list(self._living.values()):
            process.wait(20)
        self._bury()

    def finish(self) -> None:
        """Let a last process send what is left."""
        self.start(Options(life="last", port=self.port, folder=str(self._folder), last=True))
        with contextlib.suppress(subprocess.TimeoutExpired):
            next(iter(self._living.values())).wait(120)
        for process in self._living.values():
            process.kill()
            process.wait(20)
        self._bury()

    def said(self) -> str:
        """Return what they have written to standard error."""
        self._said.close()
        return Path(self._said.name).read_text(encoding="utf-8", errors="replace")

    def _bury(self) -> None:
        for pid, process in list(self._living.items()):
            code = process.poll()
            if code is None:
                continue
            del self._living[pid]
            if code == -signal.SIGKILL:
                self.kills += 1
            elif code not in {0, -signal.SIGTERM}:  # it may come before Python listens to it
                self.failed.append(f"a process ended with {code}")


def soak(folder: Path, *, seconds: float, seed: int, kills: int) -> Result:
    """Run it.

    Args:
        folder: where the store and the notes are put.
        seconds: for how long processes log and are killed.
        seed: of the chances. Not all is chance: what the processes do at the same time is the
            machine's.
        kills: how many are killed from outside in that time; others die by themselves.
    """
    started = time.monotonic()
    chance = random.Random(seed)
    crowd = Crowd(folder, chance)
    weather = Weather(seed, crowd.kill)
    with ScriptedSMTPServer(weather.script) as server:
        crowd.port = server.port
        try:
            rage(crowd, weather, chance, seconds=seconds, kills=kills)
        finally:
            weather.fine = True
            crowd.end()
        crowd.finish()
    notes = Notes.of(folder.glob("*.notes"))
    mails = Mails.of(server.messages)
    wrong = [*compare(notes, mails), *crowd.failed]
    wrong += [line for line in crowd.said().splitlines() if "unexpected" in line]
    return Result(
        lives=crowd.lives,
        kills=crowd.kills,
        events=mails.counted.total(),
        unsure=notes.logged.total() - notes.kept.total(),
        mails=mails.distinct,
        copies=mails.copies,
        seconds=time.monotonic() - started,
        wrong=tuple(wrong),
    )


def rage(
    crowd: Crowd, weather: Weather, chance: random.Random, *, seconds: float, kills: int
) -> None:
    """Let them log, and kill some: anybody, who leads, or who sends."""
    never = threading.Event()
    started = time.monotonic()
    done = 0
    while (gone := time.monotonic() - started) < seconds:
        crowd.tend()
        if gone * kills / seconds > done:
            match chance.randrange(3):
                case 0:
                    crowd.kill_any()
                    done += 1
                case 1:
                    weather.aims += 1
                    done += 1
                case _:
                    done += any(crowd.kill_leader() for _ in range(50))
        never.wait(TICK)
