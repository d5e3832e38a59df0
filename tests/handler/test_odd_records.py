"""Any field of a record may be anything: it is taken, counted, and can be handed over."""

from __future__ import annotations

import datetime as dt
import json
import logging
import time
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parts import record, worker_of

from tocsin import AlertHandler, TestEmailHandler
from tocsin.alerts.batch import Batch
from tocsin.alerts.codec import dump, load
from tocsin.events.records import FAR, plain

if TYPE_CHECKING:
    from collections.abc import Generator

    from tocsin.alerts.grouping import Group

NOW = 1_700_000_000.0


def refuse(*_: object, **__: object) -> Any:
    raise RuntimeError("no")


ALL = """
    __str__ __repr__ __eq__ __ne__ __lt__ __gt__ __le__ __ge__ __hash__ __format__ __bool__ __len__
    __iter__ __int__ __index__ __float__ __contains__ __getitem__ __reduce__ __reduce_ex__ __mod__
    get items keys values startswith find partition strip encode isprintable timestamp
""".split()  # noqa: SIM905 - a paragraph of words reads better


def awkward(*bases: type) -> type:
    """Return a class all of whose methods raise."""
    return type("Awkward", bases, dict.fromkeys(ALL, refuse))


class Huge:
    def __str__(self) -> str:
        return "x\ud800" * 100_000

    __repr__ = __str__

    def __int__(self) -> int:
        return 10**5_000

    def __float__(self) -> float:
        return float("inf")


class Sub(str):
    """What `str()` returns may be a subclass, with methods of its own."""

    __slots__ = ()
    __getitem__ = __len__ = startswith = find = refuse


class Says:
    def __str__(self) -> str:
        return Sub("said")


class Lying:
    def __init__(self, kind: Any) -> None:
        self.kind = kind

    @property
    def __class__(self) -> Any:
        return self.kind if isinstance(self.kind, type) else refuse()

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Unhashable(type):
    __hash__ = None  # type: ignore[assignment] # that is the point

    def __eq__(cls, other: object) -> bool:
        return refuse()  # type: ignore[no-any-return] # it raises

    def __getattribute__(cls, name: str) -> Any:
        return refuse()


class OfOddClass(Exception, metaclass=Unhashable):  # noqa: N818 - a case
    pass


class OfOddModule(Exception):  # noqa: N818 - a case
    __module__ = 5  # type: ignore[assignment] # that is the point


class OddParts(Exception):  # noqa: N818 - a case
    __cause__ = __context__ = __traceback__ = __notes__ = __suppress_context__ = property(refuse)
    __str__ = __repr__ = __eq__ = __hash__ = refuse


class Endless(ExceptionGroup):
    """A group that has itself in it, as far as it says."""

    @property
    def exceptions(self) -> Any:
        return (self,)


class Many(ExceptionGroup):
    @property
    def exceptions(self) -> Any:
        return refuse()


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - any kind is wanted
        return caught


def without_module() -> BaseException:
    names: dict[str, Any] = {}
    exec("Nowhere = type('Nowhere', (Exception,), {})", names)
    with pytest.raises(AttributeError):
        assert names["Nowhere"].__module__
    return raised(names["Nowhere"]("boom"))


def nested(depth: int) -> BaseException:
    error: Exception = ValueError("deep")
    for _ in range(depth):
        error = ExceptionGroup("in", [error])
    return raised(error)


def circle() -> BaseException:
    one, other = ValueError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one
    return raised(ExceptionGroup("both", [one, other]))


