"""The suite of the rules bites: for each of its tests there is a store that breaks the rule."""

from __future__ import annotations

import threading
import unicodedata
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest
from clocks import Clock
from typing_extensions import override

from tocsin.exceptions import LeaseLost, StoreError
from tocsin.stores.base import Entry
from tocsin.testing import StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Place:
    """What all who opened the same store share."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.entries: list[Entry] = []
        self.appended = 0
        self.state: bytes | None = None
        self.owner = ""
        self.fence = 0
        self.ends = 0.0


class PlainStore:
    """A store that keeps the rules, in parts that can be broken one by one."""

    durable = True

    def __init__(self, place: Place) -> None:
        self.place = place
        self.closed = False

    def append(self, batch: bytes) -> None:
        """Keep a batch."""
        with self.place.lock:
            self.place.appended += 1
            self.place.entries.append(Entry(self.key(), batch))

    def key(self) -> int:
        """Return the place of the batch that is appended."""
        return self.place.appended

    def lead(self, owner: str, ttl: float) -> PlainLease | None:
        """Become the leader."""
        with self.place.lock:
            if not self.may_lead(owner):
                return None
            return self.take(owner, ttl)

    def may_lead(self, owner: str) -> bool:
        """Whether nobody else leads."""
        return owner == self.place.owner or self.place.clock() >= self.place.ends

    def take(self, owner: str, ttl: float) -> PlainLease:
        """Note who leads."""
        self.place.owner, self.place.ends = owner, self.place.clock() + ttl
        self.place.fence += 1
        return self.lease()

    def lease(self) -> PlainLease:
        """Return the lease."""
        return PlainLease(self.place, self.place.clock())

    def close(self) -> None:
        """Give back what is held open."""
        self.closed = True


class PlainLease:
    """Its lease."""

    def __init__(self, place: Place, now: float) -> None:
        self.place = place
        self.now = now
        self.owner = place.owner
        self.fence = place.fence

    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        """Return the state and the oldest batches."""
        with self.place.lock:
            return self.place.state, self.place.entries[:limit]

    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        """Replace the state and remove the batches."""
        with self.place.lock:
            if self.is_late():
                raise LeaseLost("another one leads")
            self.place.state = state
            self.remove(consumed)

    def is_late(self) -> bool:
        """Whether another lease was given since."""
        return self.fence != self.place.fence

    def remove(self, consumed: Sequence[Entry]) -> None:
        """Remove these batches."""
        keys = {entry.key for entry in consumed}
        self.place.entries = [one for one in self.place.entries if one.key not in keys]

    def release(self) -> None:
        """Let somebody else lead."""
        with self.place.lock:
            if self.fence == self.place.fence:
                self.place.ends = 0.0


def scope_itself(scope: str) -> str:
    """Return what keeps scopes apart."""
    return scope


class Contract(StoreContract):
    """The rules, for a store of this module."""

    patience: ClassVar[float] = 1.0

    def __init__(
        self, store: type[PlainStore], place_of: Callable[[str], str] = scope_itself
    ) -> None:
        self.store = store
        self.place_of = place_of
        self.clock = Clock()
        self.places: dict[str, Place] = {}

    @override
    def open(self, scope: str = "one") -> PlainStore:
        return self.store(self.places.setdefault(self.place_of(scope), Place(self.clock)))

    @override
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


RULES = [name for name in dir(StoreContract) if name.startswith("test_")]
BROKEN: dict[str, list[tuple[type[PlainStore], Callable[[str], str]]]] = {}

Broken = TypeVar("Broken", bound=type[PlainStore])
BrokenLease = TypeVar("BrokenLease", bound=type[PlainLease])


def breaks(*rules: str) -> Callable[[Broken], Broken]:
    """Say which rules' tests have to fail for a store."""

    def note(store: Broken) -> Broken:
        for rule in rules:
            BROKEN.setdefault(f"test_{rule}", []).append((store, scope_itself))
        return store

    return note


def lease_breaks(*rules: str) -> Callable[[BrokenLease], BrokenLease]:
    """Say it for a lease."""

    def note(lease: BrokenLease) -> BrokenLease:
        class Store(PlainStore):
            @override
            def lease(self) -> PlainLease:
                return lease(self.place, self.place.clock())

        Store.__name__ = lease.__name__
        breaks(*rules)(Store)
        return lease

    return note


def pause() -> None:
    """Be somewhere between two steps while the others go on."""
    threading.Event().wait(0.02)


# Batches


@lease_breaks("a_new_store_has_no_state_and_no_batches")
class BeginsWithAnEmptyState(PlainLease):
    @override
    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        state, entries = super().read(limit)
        return state or b"", entries


