"""The journal: claims, facts, batches that come twice, and a store that fails."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from parts import Moody, Rounds, receipt

from tocsin import Receipt, SendError, StoreError, TestEmailHandler
from tocsin.alerts.batch import Batch
from tocsin.alerts.codec import VERSION, dump
from tocsin.alerts.policy import Urgency
from tocsin.stores.memory import MemoryLease, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.alerts.grouping import Group


class Failing(MemoryStore):
    """A store that outlives its processes, and fails when it is told to."""

    durable = True

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        super().__init__(clock)
        self.broken = False
        self.appended: list[bytes] = []

    def append(self, batch: bytes) -> None:
        self._fail()
        self.appended.append(batch)
        super().append(batch)

    def lead(self, owner: str, ttl: float) -> MemoryLease | None:
        self._fail()
        return super().lead(owner, ttl)

    def _fail(self) -> None:
        if self.broken:
            raise StoreError("the disk is full")


class Killed(BaseException):
    """What ends a process in the middle of something."""


def shared(*senders: Any, **options: Any) -> list[Rounds]:
    """Processes that share a store and a clock."""
    first = Rounds(senders[0], store=Failing(), **options)
    assert isinstance(first.store, Failing)
    first.store._clock = first.clock
    others = [Rounds(sender, store=first.store, **options) for sender in senders[1:]]
    for other in others:
        other.clock = first.clock
    return [first, *others]


def counts(email: TestEmailHandler) -> list[int]:
    mails: list[Any] = email.outbox
    return [int(mail.headers["X-Tocsin-Count"]) for mail in mails]


def test_many_processes_send_what_one_would() -> None:
    email = TestEmailHandler()
    processes = shared(*[email] * 8)
    for process in processes:
        process.log(times=10)
        process.run()
    for process in processes:
        process.run(after=10 if process is processes[0] else 0)
    assert counts(email) == [80]
    mail: Any = email.outbox[0]
    assert "web-1 80" in mail.text


def test_a_digest_that_is_being_sent_is_nobody_elses() -> None:
    """Until the claim has run out; then somebody may have it, and it goes as it was."""
    other = TestEmailHandler()

    class Deadly(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            raise Killed

    first, second = shared(Deadly(), other)
    first.log(times=3)
    with pytest.raises(Killed):
        first.run(urgency=Urgency.FLUSH)
    second.run(after=359)
    assert counts(other) == []
    second.run(after=2)
    assert counts(other) == [3]


def test_who_comes_after_a_killed_process_sends_the_same_digest() -> None:
    sent: list[tuple[str, bytes]] = []

    def note(mail: Any) -> None:
        sent.append((mail.headers["Message-ID"], mail.to_mime().as_bytes()))

    class Deadly(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            note(messages)
            raise Killed

    class Kind(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            note(messages)
            return super().send(messages)

    first, second = shared(Deadly(), Kind())
    first.log(times=3)
    with pytest.raises(Killed):
        first.run(urgency=Urgency.FLUSH)
    second.run(after=361)
    assert len(sent) == 2
    assert sent[0] == sent[1]
    stats = second.check()
    assert stats is not None
    assert (stats.mailed, stats.pending) == (3, 0)


def test_whoever_has_it_is_not_sent_it_again_after_a_kill() -> None:
    """Facts are appended after each transaction: the next process knows them."""
    sent: list[list[str]] = []

    class Halfway(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            sent.append([one.addr_spec for one in messages.recipients])
            options["on_transaction"](receipt(["a@x.example"]))
            raise Killed

    class Kind(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            sent.append([one.addr_spec for one in messages.recipients])
            return super().send(messages)

    first, second = shared(Halfway(), Kind(), to="a@x.example,b@x.example")
    first.log(times=3)
    with pytest.raises(Killed):
        first.run(urgency=Urgency.FLUSH)
    second.run(after=361)
    assert sent == [["a@x.example", "b@x.example"], ["b@x.example"]]


def test_a_late_leader_still_reports_what_it_did() -> None:
    """It slept while it sent; another one had sent it again by then."""

    class Slow(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            second.run(after=400)
            return super().send(messages)

    first, second = shared(Slow(), TestEmailHandler())
    first.log(times=3)
    first.run(urgency=Urgency.FLUSH)
    second.run(after=1)
    stats = second.check()
    assert stats is not None
    assert (stats.received, stats.mailed, stats.pending) == (3, 3, 0)
    assert first.journal.may_wait() is False


def test_a_batch_that_comes_twice_counts_once() -> None:
    """An append whose answer was lost is repeated."""
    (process,) = shared(TestEmailHandler())
    process.log(times=3)
    process.run()
    assert isinstance(process.store, Failing)
    process.store.append(process.store.appended[0])
    process.run()
    stats = process.check()
    assert stats is not None
    assert stats.received == 3


def test_a_process_whose_store_fails_goes_on_alone_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    email = TestEmailHandler()
    (process,) = shared(email)
    assert isinstance(process.store, Failing)
    process.store.broken = True
    process.log(times=3)
    process.run()
    process.run(after=59)
    assert counts(email) == []  # others may be doing the same: it waits longer than usual
    process.run(after=302)
    assert counts(email) == [3]
    mail: Any = email.outbox[0]
    assert "The store can't be used; these counts are one process's: the disk is full" in mail.text
    error = capsys.readouterr().err
    assert error.count("the store can't be used, each process works alone: the disk is full") == 1
    process.log("urgent", level=50)
    process.run()
    assert counts(email) == [3, 1]


def test_what_is_unmailed_goes_to_the_store_when_it_is_back() -> None:
    email, other = TestEmailHandler(), TestEmailHandler()
    process, second = shared(email, other)
    assert isinstance(process.store, Failing)
    process.store.broken = True
    process.log(times=3)
    process.run()
    process.store.broken = False
    process.run(after=59)
    second.log(times=2)
    second.run()
    process.run(after=1)
    second.run(after=10)
    assert counts(email) + counts(other) == [5]
    stats = second.check()
    assert stats is not None
    assert (stats.received, stats.mailed) == (5, 5)
    mail: Any = other.outbox[0]
    assert "The store can't be used" not in mail.text


def test_what_became_of_a_digest_is_told_the_store_when_it_is_back() -> None:
    class Breaking(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            store.broken = True
            return super().send(messages)

    (process,) = shared(Breaking())
    assert isinstance(process.store, Failing)
    store = process.store
    process.log(times=3)
    process.run(urgency=Urgency.FLUSH)
    assert process.journal.store.trouble
    store.broken = False
    process.run(after=61)
    assert not process.journal.store.trouble
    process.run()
    stats = process.check()
    assert stats is not None
    assert (stats.received, stats.mailed, stats.pending) == (3, 3, 0)


def test_a_store_that_still_fails_is_tried_again_later() -> None:
    (process,) = shared(TestEmailHandler())
    assert isinstance(process.store, Failing)
    process.store.broken = True
    process.log()
    process.run()
    process.run(after=61)
    assert process.journal.store.trouble
    lease = MemoryStore.lead(process.store, "another", 3600)
    assert lease is not None
    process.store.broken = False
    process.run(after=61)
    assert process.journal.store.trouble  # somebody leads for long
    lease.release()
    process.run(after=61)
    assert not process.journal.store.trouble


@pytest.mark.parametrize("what", ["state", "batch"])
def test_what_a_newer_release_wrote_is_left_alone(what: str) -> None:
    (process,) = shared(TestEmailHandler())
    newer = json.dumps({"version": VERSION + 1, "data": {}}).encode()
    lease = process.store.lead("newer", 60)
    assert lease is not None
    lease.commit(newer if what == "state" else b"", ()) if what == "state" else None
    lease.release()
    if what == "batch":
        process.store.append(newer)
    process.log()
    process.run()
    assert f"of version {VERSION + 1}, not {VERSION}" in process.journal.store.trouble
    found = process.store.lead("newer", 60)
    assert found is not None
    state, entries = found.read(10)
    assert state == newer or newer in [entry.batch for entry in entries]


def test_a_leader_that_was_too_slow_tries_again() -> None:
    email = TestEmailHandler()
    (process,) = shared(email)
    take_lease = process.store.lead

    def slow(owner: str, ttl: float) -> MemoryLease | None:
        lease = take_lease(owner, ttl)
        assert isinstance(lease, MemoryLease)
        process.store.lead = take_lease  # type: ignore[method-assign]
        process.clock.now += 60
        assert take_lease("another", 1) is not None
        return lease

    process.log()
    process.store.lead = slow  # type: ignore[method-assign]
    assert process.run() == 1
    process.run(after=2)
    process.run(after=10)
    assert counts(email) == [1]


def test_a_durable_store_keeps_what_is_not_due_at_the_end() -> None:
    email = TestEmailHandler()
    (process,) = shared(email)
    process.log(times=2)
    process.run(urgency=Urgency.EXIT)
    assert counts(email) == [2]
    process.log(times=3)
    process.run(urgency=Urgency.EXIT)
    assert counts(email) == [2]
    stats = process.check()
    assert stats is not None
    assert (stats.pending, stats.undelivered) == (3, 0)


@pytest.mark.parametrize("urgency", [Urgency.EXIT, Urgency.NONE])
def test_a_process_that_dies_every_ten_seconds_sends_four_mails_an_hour_at_most(
    urgency: Urgency,
) -> None:
    """It ends, or is killed after it has handed over; the rest waits for the next start."""
    email = TestEmailHandler()
    (process,) = shared(email)
    for _ in range(360):
        process.log()
        process.run(urgency=urgency)
        follower = Rounds(email, store=process.store)
        follower.clock = process.clock
        process = follower
        process.clock.now += 10
    assert 1 <= len(email.outbox) <= 4
    stats = process.round.ledger.stats
    assert stats.seen == 0
    process.run(urgency=Urgency.ALL)
    assert sum(counts(email)) == 360


def test_a_durable_store_keeps_what_could_not_be_sent_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (process,) = shared(Moody(lambda _: OSError("no route")))
    process.log("precious", times=2)
    process.run(urgency=Urgency.EXIT)
    process.round.abandon()
    assert process.journal.may_wait()
    assert "precious" not in capsys.readouterr().err


def test_send_now_sends_everything_and_says_what_is_left() -> None:
    answers: list[Any] = [None, OSError("no route"), None]
    sender = Moody(lambda _: answers.pop(0))
    (process,) = shared(sender)
    left: list[bool] = []
    for times in (2, 3, 0):
        process.log(times=times)
        process.run(urgency=Urgency.ALL)
        left.append(not process.round.ledger.nothing_left)
    assert left == [False, True, False]
    assert sorted(sender.counted.values()) == [2, 3]


def test_an_outage_ends_with_one_mail_that_tells_everything() -> None:
    """The server is down for an hour, while three kinds of errors go on."""
    up = False
    sender = Moody(lambda them: None if up else OSError("connection refused"))
    (process,) = shared(sender)
    for minute in range(60):
        for kind in ("a", "b", "c"):
            process.log(f"kind {kind}", times=10)
        process.run(after=60)
        assert minute >= 0
    assert not sender.counted
    attempts = len(sender.attempts)
    up = True
    process.run(after=300)
    assert list(sender.counted.values()) == [1800]
    assert attempts < 40
    body = sender.attempts[-1][2]
    assert b"Mails did not reach all recipients" in body


def test_a_wrong_password_for_an_hour_costs_no_account_and_no_event() -> None:
    from tocsin import LoginError, Reply  # noqa: PLC0415 - for this test only

    right = False
    refused = LoginError("the login was refused", reply=Reply(535, "5.7.8", "no"))
    sender = Moody(lambda them: None if right else refused)
    (process,) = shared(sender)
    for _ in range(360):
        process.log()
        process.run(after=10)
    assert len(sender.attempts) <= 13  # one in five minutes
    right = True
    process.run(after=300)
    assert list(sender.counted.values()) == [360]


def test_what_is_too_old_is_given_up_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    (process,) = shared(Moody(lambda _: OSError("no route")))
    process.log("precious", times=4)
    for _ in range(24 * 12 + 2):
        process.run(after=300)
    stats = process.check()
    assert stats is not None
    assert (stats.pending, stats.undelivered) == (0, 4)
    error = capsys.readouterr().err
    assert error.count("this alert could not be mailed in time") == 1
    assert "precious" in error


def full_for_b(them: list[str]) -> Receipt:
    taken = [one for one in them if one != "b@x"]
    return receipt(taken, deferred=["b@x"] if "b@x" in them else [])


def test_a_full_mailbox_is_given_up_after_a_day(capsys: pytest.CaptureFixture[str]) -> None:
    (process,) = shared(Moody(full_for_b), to="a@x,b@x")
    process.log("precious", times=4)
    for _ in range(24 * 12 + 2):
        process.run(after=300)
    stats = process.check()
    assert stats is not None
    assert (stats.mailed, stats.pending, stats.undelivered) == (4, 0, 0)
    assert not process.journal.may_wait()
    assert "this alert could not be mailed in time to b@x:" in capsys.readouterr().err


def test_a_send_error_without_receipts_is_everybodys() -> None:
    answers: list[Any] = [SendError("no session"), None]
    sender = Moody(lambda _: answers.pop(0))
    (process,) = shared(sender)
    process.log(times=2)
    process.run(urgency=Urgency.FLUSH)
    process.run(after=2, urgency=Urgency.FLUSH)
    assert list(sender.counted.values()) == [2]


def test_an_empty_batch_is_not_appended() -> None:
    (process,) = shared(TestEmailHandler())
    process.run()
    assert isinstance(process.store, Failing)
    assert process.store.appended == []
    process.journal.append()
    assert process.store.appended == []
    assert dump(Batch()).startswith(b'{"version"')


# Coming back


class Slow(Failing):
    """A store whose answers take their time, or get lost."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        super().__init__(clock)
        self.takes = 0.0
        self.lose = 0

    def append(self, batch: bytes) -> None:
        super().append(batch)
        self._clock.now += self.takes  # type: ignore[attr-defined]
        if self.lose:
            self.lose -= 1
            raise StoreError("the answer was lost")


