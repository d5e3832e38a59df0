"""Records are read back from the logs that real libraries have written."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import logging
import time
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_writers import (
    PLAIN,
    START,
    in_docker,
    json_logger,
    logged,
    loguru_lines,
    structured,
    uvicorn_lines,
)

from tocsin.alerts.settings import Policy
from tocsin.cli.logs.files import LogFile, merged
from tocsin.cli.logs.reader import LogReader
from tocsin.cli.logs.text_lines import PatternLines, TextLines
from tocsin.cli.logs.times import Times, time_zone
from tocsin.cli.output import UsageError
from tocsin.cli.replay_run import Replay
from tocsin.events import traceback_text
from tocsin.events.frames import OwnCode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

UTC = dt.UTC


def read(
    text: str, *, least: int = logging.ERROR, pattern: str | None = None
) -> tuple[list[logging.LogRecord], LogReader]:
    lines = text.split("\n")
    format_ = TextLines(lines) if pattern is None else PatternLines(pattern)
    reader = LogReader(format_, Times(UTC), least)
    found = [reader.feed(line, number) for number, line in enumerate(lines, 1)]
    return [record for record in (*found, *reader.finish()) if record is not None], reader


def utc(formatter: logging.Formatter) -> logging.Formatter:
    formatter.converter = time.gmtime
    return formatter


def texts(records: Iterable[logging.LogRecord]) -> list[tuple[str, str, str]]:
    return [(record.levelname, record.name, str(record.msg)) for record in records]


BRACKETS = "[%(asctime)s] [%(levelname)s] [%(name)s] %(message)s"
DASHES = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
BARS = "%(asctime)s | %(levelname)-8s | %(name)s | %(message)s"
GUNICORN = "[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s"
VERBOSE = "%(levelname)s %(asctime)s %(module)s %(process)d %(thread)d %(message)s"
CELERY = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"
THREAD = "%(asctime)s %(levelname)s [%(name)s] (%(threadName)s) %(message)s"


@pytest.mark.parametrize(
    ("form", "name", "date"),
    [
        (PLAIN, "shop.pay", None),
        (PLAIN, "shop.pay", "%Y-%m-%dT%H:%M:%S+0000"),
        (PLAIN, "shop.pay", "%d/%b/%Y %H:%M:%S"),
        (PLAIN, "shop.pay", "%Y/%m/%d %H:%M:%S"),
        (PLAIN, "shop.pay", "%d/%b/%Y:%H:%M:%S +0000"),
        (PLAIN, "shop.pay", "%a %b %d %H:%M:%S %Y"),
        (BRACKETS, "shop.pay", None),
        (DASHES, "shop.pay", None),
        (BARS, "shop.pay", None),
        (THREAD, "shop.pay", None),
        (GUNICORN, "gunicorn.error", "%Y-%m-%d %H:%M:%S +0000"),
        (GUNICORN, "root", None),
        ("[%(asctime)s] %(levelname)s [%(name)s:%(lineno)s] %(message)s", "shop.pay", None),
        ("[%(asctime)s] %(levelname)s in %(module)s: %(message)s", "root", None),
        (VERBOSE, "log_writers", None),
        (CELERY, "root", None),
        ("%(asctime)s:%(levelname)s:%(name)s:%(message)s", "shop.pay", None),
        ("%(asctime)s %(name)s %(levelname)s: %(message)s", "shop.pay", None),
        ("%(levelname)s:%(name)s:%(message)s", "shop.pay", ""),
        ("%(levelname)s %(message)s", "root", ""),
        ("%(levelname)s: %(message)s", "root", ""),
    ],
)
def test_usual_formats_are_read(form: str, name: str, date: str | None) -> None:
    found, reader = read(logged(utc(logging.Formatter(form, date))))
    assert texts(found) == [
        ("ERROR", name, "Charging order 17 failed\nfor user ada"),
        ("ERROR", name, "Charging order 18 failed"),
    ]
    trace = traceback_text.parse(str(found[1].exc_text))
    assert trace is not None
    assert trace.kind.endswith("GatewayError")
    assert [place.function for place in trace.places] == ["logged", "fail"]
    if date != "":
        assert [int(record.created) for record in found] == [START + 1, START + 2]
        assert (reader.first_time, reader.last_time) == (START, START + 3)
    else:
        assert reader.first_time is None
    assert reader.unread == 0


@pytest.mark.parametrize("docker", [False, True])
def test_python_json_logger_is_read(*, docker: bool) -> None:
    text = json_logger()
    found, reader = read(in_docker(text) if docker else text)
    assert texts(found) == [
        ("ERROR", "shop.pay", "Charging order 17 failed\nfor user ada"),
        ("ERROR", "shop.pay", "Charging order 18 failed"),
    ]
    assert "GatewayError: order 17" in str(found[1].exc_text)
    assert found[1].__dict__["order"] == 18
    assert [record.created for record in found] == [START + 1, START + 2]
    assert reader.unread == 0


def test_renamed_fields_are_known() -> None:
    found, _ = read(json_logger(rename_fields={"levelname": "severity", "message": "msg"}))
    assert [record.msg for record in found][1] == "Charging order 18 failed"


@pytest.mark.parametrize(
    "tracebacks", [structlog.processors.format_exc_info, structlog.processors.dict_tracebacks]
)
def test_structlog_is_read(tracebacks: object) -> None:
    found, reader = read(structured(tracebacks=tracebacks))
    assert texts(found) == [("ERROR", "shop.pay", "charge_failed")] * 2
    assert [record.created for record in found] == [START + 1, START + 2]
    trace = traceback_text.parse(str(found[1].exc_text))
    assert trace is not None
    assert trace.kind.endswith("GatewayError")
    assert [one.relation for one in trace.chain] == ["", "caused by"]
    assert [place.function for place in trace.places] == ["structured", "fail"]
    assert reader.unread == 0


def test_loguru_is_read() -> None:
    for serialize in (True, False):
        found, reader = read(loguru_lines(serialize=serialize))
        assert texts(found) == [
            ("ERROR", "log_writers", f"Charging order {order} failed") for order in (17, 18)
        ]
        assert reader.unread == 0
        trace = traceback_text.parse(str(found[1].exc_text))
        assert trace is not None
        assert trace.kind.endswith("GatewayError")
        assert [place.function for place in trace.places] == ["loguru_lines", "fail"]


def test_uvicorn_is_read_with_its_colours() -> None:
    text = uvicorn_lines()
    assert "\x1b" in text
    found, reader = read(text)
    assert [record.msg for record in found] == [
        "Charging order 17 failed\nfor user ada",
        "Charging order 18 failed",
    ]
    assert reader.unread == 0


def test_text_within_docker_is_joined_by_stream() -> None:
    text = logged(utc(logging.Formatter("%(levelname)s:%(name)s:%(message)s")))
    both = zip(
        in_docker(text).splitlines(),
        in_docker("INFO: access\n" * 40, stream="stdout").splitlines(),
        strict=False,
    )
    found, reader = read("\n".join(line for pair in both for line in pair))
    assert [record.msg for record in found] == [
        "Charging order 17 failed\nfor user ada",
        "Charging order 18 failed",
    ]
    assert "GatewayError" in str(found[1].exc_text)
    assert int(found[0].created) == START + 1  # the time that Docker has noted
    assert reader.unread == 0


def test_a_line_that_docker_has_split_is_joined() -> None:
    found, _ = read(
        '{"log": "ERROR:shop:a", "stream": "stderr", "time": "2026-05-12T00:00:00.1Z"}\n'
        '{"log": "bc\\n", "stream": "stderr", "time": "2026-05-12T00:00:00.2Z"}\n'
    )
    assert texts(found) == [("ERROR", "shop", "abc")]


def test_a_pattern_of_ones_own() -> None:
    found, reader = read(
        "x\n<40> at 2026-05-12T00:00:00Z in shop: one\n  more\n<20> at - in shop: two",
        pattern=r"<(?P<level>\d+)> at (?P<time>\S+) in (?P<logger>\w+): (?P<message>.*)",
    )
    assert texts(found) == [("ERROR", "shop", "one\n  more")]
    assert (reader.unread, reader.first_unread) == (1, 1)
    for wrong, problem in (("(", "regular expression"), ("(?P<level>x)", "'message' is missing")):
        with pytest.raises(UsageError, match=problem):
            PatternLines(wrong)


@pytest.mark.parametrize(
    ("text", "unread", "first"),
    [
        ("garbage\nmore\nERROR:a:b\n", 2, 1),
        ("2026-05-12 00:00:00 no level\n", 1, 1),
        ('{"message": "no level"}\n{"level": "error", "x": 1}\n{broken\n', 3, 1),
        ('{"message": "m", "level": "info"}\nTraceback (most recent call last):\n  x\n', 2, 2),
        ('127.0.0.1 - - [12/May/2026:02:10:03 +0000] "GET / HTTP/1.1" 500 1\n', 0, 0),
        ('[12/May/2026 02:10:03] "GET / HTTP/1.1" 500 145\n', 0, 0),
    ],
)
def test_lines_that_belong_to_no_record_are_counted(text: str, unread: int, first: int) -> None:
    _, reader = read(text)
    assert (reader.unread, reader.first_unread) == (unread, first)


def test_django_without_a_formatter() -> None:
    found, _ = read(
        "Internal Server Error: /checkout\nTraceback (most recent call last):\n  x\nNot Found: /y"
    )
    assert texts(found) == [("ERROR", "django.request", "Internal Server Error: /checkout")]
    assert found[0].exc_text


TRACE = """\
Traceback (most recent call last):
  File "/srv/shop/pay.py", line 3, in pay
    charge()
