"""What templates get: clean, bounded, cut where that is least missed, and each cut stated."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import HOSTILE, NOW, ZONE, digest, entry, event, group, sender

from tocsin.alerts.digest import Audience, Trouble
from tocsin.alerts.grouping import Source
from tocsin.alerts.history import Told
from tocsin.events.event import ContextRecord
from tocsin.events.frames import Line
from tocsin.render.group_view import GroupView, view_group
from tocsin.render.mail_view import MailView, view_mail
from tocsin.render.sample_view import NO_ROOM, ContextView, Room, SampleView, min_size
from tocsin.render.times import Times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.events.event import Event

TIMES = Times(NOW, ZONE)
ROOM = Room(12_000, 12_000)
# Controls but newline and tab, separators, marks that turn the direction, lone surrogates.
ACTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
MANY_LINES = {"message", "traceback", "extra"}


def shown(*samples: Event, room: Room = ROOM, **given_fields: Any) -> GroupView:
    return view_group(entry(group(samples=samples, **given_fields)), 1, TIMES, room=room)


def lines(*texts: str, kind: str = "own") -> tuple[Line, ...]:
    return tuple(Line(kind, text) for text in texts)


def texts_in(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in a view, with the attribute that it is in."""
    if isinstance(value, str):
        yield name, value
    elif is_dataclass(value):
        for field in fields(value):
            yield from texts_in(getattr(value, field.name), name or field.name)
    elif isinstance(value, tuple):
        for part in value:
            yield from texts_in(part, name)


# Text.


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 5_000])
def test_all_text_is_clean_and_bounded_whoever_made_it(text: str) -> None:
    """A state or a batch may have been written by another version, or by another program."""
    sample = event(
        text,
        location=text,
        traceback=lines(text, kind="error"),
        extra=((text, text),),
        origin=((text, text),),
        host=text,
        thread=text,
        context=(ContextRecord(NOW, text, text, text),),
    )
    named: dict[str, Any] = dict.fromkeys(("level_name", "logger", "kind", "place", "text"), text)
    one = shown(
        sample,
        replace(sample, time=NOW + 1, traceback=()),
        sources=tuple(Source(text, pid, text, 1) for pid in range(40)),
        **named,
    )
    mail = view_mail(
        digest(group(), audience=Audience(to=(text,) * 50, notes=(text,) * 50)),
        sender(app=text, environment=text, footnote=text),
        TIMES,
    )
    for part in (one, mail):
        for name, said in texts_in(part):
            assert not ACTIVE.search(said), name
            assert len(said) <= 5_100, name
    for name, said in texts_in(replace(one, samples=())):
        assert "\n" not in said, name
        assert len(said) <= 1_000, name
    for sample_view in one.samples:
        for name in ("which", "time", "where", "location"):
            assert "\n" not in getattr(sample_view, name)
        assert all("\n" not in key and len(key) <= 100 for key, _ in sample_view.extra)
        assert all("\n" not in key and len(key) <= 100 for key, _ in sample_view.origin)
        assert all("\n" not in past.level + past.logger for past in sample_view.context)
    assert len(mail.to) == 21
    assert len(mail.notes) == 11


def test_each_attribute_is_documented_for_who_writes_templates() -> None:
    for kind in (MailView, GroupView, SampleView, ContextView):
        documented = re.findall(r"(?m)^    (\w+):", inspect.cleandoc(kind.__doc__ or ""))
        assert documented == [field.name for field in fields(kind)]


# Groups.


def test_a_group_says_where_its_events_came_from() -> None:
    sources = (
        Source("b", 1, "4.2.0", 5),
        Source("a", 1, "4.2.1", 2),
        Source("a", 2, "4.2.0", 2_000),
        Source("c", 1, "", 3),
    )
    one = shown(count=3_010, sources=sources, elsewhere=1_000)
    assert one.hosts == ("a", "b", "c")
    assert one.more_hosts == 0
    assert one.processes == 4
    assert one.elsewhere == 1_000
    assert one.versions == ("4.2.0", "4.2.1")
    assert one.counts == "a 2,002 in 2 processes (1: 2, 2: 2,000), b 5, c 3, other processes 1,000"


def test_only_critical_and_above_is_critical() -> None:
    assert [shown(level=level).critical for level in (40, 49, 50, 60)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("reason", "history"),
    [
        ("worse", ("1,021 in the last minute, was 2", "last told at 23:58 yesterday")),
        ("still", ("last told at 23:58 yesterday",)),
        ("quiet", ("no further event since 00:13", "last told at 23:58 yesterday")),
    ],
)
def test_a_known_group_has_a_history(reason: str, history: tuple[str, ...]) -> None:
    before = Told(at=NOW - 900, interval=900, rate=2.4)
    told = entry(group(count=9), reason, recent=1_021, before=before, since=NOW - 9_000)
    assert view_group(told, 1, TIMES, room=ROOM).history == history
    more = view_group(replace(told, total=2_310), 1, TIMES, room=ROOM).history
    assert more == (*history, "2,310 in all since 21:43 yesterday")


