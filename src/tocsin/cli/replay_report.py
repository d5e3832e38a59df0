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
_MAX_LISTED = 30  # groups in the list; JSON has all whose description is known


class Report:
    """Tell what a replay has found.

    Args:
        replay: the replay, at its end.
        files: the logs.
        zone: the time zone of all times; by default the machine's.
        redact: takes secrets out of text.
        level: the name of the lowest level of records that count.
    """

    def __init__(
        self,
        replay: Replay,
        files: Sequence[LogFile],
        *,
        zone: dt.tzinfo | None,
        redact: Redacts,
        level: str = "ERROR",
    ) -> None:
        self._replay = replay
        self._files = files
        self._zone = zone
        self._redact = redact
        self._level = level
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
        if problem := self._swallowed():
            output.line(output.paint(problem, "WARN"))
        if self._has_times:
            self._write_mails(output)
        elif replay.events:
            output.line("no line has a time: when mails would be sent can't be told")
        if not self._has_times or any(len(mail.groups) > 1 for mail in replay.mails):
            self._write_groups(output)
        output.line(self._ending())
        for problem in self.problems:
            output.line(problem)

    def _write_mails(self, output: Output) -> None:
        if not self._replay.mails:
            return
        output.line()
        output.line(output.paint(self._row("time", "reason", "errors", "group", ""), "dim"))
        for mail in self._replay.mails:
            output.line(self._mail(mail))
        output.line()
        for line in self._plot(output):
            output.line(line)
        output.line()

    def _write_groups(self, output: Output) -> None:
        groups = self._groups()
        if not groups:
            return
        if not self._has_times:
            output.line()
        output.line(output.paint(f"{'errors':>9}  group", "dim"))
        for group, count in groups[:_MAX_LISTED]:
            name = group.fingerprint[:_SHORT]
            output.line(f"{f'{count:,}x':>9}  {name:<6}  {self._title(group)}")
        if more := len(self._replay.fingerprints) - min(len(groups), _MAX_LISTED):
            rest = self._replay.events - sum(count for _, count in groups[:_MAX_LISTED])
            output.line(f"{f'{rest:,}x':>9}  {'':6}  in {_counted(more, 'more group')}")
        output.line()

    def _groups(self) -> list[tuple[Group, int]]:
        """Return the groups that can be named, with how many errors each has, largest first."""
        counts = self._replay.fingerprints
        found = [(group, counts.get(name, 0)) for name, group in self._replay.named.items()]
        return sorted(found, key=lambda pair: -pair[1])

    def _ending(self) -> str:
        replay = self._replay
        if not replay.events:
            question = "; are errors written to this log?" if self._lines else ""
            return f"0 mails instead of 0; nothing sent{question}"
        if not self._has_times:
            return f"{_counted(replay.events, 'error')}; nothing sent"
        mails = _counted(len(replay.mails), "mail")
        silence = f"; longest silence {span(self.silence)}" if replay.mails else ""
        return f"{mails} instead of {replay.events:,}{silence}; nothing sent"

    @property
    def _has_times(self) -> bool:
        return self._first is not None

    @property
    def _lines(self) -> int:
        return sum(file.lines for file in self._files)

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
                    "tracebacks": file.reader.tracebacks,
                    "first_traceback": file.reader.first_traceback or None,
                }
                for file in self._files
            ],
            "problems": self.problems,
            "start": self._first,
            "end": self._last,
            "errors": replay.events,
            "groups": len(replay.fingerprints),
            "group_list": [
                {**self._group_document(group), "errors": count} for group, count in self._groups()
            ],
            "longest_silence": self.silence if self._has_times or not replay.mails else None,
            "mails": [self._mail_document(mail) for mail in replay.mails]
            if self._has_times or not replay.mails
            else None,
        }

    def _input(self) -> str:
        """Return what was read, and what was not."""
        lines = _counted(self._lines, "line")
        unread = [file for file in self._files if file.reader.unread]
        if not unread:
            return lines if self._swallowed() else f"{lines}, all read"
        first = unread[0]
        count = sum(file.reader.unread for file in unread)
        return f"{lines}; {count:,} unread, first {self._place(first, first.reader.first_unread)}"

    def _swallowed(self) -> str:
        """Return how many tracebacks belong to no error; "" if there is none."""
        found = [file for file in self._files if file.reader.tracebacks]
        if not found:
            return ""
        count = sum(file.reader.tracebacks for file in found)
        words = "traceback belongs to a record" if count == 1 else "tracebacks belong to records"
        place = self._place(found[0], found[0].reader.first_traceback)
        return f"{count:,} {words} below {self._level}, or to none; first in line {place}"

    def _place(self, file: LogFile, line: int) -> str:
        return f"{file.name}:{line}" if len(self._files) > 1 else str(line)

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
        """Return a time as text."""
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
                {**self._group_document(group), "reason": reason, "errors": group.count}
                for reason, group in mail.groups
            ],
        }

    def _group_document(self, group: Group) -> dict[str, Any]:
        return {
            "group": group.fingerprint[:_SHORT],
            "fingerprint": group.fingerprint,
            "level": group.level_name,
            "title": self._title(group),
        }


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
