"""The project's files agree: what is supported, what is tested, and what CI installs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PYTHON = "Programming Language :: Python :: "


def direct_requirements() -> list[Requirement]:
    """Return the requirements that pyproject.toml names."""
    named = [*PYPROJECT["build-system"]["requires"], *PROJECT["dependencies"]]
    for group in PROJECT["optional-dependencies"].values():
        named += group
    for group in PYPROJECT["dependency-groups"].values():
        named += [item for item in group if isinstance(item, str)]
    return [Requirement(item) for item in named]


def pins() -> dict[str, list[str]]:
    """Return the versions of each package in constraints.txt; Pythons may have different ones."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            pin = Requirement(line)
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            found.setdefault(canonicalize_name(pin.name), []).append(specifier.version)
    return found


@pytest.mark.parametrize("requirement", direct_requirements(), ids=str)
def test_ci_installs_a_fixed_release_that_meets_the_requirement(requirement: Requirement) -> None:
    """`make constraints` repairs it."""
    versions = pins()[canonicalize_name(requirement.name)]
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


def test_the_supported_pythons_are_the_tested_ones() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (listed,) = re.findall(
        r"^PYTHONS := \$\(filter-out \$\(EXCEPT\),(.*)\)$", makefile, re.MULTILINE
    )
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    tested = workflow["jobs"]["fast"]["strategy"]["matrix"]["python"]
    assert tested == listed.split()
    assert PROJECT["requires-python"] == f">={tested[0]}"
    classified = [
        line.removeprefix(PYTHON)
        for line in PROJECT["classifiers"]
        if re.fullmatch(re.escape(PYTHON) + r"3\.\d+", line)
    ]
    assert classified == tested[: len(classified)], "classifiers name what has been tested"


def test_the_fast_tests_are_there() -> None:
    """Pytest itself says so of folders, but not of what is left out."""
    lines = (ROOT / "tests" / "fast.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert (ROOT / re.sub("^--[a-z]+=|::.*", "", line)).exists(), line


@pytest.mark.parametrize("page", ["RELEASING.md", "SECURITY.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), target