def test_a_new_group_has_no_history() -> None:
    assert shown().history == ()


def test_without_room_samples_are_left_out_and_that_is_said() -> None:
    assert shown(event(), room=NO_ROOM).samples == ()
    assert shown(event(), room=NO_ROOM).cut
    assert not shown(room=NO_ROOM).cut
    assert not shown(event()).cut


def test_where_a_sample_comes_from_is_said_as_far_as_it_is_known() -> None:
    assert shown(event()).samples[0].where == "web-1, pid 7, MainThread"
    assert shown(event(thread="")).samples[0].where == "web-1, pid 7"


# Cuts.


def test_a_traceback_keeps_its_error_and_the_innermost_frames() -> None:
    """The end says most: what was raised, and where."""
    trace = (
        *lines(*(f"frame {number} " + "x" * 90 for number in range(50))),
        Line("error", "E: no"),
    )
    kept = shown(event(traceback=trace), room=Room(1_000, 0)).samples[0].traceback
    assert kept[0] == Line("more", "[cut: last 9 of 51 lines of the traceback]")
    assert kept[1].text.startswith("frame 42 ")
    assert kept[-1] == Line("error", "E: no")
    assert len(kept) == 10


def test_causes_come_after_the_error_has_found_room() -> None:
    """However long they are: the first ones are the nearest."""
    causes = lines(*(f"caused by {number} " + "x" * 90 for number in range(50)), kind="cause")
    trace = (*lines("frame 1", "frame 2"), Line("error", "E: no"), *causes)
    kept = shown(event(traceback=trace), room=Room(1_000, 0)).samples[0].traceback
    assert kept[:3] == trace[:3]
    assert kept[3].text.startswith("caused by 0 ")
    assert kept[-1] == Line("more", "[cut: first 7 of 50 lines of related exceptions]")
    assert len(kept) == 11


def test_the_text_of_an_error_leaves_room_for_frames() -> None:
    trace = (*lines("frame 1", "frame 2"), Line("error", "E: " + "x" * 5_000))
    kept = shown(event(traceback=trace), room=Room(1_000, 0)).samples[0].traceback
    assert kept[:2] == trace[:2]
    assert kept[2].text.endswith("x [cut: first 500 of 5,003 characters]")


def test_an_error_is_shown_however_little_room_there_is() -> None:
    trace = (*lines("frame"), Line("error", "E" * 500), *lines("more", kind="cause"))
    kept = shown(event(traceback=trace), room=Room(10, 0)).samples[0].traceback
    assert [line.text for line in kept] == [
        "[cut: last 1 of 2 lines of the traceback]",
        "EEEEE [cut: first 5 of 500 characters]",
        "[cut: first 0 of 1 lines of related exceptions]",
    ]


def test_a_traceback_that_was_only_printed_keeps_its_end() -> None:
    trace = lines(*(f"line {number:>100}" for number in range(50)), kind="library")
    kept = shown(event(traceback=trace), room=Room(1_000, 0)).samples[0].traceback
    assert kept == (Line("more", "[cut: last 8 of 50 lines of the traceback]"), *trace[-8:])


def test_a_message_keeps_its_beginning() -> None:
    one = shown(event("m" * 500), room=Room(100, 0)).samples[0]
    assert one.message == "m" * 100 + " [cut: first 100 of 500 characters]"


def test_fields_keep_the_first_and_the_beginning_of_each() -> None:
    extra = tuple((f"key{number}", "v" * 300) for number in range(20))
    one = shown(event(extra=extra), room=Room(0, 1_000)).samples[0]
    cut = "v" * 250 + " [cut: first 250 of 300 characters]"
    assert one.extra == (
        ("key0", cut),
        ("key1", cut),
        ("key2", cut),
        ("...", "[cut: first 3 of 20 fields]"),
    )


def test_context_keeps_what_came_last() -> None:
    context = tuple(
        ContextRecord(NOW + number, "INFO", "app", f"{number} " + "m" * 90) for number in range(50)
    )
    kept = shown(event(context=context), room=Room(0, 1_000)).samples[0].context
    assert [past.time for past in kept] == [
        "",
        *(f"00:14:{number:02}.000" for number in (3, 4, 5, 6, 7, 8, 9)),
    ]
    assert kept[0].message == "[cut: last 7 of 50 records before it]"


@settings(deadline=None)
@given(
    st.integers(min_value=0, max_value=3_000),
    st.lists(st.integers(min_value=0, max_value=500), max_size=60),
    st.lists(st.integers(min_value=0, max_value=500), max_size=20),
    st.sampled_from([Room(12_000, 12_000), Room(3_000, 500), Room(1_000, 200), Room(7, 3)]),
)
def test_a_sample_takes_the_room_that_it_has(
    message: int, trace: list[int], extra: list[int], room: Room
) -> None:
    sample = event(
        "m" * message,
        traceback=(*lines(*("f" * size for size in trace)), Line("error", "E: no")),
        extra=tuple(("key", "v" * size) for size in extra),
        context=tuple(ContextRecord(NOW, "INFO", "app", "c" * size) for size in trace),
    )
    stated = 50  # characters that say what was cut
    for position, one in enumerate(shown(sample, replace(sample, time=NOW + 1), room=room).samples):
        main = room.rest if position else room.first
        assert len(one.message) <= main + stated
        assert sum(len(line.text) for line in one.traceback) <= main + 3 * stated
        assert sum(len(value) for _, value in one.extra) <= room.rest + 2 * stated
        assert sum(len(past.message) for past in one.context) <= room.rest + 2 * stated