def slow(sender: Any, **options: Any) -> Rounds:
    process = Rounds(sender, store=Slow(), **options)
    process.store._clock = process.clock  # type: ignore[attr-defined]
    return process


def gone_alone(process: Rounds, times: int = 1) -> Any:
    """Let its store fail, and be good again; return that."""
    store: Any = process.store
    store.broken = True
    process.log(times=times)
    process.run()
    assert process.journal.store.trouble
    store.broken = False
    return store


def test_a_store_that_answers_slowly_when_it_is_back_counts_once() -> None:
    """For longer than a lease on the memory lasts."""
    process = slow(TestEmailHandler())
    store = gone_alone(process, 3)
    store.takes = 11
    process.run(after=61)
    store.takes = 0
    assert not process.journal.store.trouble
    process.run(urgency=Urgency.ALL)
    stats = process.check()
    assert stats is not None
    assert (stats.received, stats.mailed) == (3, 3)


def test_what_the_store_does_not_take_when_it_is_back_stays_and_is_mailed_alone() -> None:
    email = TestEmailHandler()
    process = slow(email)
    store = gone_alone(process, 3)
    store.lose = 2  # the second time is the second try
    append = MemoryStore.append

    def full(self: Any, batch: bytes) -> None:
        if self is store:
            raise StoreError("the disk is full")
        append(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryStore, "append", full)
        process.run(after=61)
        assert process.journal.store.trouble
        process.run(after=360)
    assert counts(email) == [3]


