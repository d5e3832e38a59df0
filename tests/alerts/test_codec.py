from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NOW, digest, entry, event, group, groups, texts, times

from tocsin.alerts.batch import Batch
from tocsin.alerts.budget import Budget
from tocsin.alerts.codec import VERSION, dump, load
from tocsin.alerts.digest import Trouble
from tocsin.alerts.history import History, Rate, Told
from tocsin.alerts.outgoing import Before, Outgoing, Report
from tocsin.alerts.state import Seen, State
from tocsin.events.event import ContextRecord
from tocsin.exceptions import StoreError

reports = st.builds(
    Report,
    message_id=texts,
    owner=texts,
    accepted=st.lists(texts, max_size=3).map(tuple),
    refused=st.lists(texts, max_size=3).map(tuple),
    unknown=st.lists(texts, max_size=3).map(tuple),
    final=st.booleans(),
    problem=texts,
    pause=times,
)
told = st.builds(Told, at=times, interval=times, rate=times, echoes=st.integers(0, 9))
known = st.builds(
    History,
    pending=st.none() | groups(),
    pending_since=times,
    total=st.integers(0),
    since=times,
    first_at=times,
    seen_at=times,
    recent=st.builds(
        Rate, start=st.integers(0), counts=st.lists(st.integers(0), max_size=5).map(tuple)
    ),
    told=st.none() | told,
    apart=st.booleans(),
)
digests = st.builds(
    lambda of, before, lost: digest(entry(of, "still", before=before), lost=lost),
    groups(),
    st.none() | told,
    st.integers(0),
)
outgoing = st.builds(
    Outgoing,
    digest=digests,
    at=times,
    spent=st.sampled_from(["", "normal", "urgent"]),
    before=st.dictionaries(
        texts, st.builds(Before, pending_since=times, told=st.none() | told), max_size=2
    ),
    mail_before=times,
    lost_before=times,
    owed=st.lists(texts, max_size=2).map(tuple),
    claimed_by=texts,
    claimed_until=times,
    counted=st.booleans(),
    failures=st.integers(0, 9),
    retry_at=times,
)
budgets = st.builds(Budget, spent=times, at=times)
states = st.builds(
    State,
    groups=st.dictionaries(texts, known, max_size=3),
    outgoing=st.dictionaries(texts, outgoing, max_size=2),
    sources=st.dictionaries(texts, st.builds(Seen, number=st.integers(0), at=times), max_size=2),
    failing_since=times,
    trouble=st.none() | st.builds(Trouble, since=times, count=st.integers(1), problem=texts),
    normal=budgets,
    urgent=budgets,
    since=times,
    received=st.integers(0),
    mailed=st.integers(0),
    undelivered=st.integers(0),
    lost=st.integers(0),
    lost_at=times,
    mail_at=times,
    sent_at=st.none() | times,
    failures=st.integers(0),
    retry_at=times,
)


@settings(max_examples=50)
@given(states)
def test_a_state_comes_back_as_it_was(state: State) -> None:
    assert load(State, dump(state)) == state


@settings(max_examples=50)
@given(
    st.builds(
        Batch,
        groups=st.lists(groups(), max_size=3).map(tuple),
        reports=st.just(()),
        dropped=st.integers(0),
    )
)
def test_a_batch_of_groups_comes_back_as_it_was(batch: Batch) -> None:
    assert load(Batch, dump(batch)) == batch


@given(st.lists(reports, max_size=3).map(tuple))
def test_a_batch_of_reports_comes_back_as_it_was(given_reports: tuple[Report, ...]) -> None:
    batch = Batch(reports=given_reports)
    assert load(Batch, dump(batch)) == batch


def test_a_sample_comes_back_with_what_came_before_it() -> None:
    past = ContextRecord(NOW - 1, "INFO", "app.db", "connecting")
    batch = Batch(groups=(group(samples=(event(context=(past,)),)),))
    (made,) = load(Batch, dump(batch)).groups
    assert made.samples[0].context == (past,)
    assert made.samples[0].context[0].logger == "app.db"


def test_what_is_written_is_json_with_a_version() -> None:
    data = dump(Batch(groups=(group("é\ud800", at=NOW),)))
    assert "é\ud800".encode("utf-8", "surrogatepass") in data
    assert json.loads(data.decode("utf-8", "surrogatepass"))["version"] == VERSION


@pytest.mark.parametrize("version", [0, VERSION + 1, "1", 1.0, True, None])
def test_another_version_is_refused_and_named(version: object) -> None:
    data = json.dumps(
        {"version": version, "data": {"groups": [], "reports": [], "dropped": 0}}
    ).encode()
    with pytest.raises(StoreError, match=f"a Batch of version {version}, not {VERSION}"):
        load(Batch, data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b'{"version": 1}',
        b'{"version": 1, "data": 5}',
        b'{"version": 1, "data": []}',
        b'{"version": 1, "data": {"groups": 5, "reports": []}}',
        b'{"version": 1, "data": {"groups": [{"count": 1}]}}',
        b'{"version": 1, "data": {"reports": "none"}}',
        b"\xff\xfe",
        b'{"version": 1, "data": {"groups": {}}}',
    ],
)
def test_what_is_no_batch_is_a_store_error_that_says_so(data: bytes) -> None:
    with pytest.raises(StoreError, match="the store has no valid Batch"):
        load(Batch, data)


def test_a_field_that_is_missing_has_its_default_and_an_unknown_one_is_left_out() -> None:
    data = b'{"version": %d, "data": {"number": 3, "colour": "red"}}' % VERSION
    assert load(Batch, data) == Batch(number=3)
    data = b'{"version": %d, "data": {"normal": {"spent": 2}}}' % VERSION
    assert load(State, data) == State(normal=Budget(spent=2))


def test_a_mapping_that_is_none_is_a_store_error() -> None:
    data = json.loads(dump(State()))
    data["data"]["groups"] = [1]
    with pytest.raises(StoreError, match="the store has no valid State"):
        load(State, json.dumps(data).encode())


def test_what_has_no_fields_cannot_be_stored() -> None:
    with pytest.raises(TypeError, match="can't store a value of type object"):
        dump(Batch(groups=(object(),)))  # type: ignore[arg-type] # that is the point
