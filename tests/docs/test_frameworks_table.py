"""The table of frameworks: its rows are those of the tests, and its versions those of CI."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "frameworks.md").read_text()
TABLE = re.findall(r"^\| (?!program )(.+?) \| (.+?) \|$", PAGE, re.MULTILINE)


def rows() -> dict[str, set[str]]:
    """The rows that tests have: each with its packages."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tests" / "frameworks").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.row":
                title, *packages = map(ast.literal_eval, node.args)
                found.setdefault(title, set()).update(packages)
    return found


def test_each_row_is_a_test_that_ran() -> None:
    table = {title: set(re.findall(r"([\w.-]+) [\d.]+", versions)) for title, versions in TABLE}
    assert table == rows()


def test_the_versions_are_those_of_ci() -> None:
    pinned = (ROOT / "constraints.txt").read_text()
    for title, versions in TABLE:
        for package, version in re.findall(r"([\w.-]+) ([\d.]+)", versions):
            assert re.search(
                rf"^{package}=={re.escape(version)}( ;|$)", pinned, re.MULTILINE | re.IGNORECASE
            ), title
