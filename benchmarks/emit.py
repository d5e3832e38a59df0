"""What a record costs the application, against peers: `make bench-emit`, or short with `--short`.

Printed is a Markdown table: microseconds of a call of the logger, the best of several runs that
take turns, so that a busy moment is everybody's. Ratios are what counts; those over their budget
are marked.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import tocsin
from emit_peers import Appending, Noting, Queued, logger_with, memory, nothing, ours, peers, through
from tocsin.testing.script import Act
from tocsin.testing.smtp import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from emit_peers import Info, Log

FRAMES = (0, 3, 20)
KINDS = 50  # told apart right after a drain
# The budgets
REPEATED = 1.7  # times NullHandler
FURTHER = 0.25  # µs that each frame after the third may cost more
DEEP = 0.05  # times QueueHandler, with 20 frames
FRESH = 1.2  # times QueueHandler
SLOWEST = 1.5  # times the same with a mail server that is well, or a store that is free
MEMORY = 20  # MB above what is used after the first mail


def raised(frames: int, module: str) -> Info:
    """Return what `sys.exc_info()` is for an exception that came through so many functions."""
    if not frames:
        return None
    source = "".join(f"def f{n}():\n    f{n + 1}()\n" for n in range(1, frames - 1))
    names: dict[str, Any] = {"__name__": module}
    source += f"def f{frames - 1}():\n    raise ValueError('order 17')\n"
    exec(compile(source, __file__, "exec"), names)  # noqa: S102 - so many functions as are asked for
    try:
        names["f1"]()
    except ValueError as error:
        return type(error), error, error.__traceback__
    raise AssertionError


class Clocked:
    """The best times of several ways to do the same, in turns."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds

    def best(
        self, ways: dict[str, tuple[Callable[[], object], Callable[[], object]]], times: int
    ) -> dict[str, float]:
        """Return the microseconds of each.

        Args:
            ways: what to do, and what to do before, which isn't measured.
            times: how many of what is asked for one call does.
        """
        found = dict.fromkeys(ways, float("inf"))
        for _ in range(self._rounds):
            for name, (work, before) in ways.items():
                before()
                gc.collect()
                gc.disable()
                started = time.perf_counter()
                work()
                took = time.perf_counter() - started
                gc.enable()
                found[name] = min(found[name], took / times * 1e6)
        return found


class Table:
    """Rows of a Markdown table."""

    def __init__(self) -> None:
        self.missed = 0
        self._columns = 0

    def head(self, title: str, *columns: str) -> None:
        """Start one; its last column may be the verdict's."""
        self._columns = len(columns)
        print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")

    def row(self, *cells: str, within: bool | None = None) -> None:
        """Print a line, with a verdict where there is a budget."""
        verdict = {None: "", True: "within", False: "**over**"}[within]
        self.missed += within is False
        print(f"| {' | '.join((*cells, verdict)[: self._columns])} |", flush=True)


