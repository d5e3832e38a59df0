"""`tocsin replay` tells what a log would have caused, by the code that runs in programs."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import pty
import subprocess
import sys
import tracemalloc
from time import process_time
from typing import TYPE_CHECKING

import pytest
from log_writers import json_logger

from tocsin.alerts.settings import Policy
from tocsin.cli.logs.reader import LogReader
from tocsin.cli.logs.text_lines import TextLines
from tocsin.cli.logs.times import Times
from tocsin.cli.output import Output
from tocsin.cli.plot import Plot
from tocsin.cli.replay_run import Replay
from tocsin.events.frames import OwnCode
from tocsin.testing import simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mail_servers import Project

pytest_plugins = ("projects",)

TRACE = """\
Traceback (most recent call last):
  File "/srv/shop/shop/pay.py", line 41, in charge
    post(order)
  File "/srv/shop/shop/gateway.py", line 12, in post
    raise PaymentError("refused")
shop.gateway.PaymentError: refused
"""


def storm() -> str:
    """Return a log of a shop, in which 159 payments fail within 14 minutes."""
    lines = ["2026-05-12 00:00:00,000 INFO shop.views GET /\n"]
    for number in range(159):
        second = 0 if number < 9 else 10 + number * 5
        clock = f"00:{second // 60:02}:{second % 60:02},{number % 10:03}"
        lines.append(f"2026-05-12 {clock} ERROR shop.pay Charging order {number} failed\n{TRACE}")
    lines.append("2026-05-12 no time\n\x1b[31mgarbage\x1b[0m\n2026-05-12 00:20:00 no level\n")
    return "".join(lines)


def write(project: Project, name: str, text: str) -> str:
    (project.folder / name).write_text(text, encoding="utf-8")
    return name


def test_a_table_a_plot_and_totals(project: Project) -> None:
    run = project.run("replay", "--timezone", "UTC", write(project, "app.log", storm()))
    assert run.code == 0
    lines = run.out.splitlines()
    assert (
        lines[0]
        == f"159 errors, 1 group; {len(storm().splitlines()):,} lines; 1 unread, first 1117"
    )
    assert lines[2].split() == ["time", "reason", "errors", "group"]
    rows = [line.split(maxsplit=4) for line in lines[3:5]]
    assert [row[:3] for row in rows] == [["00:00:10", "new", "9x"], ["00:15:10", "still", "150x"]]
    assert {row[4] for row in rows} == {"ERROR PaymentError in gateway.post"}
    assert len({row[3] for row in rows}) == 1
    assert lines[6].startswith("errors ")
    assert sum(int(sign) for sign in lines[7].split()[1] if sign != ".") == 2
    assert lines[-1] == "2 mails instead of 159; longest silence 14 min; nothing sent"
    assert run.err == ""


def test_json_has_the_same(project: Project) -> None:
    run = project.run("replay", "--json", "--timezone", "UTC", write(project, "a.log", storm()))
    document = run.document
    assert (document["errors"], document["groups"]) == (159, 1)
    assert [(mail["reason"], mail["errors"]) for mail in document["mails"]] == [
        ("new", 9),
        ("still", 150),
    ]
    assert [round(mail["after"]) for mail in document["mails"]] == [10, 910]
    group = document["mails"][0]["groups"][0]
    assert group["fingerprint"].startswith(group["group"])
    assert "PaymentError" in group["title"]
    assert document["files"][0]["first_unread"] == 1117
    assert document["start"] == 1778544000


def test_the_policy_and_the_level_are_those_of_a_configuration(project: Project) -> None:
    log = write(project, "app.log", json_logger())
    project.write(25, policy="{group_wait = 3}", level='"WARNING"')
    document = project.run("replay", "shop.toml", log, "--json").document
    assert document["errors"] == 3
    assert [round(mail["waited"]) for mail in document["mails"]] == [3]
    project.write(25, level='"INFO"', alert_level='"WARNING"', context="5")
    assert project.run("replay", "shop.toml", log, "--json").document["errors"] == 3
    assert project.run("replay", log, "--json").document["errors"] == 2


def test_what_the_first_argument_may_be(project: Project) -> None:
    log = write(project, "app.json", json_logger())
    assert project.run("replay", log, "--json").document["errors"] == 2
    project.write(25)
    run = project.run("replay", "shop.toml")
    assert (run.code, "name a log" in run.err) == (2, True)
    handlers = {
        name: {"class": "tocsin.AlertHandler", "to": "a@example.com", "from_addr": "b@example.com"}
        for name in ("mail", "more")
    }
    settings = {"version": 1, "handlers": handlers}
    write(project, "shop.json", json.dumps(settings, indent=2))
    run = project.run("replay", "shop.json", log)
    assert (run.code, "--handler: mail, more" in run.err) == (2, True)
    run = project.run("replay", "shop.json", log, "--handler", "more", "--json")
    assert run.document["errors"] == 2


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (("none.log",), 2, "can't read 'none.log'"),
        (("empty.log", "--timezone", "Mars"), 2, "no time zone"),
        (("empty.log", "--pattern", "x"), 2, "'level' is missing"),
        (("nothing.toml", "empty.log"), 2, "there is no file"),
    ],
)
def test_wrong_arguments(project: Project, args: tuple[str, ...], code: int, problem: str) -> None:
    write(project, "empty.log", "")
    run = project.run("replay", *args)
    assert (run.code, problem in run.err) == (code, True)


def test_an_empty_log_is_good_and_one_that_is_not_read_is_a_fault(project: Project) -> None:
    run = project.run("replay", write(project, "empty.log", ""))
    assert (run.code, run.out.splitlines()[-1]) == (0, "0 mails instead of 0; nothing sent")
    run = project.run("replay", write(project, "odd.log", "a\nb\n"))
    assert (run.code, "--pattern" in run.out) == (1, True)


def test_of_a_damaged_file_the_readable_part_is_replayed(project: Project) -> None:
    """A file that is being compressed, or whose disk was full, is told, and not ignored."""
    lines = "".join(f"2026-05-12 00:00:00 ERROR shop.pay: {n * n} failed\n" for n in range(50_000))
    whole = gzip.compress(lines.encode())
    (project.folder / "cut.log.gz").write_bytes(whole[: len(whole) // 2])
    write(project, "app.log", "2026-05-12 00:00:00 ERROR shop.stock: empty\n")
    run = project.run("replay", "cut.log.gz", "app.log", "--json")
    found = run.document
    assert run.code == found["exit_code"] == 1
    assert 1_000 < found["errors"] < 50_000
    assert found["groups"] == 2
    (problem,) = found["problems"]
    assert problem.startswith("cut.log.gz: can't be read behind line ")
    assert project.run("replay", "cut.log.gz", "app.log").out.splitlines()[-1] == problem


def test_bytes_of_any_kind_are_no_log(project: Project) -> None:
    (project.folder / "app.log").write_bytes(bytes(range(256)) * 5_000)
    run = project.run("replay", "app.log", "--json")
    assert (run.code, run.document["errors"]) == (1, 0)
    (problem,) = run.document["problems"]
    assert "--pattern" in problem
    (project.folder / "blank.log").write_bytes(b"\n" * 9)
    assert project.run("replay", "blank.log").code == 0


def test_many_groups_with_samples_take_no_time() -> None:
    """Each second, the sizes of all samples were added up: 8,000 groups took 12 seconds."""
    reader = LogReader(TextLines(), Times(), logging.ERROR)
    found = [
        reader.feed(f'{{"level":"error","logger":"l{n}","message":"boom","time":{1e9 + n}}}', n)
        for n in range(4_000)
    ]
    replay = Replay(Policy(), OwnCode())
    began = process_time()
    replay.run(record for record in found if record is not None)
    assert process_time() - began < 5
    assert all(not group.samples for mail in replay.mails for _, group in mail.groups)


def test_neither_secrets_nor_control_characters_are_shown(project: Project) -> None:
    text = "2026-05-12 00:00:00 ERROR shop: password=hunter2 \x1b]0;x\x07 \u202e\n"
    run = project.run("replay", write(project, "app.log", text))
    assert "hunter2" not in run.out
    (project.folder / "\x1b]0;x\x07").write_text("nothing\n" + text, encoding="utf-8")
    run = project.run("replay", "app.log", "\x1b]0;x\x07")
    assert "2 lines" not in run.out
    assert all(sign == "\n" or sign.isprintable() for sign in run.out)


def test_times_at_the_end_of_all_years(project: Project) -> None:
    text = "9999-12-31 23:59:59 ERROR shop: late\n0001-01-01 00:00:00 ERROR shop: early\n"
    assert project.run("replay", write(project, "app.log", text)).code == 0


def test_a_stream_without_block_characters() -> None:
    for encoding, blocks in (("ascii", False), ("utf-8", True), ("latin-1", False)):
        output = Output(io.TextIOWrapper(io.BytesIO(), encoding))
        assert output.can_write("█") is blocks


def test_a_log_without_times_has_groups_alone(project: Project) -> None:
    """Such a log, as uvicorn writes it, had all mails in its first ten seconds."""
    text = "INFO:     started\n" + "ERROR:    failed\n" * 3 + "ERROR:    is negative\n"
    log = write(project, "app.log", text)
    run = project.run("replay", log)
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0] == "4 errors, 2 groups; 5 lines, all read"
    assert lines[1] == "no line has a time: when mails would be sent can't be told"
    assert [line.split(maxsplit=2)[::2] for line in lines[4:6]] == [
        ["3x", "ERROR failed in root"],
        ["1x", "ERROR is negative in root"],
    ]
    assert lines[-1] == "4 errors; nothing sent"
    assert "00:00" not in run.out
    document = project.run("replay", "--json", log).document
    assert (document["mails"], document["longest_silence"]) == (None, None)
    assert [group["errors"] for group in document["group_list"]] == [3, 1]


def test_groups_that_share_a_mail_are_named(project: Project) -> None:
    text = "".join(
        f"2026-05-12 00:00:0{number} ERROR shop.{name} {name} failed\n"
        for number, name in enumerate(("pay", "stock", "mail", "pay"))
    )
    run = project.run("replay", write(project, "app.log", text))
    assert "and 2 more groups" in run.out
    rows = [line.split(maxsplit=2)[::2] for line in run.out.splitlines()[-5:-2]]
    assert rows == [
        ["2x", "ERROR pay failed in shop.pay"],
        ["1x", "ERROR stock failed in shop.stock"],
        ["1x", "ERROR mail failed in shop.mail"],
    ]


def test_the_list_of_groups_ends_with_the_rest(project: Project) -> None:
    names = [f"{one}{two}" for one in "abcdef" for two in "ghijkl"]
    text = "".join(f"ERROR:shop.{name}:failed\n" for name in names)
    run = project.run("replay", write(project, "app.log", text))
    assert run.out.splitlines()[-3].split() == ["6x", "in", "6", "more", "groups"]


def test_tracebacks_that_no_error_has_are_told(project: Project) -> None:
    text = f"INFO:shop:started\n{TRACE}{TRACE}"
    run = project.run("replay", write(project, "app.log", text))
    assert run.out.splitlines() == [
        f"0 errors, 0 groups; {len(text.splitlines())} lines",
        "2 tracebacks belong to records below ERROR, or to none; first in line 2",
        "0 mails instead of 0; nothing sent; are errors written to this log?",
    ]
    project.write(25, level='"CRITICAL"')
    run = project.run("replay", "shop.toml", "app.log", "app.log", "--json")
    assert [(one["tracebacks"], one["first_traceback"]) for one in run.document["files"]] == [
        (2, 2)
    ] * 2
    assert "belong to records below CRITICAL" in project.run("replay", "shop.toml", "app.log").out


def test_standard_input_as_a_process(tmp_path: object) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tocsin", "replay", "--timezone", "UTC", "-"],
        input=storm(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.endswith("; nothing sent\n")


def test_long_input_shows_its_progress_on_a_terminal(project: Project) -> None:
    log = write(project, "app.log", "2026-05-12 00:00:00 INFO shop.views GET /\n" * 600_000)
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "tocsin", "replay", log], stdout=subprocess.PIPE, stderr=follower
    ) as process:
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(follower)
    shown = os.read(leader, 100_000)
    os.close(leader)
    assert out.startswith(b"0 errors, 0 groups; 600,000 lines")
    assert b"lines, " in shown
    assert shown.endswith(b"\r\x1b[K")


# The engine


def records(times: list[float], name: str = "shop") -> Iterator[logging.LogRecord]:
    for time in times:
        record = logging.LogRecord(name, logging.ERROR, "a.py", 1, "failed", (), None)
        record.created = time
        yield record


def test_it_decides_as_the_simulation_does() -> None:
    times = [float(10 * number) for number in range(2_000)]
    replay = Replay(Policy(), OwnCode())
    replay.run(records(times))
    expected = simulate(zip(times, records(times), strict=True))
    assert [(mail.time, mail.reason, mail.count) for mail in replay.mails] == [
        (mail.time, mail.reason, sum(mail.counts.values())) for mail in expected
    ]


def test_events_of_a_second_are_handed_over_together() -> None:
    replay = Replay(Policy(group_wait=0), OwnCode())
    replay.run(records([100, 100.2, 100.4, 100.9, 102]))
    assert (replay.mails[0].time, replay.mails[0].count) == (100, 1)
    assert sum(mail.count for mail in replay.mails) == 5
    ignored = Replay(Policy(), OwnCode())
    ignored.run(records([1.0], "tocsin.pipeline"))
    assert ignored.events == 0


def test_every_event_is_in_one_mail_whatever_the_groups() -> None:
    replay = Replay(Policy(max_groups=3), OwnCode())
    many = [
        record for number in range(500) for record in records([number * 7.0], f"shop.{number % 9}")
    ]
    replay.run(many)
    assert sum(mail.count for mail in replay.mails) == replay.events == 500


def test_memory_is_bounded() -> None:
    """A million lines need no more than a hundred thousand."""

    def lines(count: int) -> Iterator[logging.LogRecord]:
        reader = LogReader(TextLines(), Times(), logging.ERROR)
        for number in range(count):
            text = f"2026-05-12 00:{number * 59 // count:02}:00 ERROR shop.pay Order {number} x"
            record = reader.feed(text, number)
            if record is not None:
                yield record

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            Replay(Policy(), OwnCode()).run(lines(count))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    assert peak(20_000) < peak(5_000) + 4_000_000  # a cache of 10,000 identities fills


def test_the_plot_keeps_every_event() -> None:
    plot = Plot()
    for second in range(0, 1_000_000, 100):
        plot.add(second)
    plot.mark(999_999)
    row, marks, most, step = plot.rows(40)
    assert len(row) == len(marks) <= 40
    assert abs(most - step / 100) < 1
    assert marks.endswith("1")
    assert plot.rows(40, blocks=False)[0].isascii()
    assert Plot().rows(40)[:3] == ("", "", 0)
