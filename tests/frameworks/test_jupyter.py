"""A notebook that nbconvert executes: exceptions of cells are alerts."""

from __future__ import annotations

import asyncio
import os
import warnings
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbconvert.preprocessors import ExecutePreprocessor
from programs import APPS, Mails

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer

CONFIGURE = """
import logging, logging.config, alerting
config = alerting.logging_config(uncaught=True, level="DEBUG", context=5, **OPTIONS)
logging.config.dictConfig(config)
log = logging.getLogger("ledger")
"""
CELLS = [
    f"OPTIONS = {{}}{CONFIGURE}",
    """
log.info("booking starts")
def book(number):
    raise LookupError("no account " + str(number))
""",
    "total = 1\nbook(1)",
    "book(2)",
    "1 / 0",
    """
try:
    book(3)
except LookupError:
    log.exception("not booked")
""",
    "# an empty cell",
    f"OPTIONS = {{'version': 'second'}}{CONFIGURE}",
    "book(4)",
    """
import threading
thread = threading.Thread(target=book, args=(5,), name="importer")
thread.start()
thread.join()
""",
    "raise KeyboardInterrupt",
    "(handler,) = logging.root.handlers\nprint(handler.send_now(), handler.integrations)",
    """
handler.close()
book(6)
""",
    "print(handler.stats.seen)",
]


@pytest.fixture
def kernel_environment(
    server: ScriptedSMTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """Give a kernel what the programs here have, and folders of its own."""
    path = [str(APPS), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setenv("SMTP_PORT", str(server.port))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the packages that run notebooks
        yield
    asyncio.set_event_loop(None)


def executed(cells: list[str], folder: Path) -> list[str]:
    """Execute cells, and return the text that each printed."""
    notebook: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    make: Any = nbformat.v4.new_code_cell
    notebook.cells = [make(cell) for cell in cells]
    make_run: Any = ExecutePreprocessor
    run = make_run(timeout=60, kernel_name="python3", allow_errors=True)
    run.preprocess(notebook, {"metadata": {"path": str(folder)}})
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]


@pytest.mark.row("Jupyter: nbconvert executes a notebook", "ipykernel", "nbconvert")
@pytest.mark.usefixtures("kernel_environment")
def test_the_cells_of_a_notebook(tmp_path: Path, mails: Mails) -> None:
    folder = tmp_path / "month-end"
    folder.mkdir()
    printed = executed(CELLS, folder)
    assert printed[-1] == "2\n"  # a cell and a thread; nothing after the end
    assert printed[-3].startswith("True ")
    assert "jupyter" in printed[-3]
    mails.wait_for_events(6)
    text = mails.text
    for line in (
        "LookupError: no account 1",
        "in notebook.book",
        "in notebook.<module>",
        "Uncaught exception in a cell",
        "Uncaught exception in importer",
        "booking starts",
        "> notebook:2 in <module>",
        ">     book(1)",
        "not booked",
    ):
        assert line in text
    for line in ("ipykernel", "KeyboardInterrupt", "no account 6", "don't reach"):
        assert line not in text
    assert "tocsin" not in "".join(printed)
    assert all("month-end: " in str(one["Subject"]) for one in mails.all)