def repeated(table: Table, clock: Clocked, times: int) -> None:
    """Compare an error that comes again and again."""
    table.head(
        "A repeated error: µs, and how many times NullHandler",
        "",
        "no traceback",
        "3 frames",
        "20 frames",
        "20 frames / QueueHandler",
        "budget",
    )
    alert = ours()
    queued = Queued()
    buffering = memory()
    ways: dict[str, tuple[Log, Callable[[], object]]] = {
        "NullHandler": (through(logging.NullHandler()), nothing),
        "tocsin": (through(alert), nothing),
        "QueueHandler": (through(queued), queued.empty),
        "MemoryHandler": (through(buffering), buffering.buffer.clear),
        **peers(),
    }
    found: dict[int, dict[str, float]] = {}
    for frames in FRAMES:
        info = raised(frames, "shop.pay")

        def many(log: Log, info: Info = info, count: int = times) -> Callable[[], None]:
            def work() -> None:
                for _ in range(count):
                    log(info)

            return work

        quick = {name: (many(log), before) for name, (log, before) in ways.items()}
        slow = {"Red Mail", "Django", "sentry-sdk", "Logbook mail"}
        found[frames] = clock.best({n: w for n, w in quick.items() if n not in slow}, times)
        few = max(times // 50, 5)
        found[frames] |= clock.best(
            {n: (many(ways[n][0], count=few), ways[n][1]) for n in ways if n in slow}, few
        )
    null = {frames: found[frames]["NullHandler"] for frames in FRAMES}
    for name in ways:
        cells = [f"{found[n][name]:.2f} ({found[n][name] / null[n]:.2f})" for n in FRAMES]
        of_queue = found[20][name] / found[20]["QueueHandler"]
        within = None
        if name == "tocsin":
            within = found[0][name] <= REPEATED * null[0] and found[3][name] <= REPEATED * null[3]
            within &= found[20][name] <= REPEATED * null[20] + 17 * FURTHER and of_queue <= DEEP
        table.row(name, *cells, f"{of_queue:.3f}", within=within)
    alert.close()


def fresh(table: Table, clock: Clocked) -> None:
    """Compare an error that is the first of its group since the last drain."""
    table.head(
        "An error whose group is new in this second: µs",
        "",
        "tocsin",
        "QueueHandler",
        "ratio",
        "budget",
    )
    for frames in FRAMES:
        infos = [raised(frames, f"shop.m{n}") for n in range(KINDS)]
        alert, queued = ours(policy={"max_groups": 10_000}), Queued()
        drain = alert._engine.intake.drain  # noqa: SLF001 - as the worker does each second
        logs = {"tocsin": logger_with(alert), "QueueHandler": logger_with(queued)}

        def work(name: str, infos: Sequence[Info] = infos, logs: Any = logs) -> Callable[[], None]:
            logger = logs[name]
            kinds = [f"order {chr(97 + n % 26)}{chr(97 + n // 26)} failed" for n in range(KINDS)]

            def log() -> None:
                for kind, info in zip(kinds, infos, strict=True):
                    logger.error(kind, exc_info=info)

            return log

        ways: Any = {
            "tocsin": (work("tocsin"), drain),
            "QueueHandler": (work("QueueHandler"), queued.empty),
        }
        found = clock.best(ways, KINDS)
        ratio = found["tocsin"] / found["QueueHandler"]
        # Without a traceback there is next to nothing to format: no budget names it.
        table.row(
            f"{frames} frames" if frames else "no traceback",
            *(f"{found[name]:.2f}" for name in ways),
            f"{ratio:.2f}",
            within=ratio <= FRESH if frames else None,
        )
        alert.close()


def context(table: Table, clock: Clocked, times: int) -> None:
    """Compare a record that is kept in case an error comes."""
    table.head("A record below the alert level: µs", "", "", "x append of the text")
    buffering = memory()
    ways: dict[str, tuple[logging.Handler, Callable[[], object]]] = {
        "NullHandler": (logging.NullHandler(), nothing),
        "append of the text": (Appending(), nothing),
        "tocsin, context": (Noting(), nothing),
        "MemoryHandler": (buffering, buffering.buffer.clear),
    }

    def work(handler: logging.Handler) -> Callable[[], None]:
        logger = logger_with(handler, logging.DEBUG)

        def log() -> None:
            for number in range(times):
                logger.info("order %d of %s", number, "ann")

        return log

    found = clock.best({name: (work(one), before) for name, (one, before) in ways.items()}, times)
    for name, took in found.items():
        table.row(name, f"{took:.2f}", f"{took / found['append of the text']:.2f}")


def slowest(table: Table, seconds: float, rounds: int) -> None:
    """Compare the slowest calls while the mail server is well, and while it never answers."""
    table.head(
        "The 99.9th percentile of a repeated error, 3 frames: µs", "mail server", "", "x", "budget"
    )
    info = raised(3, "shop.pay")
    servers = {"answers": False, "accepts, and never answers": True}
    found = dict.fromkeys(servers, float("inf"))
    with contextlib.redirect_stderr(io.StringIO()):  # that mails can't be sent is meant
        for _ in range(rounds):
            for name, silent in servers.items():
                with mail_server(silent=silent) as email:
                    # A mail each second: the worst that can be configured.
                    policy = {"group_wait": 0, "repeat_after": 0}
                    handler = ours(email, policy=policy, exit_timeout=0.1)
                    took = percentile(logger_with(handler), info, seconds)
                    found[name] = min(found[name], took)
                    handler.close()
    for name, took in found.items():
        ratio = took / found["answers"]
        within = None if name == "answers" else ratio <= SLOWEST
        table.row(name, f"{took:.1f}", f"{ratio:.2f}", within=within)


@contextlib.contextmanager
def mail_server(*, silent: bool) -> Generator[tocsin.SMTPEmailHandler]:
    """Run one that is well, or that accepts connections and says nothing."""
    with ScriptedSMTPServer({"connect": Act.SILENCE} if silent else None) as server:
        yield tocsin.SMTPEmailHandler(host="127.0.0.1", port=server.port, timeout=600)


def locked(table: Table, seconds: float, rounds: int) -> None:
    """Compare the slowest calls while the store's file is free, and while somebody holds it."""
    table.head(
        "The 99.9th percentile of a repeated error, 3 frames: µs", "store's file", "", "x", "budget"
    )
    info = raised(3, "shop.pay")
    found = dict.fromkeys(("free", "held by somebody else"), float("inf"))
    with (
        contextlib.redirect_stderr(io.StringIO()),  # that it can't be used in time is meant
        tempfile.TemporaryDirectory() as folder,
    ):
        for number in range(rounds):
            for name in found:
                place = f"{folder}/{number}-{name.split()[0]}.db"
                handler = ours(store=f"sqlite:///{place}")
                logger = logger_with(handler)
                with contextlib.closing(sqlite3.connect(place, isolation_level=None)) as file:
                    if name != "free":
                        file.execute("BEGIN IMMEDIATE")
                    found[name] = min(found[name], percentile(logger, info, seconds))
                handler.close()
    for name, took in found.items():
        ratio = took / found["free"]
        within = None if name == "free" else ratio <= SLOWEST
        table.row(name, f"{took:.1f}", f"{ratio:.2f}", within=within)


def percentile(logger: logging.Logger, info: Info, seconds: float) -> float:
    """Return the microseconds that 99.9 % of calls don't exceed."""
    took: list[int] = []
    clock = time.perf_counter_ns
    until = clock() + int(seconds * 1e9)
    while clock() < until:
        started = clock()
        logger.error("order %d failed", 17, exc_info=info)
        took.append(clock() - started)
        time.sleep(0.0001)
    took.sort()
    return took[int(len(took) * 0.999)] / 1e3


def remembering(table: Table, records: int) -> None:
    """Show what is held after very many records of very many kinds, in a process of its own."""
    command = [sys.executable, __file__, "--memory", str(records)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    resident, traced = map(float, result.stdout.split())
    table.head(
        f"Memory after {records:,} records of 10,000 kinds, above that after the first mail: MB",
        "",
        "",
        "budget",
    )
    table.row("resident", f"{resident:.1f}", within=resident <= MEMORY)
    table.row("of Python's objects", f"{traced:.1f}")


def fill(records: int) -> None:
    """Log them, and print the growth in MB: of the process, then of a second run's objects."""
    kinds = [
        f"kind {chr(0x4E00 + n % 100)}{chr(0x4E00 + n // 100)} %d failed" for n in range(10_000)
    ]
    for traced in (False, True):
        handler = ours()
        logger = logger_with(handler)
        logger.error("the first")
        handler.flush()
        gc.collect()
        if traced:
            tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0] if traced else _resident()
        for number in range(records // (10 if traced else 1)):
            logger.error(kinds[number % len(kinds)], number)
        handler.flush()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0] if traced else _resident()
        print((after - before) / 1e6)
        handler.close()


def loading(table: Table, rounds: int) -> None:
    """Tell what importing costs, above `logging.handlers`; how much that is, is the machine's."""
    table.head(
        "Importing, above `import logging.handlers`: ms of processor time", "what", "", "budget"
    )
    # Without compiling anything, which is done once.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for name, budget in (("import tocsin", 5), ("import tocsin; tocsin.AlertHandler", 60)):
        clock = "time.process_time()"
        program = f"import logging.handlers, time; a = {clock}; {name}; print({clock} - a)"
        took = [
            float(subprocess.check_output([sys.executable, "-c", program], env=environment))
            for _ in range(rounds)
        ]
        table.row(f"`{name}`", f"{min(took) * 1e3:.1f}", str(budget))


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - the shortest way
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Print the tables; return how many rows are over budget, unless the numbers are small.

    Small numbers show that it runs: they vary too much to be judged.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="small numbers, for CI")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        fill(options.memory)
        return 0
    table = Table()
    clock = Clocked(9 if options.short else 25)
    times = 500 if options.short else 2_000
    repeated(table, clock, times)
    fresh(table, clock)
    context(table, clock, times)
    slowest(table, 1.5 if options.short else 5, 3)
    locked(table, 1.5 if options.short else 6, 3)
    remembering(table, 100_000 if options.short else 1_000_000)
    loading(table, 10)
    return 0 if options.short else table.missed


if __name__ == "__main__":
    sys.exit(main())