def test_an_append_whose_answer_is_lost_counts_once() -> None:
    process = slow(TestEmailHandler())
    store: Any = process.store
    store.lose = 1
    process.log(times=2)
    process.run(urgency=Urgency.FLUSH)
    assert not process.journal.store.trouble
    stats = process.check()
    assert stats is not None
    assert (stats.received, stats.mailed) == (2, 2)


def test_a_batch_that_nobody_can_read_keeps_no_process_from_mailing_alone() -> None:
    """It is behind others that are good: the store is left alone until all of it can be read."""
    email = TestEmailHandler()
    process = slow(email)
    process.log("first")
    process.run(urgency=Urgency.FLUSH)
    process.store.append(dump(Batch(source="killed", number=1)))
    process.store.append(json.dumps({"version": VERSION + 1, "data": {}}).encode())
    for number in range(30):
        process.log(f"news {chr(0x4E00 + number)}")
        process.run(after=20)
        assert process.journal.store.trouble
    assert len(email.outbox) > 1


def test_alone_it_looks_each_minute_whether_the_store_is_back() -> None:
    """Also when it has nothing else to do: the store must hear what it has sent."""

    class Breaking(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            receipts = super().send(messages)
            store.broken = True
            return receipts

    process = slow(Breaking())
    store: Any = process.store
    process.log()
    pause = process.run(urgency=Urgency.FLUSH)
    assert process.journal.store.trouble
    store.broken = False
    assert pause is not None
    assert pause <= 60
    process.run(after=pause)
    assert not process.journal.store.trouble
    stats = process.check()
    assert stats is not None
    assert (stats.mailed, stats.pending) == (1, 0)


def test_at_the_end_the_store_is_told_at_once_what_was_sent() -> None:
    """Who comes next would send it again."""

    class Breaking(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            receipts = super().send(messages)
            store.broken = True
            return receipts

    process = slow(Breaking())
    store: Any = process.store
    process.log()
    process.run(urgency=Urgency.FLUSH)
    store.broken = False
    settled = [process.round.ledger.settled]
    process.run(after=1, urgency=Urgency.EXIT)
    assert [*settled, process.round.ledger.settled] == [False, True]
    assert not process.journal.store.trouble


def test_a_full_mailbox_keeps_nobody_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Who has no mail of it is told where an alert goes that can't be mailed."""
    process = slow(Moody(full_for_b), to="a@x,b@x")
    gone_alone(process)
    process.store.broken = True  # type: ignore[attr-defined]
    process.run(after=360)
    process.store.broken = False  # type: ignore[attr-defined]
    process.run(after=61)
    assert not process.journal.store.trouble
    assert "could not be mailed in time to b@x:" in capsys.readouterr().err


# Much that waits


def test_a_backlog_that_takes_long_is_merged_in_parts() -> None:
    """A lease lasts ten seconds; what was merged in one part is kept if the next one fails."""

    class Long(Failing):
        def lead(self, owner: str, ttl: float) -> MemoryLease | None:
            lease = super().lead(owner, ttl)
            if lease is not None:
                read = lease.read

                def slowly(limit: int) -> Any:
                    self._clock.now += 4  # type: ignore[attr-defined]
                    return read(limit)

                lease.read = slowly  # type: ignore[method-assign]
            return lease

    process = Rounds(TestEmailHandler(), store=Long())
    process.store._clock = process.clock  # type: ignore[attr-defined]
    for number in range(2500):
        process.store.append(dump(Batch(source="killed", number=number + 1, dropped=1)))
    process.run()
    assert process.store.lead("me", 1).read(1)[1] == []  # type: ignore[union-attr]


def test_to_look_whether_something_waits_merges_nothing() -> None:
    """Whoever configures logging does so, with all threads waiting."""
    (process,) = shared(TestEmailHandler())
    assert not process.journal.may_wait()
    process.store.append(dump(Batch(source="killed", number=1)))
    assert process.journal.may_wait()
    assert process.store.lead("me", 1).read(9)[0] is None  # type: ignore[union-attr]


def test_while_another_process_leads_something_may_wait() -> None:
    """It may have been killed just now."""
    (process,) = shared(TestEmailHandler())
    assert process.store.lead("another", 10) is not None
    assert process.journal.may_wait()


def test_the_time_for_a_send_begins_with_its_claim() -> None:
    """A process that was stopped in between must not send when another one may."""
    given: list[float] = []

    class Noting(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            given.append(options["deadline"])
            return super().send(messages)

    class Stopping(Failing):
        def lead(self, owner: str, ttl: float) -> MemoryLease | None:
            lease = super().lead(owner, ttl)
            if lease is not None:
                lease.release = lambda: threading.Event().wait(0.2)  # type: ignore[method-assign, assignment]
            return lease

    process = Rounds(Noting(), store=Stopping())
    process.store._clock = process.clock  # type: ignore[attr-defined]
    process.log()
    process.run(urgency=Urgency.FLUSH)
    assert 250 < given[0] <= 299.8


def test_a_lease_that_is_lost_at_the_end_is_taken_again() -> None:
    """There is no later round."""
    email = TestEmailHandler()
    process = Rounds(email)
    store: Any = process.store
    lead, given = store.lead, []

    def lost(owner: str, ttl: float) -> Any:
        lease = lead(owner, ttl)
        given.append(lease)
        if len(given) == 1:
            process.clock.now += 2 * ttl
            lead("another", 0)
        return lease

    store.lead = lost
    process.log()
    process.run(urgency=Urgency.EXIT)
    assert counts(email) == [1]


def test_a_mail_that_was_interrupted_has_its_time_when_it_is_tried_again() -> None:
    given: list[float] = []

    class Interrupted(TestEmailHandler):
        def send(self, messages: Any, **options: Any) -> list[Receipt]:
            given.append(options["deadline"])
            if len(given) == 1:
                raise SystemExit
            return super().send(messages)

    process = Rounds(Interrupted())
    process.log()
    with pytest.raises(SystemExit):
        process.run(urgency=Urgency.EXIT)
    process.run(urgency=Urgency.EXIT)
    assert given == pytest.approx([300, 300], abs=1)


def test_an_answer_that_is_lost_when_the_store_is_back_counts_once() -> None:
    """It took so long that nobody asks at once for another one."""
    process = slow(TestEmailHandler())
    store = gone_alone(process, 3)
    store.takes, store.lose = 2, 1
    process.run(after=61)
    assert process.journal.store.trouble
    store.takes = 0
    process.run(after=62)
    process.run(urgency=Urgency.ALL)
    stats = process.check()
    assert stats is not None
    assert (stats.received, stats.mailed) == (3, 3)


def test_a_store_that_cannot_be_led_leaves_something_to_be_sent() -> None:
    """What was appended is in it, although this process has nothing left in memory."""

    class Headless(Failing):
        def lead(self, owner: str, ttl: float) -> MemoryLease | None:
            raise StoreError("the table of leases is broken")

    rounds = Rounds(TestEmailHandler(), store=Headless())
    rounds.log(times=3)
    rounds.run(urgency=Urgency.ALL)
    assert rounds.round.ledger.stats.pending == 0
    assert not rounds.round.ledger.nothing_left


def test_errors_that_cannot_be_stored_are_dropped_counted_and_told_and_the_next_ones_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    email = TestEmailHandler()
    rounds = Rounds(email)
    rounds.log("good", times=2)
    rounds.log("bad", times=3)
    groups_of = rounds.intake.groups_of

    def with_decimal(taken: Any) -> tuple[Group, ...]:
        # A field of a kind that JSON doesn't know, as a sample might bring it.
        groups = groups_of(taken)
        return tuple(replace(g, first=Decimal(1)) if g.text == "bad" else g for g in groups)  # type: ignore[arg-type]

    rounds.intake.groups_of = with_decimal  # type: ignore[method-assign]
    rounds.run(urgency=Urgency.FLUSH)
    assert counts(email) == [2]
    stats = rounds.round.ledger.stats
    assert (stats.seen, stats.handed_over, stats.pending, stats.dropped) == (5, 2, 0, 3)
    assert rounds.round.ledger.settled
    assert capsys.readouterr().err.count("their records can't be stored") == 1
    rounds.log("good again")
    rounds.run(after=1, urgency=Urgency.FLUSH)
    assert counts(email) == [2, 1]
    mail: Any = email.outbox[0]
    assert "3 events were lost" in mail.text


def test_what_a_digest_came_to_waits_for_the_store_that_failed_while_it_was_sent() -> None:
    """The digest is in that store: in this process's memory nobody knows it."""
    store = Failing()

    def mood(_: list[str]) -> Receipt:
        store.broken = True
        rounds.journal.store.go_alone(StoreError("the disk is full"))  # as the worker does
        return receipt(["a@x.example"])

    rounds = Rounds(Moody(mood), store=store)
    store._clock = rounds.clock
    rounds.log()
    rounds.run(after=10, urgency=Urgency.FLUSH)
    owed = [rounds.journal.owes]
    store.broken = False
    rounds.run(after=61)
    owed.append(rounds.journal.owes)
    assert owed == [True, False]
    stats = rounds.check()
    assert stats is not None
    assert (stats.received, stats.mailed, stats.pending) == (1, 1, 0)