"""


CHAIN = f"""\
{TRACE}E: x

During handling of the above exception, another exception occurred:

{TRACE}F: y
"""
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   x
    | Traceback (most recent call last):
"""


def test_flask_without_a_formatter() -> None:
    """Such a line belonged to the line of gunicorn before it, and its error was swallowed."""
    text = (
        "[2026-11-30 02:13:00 +0000] [7] [INFO] Booting worker with pid: 7\n"
        f"Exception on /pay/7 [GET]\n{TRACE}shop.PayError: x\n"
        "[2026-11-30 02:13:00 +0000] [7] [INFO] Exception on /pay/7 [GET]\n"
    )
    (found,), reader = read(text)
    assert (found.levelname, found.msg) == ("ERROR", "Exception on /pay/7 [GET]")
    assert "PayError" in str(found.exc_text)
    assert (reader.unread, reader.tracebacks) == (0, 0)
    assert read("Exception on Monday [sic]\n")[1].unread == 1


def test_loggers_of_django_and_gunicorn() -> None:
    """Their names were a part of the message, or missing."""
    found, _ = read(
        "[30/Nov/2026 02:13:00] ERROR [django.request:241] Internal Server Error: /pay/\n"
        "[2026-11-30 02:13:00 +0000] [123] [ERROR] Error handling request /pay\n"
        "[2026-11-30 02:13:00 +0000] [123] [ERROR] [shop] failed\n"
    )
    assert texts(found) == [
        ("ERROR", "django.request", "Internal Server Error: /pay/"),
        ("ERROR", "gunicorn.error", "Error handling request /pay"),
        ("ERROR", "gunicorn.error", "[shop] failed"),
    ]


