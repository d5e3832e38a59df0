"""Every store keeps the same rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from clocks import Clock
from typing_extensions import override

from tocsin.stores.memory import MemoryStore
from tocsin.stores.sqlite import SQLiteStore
from tocsin.testing.store_contract import StoreContract

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.stores.base import Store


class TestMemoryStore(StoreContract):
    """All who share it are threads of one process."""

    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.clock = Clock()
        self.stores: dict[str, MemoryStore] = {}

    @override
    def open(self, scope: str = "one") -> Store:
        return self.stores.setdefault(scope, MemoryStore(self.clock))

    @override
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


class TestSQLiteStore(StoreContract):
    """All who share it have a file."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.clock = Clock()
        self.path = tmp_path / "alerts.db"

    @override
    def open(self, scope: str = "one") -> Store:
        return SQLiteStore(self.path, scope, clock=self.clock)

    @override
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
