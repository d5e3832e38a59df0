"""The contract of a store, as tests: for a store of your own, and for the built-in ones.

In a test module, a class inherits from `StoreContract` and says how its store is opened:

    class TestMyStore(StoreContract):
        def open(self, scope="one"):
            return MyStore(self.url, scope)

pytest finds the tests in it. Each test must begin with an empty store. By default, the tests wait
for real time; if the store's clock can be set, override `pass_time` to set it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, ClassVar

from tocsin.exceptions import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.stores.base import Lease, Store

_EPOCH = 1e9, 1e11  # bounds for seconds since 1970; milliseconds and uptimes are outside


class StoreContract:
    """The rules that a store must keep; each test is one rule.

    Attributes:
        ttl: the seconds that a short lease lasts; make it longer for a slow store.
        patience: the seconds that a test waits for something that should happen at once.
    """

    ttl: ClassVar[float] = 0.2
    patience: ClassVar[float] = 10.0

    def open(self, scope: str = "one") -> Store:
        """Return a store at the place of this test, as another process would open it.

        Args:
            scope: the name under which batches, state and lease are kept.
        """
        raise NotImplementedError

    def pass_time(self, seconds: float) -> None:
        """Wait until the store's time has advanced by this many seconds, or set its clock."""
        end = time.monotonic() + seconds
        waiter = threading.Event()
        while (left := end - time.monotonic()) > 0:
            waiter.wait(left)

    # Batches

    def test_a_new_store_has_no_state_and_no_batches(self) -> None:
        """The first leader finds nothing, and begins with a new state."""
        assert _lead(self.open()).read(10) == (None, [])

    def test_batches_are_read_in_the_order_in_which_they_were_appended(self) -> None:
        """A report must not overtake the events that it is about, whichever process appends it."""
        stores = self.open(), self.open()
        for number in range(20):
            stores[number % 2].append(b"%d" % number)
        assert _batches(_lead(stores[0]), 100) == [b"%d" % number for number in range(20)]

    def test_no_more_batches_are_read_than_asked_for(self) -> None:
        """A leader that meets a million batches takes them in parts, the oldest first."""
        store = self.open()
        for number in range(5):
            store.append(b"%d" % number)
        assert _batches(_lead(store), 2) == [b"0", b"1"]

    def test_a_backlog_is_consumed_in_parts(self) -> None:
        """A thousand batches wait after an outage: each is read once, in order."""
        store = self.open()
        for number in range(250):
            store.append(b"%d" % number)
        lease = _lead(store)
        found: list[bytes] = []
        for _ in range(4):
            _, entries = lease.read(100)
            found += [entry.batch for entry in entries]
            lease.commit(b"%d" % len(found), entries)
        assert found == [b"%d" % number for number in range(250)]

    def test_any_bytes_come_back_as_they_were(self) -> None:
        """A store doesn't interpret what it keeps."""
        store = self.open()
        batches = [b"", b"\0\xff\r\n ", bytes(range(256)) * 4096]
        for batch in batches:
            store.append(batch)
        lease = _lead(store)
        _, entries = lease.read(10)
        assert [entry.batch for entry in entries] == batches
        for state in batches:
            lease.commit(state, entries)
            assert lease.read(10) == (state, []), "an empty state is a state"

    def test_much_may_wait(self) -> None:
        """Many batches wait after an outage; one commit may consume all batches of one read."""
        store = self.open()
        for number in range(1500):
            store.append(b"%d" % number)
        lease = _lead(store)
        _, entries = lease.read(1000)
        assert [entry.batch for entry in entries] == [b"%d" % number for number in range(1000)]
        lease.commit(b"a thousand", entries)
        assert _batches(lease, 1000)[-1] == b"1499"

    def test_what_is_large_comes_back(self) -> None:
        """A state and a batch may have some megabytes on a bad day."""
        large = bytes(range(256)) * (1 << 14)
        store = self.open()
        store.append(large)
        lease = _lead(store)
        lease.commit(large, ())
        state, entries = lease.read(1)
        assert state == large
        assert entries[0].batch == large

    def test_what_is_read_stays_until_it_is_committed(self) -> None:
        """A leader that dies after reading has changed nothing."""
        store = self.open()
        store.append(b"a")
        lease = _lead(store)
        first = lease.read(10)
        assert lease.read(10) == first
        lease.release()
        assert _lead(store).read(10) == first

    def test_many_may_append_at_once(self) -> None:
        """Each batch is kept once, and the batches of one process stay in their order."""
        stores = [self.open() for _ in range(8)]

        def append(name: int) -> None:
            for number in range(20):
                stores[name].append(b"%d %d" % (name, number))

        _at_once(append, 8)
        found = _batches(_lead(self.open()), 1000)
        for name in range(8):
            mine = [batch for batch in found if batch.startswith(b"%d " % name)]
            assert mine == [b"%d %d" % (name, number) for number in range(20)]
        assert len(found) == 20 * len(stores)

    def test_threads_may_share_a_store(self) -> None:
        """The worker uses the store, and at the end of the program another thread does too."""
        store = self.open()
        _at_once(lambda _: store.append(b"x"), 8)
        assert _batches(_lead(store), 100) == [b"x"] * 8

    # The state

    def test_a_commit_replaces_the_state_and_removes_what_it_consumed(self) -> None:
        """Both or neither happens: otherwise an event is counted twice, or never."""
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

    def test_a_commit_removes_what_it_is_given_and_nothing_else(self) -> None:
        """A leader leaves batches of a newer version that it can't read."""
        store = self.open()
        for batch in (b"a", b"b", b"c"):
            store.append(batch)
        lease = _lead(store)
        _, entries = lease.read(10)
        lease.commit(b"b", entries[1:2])
        assert _batches(lease, 10) == [b"a", b"c"]

    def test_a_commit_may_consume_nothing(self) -> None:
        """A leader may take a digest into the state when no new batch waits."""
        store = self.open()
        store.append(b"a")
        lease = _lead(store)
        lease.commit(b"state", ())
        state, left = lease.read(10)
        assert (state, len(left)) == (b"state", 1)

    def test_a_commit_may_be_repeated(self) -> None:
        """The answer to the first one may be lost. A batch that was appended since stays."""
        store = self.open()
        store.append(b"a")
        lease = _lead(store)
        _, entries = lease.read(10)
        lease.commit(b"a", entries)
        store.append(b"b")
        lease.commit(b"a", entries)
        state, left = lease.read(10)
        assert (state, [entry.batch for entry in left]) == (b"a", [b"b"])

    def test_what_is_appended_meanwhile_is_not_consumed(self) -> None:
        """A process appends without waiting for the leader, and its batch isn't lost."""
        store, other = self.open(), self.open()
        store.append(b"a")
        lease = _lead(store)
        _, entries = lease.read(10)
        other.append(b"b")
        lease.commit(b"a", entries)
        state, left = lease.read(10)
        assert (state, [entry.batch for entry in left]) == (b"a", [b"b"])

    def test_everything_is_merged_once(self) -> None:
        """Some processes append, others lead in turn: the final state has every batch once."""
        stores = [self.open() for _ in range(6)]
        writers = range(4)
        wanted = sorted(b"%d-%d" % (name, number) for name in writers for number in range(25))
        end = time.monotonic() + self.patience

        def append(name: int) -> None:
            for number in range(25):
                stores[name].append(b"%d-%d" % (name, number))

        def merge(name: int) -> None:
            merged: list[bytes] = []
            while len(merged) < len(wanted) and time.monotonic() < end:
                lease = stores[name].lead(str(name), 60)
                if lease is None:
                    continue
                state, entries = lease.read(7)
                merged = [*(state or b"").split(), *(entry.batch for entry in entries)]
                lease.commit(b" ".join(merged), entries)
                lease.release()

        _at_once(lambda name: append(name) if name in writers else merge(name), 6)
        state, left = _lead(self.open(), "last").read(1000)
        assert (sorted((state or b"").split()), left) == (wanted, [])

    # The lease

    def test_there_is_one_leader_at_a_time(self) -> None:
        """Two leaders would decide twice about the same events."""
        store, other = self.open(), self.open()
        lease = _lead(store, "one")
        assert other.lead("two", 60) is None
        lease.release()
        assert other.lead("two", 60) is not None
        assert store.lead("one", 60) is None

    def test_only_one_of_many_at_once_becomes_the_leader(self) -> None:
        """All processes may try at the same moment, when a lease has ended."""
        stores = [self.open() for _ in range(8)]
        leases: list[Lease | None] = []
        _at_once(lambda name: leases.append(stores[name].lead(str(name), 60)), 8)
        assert [lease is None for lease in leases].count(False) == 1

    def test_the_leader_may_lead_again(self) -> None:
        """A process that has lost track of its own lease doesn't have to wait for its end."""
        store, other = self.open(), self.open()
        first = _lead(store, "one")
        second = _lead(store, "one")
        second.commit(b"second", ())
        with _raises_lease_lost():
            first.commit(b"first", ())
        first.release()
        assert other.lead("two", 60) is None, "the second lease is still held"
        assert second.read(1)[0] == b"second"

    def test_a_new_lease_has_its_whole_time(self) -> None:
        """An owner that leads again gets the full time that it asks for."""
        store, other = self.open(), self.open()
        _lead(store, "one", self.ttl)
        again = _lead(store, "one", 60)
        self.pass_time(2 * self.ttl)
        assert other.lead("two", 60) is None
        again.commit(b"in time", ())

    def test_an_own_lease_that_had_ended_is_lost_too(self) -> None:
        """Two threads of one process would be two leaders, if one of them had slept."""
        store = self.open()
        first = _lead(store, "one", self.ttl)
        self.pass_time(2 * self.ttl)
        second = _lead(store, "one")
        second.commit(b"second", ())
        with _raises_lease_lost():
            first.commit(b"first", ())
        assert second.read(1)[0] == b"second"

    def test_no_commit_comes_after_the_next_leader_has_read(self) -> None:
        """Whether the lease is lost is checked together with the write, not before it."""
        stores = [self.open() for _ in range(4)]
        taken: list[int] = []

        def count(name: int) -> None:
            for _ in range(15):
                lease = stores[name].lead("one", 60)
                if lease is None:
                    continue
                state, _ = lease.read(1)
                with contextlib.suppress(LeaseLost):
                    lease.commit((state or b"") + b"x", ())
                    taken.append(name)

        _at_once(count, 4)
        assert len(_lead(self.open(), "one").read(1)[0] or b"") == len(taken)

    def test_no_process_waits_for_the_leader(self) -> None:
        """A process hands over its batches while another one decides."""
        store, other = self.open(), self.open()
        lease = _lead(store, "one")
        began = time.monotonic()
        other.append(b"a")
        assert other.lead("two", 60) is None
        assert time.monotonic() - began < self.patience / 5
        assert _batches(lease, 10) == [b"a"]

    def test_what_is_kept_outlives_the_lease(self) -> None:
        """Only the right to lead has a time to live, not the batches and the state."""
        store = self.open()
        store.append(b"a")
        _lead(store, "one", self.ttl).commit(b"state", ())
        self.pass_time(2 * self.ttl)
        lease = _lead(store, "two")
        state, entries = lease.read(10)
        assert (state, [entry.batch for entry in entries]) == (b"state", [b"a"])

    def test_a_lease_ends_by_itself(self) -> None:
        """If the leader is killed, another process leads after the end of the lease."""
        store, other = self.open(), self.open()
        _lead(store, "one", self.ttl)
        self.pass_time(2 * self.ttl)
        assert other.lead("two", 60) is not None

    def test_a_late_leader_changes_nothing(self) -> None:
        """It may have slept for an hour: its state is out of date."""
        store, other = self.open(), self.open()
        store.append(b"a")
        late = _lead(store, "one", self.ttl)
        _, entries = late.read(10)
        self.pass_time(2 * self.ttl)
        new = _lead(other, "two")
        with _raises_lease_lost():
            late.commit(b"late", entries)
        state, left = new.read(10)
        assert (state, [entry.batch for entry in left]) == (None, [b"a"])

    def test_a_leader_is_late_also_if_no_process_leads_any_more(self) -> None:
        """A newer state must not be overwritten, also after its leader has released the lease."""
        store, other = self.open(), self.open()
        late = _lead(store, "one", self.ttl)
        self.pass_time(2 * self.ttl)
        new = _lead(other, "two")
        new.commit(b"new", ())
        new.release()
        with _raises_lease_lost():
            late.commit(b"late", ())
        again = _lead(store, "one")
        with _raises_lease_lost():
            late.commit(b"late", ())
        assert again.read(1)[0] == b"new"

    def test_releasing_twice_or_late_does_nothing(self) -> None:
        """It must not end the lease of the process that leads by then."""
        store, other = self.open(), self.open()
        late = _lead(store, "one", self.ttl)
        self.pass_time(2 * self.ttl)
        _lead(other, "two")
        late.release()
        late.release()
        assert store.lead("one", 60) is None

    # Time

    def test_the_time_advances_and_never_goes_back(self) -> None:
        """The next leader's time must not be before the decisions of the last one."""
        store, other = self.open(), self.open()
        lease = _lead(store, "one")
        before = lease.now
        lease.release()
        self.pass_time(self.ttl)
        lease = _lead(other, "two")
        assert lease.now > before
        lease.release()
        assert _lead(store, "one").now >= lease.now

    def test_the_time_is_in_seconds_since_the_epoch(self) -> None:
        """A policy has durations in seconds, and a store may outlive many boots of its machine."""
        store = self.open()
        before = _lead(store, "one").now
        self.pass_time(self.ttl)
        passed = _lead(store, "one").now - before
        assert _EPOCH[0] < before < _EPOCH[1]
        assert self.ttl / 2 < passed < self.ttl + self.patience

    # Places

    def test_scopes_are_separate(self) -> None:
        """Two handlers may share a place without knowing of each other."""
        one, two = self.open("one"), self.open("two")
        one.append(b"a")
        two.append(b"b")
        first, second = _lead(one, "me"), _lead(two, "you")
        assert _batches(second, 10) == [b"b"]
        first.commit(b"state", first.read(10)[1])
        assert second.read(10)[0] is None
        assert _batches(second, 10) == [b"b"]
        second.commit(b"other", ())
        first.release()
        assert two.lead("another", 60) is None
        assert first.read(10) == (b"state", [])

    def test_a_scope_is_any_text(self) -> None:
        """Users choose the names in it. Different texts are different scopes, however similar."""
        scopes = [
            "shop",
            "Shop",
            "shop ",
            "shop\x1f",
            "shop:*",
            "shop'\"",
            "caf\xe9",
            "cafe",
            "cafe\u0301",
            "caf",
            "",
            "shop\0",
            "sho_",
            "sho%",
            "\u8b66\u5831",
            "\U0001f6a8",
            "\udc80",
            "\udc81",
            "shop" * 100 + "1",
            "shop" * 100 + "2",
        ]
        for scope in scopes:
            self.open(scope).append(ascii(scope).encode())
        for scope in scopes:
            assert _batches(_lead(self.open(scope)), 100) == [ascii(scope).encode()]

    def test_closing_one_store_closes_no_other_one(self) -> None:
        """A program may close its store twice, while other processes go on."""
        store, other = self.open(), self.open()
        store.append(b"a")
        store.close()
        store.close()
        if store is not other:
            other.append(b"b")
            assert _batches(_lead(other), 10) == [b"a", b"b"]

    def test_closing_ends_no_lease_of_another_process(self) -> None:
        """One process may end while another one leads."""
        store, other = self.open(), self.open()
        if store is not other:
            _lead(other, "two")
            store.close()
            assert self.open().lead("three", 60) is None

    def test_a_durable_store_outlives_its_processes(self) -> None:
        """All processes may end; the next one finds their batches and the state."""
        store = self.open()
        store.append(b"a")
        lease = _lead(store)
        lease.commit(b"state", ())
        lease.release()
        store.close()
        if store.durable:
            assert _lead(self.open(), "two").read(10)[0] == b"state"
            assert _batches(_lead(self.open(), "two"), 10) == [b"a"]


def _lead(store: Store, owner: str = "one", ttl: float = 60) -> Lease:
    lease = store.lead(owner, ttl)
    assert lease is not None, "another owner leads"
    return lease


def _batches(lease: Lease, limit: int) -> list[bytes]:
    return [entry.batch for entry in lease.read(limit)[1]]


def _at_once(work: Callable[[int], object], times: int) -> None:
    """Call a function in several threads at the same moment; raise what one of them raises."""
    together = threading.Barrier(times)
    errors: list[Exception] = []

    def run(number: int) -> None:
        together.wait()
        try:
            work(number)
        except Exception as error:  # noqa: BLE001 - the calling thread raises it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class _raises_lease_lost:  # noqa: N801 - reads like `pytest.raises`, which needs pytest
    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> bool:
        assert kind is not None, "LeaseLost was expected"
        return issubclass(kind, LeaseLost)