@lease_breaks("any_bytes_come_back_as_they_were")
class TakesAnEmptyStateForNone(PlainLease):
    @override
    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        state, entries = super().read(limit)
        return state or None, entries


@lease_breaks(
    "batches_are_read_in_the_order_in_which_they_were_appended",
    "no_more_batches_are_read_than_asked_for",
    "a_backlog_is_consumed_in_parts",
    "many_may_append_at_once",
)
class ReadsTheLatestFirst(PlainLease):
    @override
    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        return self.place.state, self.place.entries[::-1][:limit]


@lease_breaks("batches_are_read_in_the_order_in_which_they_were_appended")
class ReadsByTheAlphabet(PlainLease):
    @override
    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        return self.place.state, sorted(self.place.entries, key=lambda one: one.batch)[:limit]


@lease_breaks("no_more_batches_are_read_than_asked_for", "a_backlog_is_consumed_in_parts")
class ReadsTheLatest(PlainLease):
    @override
    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        return self.place.state, self.place.entries[-limit:]


@lease_breaks("no_more_batches_are_read_than_asked_for")
class ReadsEverything(PlainLease):
    @override
    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        return super().read(1000)


@breaks("any_bytes_come_back_as_they_were")
class Strips(PlainStore):
    @override
    def append(self, batch: bytes) -> None:
        super().append(batch.rstrip())


@breaks("any_bytes_come_back_as_they_were", "threads_may_share_a_store")
class KeepsNoBatchTwice(PlainStore):
    @override
    def append(self, batch: bytes) -> None:
        if batch and all(one.batch != batch for one in self.place.entries):
            super().append(batch)


@lease_breaks("what_is_read_stays_until_it_is_committed")
class RemovesWhatIsRead(PlainLease):
    @override
    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        state, entries = super().read(limit)
        self.remove(entries)
        return state, entries


@breaks("many_may_append_at_once", "threads_may_share_a_store")
class AppendsInTwoSteps(PlainStore):
    @override
    def append(self, batch: bytes) -> None:
        entries = self.place.entries
        pause()
        self.place.appended += 1
        self.place.entries = [*entries, Entry(self.place.appended, batch)]


@breaks("threads_may_share_a_store")
class IsForOneThread(PlainStore):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.thread: int | None = None

    @override
    def append(self, batch: bytes) -> None:
        self.thread = self.thread or threading.get_ident()
        if self.thread != threading.get_ident():
            raise StoreError("made in another thread")
        super().append(batch)


@breaks("much_may_wait")
class KeepsTheLatestThousand(PlainStore):
    @override
    def append(self, batch: bytes) -> None:
        super().append(batch)
        self.place.entries = self.place.entries[-1000:]


@lease_breaks("much_may_wait")
class HasPagesOfItsOwn(PlainLease):
    @override
    def read(self, limit: int) -> tuple[bytes | None, list[Entry]]:
        return super().read(min(limit, 500))


@lease_breaks("much_may_wait")
class ConsumesFewAtOnce(PlainLease):
    @override
    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        if len(consumed) > 999:
            raise StoreError("too many variables in a statement")
        super().commit(state, consumed)


@lease_breaks("what_is_large_comes_back")
class EndsAtAMegabyte(PlainLease):
    @override
    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        super().commit(state[: 1 << 20], consumed)


# The state


@lease_breaks("a_commit_replaces_the_state_and_removes_what_it_consumed")
class ForgetsToRemove(PlainLease):
    @override
    def remove(self, consumed: Sequence[Entry]) -> None:
        """Do nothing."""


@lease_breaks("a_commit_replaces_the_state_and_removes_what_it_consumed")
class KeepsTheFirstState(PlainLease):
    @override
    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        super().commit(state if self.place.state is None else self.place.state, consumed)


@lease_breaks(
    "a_commit_removes_what_it_is_given_and_nothing_else",
    "a_commit_may_consume_nothing",
    "what_is_appended_meanwhile_is_not_consumed",
    "everything_is_merged_once",
)
class RemovesEverything(PlainLease):
    @override
    def remove(self, consumed: Sequence[Entry]) -> None:
        self.place.entries = []


@lease_breaks("a_commit_removes_what_it_is_given_and_nothing_else")
class RemovesAllBefore(PlainLease):
    @override
    def remove(self, consumed: Sequence[Entry]) -> None:
        last = max((entry.key for entry in consumed), default=0)
        self.place.entries = [one for one in self.place.entries if one.key > last]


@lease_breaks("a_commit_may_be_repeated")
class RemovesByNumber(PlainLease):
    @override
    def remove(self, consumed: Sequence[Entry]) -> None:
        self.place.entries = self.place.entries[len(consumed) :]


