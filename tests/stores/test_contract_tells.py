"""What pytest says about a store that breaks a rule."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SUITE = """
from tocsin.stores.memory import MemoryStore
from tocsin.testing import StoreContract

class Backwards(MemoryStore):
    def append(self, batch):
        super().append(batch[::-1])

class TestBackwards(StoreContract):
    def setup_method(self):
        self.places = {}

    def open(self, scope="one"):
        return self.places.setdefault(scope, Backwards())
"""


def test_a_broken_rule_is_named_and_shows_what_was_wrong(tmp_path: Path) -> None:
    path = tmp_path / "test_mine.py"
    path.write_text(SUITE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-k", "in_the_order", "--rootdir"]
    done = subprocess.run(
        [*command, str(tmp_path), str(path)], capture_output=True, text=True, check=False
    )
    assert "::TestBackwards::test_batches_are_read_in_the_order" in done.stdout
    assert "At index 10 diff: b'01' != b'10'" in done.stdout
