"""The rules that every store keeps, as tests: for a store of your own, and for the built-in ones.

A test module has a class that inherits from `StoreContract` and says how its store is opened:

    class TestMyStore(StoreContract):
        def open(self, scope="one"):
            return MyStore(self.url, scope)

pytest finds the tests in it; each of them begins with an empty store.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, ClassVar

from tocsin.exceptions import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.stores.base import Lease, Store

_PATIENCE = 10.0  # seconds of real time that a lease's end is waited for
_TTL = 0.2


class StoreContract:
    """Say what a store has to do; one rule a test.

    Attributes:
        patience: seconds that a test waits for something that happens by itself.
    """

    patience: ClassVar[float] = _PATIENCE

    def open(self, scope: str = "one") -> Store:
        """Return a store at the place of this test, as one more process would open it.

        Args:
            scope: whose batches, state and lease they are.
        """
        raise NotImplementedError

    def pass_time(self, seconds: float) -> None:
        """Let time go by for the store; override it where the clock can be set."""
        end = time.monotonic() + seconds
        waiter = threading.Event()
        while (left := end - time.monotonic()) > 0:
            waiter.wait(left)

    def test_a_new_store_has_no_state_and_no_batches(self) -> None:
        """The first leader finds nothing, and begins with a state of its own."""
        assert _lead(self.open()).read(10) == (None, [])

    def test_batches_are_read_in_the_order_in_which_they_were_appended(self) -> None:
        """A report must not overtake the events that it is about."""
        store = self.open()
        for number in range(20):
            store.append(b"%d" % number)
        _, entries = _lead(store).read(100)
        assert [entry.batch for entry in entries] == [b"%d" % number for number in range(20)]

    def test_no_more_batches_are_read_than_asked_for(self) -> None:
        """A leader that meets a million batches takes them in parts, the oldest first."""
        store = self.open()
        for number in range(5):
            store.append(b"%d" % number)
        _, entries = _lead(store).read(2)
        assert [entry.batch for entry in entries] == [b"0", b"1"]

    def test_any_bytes_come_back_as_they_were(self) -> None:
        """What a store keeps is not its business."""
        store = self.open()
        batches = [b"", b"\0\xff\r\n", bytes(range(256)) * 4096]
        for batch in batches:
            store.append(batch)
        lease = _lead(store)
        _, entries = lease.read(10)
        assert [entry.batch for entry in entries] == batches
        lease.commit(batches[2], entries)
        assert lease.read(10) == (batches[2], [])

    def test_what_is_read_stays_until_it_is_committed(self) -> None:
        """A leader that dies after reading has changed nothing."""
        store = self.open()
        store.append(b"a")
        lease = _lead(store)
        first = lease.read(10)
        lease.release()
        assert _lead(store).read(10) == first

    def test_a_commit_replaces_the_state_and_removes_what_it_consumed(self) -> None:
        """Both or neither: else an event is counted twice, or never."""
        store = self.open()
        for batch in (b"a", b"b", b"c"):
            store.append(batch)
        lease = _lead(store)
        _, entries = lease.read(2)
        lease.commit(b"a and b", entries)
        state, left = lease.read(10)
        assert (state, [entry.batch for entry in left]) == (b"a and b", [b"c"])
        lease.commit(b"a, b and c", left)
        assert lease.read(10) == (b"a, b and c", [])

    def test_what_is_appended_meanwhile_is_not_consumed(self) -> None:
        """Whoever appends doesn't wait for the leader, and loses nothing by it."""
        store, other = self.open(), self.open()
        store.append(b"a")
        lease = _lead(store)
        _, entries = lease.read(10)
        other.append(b"b")
        lease.commit(b"a", entries)
        state, left = lease.read(10)
        assert (state, [entry.batch for entry in left]) == (b"a", [b"b"])

    def test_a_commit_may_consume_nothing(self) -> None:
        """A digest is taken into the state without a new batch."""
        store = self.open()
        store.append(b"a")
        lease = _lead(store)
        lease.commit(b"state", ())
        state, left = lease.read(10)
        assert (state, len(left)) == (b"state", 1)

    def test_there_is_one_leader_at_a_time(self) -> None:
        """Two would decide twice about the same events."""
        store, other = self.open(), self.open()
        lease = _lead(store, "one")
        assert other.lead("two", 60) is None
        lease.release()
        assert other.lead("two", 60) is not None
        assert store.lead("one", 60) is None

    def test_the_leader_may_lead_again(self) -> None:
        """A process isn't kept out by a lease of its own that it has lost sight of."""
        store = self.open()
        first = _lead(store, "one")
        second = _lead(store, "one")
        second.commit(b"second", ())
        with _raises_lease_lost():
            first.commit(b"first", ())
        assert second.read(1)[0] == b"second"

    def test_a_lease_ends_by_itself(self) -> None:
        """A leader that was killed is followed by another one."""
        store, other = self.open(), self.open()
        _lead(store, "one", _TTL)
        self.pass_time(2 * _TTL)
        assert other.lead("two", 60) is not None

    def test_a_late_leader_changes_nothing(self) -> None:
        """It may have slept for an hour: what it was about to commit is history."""
        store, other = self.open(), self.open()
        store.append(b"a")
        late = _lead(store, "one", _TTL)
        _, entries = late.read(10)
        self.pass_time(2 * _TTL)
        new = _lead(other, "two")
        with _raises_lease_lost():
            late.commit(b"late", entries)
        state, left = new.read(10)
        assert (state, [entry.batch for entry in left]) == (None, [b"a"])

    def test_releasing_twice_or_late_does_nothing(self) -> None:
        """The lease of who leads by then must not end."""
        store, other = self.open(), self.open()
        late = _lead(store, "one", _TTL)
        self.pass_time(2 * _TTL)
        _lead(other, "two")
        late.release()
        late.release()
        assert store.lead("one", 60) is None

    def test_the_clock_goes_on_and_never_back(self) -> None:
        """Who leads next must not live before what was decided."""
        store, other = self.open(), self.open()
        lease = _lead(store, "one")
        before = lease.now
        lease.release()
        self.pass_time(_TTL)
        lease = _lead(other, "two")
        assert lease.now > before
        lease.release()
        assert _lead(store, "one").now >= lease.now

    def test_scopes_are_apart(self) -> None:
        """Two handlers may share a place, and know nothing of each other."""
        one, two = self.open("one"), self.open("two")
        one.append(b"a")
        first, second = _lead(one, "me"), _lead(two, "you")
        assert second.read(10) == (None, [])
        first.commit(b"state", first.read(10)[1])
        second.commit(b"other", ())
        assert (first.read(10), second.read(10)) == ((b"state", []), (b"other", []))

    def test_many_may_append_at_once(self) -> None:
        """Each batch is there once, whoever appends beside it."""

        def append(name: int) -> Callable[[], None]:
            store = self.open()

            def work() -> None:
                for number in range(20):
                    store.append(b"%d %d" % (name, number))

            return work

        threads = [threading.Thread(target=append(name)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _, entries = _lead(self.open()).read(1000)
        assert sorted(entry.batch for entry in entries) == sorted(
            b"%d %d" % (name, n) for name in range(8) for n in range(20)
        )

    def test_closing_twice_does_no_harm(self) -> None:
        """A program's end is not always tidy; and what was kept is still there."""
        store = self.open()
        store.append(b"a")
        store.close()
        store.close()
        if store.durable:
            assert len(_lead(self.open()).read(10)[1]) == 1


def _lead(store: Store, owner: str = "one", ttl: float = 60) -> Lease:
    lease = store.lead(owner, ttl)
    assert lease is not None, "somebody else leads"
    return lease


class _raises_lease_lost:  # noqa: N801 - reads like pytest's own, which a program needn't have
    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> bool:
        assert kind is not None, "LeaseLost was expected"
        return issubclass(kind, LeaseLost)
