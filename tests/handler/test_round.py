"""Rounds, driven by hand: what is sent when, to whom, and that nothing is lost."""

from __future__ import annotations

import email
import email.message
import email.policy
import email.utils
import io
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts import NOW, Clock, Moody, Rounds, receipt

from tocsin import ConfigError, LoginError, Reply, SendError, TestEmailHandler
from tocsin.alerts.policy import Urgency
from tocsin.redact.redactor import Redactor
from tocsin.render.times import Times
from tocsin.stores.memory import MemoryStore
from tocsin.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin import Receipt

DOWN = SendError("no connection")


def mail_of(raw: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def text_of(mail: email.message.EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def test_an_idle_round_sends_nothing_and_waits_for_nothing() -> None:
    rounds = Rounds(TestEmailHandler())
    for urgency in Urgency:
        assert rounds.run(urgency=urgency) is None
    assert rounds.round.ledger.stats.mails_sent == 0
    assert rounds.round.ledger.settled


def test_a_new_group_is_mailed_after_its_wait() -> None:
    outbox = TestEmailHandler()
    rounds = Rounds(outbox)
    rounds.log(times=3)
    assert rounds.run() == 10
    assert not outbox.outbox
    assert rounds.round.ledger.stats.next_mail_at == rounds.clock.now + 10
    assert rounds.run(after=10) is None
    assert [mail.headers["X-Tocsin-Count"] for mail in outbox.outbox] == ["3"]  # type: ignore[union-attr]


def test_stats_tell_the_way_of_the_records() -> None:
    rounds = Rounds(TestEmailHandler())
    assert rounds.round.ledger.stats.store is None
    rounds.log(times=3)
    assert rounds.round.ledger.stats.pending == 3
    rounds.run()
    stats = rounds.round.ledger.stats
    assert (stats.seen, stats.handed_over, stats.pending, stats.dropped) == (3, 3, 0, 0)
    assert stats.store is not None
    assert (stats.store.received, stats.store.pending) == (3, 3)
    rounds.run(after=10)
    stats = rounds.round.ledger.stats
    assert stats.store is not None
    assert (stats.store.mailed, stats.mails_sent, stats.last_error) == (3, 1, None)


def test_what_is_merged_but_unmailed_is_not_settled() -> None:
    """Else a program that ends right after its first error ends without its mail."""
    rounds = Rounds(TestEmailHandler())
    settled = [rounds.round.ledger.settled]
    rounds.log()
    settled.append(rounds.round.ledger.settled)
    rounds.round._hand_over()  # as far as a round may have come when the program ends
    settled.append(rounds.round.ledger.settled)
    rounds.run()
    settled.append(rounds.round.ledger.settled)
    rounds.run(after=10)
    settled.append(rounds.round.ledger.settled)
    assert settled == [True, False, False, False, True]


def test_what_is_still_owed_to_somebody_is_not_settled() -> None:
    rounds = Rounds(Moody(lambda _: receipt(["a@x"], deferred=["b@x"])), to="a@x, b@x")
    rounds.log()
    rounds.run(urgency=Urgency.FLUSH)
    assert not rounds.round.ledger.settled


def test_a_mail_that_fails_is_tried_after_1_2_4_up_to_300_seconds() -> None:
    sender = Moody(lambda _: DOWN)
    rounds = Rounds(sender, group_wait=0)
    rounds.log()
    pauses = []
    after = 0.0
    for _ in range(11):
        pause = rounds.run(after=after)
        assert pause is not None
        pauses.append(after := pause)
        rounds.run(after=after - 0.5)  # not before
        after = 0.5
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert len(sender.attempts) == 11
    assert rounds.round.ledger.stats.mails_failed == 11


@pytest.mark.parametrize("direct", [True, False])
def test_a_refused_login_is_tried_again_only_after_five_minutes(direct: bool) -> None:
    def refuse(_: list[str]) -> Exception:
        login = LoginError("no", reply=Reply(535, "5.7.8", "bad password"))
        if direct:
            return login
        error = SendError("not sent", receipts=[receipt(deferred=["a@x.example"])])
        error.__cause__ = login
        return error

    sender = Moody(refuse)
    rounds = Rounds(sender, group_wait=0)
    rounds.log()
    assert rounds.run() == 300
    rounds.log("urgent", level=logging.CRITICAL)
    rounds.run(after=299, urgency=Urgency.FLUSH)
    assert len(sender.attempts) == 1
    rounds.run(after=1)
    assert len(sender.attempts) == 2


def test_an_outage_is_told_once_with_all_counts() -> None:
    up = False
    sender = Moody(lambda _: None if up else DOWN)
    rounds = Rounds(sender)
    for _ in range(5):
        rounds.log("one", times=3)
        rounds.log("two", times=2)
        rounds.run(after=200)
    assert len(sender.attempts) > 2
    up = True
    rounds.run(after=300)
    assert list(sender.counted.values()) == [25]
    assert rounds.round.ledger.settled


def test_a_partly_accepted_mail_goes_again_to_whom_it_is_owed_with_the_same_bytes() -> None:
    answers = [
        receipt(["a@x"], deferred=["b@x", "c@x"]),
        receipt(deferred=["b@x"], refused=["c@x"]),
        receipt(["b@x"]),
    ]
    sender = Moody(lambda _: answers.pop(0))
    rounds = Rounds(sender, to="a@x, b@x, c@x")
    rounds.log(times=4)
    rounds.run(urgency=Urgency.FLUSH)
    rounds.log(times=3)  # what comes meanwhile is not in it
    rounds.run(after=1)
    rounds.run(after=2)
    assert [recipients for _, recipients, _ in sender.attempts] == [
        ["a@x", "b@x", "c@x"],
        ["b@x", "c@x"],
        ["b@x"],
    ]
    assert len({name for name, _, _ in sender.attempts}) == 1
    assert len({data for _, _, data in sender.attempts}) == 1
    stats = rounds.round.ledger.stats
    assert (stats.mails_sent, stats.retries) == (1, 2)
    assert stats.store is not None
    assert (stats.store.mailed, stats.store.pending) == (4, 3)


def test_one_full_mailbox_does_not_keep_news_from_the_others() -> None:
    full = "b@x"

    def mood(recipients: list[str]) -> Receipt:
        return receipt([r for r in recipients if r != full], deferred=[full])

    sender = Moody(mood)
    rounds = Rounds(sender, to="a@x, b@x")
    rounds.log("first")
    rounds.run(urgency=Urgency.FLUSH)
    for _ in range(12):
        rounds.run(after=300)
    rounds.log("second")
    rounds.run()
    rounds.run(after=10)
    assert [r for _, r, _ in sender.attempts].count(["a@x", "b@x"]) == 2


def test_a_mail_refused_by_all_is_undelivered_and_complained_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sender = Moody(lambda them: receipt(refused=them))
    rounds = Rounds(sender)
    rounds.log(times=4)
    assert (
        rounds.run(urgency=Urgency.FLUSH) == rounds.policy.repeat_after
    )  # then it is told as lost
    store = rounds.check()
    assert store is not None
    assert (store.mailed, store.pending, store.undelivered) == (0, 0, 4)
    reason, *alert = capsys.readouterr().err.splitlines()
    assert reason == "tocsin: an alert mail was not sent: not everybody"
    assert alert[0] == "tocsin: this alert was refused for good:"
    assert alert[2] == "[4x, 1 new] shop: ERROR boom in app"
    assert not any("next mail" in line or "Received" in line for line in alert)
    assert rounds.round.ledger.stats.last_error == "an alert mail was not sent: not everybody"


def test_what_was_refused_for_good_is_new_when_it_comes_again() -> None:
    """Nobody has been told; but a server that refuses isn't asked again at once."""
    refuses = [True, False]
    sender = Moody(lambda them: receipt(refused=them) if refuses.pop(0) else None)
    rounds = Rounds(sender, group_wait=0)
    rounds.log()
    rounds.run()
    rounds.log()
    assert rounds.run(after=10) == 290
    rounds.run(after=290)
    reasons = [b"X-Tocsin-Reason: new" in mail for _, _, mail in sender.attempts]
    assert reasons == [True, True]
    assert rounds.round.ledger.stats.mails_sent == 1


def test_a_failure_is_told_once_a_kind_until_something_succeeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers: list[Exception | None] = [DOWN, DOWN, OSError("odd"), None, DOWN]
    rounds = Rounds(Moody(lambda _: answers.pop(0)), group_wait=0, repeat_after=0)
    for _ in range(5):
        rounds.log()
        rounds.run(after=400)
    lines = capsys.readouterr().err.splitlines()
    again = "; it will be tried again"
    assert lines == [
        f"tocsin: an alert mail was not sent: no connection{again}",
        f"tocsin: an alert mail was not sent: odd{again}",
        f"tocsin: an alert mail was not sent: no connection{again}",
    ]


@pytest.mark.parametrize("fate", ["refused", "deferred"])
def test_one_dead_address_is_told_once_and_not_with_every_mail(
    fate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = {"b@x"}

    def mood(them: list[str]) -> Receipt:
        wrong = [one for one in them if one in dead]
        return receipt([one for one in them if one not in dead], **{fate: wrong})

    rounds = Rounds(Moody(mood), to="a@x, b@x, c@x", group_wait=0, repeat_after=0)

    def lines() -> int:
        for name in ("one", "two", "three"):
            rounds.log(name)
            rounds.run(after=400)
        return capsys.readouterr().err.count("an alert mail was not sent")

    assert lines() == 1
    dead.add("c@x")
    assert lines() == 1
    assert lines() == 0
    dead.clear()
    assert lines() == 0
    dead.add("b@x")
    assert lines() == 1


def test_what_everybody_missed_is_over_when_somebody_has_a_mail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Then the server is back; but one who still has none is not told of again."""
    answers: list[Any] = [DOWN, receipt(["a@x"], deferred=["b@x"]), DOWN]
    rounds = Rounds(Moody(lambda _: answers.pop(0)), to="a@x, b@x", group_wait=0)
    rounds.log()
    rounds.run()
    rounds.run(after=1)
    rounds.log("other")
    rounds.run(after=0.5)
    assert capsys.readouterr().err.count(": no connection") == 2


@pytest.mark.parametrize("urgency", [Urgency.NONE, Urgency.EXIT])
def test_nothing_is_kept_of_a_digest_that_is_given_up_unsent(urgency: Urgency) -> None:
    rounds = Rounds(Moody(lambda _: DOWN), group_wait=0)
    rounds.log()
    rounds.run()
    rounds.run(after=24 * 3600 + 400, urgency=urgency)
    if urgency is Urgency.EXIT:
        rounds.log("left behind")
        rounds.round.abandon()
    store = rounds.check()
    assert store is not None
    assert (store.pending, store.undelivered) == (0, 1 + (urgency is Urgency.EXIT))
    assert rounds.round._claims._ends == {}


def test_a_closed_standard_error_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    rounds = Rounds(Moody(lambda _: DOWN), group_wait=0)
    rounds.log()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        rounds.run(after=1_000)
    assert rounds.round.ledger.stats.mails_failed == 2


@pytest.mark.parametrize("error", [ValueError("bug"), ConfigError("no variable"), TypeError("x")])
def test_whatever_an_email_handler_raises_is_a_failure_that_is_tried_again(
    error: Exception,
) -> None:
    answers: list[Exception | None] = [error, None]
    sender = Moody(lambda _: answers.pop(0))
    rounds = Rounds(sender, group_wait=0)
    rounds.log(times=2)
    assert rounds.run() == 1
    rounds.run(after=1)
    assert list(sender.counted.values()) == [2]


def test_at_the_end_everything_goes_whatever_its_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sender = Moody(lambda _: None)
    rounds = Rounds(sender)
    rounds.log("one")
    rounds.run(urgency=Urgency.FLUSH)
    rounds.log("one")
    rounds.log("two")
    rounds.run(urgency=Urgency.EXIT)
    assert list(sender.counted.values()) == [1, 2]
    assert b"X-Tocsin-Reason: exit" in sender.attempts[1][2]
    assert rounds.round.ledger.settled
    assert capsys.readouterr().err == ""


def test_at_the_end_what_cannot_be_sent_is_told_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sender = Moody(lambda _: DOWN)
    rounds = Rounds(sender)
    rounds.log("the lost one", times=7)
    rounds.run(urgency=Urgency.EXIT)
    error = capsys.readouterr().err
    assert len(sender.attempts) == 1
    assert "an alert mail was not sent: no connection" in error
    assert (
        "this alert could not be mailed:\n\n[7x, 1 new] shop: ERROR the lost one in app\n" in error
    )
    store = rounds.check()
    assert store is not None
    assert (store.pending, store.undelivered) == (0, 7)
    assert rounds.round.ledger.settled


def test_at_the_end_a_full_mailbox_does_not_keep_the_rest_from_being_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def mood(recipients: list[str]) -> Receipt:
        taken = [one for one in recipients if one != "b@x"]
        return receipt(taken, deferred=["b@x"] if "b@x" in recipients else [])

    sender = Moody(mood)
    rounds = Rounds(sender, to="a@x, b@x")
    rounds.log("first", times=2)
    rounds.run(urgency=Urgency.FLUSH)
    rounds.log("second", times=3)
    rounds.run(urgency=Urgency.EXIT)
    assert sorted(sender.counted.values()) == [2, 3]
    error = capsys.readouterr().err
    assert error.count("this alert could not be mailed to b@x:") == 2
    store = rounds.check()
    assert store is not None
    assert (store.mailed, store.undelivered) == (5, 0)
    assert rounds.round.ledger.settled


def test_what_is_abandoned_is_told_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    rounds = Rounds(TestEmailHandler())
    rounds.log("left behind")
    rounds.round.abandon()
    assert "left behind" in capsys.readouterr().err
    store = rounds.check()
    assert store is not None
    assert store.undelivered == 1


def test_another_leader_is_waited_for() -> None:
    outbox = TestEmailHandler()
    rounds = Rounds(outbox)
    lease = rounds.store.lead("somebody else", 60)
    assert lease is not None
    rounds.log()
    assert rounds.run() == 1
    assert rounds.run(urgency=Urgency.FLUSH, until=0) == 1
    assert rounds.run(urgency=Urgency.EXIT, until=0) is None
    rounds.round.abandon()
    assert not outbox.outbox
    lease.release()
    rounds.run(urgency=Urgency.FLUSH)
    assert len(outbox.outbox) == 1


def test_many_batches_are_merged_in_one_round() -> None:
    outbox = TestEmailHandler()
    rounds = Rounds(outbox)
    for _ in range(2_500):
        rounds.log()
        rounds.round._hand_over()
    rounds.run(urgency=Urgency.FLUSH)
    assert [mail.headers["X-Tocsin-Count"] for mail in outbox.outbox] == ["2500"]  # type: ignore[union-attr]


def test_the_deadline_is_passed_on() -> None:
    seen: list[float | None] = []

    class Keep(TestEmailHandler):
        def send(
            self, messages: Any, *, deadline: float | None = None, on_transaction: Any = None
        ) -> list[Receipt]:
            seen.append(deadline)
            return super().send(messages)

    rounds = Rounds(Keep(), repeat_after=0, group_wait=0)
    for until in (float("inf"), 0.0):
        rounds.log()
        rounds.run(after=1, until=until)
    assert seen == pytest.approx([300, 0.1], rel=0.01)


def test_a_clock_that_was_wrong_once_dates_no_later_mail(tmp_path: Path) -> None:
    """The store's time, which never goes back, is 13 years ahead from then on, and decides when."""
    wall, ticks = Clock(), Clock()
    store = SQLiteStore(tmp_path / "alerts.db", "one", clock=wall, ticks=ticks)
    answers = [receipt(["a@x"], deferred=["b@x"]), receipt(["b@x"]), None, None]
    sender = Moody(lambda _: answers.pop(0))
    rounds = Rounds(sender, store=store, to="a@x, b@x")
    rounds.clock = wall

    def run(after: float) -> None:
        ticks.now += after
        rounds.run(after=after)

    wall.now = NOW + 13 * 365 * 86_400  # in 2036
    rounds.run()
    wall.now = NOW
    rounds.log()
    run(0)
    assert rounds.round.ledger.stats.next_mail_at == pytest.approx(NOW + 10)
    run(9.5)
    assert len(sender.attempts) == 0
    run(0.5)
    assert len(sender.attempts) == 1  # b@x is owed it
    rounds.log()
    run(5)
    run(890)
    assert len(sender.attempts) == 2
    run(5)
    mails = [mail_of(raw) for *_, raw in sender.attempts]
    dates = [email.utils.parsedate_to_datetime(mail["Date"]).timestamp() for mail in mails]
    assert dates == [NOW + 10, NOW + 10, NOW + 910]
    texts = [text_of(mail) for mail in mails]
    times = Times(NOW)
    assert f"for these, not before {times.minute(NOW + 910)}." in texts[0]
    assert f"last told at {times.minute(NOW + 10)}" in texts[2]
    assert f"for these, not before {times.minute(NOW + 910 + 1_800)}." in texts[2]
    assert "2036" not in "".join(texts)


def test_trouble_is_dated_by_the_right_clock_as_well(tmp_path: Path) -> None:
    wall, ticks = Clock(), Clock()
    wall.now += 13 * 365 * 86_400 + 5 * 3_600
    store = SQLiteStore(tmp_path / "alerts.db", "one", clock=wall, ticks=ticks)
    assert store.lead("the one with the wrong clock", 0) is not None
    wall.now = NOW
    sender = Moody(lambda _: receipt(["a@x"], deferred=["b@x"]))
    rounds = Rounds(sender, store=store, to="a@x, b@x")
    rounds.clock = wall
    for name in ("one", "two"):
        rounds.log(name)
        rounds.run(urgency=Urgency.FLUSH)
    text = text_of(mail_of(sender.attempts[-1][2]))
    assert f"1 time since {Times(NOW).minute(NOW)}: not everybody" in text


steps = st.lists(
    st.one_of(
        st.tuples(st.just("log"), st.sampled_from("abcd"), st.integers(1, 5)),
        st.tuples(st.just("run"), st.sampled_from(["NONE", "NONE", "FLUSH"]), st.integers(0, 900)),
        st.tuples(st.just("mood"), st.text("adrux", min_size=3, max_size=3), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.booleans())
def test_nothing_is_lost_and_nothing_is_told_twice(
    history: list[tuple[str, str, int]], leave: bool
) -> None:
    """Records, time, flushes and failures in any order; then the server is well again.

    For each recipient a letter: accepted, deferred, refused, unknown; x breaks the connection.
    """
    mood = "aaa"

    def answer(them: list[str]) -> Receipt | Exception:
        if "x" in mood:
            return OSError("broken")
        fates = {f"{name}@x": fate for name, fate in zip("abc", mood, strict=True)}
        return receipt(
            [one for one in them if fates[one] == "a"],
            deferred=[one for one in them if fates[one] == "d"],
            refused=[one for one in them if fates[one] == "r"],
            unknown=[one for one in them if fates[one] == "u"],
        )

    sender = Moody(answer)
    rounds = Rounds(sender, to="a@x, b@x, c@x", max_groups=3)
    logged = 0
    for what, name, amount in history:
        if what == "log":
            rounds.log(name, times=amount, level=50 if name == "d" else 40)
            logged += amount
        elif what == "run":
            rounds.run(after=amount, urgency=Urgency[name])
        else:
            mood = name
        assert rounds.round.ledger.stats.seen == logged
        store = rounds.check()
        if store is not None:
            assert store.mailed == sum(sender.counted.values())
    mood = "aaa"
    if leave:
        rounds.run(urgency=Urgency.EXIT)
    else:
        for _ in range(5):
            rounds.run(after=1_000)
    assert rounds.round.ledger.settled
    store = rounds.check()
    assert store is None or store.pending == 0
    assert sum(sender.counted.values()) + (store.undelivered if store else 0) == logged
    by_name: dict[str, set[bytes]] = {}
    for name, _, data in sender.attempts:
        by_name.setdefault(name, set()).add(data)
    assert all(len(found) == 1 for found in by_name.values())


def test_a_mail_on_its_way_is_not_forgotten_though_handing_over_fails_meanwhile(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is logged while it is sent meets an error that nobody has thought of."""
    failed = threading.Event()

    def fail(*_: object) -> None:
        failed.set()
        raise RuntimeError("a new kind of error")

    def mood(_: list[str]) -> Receipt:
        hand_over = rounds.round._hand_over
        rounds.round._hand_over = fail  # type: ignore[assignment]
        rounds.log("another")
        rounds.round.thread.hurry()
        assert failed.wait(20)
        rounds.round._hand_over = hand_over
        return receipt(["a@x.example"])

    rounds = Rounds(Moody(mood))
    rounds.log()
    rounds.run(urgency=Urgency.FLUSH)
    assert rounds.round.ledger.stats.mails_sent == 1
    assert capsys.readouterr().err.count("a new kind of error") == 1
    rounds.run(after=1)
    assert rounds.round.ledger.stats.handed_over == 2


def test_at_the_end_what_a_store_that_hangs_may_not_have_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The keeping thread waits for the store; the end doesn't wait for the keeping thread."""
    handing, release = threading.Event(), threading.Event()

    class Hanging(MemoryStore):
        durable = True

        def append(self, batch: bytes) -> None:
            handing.set()
            assert release.wait(20)
            super().append(batch)

    rounds = Rounds(TestEmailHandler(), store=Hanging())
    rounds.log("handed over", times=2)
    keeping = threading.Thread(target=rounds.round.run)
    keeping.start()
    assert handing.wait(20)
    rounds.log("in the intake", times=3)
    rounds.round.abandon()
    error = capsys.readouterr().err
    assert "2 x ERROR handed over" in error
    assert "3 x ERROR in the intake" in error
    release.set()
    keeping.join()
    stats = rounds.round.ledger.stats
    assert (stats.seen, stats.handed_over, stats.pending, stats.dropped) == (5, 2, 0, 3)


class UnreadableError(Exception):
    """An error of an email handler that can't even be told."""

    def __str__(self) -> str:
        raise AttributeError("response")


def test_an_error_that_cannot_be_read_is_a_failed_attempt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The mail is tried again, and at the end its text is told."""
    rounds = Rounds(Moody(lambda _: UnreadableError()))
    rounds.log("the lost one")
    rounds.run(urgency=Urgency.FLUSH)
    assert rounds.round.ledger.stats.mails_failed == 1
    rounds.run(after=2, urgency=Urgency.EXIT)
    assert "the lost one" in capsys.readouterr().err
    assert rounds.round.ledger.stats.pending == 0


def test_what_an_email_handler_says_has_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """It is stored, mailed and printed."""
    secret = "POST https://api:s3cr3tpw@mail.example/v1 failed: password=hunter2xyz"
    moods: list[Exception | None] = [RuntimeError(secret), None]
    sender = Moody(lambda _: moods.pop(0))
    rounds = Rounds(sender, redactor=Redactor())
    rounds.log()
    rounds.run(urgency=Urgency.FLUSH)
    rounds.run(after=2, urgency=Urgency.ALL)
    printed = capsys.readouterr().err
    stored = rounds.store.lead("test", 1)
    mailed = sender.attempts[-1][2].decode()
    for text in (printed, mailed, str(stored and stored.read(1)[0])):
        assert "s3cr3tpw" not in text
        assert "hunter2xyz" not in text
    assert "POST https://" in printed
    assert "POST https://" in mailed


@pytest.mark.parametrize("durable", [True, False])
def test_a_store_that_raises_anything_has_failed(durable: bool) -> None:
    """One of the application's own raises its driver's errors."""
    email = TestEmailHandler()

    class Own(MemoryStore):
        def append(self, batch: bytes) -> None:
            raise OSError("redis: connection refused")

    store = Own()
    store.durable = durable
    rounds = Rounds(email, store=store)
    rounds.log()
    rounds.run(urgency=Urgency.EXIT)
    mail: Any = email.outbox[0]
    assert "redis: connection refused" in mail.text
    assert rounds.round.ledger.stats.pending == 0


def test_the_end_does_not_wait_for_a_report_that_the_store_does_not_take(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rounds = Rounds(TestEmailHandler())
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with rounds.journal._sending:
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    rounds.log("in the intake", times=3)
    rounds.round.abandon()
    assert not release.is_set()
    release.set()
    thread.join()
    assert "3 x ERROR in the intake" in capsys.readouterr().err


def test_what_another_handler_sends_is_not_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Two handlers share a store in memory: an old one that still sends, and its successor."""
    sending, release = threading.Event(), threading.Event()

    def mood(_: list[str]) -> Receipt:
        sending.set()
        assert release.wait(20)
        return receipt(["a@x.example"])

    old = Rounds(Moody(mood))
    new = Rounds(TestEmailHandler(), store=old.store)
    new.clock = old.clock
    old.log("on its way")
    thread = threading.Thread(target=old.round.run, args=(Urgency.FLUSH,))
    thread.start()
    assert sending.wait(20)
    new.round.run(Urgency.EXIT)
    release.set()
    thread.join()
    assert "could not be mailed" not in capsys.readouterr().err
    old.run()
    stats = old.check()
    assert stats is not None
    assert (stats.mailed, stats.undelivered) == (1, 0)


def test_loading_that_hangs_holds_nothing_up() -> None:
    """An email handler prepares itself in the sending thread."""
    preparing, release = threading.Event(), threading.Event()

    class Slow(TestEmailHandler):
        def prepare(self) -> None:
            preparing.set()
            assert release.wait(20)

    rounds = Rounds(Slow())
    thread = threading.Thread(target=rounds.round.load)
    thread.start()
    assert preparing.wait(20)
    rounds.log(times=3)
    rounds.round.thread.hurry()
    handed_over = threading.Event()

    def look() -> None:
        while not handed_over.is_set():
            if rounds.round.ledger.stats.handed_over == 3:
                handed_over.set()

    threading.Thread(target=look, daemon=True).start()
    assert handed_over.wait(10)
    release.set()
    thread.join()


def test_what_another_handler_hands_over_at_the_end_is_mailed_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It came while the last mail was being sent: that it was never tried is no failure."""

    def mood(_: list[str]) -> Receipt:
        if len(sender.attempts) == 1:
            other.log("late", times=2)
            other.journal.append(other.intake.drain())
        return receipt(["a@x.example"])

    sender = Moody(mood)
    first = Rounds(sender)
    other = Rounds(TestEmailHandler(), store=first.store)
    other.clock = first.clock
    first.log("early")
    first.round.run(Urgency.EXIT)
    assert list(sender.counted.values()) == [1, 2]
    assert "could not be mailed" not in capsys.readouterr().err