@lease_breaks("a_commit_may_be_repeated")
class MissesWhatIsGone(PlainLease):
    @override
    def remove(self, consumed: Sequence[Entry]) -> None:
        for entry in consumed:
            self.place.entries.remove(entry)


@lease_breaks("a_commit_may_consume_nothing")
class CommitsOnlyWhatItConsumes(PlainLease):
    @override
    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        if consumed:
            super().commit(state, consumed)


@breaks("a_commit_may_be_repeated")
class GivesPlacesAgain(PlainStore):
    @override
    def key(self) -> int:
        return len(self.place.entries)


@lease_breaks("everything_is_merged_once")
class RemovesInTwoSteps(PlainLease):
    @override
    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        keys = {entry.key for entry in consumed}
        left = [one for one in self.place.entries if one.key not in keys]
        pause()
        self.place.state, self.place.entries = state, left


# The lease


@lease_breaks("no_commit_comes_after_the_next_leader_has_read")
class AsksBeforeItWrites(PlainLease):
    @override
    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        if self.is_late():
            raise LeaseLost("another one leads")
        pause()
        with self.place.lock:
            self.place.state = state
            self.remove(consumed)


@breaks("an_own_lease_that_had_ended_is_lost_too")
class CountsForOthers(PlainStore):
    @override
    def take(self, owner: str, ttl: float) -> PlainLease:
        ended = owner == self.place.owner and self.place.clock() >= self.place.ends
        lease = super().take(owner, ttl)
        if ended:
            self.place.fence -= 1
            lease.fence -= 1
        return lease


@breaks("no_process_waits_for_the_leader")
class WaitsToLead(PlainStore):
    @override
    def lead(self, owner: str, ttl: float) -> PlainLease | None:
        if not self.may_lead(owner):
            threading.Event().wait(Contract.patience / 2)
        return super().lead(owner, ttl)


@breaks("what_is_kept_outlives_the_lease")
class StateEndsWithTheLease(PlainStore):
    @override
    def lead(self, owner: str, ttl: float) -> PlainLease | None:
        if self.place.clock() >= self.place.ends:
            self.place.state = None
        return super().lead(owner, ttl)


@breaks("there_is_one_leader_at_a_time", "releasing_twice_or_late_does_nothing")
class LetsAnybodyLead(PlainStore):
    @override
    def may_lead(self, owner: str) -> bool:
        return True


@breaks("only_one_of_many_at_once_becomes_the_leader")
class LeadsInTwoSteps(PlainStore):
    @override
    def lead(self, owner: str, ttl: float) -> PlainLease | None:
        if not self.may_lead(owner):
            return None
        pause()
        return self.take(owner, ttl)


@breaks("the_leader_may_lead_again", "a_new_lease_has_its_whole_time")
class KnowsNoOwner(PlainStore):
    @override
    def may_lead(self, owner: str) -> bool:
        return self.place.clock() >= self.place.ends


@breaks("there_is_one_leader_at_a_time")
class NeverReleases(PlainStore):
    @override
    def lease(self) -> PlainLease:
        class Lease(PlainLease):
            @override
            def release(self) -> None:
                """Do nothing."""

        return Lease(self.place, self.place.clock())


@breaks("a_new_lease_has_its_whole_time")
class DoesNotExtend(PlainStore):
    @override
    def take(self, owner: str, ttl: float) -> PlainLease:
        ends = self.place.ends
        lease = super().take(owner, ttl)
        if ends > self.place.clock():
            self.place.ends = ends
        return lease


@breaks("a_lease_ends_by_itself", "a_late_leader_changes_nothing")
class LeadsForEver(PlainStore):
    @override
    def take(self, owner: str, ttl: float) -> PlainLease:
        return super().take(owner, 1e9)


@breaks("there_is_one_leader_at_a_time", "only_one_of_many_at_once_becomes_the_leader")
class LeadsForAMoment(PlainStore):
    @override
    def take(self, owner: str, ttl: float) -> PlainLease:
        return super().take(owner, 0)


@lease_breaks(
    "the_leader_may_lead_again",
    "a_late_leader_changes_nothing",
    "a_leader_is_late_also_if_no_process_leads_any_more",
)
class CommitsLate(PlainLease):
    @override
    def is_late(self) -> bool:
        return False


@lease_breaks("the_leader_may_lead_again")
class IsLateByOwner(PlainLease):
    @override
    def is_late(self) -> bool:
        return self.owner != self.place.owner


@lease_breaks("a_leader_is_late_also_if_no_process_leads_any_more")
class IsLateWhileOthersLead(PlainLease):
    @override
    def is_late(self) -> bool:
        return super().is_late() and self.place.clock() < self.place.ends