ERRORS: list[BaseException] = [
    raised(OfOddClass("boom")),
    raised(OfOddModule("boom")),
    raised(OddParts("boom")),
    OddParts("never raised"),
    raised(Endless("again", [ValueError("inner")])),
    raised(Many("many", [OddParts("x")] * 1_000_000)),
    nested(5_000),
    circle(),
    raised(ValueError(Huge())),
    raised(ValueError(awkward(object)())),
    raised(KeyboardInterrupt()),
]
VALUES: list[Any] = [
    None,
    True,
    10**5_000,
    -(10**5_000),
    float("nan"),
    float("inf"),
    float("-inf"),
    1e308,
    Decimal("1700000000.5"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("1e999"),
    Fraction(1, 3),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "",
    "\ud800",
    "text \x1b[31m" * 20_000,
    'Traceback (most recent call last):\n  File "a", line ' + "9" * 5_000 + ", in f\nE: x",
    b"bytes",
    [],
    {},
    {"event": Sub("said"), "exc_info": ERRORS[0]},
    (),
    (1, 2, 3),
    (None, None, None),
    object(),
    object,
    awkward(object)(),
    awkward(str)("%s text"),
    awkward(int)(5),
    awkward(float)(5.0),
    awkward(dict)(event="boom"),
    awkward(tuple)((1, ValueError("in a tuple"))),
    awkward(list)([1]),
    Huge(),
    Says(),
    Lying(str),
    Lying(dict),
    Lying(tuple),
    Lying(None),
    Mock(spec=ValueError),
    Mock(spec=dict),
    Mock(),
    without_module(),
    *ERRORS,
    *((type(error), error, None) for error in ERRORS),
]
FIELDS = [*vars(record()), "taskName", "alert_group", "mine"]
# Odd values go by their number: what runs the tests would show them, and stumble.
odd = st.sampled_from(range(len(VALUES))).map(lambda number: f"odd {number}")
values = st.one_of(odd, st.text(max_size=20), st.floats(), st.integers(), st.binary(max_size=9))


def odd_record(fields: dict[str, Any]) -> logging.LogRecord:
    made = record()
    made.created = NOW
    for name, value in fields.items():
        is_odd = isinstance(value, str) and value.startswith("odd ")
        made.__dict__[name] = VALUES[int(value[4:])] if is_odd else value
    return made


@pytest.fixture(scope="module", params=[None, "%(asctime)s %(process)d %(lineno)d %(message)s"])
def handler(request: pytest.FixtureRequest) -> Generator[AlertHandler]:
    made = AlertHandler(
        to="o@x.example", from_addr="a@x.example", email=TestEmailHandler(), context=3, level=0
    )
    made.setFormatter(None if request.param is None else logging.Formatter(request.param))
    worker_of(made).thread._running.acquire()  # the events stay where they arrive
    yield made
    worker_of(made).thread._running.release()
    made.close()


def drained(handler: AlertHandler) -> tuple[Group, ...]:
    """Return the groups that a handler has taken: exactly what comes back from a store."""
    groups = worker_of(handler).round.intake.drain()
    batch = Batch(source="me", number=1, groups=groups)
    raw = dump(batch)
    assert load(Batch, raw) == batch
    json.loads(raw.decode("utf-8", "surrogatepass"), parse_constant=refuse)  # NaN, Infinity
    assert all(-FAR <= group.first <= group.last <= FAR for group in groups)
    return groups


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS), values, min_size=1, max_size=6), st.integers(1, 3))
def test_any_record_is_taken_counted_and_handed_over(
    handler: AlertHandler, fields: dict[str, Any], times: int
) -> None:
    made = odd_record(fields)
    before = handler.stats
    for _ in range(times):
        handler.emit(made)
    after = handler.stats
    if plain(made, NOW).levelno < logging.ERROR or str(plain(made, NOW).name).startswith("tocsin"):
        assert after.seen == before.seen
        return
    assert after.seen == before.seen + times
    assert after.dropped == before.dropped
    assert sum(group.count for group in drained(handler)) == times


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_may_be_any_of_all_odd_values(handler: AlertHandler, field: str) -> None:
    before = handler.stats.dropped
    for number in range(len(VALUES)):
        made = odd_record({field: f"odd {number}"})
        kept = plain(made, NOW)
        assert plain(kept, NOW) is kept
        handler.emit(made)
        handler.emit(made)
        if kept.levelno >= logging.ERROR:
            assert [group.count for group in drained(handler)] == [2], number
    assert handler.stats.dropped == before


def test_what_can_be_kept_is_kept(handler: AlertHandler) -> None:
    made = record("boom")
    made.created = Decimal("1700000000.5")  # type: ignore[assignment] # as JSON may be read
    made.levelno = Decimal(50)  # type: ignore[assignment] # as above
    handler.emit(made)
    (group,) = drained(handler)
    assert (group.first, group.level, group.kind) == (1_700_000_000.5, 50, "boom")
    assert type(group.first) is float


def test_a_time_that_is_none_is_now(handler: AlertHandler) -> None:
    made = record("boom")
    made.created = float("nan")
    before = time.time()
    handler.emit(made)
    handler.emit(made)
    (group,) = drained(handler)
    assert before <= group.first <= group.last <= time.time()


@pytest.mark.parametrize("value", [float("-inf"), float("inf"), float("nan"), 1e300, -1e300])
def test_a_time_that_is_none_spoils_no_others(handler: AlertHandler, value: float) -> None:
    for created in (NOW, value, NOW + 1):
        made = record("boom")
        made.created = created
        handler.emit(made)
    (group,) = drained(handler)
    assert (group.first, group.count) == (NOW, 3)
    assert group.last in {NOW, NOW + 1}


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_any_exception_is_told(handler: AlertHandler, number: int) -> None:
    made, error = record("failed"), ERRORS[number]
    made.exc_info = (type(error), error, error.__traceback__ if type(error) is ValueError else None)
    handler.emit(made)
    (group,) = drained(handler)
    assert group.samples[0].traceback[-1].text


def test_an_exception_of_no_module_is_grouped_by_its_name(handler: AlertHandler) -> None:
    for _ in range(2):
        made = record("failed")
        error = without_module()
        made.exc_info = (type(error), error, error.__traceback__)
        handler.emit(made)
    (group,) = drained(handler)
    assert (group.kind, group.count) == ("Nowhere", 2)


def test_a_group_that_has_itself_in_it_is_told_by_what_it_was_made_of(
    handler: AlertHandler,
) -> None:
    made = record("failed")
    error = raised(Endless("again", [ValueError("inner")]))
    made.exc_info = (type(error), error, error.__traceback__)
    handler.emit(made)
    (group,) = drained(handler)
    assert group.kind == "ValueError"
    assert group.text == "ValueError: inner"


def test_a_field_that_is_missing_is_a_plain_one(handler: AlertHandler) -> None:
    made = record("boom")
    del made.name, made.process, made.exc_text, made.msecs
    handler.emit(made)
    (group,) = drained(handler)
    assert (group.kind, group.logger) == ("boom", "None")


def test_what_follows_an_odd_record_is_mailed_with_it() -> None:
    email = TestEmailHandler()
    handler = AlertHandler(to="o@x.example", from_addr="a@x.example", email=email)
    for value in (Decimal(5), 10**5_000, "yesterday"):
        made = record("odd")
        made.created = made.process = value  # type: ignore[assignment] # that is the point
        handler.emit(made)
    handler.emit(record("usual"))
    assert handler.send_now()
    (mail,) = email.outbox
    assert mail.headers["X-Tocsin-Count"] == "4"  # type: ignore[union-attr] # a Message


def test_a_record_as_logging_makes_it_is_left_as_it_is() -> None:
    made = record("boom")
    assert plain(made, NOW) is made
