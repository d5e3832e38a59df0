"""`tocsin replay`: the mails that a log would have caused."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.alerts.settings import Policy
from tocsin.cli.configuration import parts_of, read_configuration
from tocsin.cli.logs.files import LogFile, merged
from tocsin.cli.logs.times import time_zone
from tocsin.cli.output import ExitCode, UsageError
from tocsin.cli.progress import Progress
from tocsin.cli.replay_report import Report
from tocsin.cli.replay_run import Replay
from tocsin.events.frames import OwnCode
from tocsin.redact.redactor import Redactor

if TYPE_CHECKING:
    from tocsin.cli.output import Output
    from tocsin.redact.base import Redacts

DESCRIPTION = """\
Read a program's log, and show the mails that its errors would have caused: when, why, and how many
errors each tells. Nothing is sent, and no store is opened.

The log has JSON lines (python-json-logger, structlog, loguru, Docker) or text in a usual format
(logging, uvicorn, gunicorn, Django, Celery), with tracebacks. It may be compressed by gzip. Several
files are merged by time."""
EXAMPLES = """\
examples:
  tocsin replay app.log                       with the policy that handlers have by default
  tocsin replay shop.yaml app.log*            with the policy and the level of a configuration
  docker logs web 2>&1 | tocsin replay -      from standard input
  tocsin replay --pattern '(?P<time>\\S+) (?P<level>[A-Z]+) (?P<message>.*)' app.log"""

_CONFIGURATION = re.compile(r".*\.(?:toml|ya?ml|ini|cfg|conf)", re.IGNORECASE)
_MODULE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = f"{parser.prog} [options] [CONFIG] LOGFILE ..."
    parser.add_argument(
        "paths",
        metavar="LOGFILE",
        nargs="+",
        help="a log; - is standard input; in front, optionally, a logging configuration",
    )
    parser.add_argument("--django", action="store_true", help="CONFIG is the module of settings")
    parser.add_argument("--handler", metavar="NAME", help="the handler, if CONFIG has several")
    parser.add_argument(
        "--pattern",
        metavar="REGEX",
        help="the format of text lines: the groups level and message, and time and logger",
    )
    parser.add_argument(
        "--timezone",
        metavar="ZONE",
        help="the zone of times that name none, such as Europe/Berlin; the machine's by default",
    )


def run(args: argparse.Namespace, output: Output) -> ExitCode:
    """Replay the logs, and write what would have been sent."""
    zone = None if args.timezone is None else time_zone(args.timezone)
    config, paths = _split(args.paths, django=args.django)
    policy, own, level, redact = _settings(config, args)
    with Progress(sys.stderr) as progress:
        files = [
            LogFile(path, least=level, zone=zone, pattern=args.pattern, progress=progress)
            for path in paths
        ]
        progress.watch(files)
        replay = Replay(policy, own)
        replay.run(merged(files))
    name = logging.getLevelName(level)
    report = Report(replay, files, zone=zone, redact=redact, level=name)
    code = ExitCode.FAULT if report.problems else ExitCode.GOOD
    report.write(output)
    output.document({"exit_code": int(code), **report.document()})
    return code


def _split(paths: list[str], *, django: bool) -> tuple[str | None, list[str]]:
    """Return the configuration, if the first argument is one, and the logs."""
    first, rest = paths[0], paths[1:]
    if not (django or _is_configuration(first)):
        return None, paths
    if not rest:
        raise UsageError(f"{first!r} is a configuration; name a log behind it")
    return first, rest


def _is_configuration(name: str) -> bool:
    if name == "-":
        return False
    if _CONFIGURATION.fullmatch(name):
        return True
    if name.lower().endswith(".json"):  # it may be a log
        try:
            with Path(name).open(encoding="utf-8", errors="replace") as file:
                start = file.read(4096)
        except OSError:
            return False
        # A log has an object in each line.
        return start.partition("\n")[0].rstrip()[-1:] != "}" or '"handlers"' in start
    return _MODULE.fullmatch(name) is not None and not Path(name).exists()


def _settings(config: str | None, args: argparse.Namespace) -> tuple[Policy, OwnCode, int, Redacts]:
    """Return the policy, the application's own code, the lowest level, and the redactor."""
    if config is None:
        return Policy(), OwnCode(), 40, Redactor()
    alerts = read_configuration(
        argparse.Namespace(config=config, django=args.django, handler=args.handler)
    ).alerts
    if len(alerts) > 1:
        names = ", ".join(entry.name for entry in alerts)
        raise UsageError(f"{config} has several alert handlers; choose one with --handler: {names}")
    handler = alerts[0].build_without_email()
    parts = parts_of(handler)
    level = handler.level
    if parts.context is not None:  # records below `alert_level` are context
        level = max(level, handler._alert_level)  # noqa: SLF001 - users know their own option
    return parts.sender.policy, parts.own, level, parts.redactor
