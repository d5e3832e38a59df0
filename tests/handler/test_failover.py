"""The fail-over keeps the rules of a store, and no event is lost or counted twice on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts import Clock
from typing_extensions import override

from tocsin import Policy, StoreError
from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.codec import dump, load
from tocsin.alerts.grouping import Group, Source
from tocsin.alerts.state import State
from tocsin.pipeline.failover import FailoverStore
from tocsin.stores.memory import MemoryLease, MemoryStore
from tocsin.testing.store_contract import StoreContract

if TYPE_CHECKING:
    from tocsin.stores.base import Lease, Store


class Breaking(MemoryStore):
    """A store that outlives its processes, and fails when it is told to."""

    durable = True
    broken = False

    @override
    def append(self, batch: bytes) -> None:
        self.fail()
        super().append(batch)

    @override
    def lead(self, owner: str, ttl: float) -> MemoryLease | None:
        self.fail()
        return super().lead(owner, ttl)

    def fail(self) -> None:
        if self.broken:
            raise OSError("the server is gone")


def failover(usual: Store, clock: Clock, owner: str = "web-1-4242") -> FailoverStore:
    return FailoverStore(usual, spare=MemoryStore(clock), policy=Policy(), owner=owner, ticks=clock)


class TestFailoverStore(StoreContract):
    """While the usual store works, it is that store."""

    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.clock = Clock()
        self.stores: dict[str, Breaking] = {}

    @override
    def open(self, scope: str = "one") -> Store:
        usual = self.stores.setdefault(scope, Breaking(self.clock))
        return failover(usual, self.clock, f"process {len(self.stores)}")

    @override
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


class TestFailoverStoreAlone(StoreContract):
    """While the usual store fails, the memory is a store for the threads of this process."""

    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.clock = Clock()
        self.stores: dict[str, FailoverStore] = {}

    @override
    def open(self, scope: str = "one") -> Store:
        usual = Breaking(self.clock)
        usual.broken = True
        return self.stores.setdefault(scope, failover(usual, self.clock))

    @override
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


def batch(number: int, count: int) -> bytes:
    group = Group(
        fingerprint="a",
        level=40,
        level_name="ERROR",
        logger="shop",
        kind="boom",
        place="shop",
        text="boom",
        count=count,
        first=0,
        last=0,
        sources=(Source("web-1", 1, "", count),),
        samples=(),
    )
    return dump(Batch(source="web-1", number=number, groups=(group,)))


def merged(lease: Lease) -> State:
    raw, entries = lease.read(1000)
    state = State() if raw is None else load(State, raw)
    for entry in entries:
        receive(state, load(Batch, entry.batch), Policy(), lease.now)
    lease.commit(dump(state), entries)
    lease.release()
    return state


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(1, 50),  # events
            st.sampled_from(["breaks", "works", "is led", "a minute"]),
        ),
        max_size=30,
    )
)
def test_every_event_is_in_the_usual_store_once_it_works(steps: list[int | str]) -> None:
    """Whenever it fails and works again, and whenever the state in use is led."""
    clock = Clock()
    usual = Breaking(clock)
    store = failover(usual, clock)
    appended = 0
    for number, step in enumerate(steps):
        if isinstance(step, int):
            store.append(batch(number + 1, step))
            appended += step
        elif step == "is led":
            lease = store.lead("web-1-4242", 10)
            assert lease is not None
            merged(lease)
        elif step == "a minute":
            clock.now += 61
            store.come_back()
        else:
            usual.broken = step == "breaks"
    usual.broken = False
    store.come_back(now=True)
    assert not store.trouble
    lease = usual.lead("reader", 10)
    assert lease is not None
    assert merged(lease).received == appended


def test_a_foreign_error_is_a_store_error_and_makes_the_process_go_alone() -> None:
    """A store of one's own may raise its driver's errors."""
    clock = Clock()
    usual = Breaking(clock)
    store = failover(usual, clock)
    lease = store.lead("me", 10)
    assert lease is not None

    def broken(*_: object) -> None:
        raise OSError("reset by peer")

    lease._lease.commit = broken  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="OSError: reset by peer"):
        lease.commit(b"", ())
    assert (store.trouble, store.durable) == ("OSError: reset by peer", False)
    assert "alone: OSError: reset by peer" in repr(store)


def test_it_tries_to_come_back_each_minute_only() -> None:
    clock = Clock()
    usual = Breaking(clock)
    usual.broken = True
    store = failover(usual, clock)
    store.append(batch(1, 1))
    assert store.retry_in == 60
    usual.broken = False
    clock.now += 59
    store.come_back()
    assert store.trouble
    clock.now += 1
    store.come_back()
    assert (store.trouble, store.durable) == ("", True)


class Partly(Breaking):
    """A store whose leases fail in one of their methods, when it is told to."""

    method = ""

    @override
    def lead(self, owner: str, ttl: float) -> MemoryLease | None:
        lease = super().lead(owner, ttl)

        def broken(*_: object) -> None:
            raise OSError("the server is gone")

        if lease is not None and self.method:
            setattr(lease, self.method, broken)
        return lease


@pytest.mark.parametrize("method", ["read", "commit"])
def test_a_store_that_fails_in_part_is_neither_used_nor_kept_from_other_processes(
    method: str,
) -> None:
    """What is handed back to it would be mailed only once it works, and others may use it."""
    clock = Clock()
    usual = Partly(clock)
    store = failover(usual, clock)
    usual.broken = True
    store.append(batch(1, 5))
    usual.broken, usual.method = False, method
    store.come_back(now=True)
    assert store.trouble
    assert usual.lead("another process", 10) is not None
    usual.method = ""
    clock.now += 71
    store.come_back()
    assert not store.trouble
    lease = usual.lead("reader", 10)
    assert lease is not None
    assert merged(lease).received == 5