@pytest.mark.parametrize(
    ("text", "count", "first"),
    [
        (f"INFO:a:b\n{TRACE}E: x\n", 1, 2),
        (f"INFO:a:b\n{CHAIN}{TRACE}G: z\n", 2, 2),
        (f"{TRACE}E: x\n", 1, 1),
        (f"WARNING:a:b\n{GROUP}", 1, 2),
        (f"ERROR:a:b\n{TRACE}E: x\n", 0, 0),
        ("INFO:a:Traceback (most recent call last):\n", 0, 0),
    ],
)
def test_tracebacks_without_an_error_are_counted(text: str, count: int, first: int) -> None:
    _, reader = read(text)
    assert (reader.tracebacks, reader.first_traceback) == (count, first)


def test_mappings_that_structlog_has_not_rendered_are_read() -> None:
    event = "{'order': 17, 'event': 'charge_failed', 'level': 'error', 'logger': 'shop.pay'}"
    found, reader = read(
        f"{event}\n{event.replace('17', '18')[:-1]}, 'exc_info': True}}\n{TRACE}E: x\n"
        "{'event': 'fine', 'level': 'info'}\n"
        "2026-05-12 00:00:00 ERROR shop.pay {'event': 'charge_failed', 'order': 19}\n"
        "2026-05-12 00:00:00 ERROR shop.pay {'order': 19}\n"
        "{'event': datetime.now()}\n{'a': 1}\n{'[[[[\n"
    )
    assert [(record.name, record.msg) for record in found[:2]] == [
        ("shop.pay", "charge_failed")
    ] * 2
    assert found[1].exc_text
    assert found[2].msg == {"event": "charge_failed", "order": 19}
    assert str(found[3].msg).startswith("{'order': 19}")
    replay = Replay(Policy(), OwnCode())
    replay.run([found[0], found[2]])
    assert len(replay.fingerprints) == 1, "as in the program"
    assert reader.unread == 0


