"""The report of a replay: a table of mails, a plot, totals; or the same as JSON."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from tocsin.render.times import moment, span
from tocsin.text import short

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from tocsin.alerts.grouping import Group
    from tocsin.cli.logs.files import LogFile
    from tocsin.cli.output import Output
    from tocsin.cli.replay_run import Replay, ReplayedMail
    from tocsin.redact.base import Redacts

_SHORT = 6  # hexadecimal digits of a fingerprint that name a group
_DAY = 86_400
_MIN_PLOT, _MAX_PLOT = 20, 96  # columns


class Report:
    """Tell what a replay has found.

    Args:
        replay: the replay, at its end.
        files: the logs.
        zone: the time zone of all times; by default the machine's.
        redact: takes secrets out of text.
    """

    def __init__(
        self,
        replay: Replay,
        files: Sequence[LogFile],
        *,
        zone: dt.tzinfo | None,
        redact: Redacts,
    ) -> None:
        self._replay = replay
        self._files = files
        self._zone = zone
        self._redact = redact
        firsts = [file.reader.first_time for file in files]
        lasts = [file.reader.last_time for file in files]
        self._first = min((time for time in firsts if time is not None), default=None)
        self._last = max((time for time in lasts if time is not None), default=None)

    @property
    def problems(self) -> list[str]:
        """Return why not all was read, one line each; empty if all is well."""
        found = [
            f"{file.name}: can't be read behind line {file.lines}: {short(file.problem, 200)}"
            for file in self._files
            if file.problem
        ]
        readers = [file.reader for file in self._files]
        if any(one.unread for one in readers) and not any(one.records for one in readers):
            found.append("No line was read as a record: state the format with --pattern.")
        return found

    @property
    def silence(self) -> float:
        """The longest time that an event waited for its mail, in seconds."""
        return max((mail.waited for mail in self._replay.mails), default=0.0)

    def write(self, output: Output) -> None:
        """Write the report as text."""
        replay = self._replay
        groups = _counted(len(replay.fingerprints), "group")
        output.line(f"{_counted(replay.events, 'error')}, {groups}; {self._input()}")
        if replay.mails:
            output.line()
            output.line(output.paint(self._row("time", "reason", "errors", "group", ""), "dim"))
            for mail in replay.mails:
                output.line(self._mail(mail))
            output.line()
            for line in self._plot(output):
                output.line(line)
            output.line()
        mails = _counted(len(replay.mails), "mail")
        silence = f"; longest silence {span(self.silence)}" if replay.mails else ""
        output.line(f"{mails} instead of {replay.events:,}{silence}; nothing sent")
        for problem in self.problems:
            output.line(problem)

    def document(self) -> dict[str, Any]:
        """Return the report as a value for JSON."""
        replay = self._replay
        return {
            "files": [
                {
                    "name": file.name,
                    "lines": file.lines,
                    "unread": file.reader.unread,
                    "first_unread": file.reader.first_unread or None,
                }
                for file in self._files
            ],
            "problems": self.problems,
            "start": self._first,
            "end": self._last,
            "errors": replay.events,
            "groups": len(replay.fingerprints),
            "longest_silence": self.silence,
            "mails": [self._mail_document(mail) for mail in replay.mails],
        }

    def _input(self) -> str:
        """Return what was read, and what was not."""
        lines = _counted(sum(file.lines for file in self._files), "line")
        unread = [file for file in self._files if file.reader.unread]
        if not unread:
            return f"{lines}, all read"
        first = unread[0]
        count = sum(file.reader.unread for file in unread)
        where = f"{first.name}:" if len(self._files) > 1 else ""
        return f"{lines}; {count:,} unread, first {where}{first.reader.first_unread}"

    def _row(self, time: str, reason: str, count: str, group: str, title: str) -> str:
        width = 14 if self._has_days else 8
        return f"{time:<{width}}  {reason:<6}  {count:>9}  {group:<6}  {title}".rstrip()

    def _mail(self, mail: ReplayedMail) -> str:
        lead = mail.groups[0][1] if mail.groups else None
        if lead is None:
            return self._row(self._clock(mail.time), mail.reason, "", "", "errors were lost")
        more = len(mail.groups) - 1
        title = self._title(lead) + (f"  and {_counted(more, 'more group')}" if more else "")
        count = f"{mail.count:,}x"
        return self._row(
            self._clock(mail.time), mail.reason, count, lead.fingerprint[:_SHORT], title
        )

    def _title(self, group: Group) -> str:
        kind, place = short(group.kind, 60), short(group.place, 40)
        return self._redact.text(f"{short(group.level_name, 10)} {kind} in {place}")

    def _plot(self, output: Output) -> list[str]:
        columns = shutil.get_terminal_size((80, 24)).columns - len("errors ") - 1
        width = min(max(columns, _MIN_PLOT), _MAX_PLOT)
        plot = self._replay.plot
        row, marks, most, step = plot.rows(width, blocks=output.can_write("█"))
        start, end = self._clock(plot.start), self._clock(plot.end)
        gap = max(1, len(row) - len(start) - len(end))
        return [
            f"errors {row}".rstrip(),
            f"mails  {marks}",
            f"       {start}{'':{gap}}{end}",
            f"       one column is {span(step)}; the highest has {_counted(most, 'error')}",
        ]

    @property
    def _has_days(self) -> bool:
        """Whether the times are shown with their day."""
        mails = self._replay.mails
        return bool(mails) and mails[-1].time - self._start >= _DAY

    @property
    def _start(self) -> float:
        return self._first if self._first is not None else self._replay.plot.start

    def _clock(self, time: float) -> str:
        """Return a time as text: of the clock, or since the start of a log without times."""
        if self._first is None:
            seconds = int(time - self._start)
            clock = f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
            return f"day {seconds // _DAY} {clock}" if self._has_days else clock
        return (
            moment(time)
            .astimezone(self._zone)
            .strftime("%m-%d %H:%M:%S" if self._has_days else "%H:%M:%S")
        )

    def _mail_document(self, mail: ReplayedMail) -> dict[str, Any]:
        return {
            "time": mail.time,
            "after": mail.time - self._start,
            "reason": mail.reason,
            "errors": mail.count,
            "waited": mail.waited,
            "groups": [
                {
                    "group": group.fingerprint[:_SHORT],
                    "fingerprint": group.fingerprint,
                    "reason": reason,
                    "errors": group.count,
                    "level": group.level_name,
                    "title": self._title(group),
                }
                for reason, group in mail.groups
            ],
        }


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
