"""`make demo`: the main job, as a person sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_day_tells_each_reason_and_counts_every_error() -> None:
    done = subprocess.run(
        [sys.executable, "examples/day.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    *told, last = done.stdout.splitlines()
    found = re.fullmatch(r"the day: (\d+) errors, (\d+) mails, 0 uncounted", last)
    assert found, last
    assert int(found[1]) > 15_000
    heads = [re.match(r"\d\d:\d\d:\d\d  (\w+) +\[\d+x", line) for line in told]
    reasons = [head[1] for head in heads if head]
    assert len(reasons) == int(found[2]) <= 40
    assert set(reasons) == {"new", "worse", "still", "quiet"}


def test_the_demo_counts_every_error_in_at_most_three_mails() -> None:
    done = subprocess.run(
        [sys.executable, "examples/demo.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    last = done.stdout.splitlines()[-1]
    found = re.fullmatch(r"accounts: (\d+) errors seen, (\d) mails, 5 kinds, 0 uncounted", last)
    assert found, last
    assert int(found[1]) >= 5000
    assert int(found[2]) <= 3
    subjects = [line for line in done.stdout.splitlines() if line.startswith("Subject: ")]
    assert len(subjects) == int(found[2])
    for number in range(1, len(subjects) + 1):
        html = (ROOT / "build" / "demo" / f"mail-{number}.html").read_text(encoding="utf-8")
        assert "<script" not in html
        assert "quickstart" in html