@lease_breaks("a_late_leader_changes_nothing")
class RemovesBeforeItChecks(PlainLease):
    @override
    def commit(self, state: bytes, consumed: Sequence[Entry]) -> None:
        self.remove(consumed)
        super().commit(state, consumed)


@lease_breaks("releasing_twice_or_late_does_nothing", "the_leader_may_lead_again")
class ReleasesOthers(PlainLease):
    @override
    def release(self) -> None:
        self.place.ends = 0.0


@lease_breaks("releasing_twice_or_late_does_nothing")
class ComplainsOfALateRelease(PlainLease):
    @override
    def release(self) -> None:
        if self.is_late():
            raise LeaseLost("another one leads")
        super().release()


@lease_breaks("the_leader_may_lead_again")
class ReleasesByOwner(PlainLease):
    @override
    def release(self) -> None:
        if self.owner == self.place.owner:
            self.place.ends = 0.0


# Time


@breaks("the_time_advances_and_never_goes_back", "the_time_is_in_seconds_since_the_epoch")
class StandsStill(PlainStore):
    @override
    def lease(self) -> PlainLease:
        return PlainLease(self.place, 1_700_000_000.0)


@breaks("the_time_advances_and_never_goes_back")
class GoesBack(PlainStore):
    @override
    def lease(self) -> PlainLease:
        return PlainLease(self.place, self.place.clock() - self.place.fence * 0.01)


@breaks("the_time_is_in_seconds_since_the_epoch")
class CountsMilliseconds(PlainStore):
    @override
    def lease(self) -> PlainLease:
        return PlainLease(self.place, self.place.clock() * 1000)


@breaks("the_time_is_in_seconds_since_the_epoch")
class CountsSinceTheStart(PlainStore):
    @override
    def lease(self) -> PlainLease:
        return PlainLease(self.place, self.place.clock() - 1_699_999_000)


# Places


class OneLeaderForAll(PlainStore):
    """Scopes have batches and a state of their own, and a lease together."""

    leases: ClassVar[dict[Clock, float]] = {}

    @override
    def may_lead(self, owner: str) -> bool:
        return self.place.clock() >= self.leases.get(self.place.clock, 0.0)

    @override
    def take(self, owner: str, ttl: float) -> PlainLease:
        self.leases[self.place.clock] = self.place.clock() + ttl
        return super().take(owner, ttl)


BROKEN["test_scopes_are_separate"] = [
    (PlainStore, lambda _: ""),
    (OneLeaderForAll, scope_itself),
]
BROKEN["test_a_scope_is_any_text"] = [
    (PlainStore, str.casefold),
    (PlainStore, str.strip),
    (PlainStore, lambda scope: scope.encode("ascii", "ignore").decode()),
    (PlainStore, lambda scope: scope or "shop"),
    (PlainStore, lambda scope: scope[:255]),
    (PlainStore, lambda scope: scope.replace("\0", "")),
    (PlainStore, lambda scope: unicodedata.normalize("NFC", scope)),
    (PlainStore, lambda scope: scope.encode(errors="replace").decode()),
]


@breaks("closing_ends_no_lease_of_another_process")
class ClosesTheLease(PlainStore):
    @override
    def close(self) -> None:
        super().close()
        self.place.ends = 0.0


@breaks("closing_one_store_closes_no_other_one")
class ClosesForAll(PlainStore):
    @override
    def close(self) -> None:
        self.place.entries = []


@breaks("closing_one_store_closes_no_other_one", "a_durable_store_outlives_its_processes")
class ClosesOnce(PlainStore):
    @override
    def close(self) -> None:
        if self.closed:
            raise StoreError("it is closed")
        super().close()
        self.place.state = None


def violates(rule: str, store: type[PlainStore], place_of: Callable[[str], str]) -> bool:
    """Whether a rule's test fails for a store."""
    try:
        getattr(Contract(store, place_of), rule)()
    except (AssertionError, StoreError, ValueError):
        return True
    return False


@pytest.mark.parametrize("rule", RULES)
def test_a_store_that_keeps_the_rules_passes(rule: str) -> None:
    """Else what follows says nothing."""
    assert not violates(rule, PlainStore, scope_itself)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_fails_for_whoever_breaks_it(rule: str) -> None:
    """A test that passes for a wrong store guards nothing."""
    assert BROKEN.get(rule), "no store breaks it"
    for store, place_of in BROKEN[rule]:
        assert violates(rule, store, place_of), store.__name__


def test_each_broken_store_names_rules() -> None:
    """A misspelt rule would never be asked."""
    assert set(BROKEN) == set(RULES)
