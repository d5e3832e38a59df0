"""The subcommand `check`: tries a configuration, up to its mail server, and sends nothing."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tocsin.cli import configuration as configurations
from tocsin.cli import (
    django_server,
    handler_findings,
    logger_findings,
    server_findings,
    store_findings,
)
from tocsin.cli.configuration import EntryError, parts_of
from tocsin.cli.output import UsageError
from tocsin.cli.report import Finding, Report
from tocsin.exceptions import ConfigError
from tocsin.integrations.django_mail import DjangoEmailHandler
from tocsin.mail.outbox import TestEmailHandler
from tocsin.mail.smtp import SMTPEmailHandler

if TYPE_CHECKING:
    import argparse

    from tocsin.cli.configuration import AlertEntry, Configuration
    from tocsin.cli.output import ExitCode, Output
    from tocsin.handler import AlertHandler

DESCRIPTION = """\
Read a logging configuration, build its alert handlers, and connect to their mail servers. Each step
is a line: ok, WARN (worth a look), FAIL (a fault), LATER (may pass by itself) or skip. A failure
says what it means, and how to fix it. No mail is sent, and no store is made or changed.

Exit codes: 0 all is well, or warnings alone; 1 a fault, or with --strict a warning; 2 wrong
arguments, or no such file; 3 only failures that may pass by themselves: a busy server, a time-out,
greylisting.
"""
EXAMPLES = """\
examples:
  tocsin check shop.toml
  tocsin check shop.yaml --no-connect     in CI, where no mail server can be reached
  tocsin check shop.logging:CONFIG        a mapping, or a function that returns one
  tocsin check --django shop.settings
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    configurations.add_arguments(parser)
    parser.add_argument(
        "--no-connect", action="store_true", help="don't connect to the mail server"
    )
    parser.add_argument("--strict", action="store_true", help="with warnings, the exit code is 1")


def run(args: argparse.Namespace, output: Output) -> ExitCode:
    """Check the configuration, and return the exit code."""
    report = Report(output, ending="nothing sent", strict=args.strict)
    try:
        found = configurations.read_configuration(args)
    except UsageError:
        raise
    except ConfigError as error:
        report.begin("configuration", args.config)
        text = str(error)
        fix = handler_findings.fix_of_file(text)
        report.add(Finding(status="FAIL", step="file", text=text, fix=fix))
        return report.end(config=args.config)
    for entry in found.alerts:
        _check(found, entry, report, args)
    return report.end(config=found.label)


def _check(
    configuration: Configuration, entry: AlertEntry, report: Report, args: argparse.Namespace
) -> None:
    report.begin("handler", f"{configuration.label}, handler {entry.name}", entry.name)
    for name, problem in configuration.unknown.items():
        report.add(
            Finding(
                status="FAIL",
                step="handlers",
                text=f"{name}: {problem}",
                means="with this, dictConfig raises an error, and no handler is built",
                fix="correct it, or run the command in the environment of the program",
                line=configuration.line("handlers", name),
            )
        )
    handler = _built(entry, report)
    with contextlib.closing(handler) if handler else contextlib.nullcontext():
        _check_parts(configuration, entry, handler, report, args)


def _check_parts(
    configuration: Configuration,
    entry: AlertEntry,
    handler: AlertHandler | None,
    report: Report,
    args: argparse.Namespace,
) -> None:
    report.add(store_findings.of_store(entry, handler))
    if (finding := store_findings.of_app(entry)) is not None:
        report.add(finding)
    for finding in logger_findings.of_loggers(configuration, entry):
        report.add(finding)
    if handler is None:
        report.add(Finding(status="skip", step="server", text="after the handler is built"))
        return
    for finding in handler_findings.of_policy(entry, handler):
        report.add(finding)
    _check_server(entry, handler, report, args)
    report.begin("mails", "Would mail", entry.name)
    for step, text in handler_findings.would_mail(handler):
        report.plain(step, text)


def _built(entry: AlertEntry, report: Report) -> AlertHandler | None:
    try:
        handler = entry.build()
    except EntryError as error:
        report.add(handler_findings.of_error(error, entry))
        return None
    for finding in handler_findings.of_handler(entry, handler):
        report.add(finding)
    return handler


def _check_server(
    entry: AlertEntry, handler: AlertHandler, report: Report, args: argparse.Namespace
) -> None:
    email = parts_of(handler).email
    if entry.options.get("enabled") is False:
        report.add(Finding(status="skip", step="server", text="enabled: false"))
        return
    smtp, add = email, report.add
    if isinstance(email, DjangoEmailHandler):
        try:
            smtp = django_server.smtp_of(email) or email
        except ConfigError as error:
            fix = f"correct the setting {str(error).partition(':')[0]}"
            report.add(Finding(status="FAIL", step="server", text=str(error), fix=fix))
            return
        add = lambda finding: report.add(django_server.in_settings_words(finding))  # noqa: E731 - short
    if not isinstance(smtp, SMTPEmailHandler):
        report.begin("server", type(email).__name__, entry.name)
        text = "only email handlers that speak SMTP are checked further"
        fix = f"tocsin send {configurations.repeated(args)} tries it"
        fix = "" if isinstance(email, TestEmailHandler) else fix
        report.add(Finding(status="skip", step="server", text=text, fix=fix))
        return
    check = server_findings.ServerCheck(entry, handler, smtp, add)
    report.begin("server", str(check.target), entry.name)
    if args.no_connect:
        check.warn_in_the_clear()
        report.add(Finding(status="skip", step="server", text="--no-connect"))
    else:
        check.run()