def test_what_samples_need_is_known_before_they_are_shown() -> None:
    sample = event(
        "m" * 1_000,
        traceback=lines("f" * 2_000),
        extra=(("k" * 10, "v" * 490),),
        context=(ContextRecord(NOW, "INFO", "app", "c" * 300),),
    )
    one = entry(group(samples=(sample, sample)))
    assert min_size(one.group.samples, ROOM) == 2 * 3_800
    assert min_size(one.group.samples, Room(1_500, 200)) == (1_000 + 1_500 + 200 + 200) + 4 * 200
    assert min_size(one.group.samples, NO_ROOM) == 0


# What is the same is not told again.


def test_of_two_samples_the_latest_tells_what_is_different() -> None:
    trace = (*lines("frame"), Line("error", "E: 1"), Line("cause", "caused by C: 1"))
    first = event("failed", traceback=trace)

    def latest(message: str, *changed: Line) -> SampleView:
        later = event(message, time=NOW + 1, traceback=changed)
        view_of_first, view_of_latest = shown(first, later).samples
        assert view_of_first.which == "First"
        assert view_of_first.traceback == trace
        assert view_of_latest.which == "Latest"
        return view_of_latest

    same = latest("failed", *trace)
    assert same.message == "[the same message]"
    assert same.traceback == (Line("more", "[the same traceback]"),)
    other = latest("failed again", trace[0], Line("error", "E: 2"), trace[2])
    assert other.message == "failed again"
    assert other.traceback == (Line("more", "[the same frames]"), Line("error", "E: 2"))
    fewer = latest("failed", *trace[:2])
    assert fewer.traceback == (Line("more", "[the same frames]"),)
    elsewhere = latest("failed", Line("own", "another frame"), *trace[1:])
    assert elsewhere.traceback == (Line("own", "another frame"), *trace[1:])
    none = latest("failed")
    assert none.traceback == ()
    assert none.location == "app/main.py:7 in main"


def test_the_latest_tells_place_and_context_only_where_they_are_others() -> None:
    past = ContextRecord(NOW - 1, "INFO", "app", "began")
    first = event("failed", context=(past,))
    _, again = shown(first, replace(first, time=NOW + 1)).samples
    assert (again.message, again.location, again.context) == ("[the same message]", "", ())
    later = event("failed", time=NOW + 1, location="app/other.py:1 in f", context=())
    _, other = shown(first, later).samples
    assert (other.location, other.context) == ("app/other.py:1 in f", ())
    _, more = shown(first, replace(first, time=NOW + 1, context=(past, past))).samples
    assert [one.message for one in more.context] == ["began", "began"]


# The mail.


def test_a_mail_counts_what_it_tells() -> None:
    made = digest(
        group("a", 3),
        entry(group("b", 4), "worse"),
        entry(group("c", 5), "still"),
        entry(group("d", 6), "still"),
        entry(group("e", 7), "quiet"),
    )
    one = view_mail(made, sender(), TIMES)
    assert one.lead is not None
    assert one.lead.text == "ValueError: a"
    assert one.lead.samples == ()
    assert (one.kinds, one.count) == (5, 25)
    assert (one.new, one.worse, one.still, one.quiet) == (1, 1, 2, 1)
    assert one.standing == "1 new, 1 worse, 2 going on, 1 quiet"
    assert (one.hidden, one.hidden_count, one.lost) == (0, 0, 0)
    assert one.next == "00:28"
    assert one.offset == "+0200"
    assert one.identity == "shop production"


def test_a_mail_of_lost_events_has_no_lead() -> None:
    one = view_mail(digest(lost=5, reason="lost", next_at=None), sender(), TIMES)
    assert one.lead is None
    assert one.next is None
    assert one.standing == ""
    assert one.because == "errors were lost before they could be mailed"


def test_a_mail_says_that_those_before_it_failed() -> None:
    trouble = Trouble(since=NOW - 3600, count=12, problem="451 later\n\x1b[31m")
    one = view_mail(digest(group(), trouble=trouble), sender(), TIMES)
    assert one.notes == (
        "Mails did not reach all recipients, 12 times since 23:13 yesterday: 451 later \\x1b[31m",
    )
    trouble = Trouble(since=NOW, count=1, problem="no route")
    one = view_mail(digest(group(), trouble=trouble), sender(), TIMES)
    assert one.notes == ("Mails did not reach all recipients, 1 time since 00:13: no route",)
