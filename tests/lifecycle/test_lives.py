"""What each way to start and to end costs, as processes of their own; the documentation says it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lives import LIVES, NOT_AT_ALL, STORES, Life, Result, Stage
from servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"
ALL = [*LIVES, *SERVERS]
AT_ONCE = 4


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Result]]:
    """All of them, some at once."""
    with Stage.open(tmp_path_factory) as stage, ThreadPoolExecutor(AT_ONCE) as threads:
        running = {
            (life.how, store): threads.submit(life.run, stage, f"{store}{number}", store)
            for number, life in reversed([*enumerate(ALL)])  # the servers take longest
            for store in STORES
        }
        yield {name: future.result() for name, future in running.items()}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("life", ALL, ids=lambda life: life.how)
def test_what_it_costs(life: Life, store: str, results: dict[tuple[str, str], Result]) -> None:
    result = results[life.how, store]
    outcome = life.outcome(store)
    assert result.code == life.code, result.error
    assert sorted(result.mailed) == sorted(outcome.mailed), result.error
    assert sorted(set(result.next) - outcome.maybe) == sorted(outcome.next), result.error
    assert len(set(result.next)) == len(result.next)
    for name in outcome.told:
        assert f"mark-{name}" in result.error
    assert result.end < (2 if life.held_up == NOT_AT_ALL else 8)  # Celery takes 6 without us


def test_the_documentation_says_so() -> None:
    """Each way has one row, in one of the tables; no table has another row."""
    found: list[str] = []
    inside = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        inside = line.startswith("| the end |") or (inside and line.startswith("|"))
        if inside and line.startswith("| ") and not line.startswith("| the end |"):
            found.append(line)
    assert sorted(found) == sorted(
        f"| {life.how} | {life.memory.said} | {life.file.said} | {life.held_up} |" for life in ALL
    )
