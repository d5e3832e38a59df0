"""What `tocsin replay` takes for a million lines: seconds, lines a second, and memory.

    python benchmarks/replay.py [--short]

Each kind of log is replayed in a process of its own. One line in twenty is an error, and one error
in two has a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAY = 86_400
_START = 1_778_544_000
_TRACE = """\
Traceback (most recent call last):
  File "/srv/shop/shop/pay.py", line 41, in charge
    post(order)
  File "/srv/shop/shop/gateway.py", line 12, in post
    raise ConnectionRefusedError(111, "Connection refused")
ConnectionRefusedError: [Errno 111] Connection refused"""
KINDS = ("text", "json", "docker")


def lines(kind: str, count: int, seed: int = 7) -> Iterator[str]:
    """Yield the lines of a day's log."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    number = 0
    while number < count:
        time_ = _START + _DAY * number / count
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_))
        failed = chance.random() < 1 / 20
        level = "ERROR" if failed else "INFO"
        name = chance.choice(("shop.pay", "shop.views", "shop.stock"))
        text = f"Order {number} has failed" if failed else f"GET /orders/{number} 200 in 12 ms"
        trace = _TRACE if failed and chance.random() < 1 / 2 else ""
        if kind == "text":
            yield f"{clock},000 {level} {name} {text}"
            rest = trace.splitlines() if trace else []
            yield from rest
            number += 1 + len(rest)
            continue
        fields = {"timestamp": f"{clock}Z", "level": level, "name": name, "message": text}
        if trace:
            fields["exc_info"] = trace
        line = json.dumps(fields)
        if kind == "docker":
            line = json.dumps({"log": f"{line}\n", "stream": "stderr", "time": f"{clock}Z"})
        yield line
        number += 1


def measure(kind: str, count: int, folder: Path) -> dict[str, float]:
    """Replay a log of a kind, and return the figures."""
    log = folder / f"{kind}.log"
    with log.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines(kind, count))
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--replay", str(log)], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    log.unlink()
    return {"seconds": seconds, "lines": count, **json.loads(done.stdout)}


def replay(path: str) -> None:
    """Replay a log in this process, and print the peak of its memory and the mails."""
    from tocsin.cli.main import main  # noqa: PLC0415 - the process that measures needs it not

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(["replay", "--json", path])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    mails = len(json.loads(printed.getvalue())["mails"])
    print(json.dumps({"memory": memory, "mails": mails}))


def main() -> None:
    """Measure all kinds, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer lines")
    parser.add_argument("--replay", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.replay:
        replay(args.replay)
        return
    count = 50_000 if args.short else 1_000_000
    print(f"{'log':<8} {'lines':>9} {'seconds':>8} {'lines/s':>9} {'memory':>8} {'mails':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            found = measure(kind, count, Path(folder))
            rate = count / found["seconds"]
            print(
                f"{kind:<8} {count:>9,} {found['seconds']:>8.1f} {rate:>9,.0f} "
                f"{found['memory']:>5.0f} MB {found['mails']:>6}"
            )


if __name__ == "__main__":
    main()