def test_a_task_that_celery_stops_is_one_error() -> None:
    start = "[2026-11-30 02:13:00,000: "
    found, _ = read(
        f"{start}INFO/MainProcess] Task shop.slow[7] received\n"
        f"{start}ERROR/MainProcess] Task handler raised error: TimeLimitExceeded(1)\n"
        f"{TRACE}billiard.einfo.ExceptionWithTraceback: x\n"
        f"{start}ERROR/MainProcess] Hard time limit (1s) exceeded for shop.slow[7]\n"
        f"{start}ERROR/MainProcess] Process 'ForkPoolWorker-1' pid:9 exited with 'signal 9'\n"
        f"{start}ERROR/ForkPoolWorker-2] Process [a/b] failed\n"
    )
    assert [str(record.msg).split(":")[0] for record in found] == [
        "Task handler raised error",
        "Process [a/b] failed",
    ]


def test_a_level_is_a_name_or_a_number() -> None:
    found, _ = read(
        '{"level": 50, "message": "a"}\n{"levelno": "40", "message": "b"}\n'
        '{"level": "Critical", "message": "c"}\n{"level": true, "message": "d"}\n'
        '{"exc_info": "Traceback", "message": "e"}\n2026-05-12 00:00:00 Level 45 f\n'
    )
    assert [(one.levelno, one.msg) for one in found] == [
        (50, "a"),
        (40, "b"),
        (50, "c"),
        (40, "e"),
        (45, "f"),
    ]


def test_a_missing_time_is_the_time_before() -> None:
    found, _ = read(
        '{"level": "info", "message": "a", "time": 1780000000123}\n'
        '{"level": "error", "message": "b"}\n{"level": "error", "message": "c", "time": "?"}\n'
    )
    assert [one.created for one in found] == [1780000000.123] * 2


def test_a_clock_without_a_date_goes_on_after_midnight() -> None:
    found, _ = read("23:59:59 ERROR a: x\n23:59:59 INFO a: x\n00:00:01,5 ERROR a: x\n")
    assert found[1].created - found[0].created == 2.5


