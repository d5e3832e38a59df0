"""`tocsin status`: what waits in a store, and what comes next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tocsin.cli import configuration
from tocsin.cli.output import ExitCode
from tocsin.cli.store_view import StoreView
from tocsin.cli.stored import Stored
from tocsin.exceptions import TocsinError
from tocsin.render.times import moment, span

if TYPE_CHECKING:
    import argparse

    from tocsin.cli.output import Output

DESCRIPTION = """\
Show the store of an alert handler: the accounts, the groups, the mails that recipients don't have
yet, the budget, and the process that leads.

The store is only read, so the command may run at any time, beside the program or after its end. A
store in memory can't be read from outside."""
EXAMPLES = """\
examples:
  tocsin status shop.yaml
  tocsin status shop.yaml --json | jq '.[].pending'
  tocsin status --django shop.settings"""
_DAY = 86_400
_MAX_OWED = 5  # addresses in a line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    configuration.add_arguments(parser)


def run(args: argparse.Namespace, output: Output) -> ExitCode:
    """Show each store of the configuration."""
    alerts = configuration.read_configuration(args).alerts
    found: list[dict[str, Any]] = []
    for number, entry in enumerate(alerts):
        if number:
            output.line()
        try:
            found.append(StoreView(Stored(entry)).document())
        except TocsinError as error:
            if len(alerts) == 1:
                raise
            found.append({"handler": entry.name, "error": str(error)})
            output.line(str(error))
        else:
            _Text(output, found[-1], configuration.repeated(args)).write()
    output.document(found)
    return ExitCode.FAULT if any("error" in one for one in found) else ExitCode.GOOD


class _Text:
    """Write the status of one store as text.

    Args:
        output: where it is written.
        document: the view of the store.
        arguments: those of the command, for another one.
    """

    def __init__(self, output: Output, document: dict[str, Any], arguments: str) -> None:
        self._output = output
        self._document = document
        self._arguments = arguments
        self._led = document["leader"] is None or document["leader"]["alive"] is not False
        self._now = time.time()

    def write(self) -> None:
        """Write it."""
        found = self._document
        self._output.line(f"{found['store']}, handler {found['handler']}, {found['app']}")
        self._fact("leader", self._leader())
        self._fact(
            "received",
            f"{found['received']:,} = mailed {found['mailed']:,} + pending {found['pending']:,}"
            f" + undelivered {found['undelivered']:,}",
        )
        if count := found["unmerged_batches"]:
            self._fact("unmerged", f"{count:,} batches, which are counted here")
        parts = [f"{name} {one['left']} of {one['of']}" for name, one in found["budget"].items()]
        self._fact("budget", f"{', '.join(parts)} mails left")
        latest = found["latest_mail"]
        self._fact("latest", "no mail yet" if latest is None else f"a mail {self._ago(latest)}")
        self._fact("next", self._next(found["next"]) if found["next"] else "no mail is due")
        if found["next"] and not self._led:
            advice = f"start the program, or tocsin retry {self._arguments}"
            self._fact("", self._output.paint(f"no process leads: {advice}", "WARN"))
        if trouble := found["trouble"]:
            since, count = self._clock(trouble["since"]), trouble["attempts"]
            failed = "1 attempt has" if count == 1 else f"{count} attempts have"
            text = f"{failed} failed since {since}: {trouble['problem']}"
            self._fact(self._output.paint("trouble", "WARN"), text)
        for mail in found["mails"]:
            self._fact("waits", self._mail(mail))
        self._groups(found["groups"])

    def _fact(self, name: str, text: str) -> None:
        self._output.line(f"  {name}{'':{max(0, 10 - len(name))}} {text}")

    def _leader(self) -> str:
        leader = self._document["leader"]
        if leader is None:
            return "no process has led the store yet"
        name = leader["owner"]
        if leader["pid"] is not None:
            name = f"{leader['host']}, process {leader['pid']}"
        state = {True: ", which is alive", False: ", which has ended", None: ""}[leader["alive"]]
        when = "leads now" if leader["leads_now"] else f"led {self._ago(leader['at'])}"
        return f"{name}{state}, {when}"

    def _mail(self, mail: dict[str, Any]) -> str:
        owed = mail["owed"]
        names = ", ".join(owed[:_MAX_OWED])
        if len(owed) > _MAX_OWED:
            names += f" and {len(owed) - _MAX_OWED} more"
        events = "1 event" if mail["events"] == 1 else f"{mail['events']:,} events"
        text = f"a mail of {self._clock(mail['decided'])} with {events} for {names}"
        if mail["some_have_it"]:
            text += " (other recipients have it)"
        if mail["sent_by"]:
            return f"{text}; a process sends it now"
        return f"{text}; tried again {self._in(mail['next']['at'])}"

    def _groups(self, groups: list[dict[str, Any]]) -> None:
        if not groups:
            return
        self._output.line()
        head = self._row("group", "events", "unmailed", "a minute", "told", "next", "")
        self._output.line(self._output.paint(head, "dim"))
        for group in groups:
            told = group["last_told"]
            self._output.line(
                self._row(
                    group["group"],
                    f"{group['events']:,}",
                    f"{group['unmailed']:,}",
                    f"{group['a_minute']:.0f}",
                    "-" if told is None else self._clock(told),
                    self._next(group["next"]) if group["next"] else "-",
                    group["title"],
                )
            )

    @staticmethod
    def _row(*cells: str) -> str:
        group, events, unmailed, rate, told, following, title = cells
        row = f"{group:<6}  {events:>8}  {unmailed:>8}  {rate:>8}  {told:<11}  {following:<22}"
        return f"{row}  {title}".rstrip()

    def _next(self, found: dict[str, Any]) -> str:
        return f"{found['reason']} {self._in(found['at'])}"

    def _in(self, at: float) -> str:
        left = at - self._now
        if not self._led:  # then no process keeps this time
            return self._clock(at)
        return f"{self._clock(at)}, in {span(left)}" if left >= 1 else "now"

    def _ago(self, at: float) -> str:
        passed = self._now - at
        return f"{span(passed)} ago" if passed < _DAY else f"on {self._clock(at)}"

    def _clock(self, at: float) -> str:
        near = abs(at - self._now) < _DAY / 2
        return moment(at).astimezone().strftime("%H:%M:%S" if near else "%m-%d %H:%M")
