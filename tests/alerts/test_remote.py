"""Exceptions of another process: a pool sends their traceback as text, in their cause."""

from __future__ import annotations

from concurrent.futures import process
from multiprocessing import pool
from typing import TYPE_CHECKING, Any

import pytest
from samples import caught, kept, record

from tocsin.events.fingerprint import Fingerprints, Identity
from tocsin.events.frames import OwnCode

if TYPE_CHECKING:
    import logging

_HEADER = "Traceback (most recent call last):\n"
_POOL = (
    '  File "/usr/lib/python3.11/site-packages/pool.py", line 5, in worker\n    result = job()\n'
)
_WORK = '  File "/srv/shop/prices.py", line 12, in price\n    return table[item]\n'
_TABLE = '  File "/srv/shop/table.py", line 3, in load\n    raise OSError("no table")\n'
_CAUSE = (
    f"{_HEADER}{_TABLE}OSError: no table\n\n"
    "The above exception was the direct cause of the following exception:\n\n"
)
REMOTE: Any = vars(process)["_RemoteTraceback"]


def fetch(text: str, kind: Any = REMOTE) -> None:
    """Fetch a result, as from a pool of processes."""
    error = KeyError("apple")
    error.__cause__ = kind(text)
    raise error


def fetch_elsewhere(text: str) -> None:
    fetch(text)


def of(error: BaseException, logger: str = "shop") -> logging.LogRecord:
    return record(exc=error, name=logger)


def identity(made: logging.LogRecord) -> Identity:
    return Fingerprints(OwnCode()).of(made)


@pytest.mark.parametrize("kind", [REMOTE, vars(pool)["RemoteTraceback"]])
def test_its_frames_there_follow_those_here(kind: Any) -> None:
    text = f'\n"""\n{_HEADER}{_POOL}{_WORK}KeyError: \'apple\'\n"""'
    made = of(caught(fetch, text, kind))
    lines = [line.text for line in kept(made).traceback]
    assert any("in fetch" in line for line in lines)
    assert lines[-3:] == [
        "/srv/shop/prices.py:12 in price",
        "    return table[item]",
        "KeyError: 'apple'",
    ]
    assert not any("RemoteTraceback" in line for line in lines)
    assert identity(made)[1:3] == ("KeyError", "prices.price")


def test_the_place_that_fetches_it_makes_no_other_group() -> None:
    text = f"{_HEADER}{_POOL}{_WORK}KeyError: 'apple'"
    here, elsewhere = of(caught(fetch, text)), of(caught(fetch_elsewhere, text))
    assert identity(here) == identity(elsewhere)


def test_its_causes_there_are_shown() -> None:
    made = of(caught(fetch, f"{_CAUSE}{_HEADER}{_POOL}{_WORK}KeyError: 'apple'"))
    assert "caused by OSError: no table" in [line.text for line in kept(made).traceback]


def test_library_code_alone_there_leaves_the_place_here() -> None:
    made = of(caught(fetch, f"{_HEADER}{_POOL}KeyError: 'apple'"))
    assert identity(made).place.endswith("test_remote.fetch")


@pytest.mark.parametrize("text", ["", "no traceback", 5, None])
def test_a_cause_without_a_traceback_is_shown_as_any_other(text: Any) -> None:
    made = of(caught(fetch, text))
    assert identity(made).place.endswith("test_remote.fetch")
    assert any(line.kind == "cause" for line in kept(made).traceback)


def test_it_is_remembered_if_it_is_of_usual_length() -> None:
    fingerprints = Fingerprints(OwnCode())
    text = f"{_HEADER}{_POOL}{_WORK}KeyError: 'apple'"
    first = fingerprints.of(of(caught(fetch, text)))
    assert fingerprints.of(of(caught(fetch, text))) is first
    long = f"{_HEADER}{_POOL}{_WORK}KeyError: '{'a' * 3_000}'"
    second = fingerprints.of(of(caught(fetch, long)))
    assert fingerprints.of(of(caught(fetch, long))) == second == first
