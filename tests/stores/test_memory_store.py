"""The store of one process: one leader, nothing lost, time that never goes back."""

from __future__ import annotations

import time

import pytest
from clocks import NOW, Clock

from tocsin.exceptions import LeaseLost, StoreError
from tocsin.stores.memory import MemoryStore, steady_clock


def test_batches_wait_in_order_until_they_are_consumed() -> None:
    store = MemoryStore(Clock())
    for batch in (b"1", b"2", b"3"):
        store.append(batch)
    lease = store.lead("a", 10)
    assert lease is not None
    state, entries = lease.read(2)
    assert state is None
    assert [entry.batch for entry in entries] == [b"1", b"2"]
    store.append(b"4")
    lease.commit(b"state", entries)
    state, entries = lease.read(10)
    assert state == b"state"
    assert [entry.batch for entry in entries] == [b"3", b"4"]


def test_there_is_one_leader() -> None:
    store = MemoryStore(Clock())
    lease = store.lead("a", 10)
    assert lease is not None
    assert lease.now == NOW
    assert store.lead("b", 10) is None
    lease.release()
    assert store.lead("b", 10) is not None


def test_a_lease_ends() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    late = store.lead("a", 10)
    assert late is not None
    clock.now += 10
    with pytest.raises(LeaseLost):
        late.commit(b"late", ())
    other = store.lead("b", 10)
    assert other is not None
    with pytest.raises(StoreError):
        late.commit(b"late", ())
    late.release()  # does nothing: another one leads
    assert store.lead("c", 10) is None
    assert other.read(1) == (None, [])


def test_an_owner_may_lead_again_and_its_older_lease_is_void() -> None:
    store = MemoryStore(Clock())
    first = store.lead("a", 10)
    second = store.lead("a", 10)
    assert first is not None
    assert second is not None
    with pytest.raises(LeaseLost):
        first.commit(b"x", ())
    second.commit(b"y", ())
    assert second.read(1)[0] == b"y"


def test_time_never_goes_back() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    lease = store.lead("a", 10)
    assert lease is not None
    lease.release()
    clock.now -= 3_600
    lease = store.lead("a", 10)
    assert lease is not None
    assert lease.now == NOW


def test_closing_twice_does_no_harm() -> None:
    store = MemoryStore()
    store.close()
    store.close()
    lease = store.lead("a", 10)
    assert lease is not None
    assert lease.now > NOW


def test_the_usual_clock_goes_on_and_never_back() -> None:
    """`Lease.now` never goes back, and a mail that is due in a while is due then."""
    clock = steady_clock()
    times = [clock() for _ in range(1000)]
    assert times == sorted(times)
    assert abs(times[-1] - time.time()) < 1