def test_times_in_the_zone_that_is_asked_for() -> None:
    for name, hours in (("+02:00", 2), ("-0330", -3.5), ("Europe/Berlin", 2), ("UTC", 0)):
        times = Times(time_zone(name))
        expected = dt.datetime(2026, 5, 12, tzinfo=UTC).timestamp() - hours * 3600
        assert times.read("2026-05-12 00:00:00,000") == expected
        assert times.read("2026-05-12T00:00:00Z") == expected + hours * 3600
        assert times.read(True) is times.read(-1) is times.read("never") is None
    with pytest.raises(UsageError, match="no time zone 'Mars'"):
        time_zone("Mars")


_KEYS = st.sampled_from(
    [
        "level",
        "levelno",
        "time",
        "timestamp",
        "message",
        "event",
        "exc_info",
        "exception",
        "log",
        "record",
        "text",
        "lineno",
        "name",
        "stream",
        "args",
        "frames",
        "x",
    ]
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["error", 40, 10**400, "0001-01-01 00:00:00", "9999-12-31 23:59:59"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(_KEYS, values, max_size=6),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(_KEYS, _VALUES, max_size=8), max_size=5))
def test_any_object_is_read(objects: list[dict[str, object]]) -> None:
    found, _ = read("\n".join(json.dumps(one) for one in objects), least=0)
    replay = Replay(Policy(), OwnCode())
    replay.run(found)
    assert sum(mail.count for mail in replay.mails) == len(found)


@given(st.lists(st.text(max_size=40) | st.sampled_from(["ERROR:a:b", "{", '{"log":"x","time":1}'])))
def test_any_text_is_read(lines: list[str]) -> None:
    read("\n".join(lines))


@pytest.mark.parametrize(
    "text", ["a-" * 40_000, "a: " * 40_000, "[" * 80_000, "2026-05-12 00:00:00 " + "x:" * 40_000]
)
def test_the_time_is_linear(text: str) -> None:
    lines = TextLines()
    started = time.process_time()
    lines.entry(text, 40)
    assert time.process_time() - started < 1


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


def test_files_are_merged_by_time(tmp_path: Path) -> None:
    names = [
        write(
            tmp_path, "app.log", "2026-05-12 00:00:05 ERROR a: 3\n2026-05-12 00:00:09 ERROR a: 4"
        ),
        write(tmp_path, "app.log.1.gz", "2026-05-12 00:00:01 ERROR a: 1\r\n"),
        write(tmp_path, "other.log", "2026-05-12 00:00:02 ERROR a: 2\n"),
    ]
    files = [LogFile(name, least=40, zone=UTC) for name in names]
    assert [record.msg for record in merged(files)] == ["1", "2", "3", "4"]
    assert [file.lines for file in files] == [2, 1, 1]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't read"):
        LogFile(str(tmp_path / "none.log"), least=40)
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"ERROR:a:b\n" * 9)[:-9])
    cut = LogFile(str(path), least=40)
    assert len(list(cut.records())) == 9
    assert cut.problem.startswith("Compressed file ended")


def test_a_line_that_docker_has_split_often_takes_no_time() -> None:
    """Each part was joined with all parts before it: 300,000 parts took 40 seconds."""
    part = '{"log":"%s","stream":"stderr"}\n'
    text = part % "ERROR:a:" + part % "wxyz" * 200_000 + part % r"z\n" + part % r"ERROR:b:c\n"
    began = time.process_time()
    found, reader = read(text)
    assert time.process_time() - began < 5
    assert [len(str(one.msg)) for one in found] == [800_001, 1]
    assert reader.records == 2


def test_a_long_line_and_many_lines_are_bounded(tmp_path: Path) -> None:
    name = write(tmp_path, "a.log", f"ERROR:a:{'x' * 3_000_000}\n" + "y\n" * 5_000 + "ERROR:b:c\n")
    first, second = LogFile(name, least=40).records()
    assert len(first.msg) < 1_100_000
    assert first.msg.count("\n") == 400
    assert texts([second]) == [("ERROR", "b", "c")]
