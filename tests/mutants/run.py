"""Change the rules in one place at a time, and see whether a test fails: `make mutants`.

mutmut makes the mutants and runs the tests; `[tool.mutmut]` in pyproject.toml lists modules and
tests. A mutant that no test fails for needs a test. If it changes nothing that a user could see, it
is listed in equivalent.toml instead, with the reason. The run fails if one is neither killed nor
listed. All modules take half an hour with one job on a small machine.

mutmut changes functions and methods. It leaves constants, defaults of dataclasses, tables of
patterns and properties as they are.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = ROOT / "mutants"  # mutmut's own choice
LISTED = Path(__file__).with_name("equivalent.toml")
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
LONG, AROUND = 100, 30  # characters of a line that is shown whole; else, around what differs
KILLED = ("killed", "timeout")
ALIVE = ("survived", "no tests")


@dataclass(frozen=True, order=True)
class Change:
    """A mutant: a function, and a change of its code.

    Attributes:
        function: its dotted name, from the package on.
        was: the lines that are changed, as `ast.unparse` writes them.
        now: the lines in their place.
    """

    function: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.function}\n  - {self.was}\n  + {self.now}"


def main() -> int:
    """Run mutmut; print its numbers for each module, and the mutants that need a test."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="alerts.policy, 'mail.*'; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at the same time")
    given = parser.parse_args()
    shutil.rmtree(MADE, ignore_errors=True)  # mutmut would keep verdicts although tests changed
    patterns = [f"tocsin.{module}.*" for module in given.modules]
    command = (MUTMUT, "run", "--max-children", str(given.jobs), *patterns)
    subprocess.run(command, cwd=ROOT, check=True)
    return report(results())


def results() -> dict[str, str]:
    """Return the mutants that were tried, by mutmut's names, and what became of each."""
    command = (MUTMUT, "results", "--all", "true")
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = dict(line.strip().rsplit(": ", 1) for line in told.splitlines() if ": " in line)
    return {name: verdict for name, verdict in found.items() if verdict != "not checked"}


def report(verdicts: dict[str, str]) -> int:
    """Print a table and the mutants that need a test; return the number of these, at most 1."""
    listed = equivalent()
    numbers: dict[str, Counter[str]] = {}
    alive: list[Change] = []
    needless = set(listed)
    for name, verdict in verdicts.items():
        module = name.rpartition(".")[0].removeprefix("tocsin.")
        change = change_of(name) if verdict not in KILLED else None
        if change is None:
            group = "killed"
        elif change in listed and verdict in ALIVE:
            group = "equivalent"
            needless.discard(change)
        else:
            group = "alive"
            alive.append(change)
        numbers.setdefault(module, Counter())[group] += 1
    print_table(numbers)
    for change in sorted(alive):
        print(f"\nalive: {change}")
    for change in sorted(needless):
        if change.function.startswith(tuple(f"{module}." for module in numbers)):
            print(f"\nlisted, but killed or gone: {change}")
    return min(1, len(alive))


def print_table(numbers: dict[str, Counter[str]]) -> None:
    """Print the numbers of each module and of all."""
    print(f"\n{'module':24}{'mutants':>9}{'killed':>9}{'equivalent':>12}{'alive':>7}")
    rows = [*sorted(numbers.items()), ("all", sum(numbers.values(), Counter()))]
    for module, count in rows:
        killed, same, alive = count["killed"], count["equivalent"], count["alive"]
        print(f"{module:24}{count.total():9}{killed:9}{same:12}{alive:7}")


def equivalent() -> dict[Change, str]:
    """Return the mutants that need no test, and why not."""
    with LISTED.open("rb") as file:
        listed = tomllib.load(file)
    return {
        Change(function, was, now): reason["why"]
        for reason in listed["reason"]
        for function, was, now in reason["mutants"]
    }


def change_of(name: str) -> Change:
    """Return the change that mutmut has given a name."""
    module, _, mutant = name.rpartition(".")
    mangled = mutant.partition("__mutmut_")[0]
    before, after = (code(module, one) for one in (f"{mangled}__mutmut_orig", mutant))
    lines = list(difflib.ndiff(before, after))
    was, now = (
        " ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    function = mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    return Change(f"{module.removeprefix('tocsin.')}.{function}", *near(was, now))


def near(was: str, now: str) -> tuple[str, str]:
    """Return what differs, with some characters around it where the lines are long."""
    if len(was) <= LONG:
        return was, now
    same = alike(was, now)
    behind = alike(was[:same:-1], now[:same:-1])
    start = max(0, same - AROUND)
    was, now = (line[start : len(line) - max(0, behind - AROUND)] for line in (was, now))
    return was, now


def alike(one: str, other: str) -> int:
    """Return how many characters at the beginning of both are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def code(module: str, name: str) -> list[str]:
    """Return the lines of a function that mutmut made, without its name."""
    function = functions(module)[name]
    function.name = "function"
    return ast.unparse(function).splitlines()


@cache
def functions(module: str) -> dict[str, ast.FunctionDef]:
    """Return the functions and methods that mutmut made of a module, by their names."""
    path = MADE.joinpath("src", *module.split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


if __name__ == "__main__":
    sys.exit(main())
