"""Processes that log and are killed, hundreds of times, while the mail server has its moods.

`make soak` runs it. In the end every event that a process knew to be in the store is counted in
exactly one digest, and no digest counts one that wasn't logged; a digest that came twice came with
the same Message-ID and the same bytes; and received = mailed. It fails if that isn't so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from storm import soak


def main() -> int:
    """Run it, and print what came of it; return how much is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kills", type=int, default=500)
    options = parser.parse_args()
    say(f"{options.seconds:g} s, {options.kills} kills from outside, seed {options.seed}")
    folder = Path(tempfile.mkdtemp(prefix="tocsin-soak-"))
    result = soak(folder, seconds=options.seconds, seed=options.seed, kills=options.kills)
    for name, value in asdict(result).items():
        if name != "wrong":
            say(f"{name:>8} {round(value):,}")
    for line in result.wrong:
        say(f"WRONG: {line}")
    if result.wrong:
        say(f"the store, the notes and what the processes said are in {folder}")
    return len(result.wrong)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
