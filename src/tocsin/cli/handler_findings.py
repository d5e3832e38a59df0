"""Findings about an alert handler: its keys, addresses, password and policy, without a network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tocsin.alerts.settings import Policy
from tocsin.cli import django_server
from tocsin.cli.configuration import EntryError, parts_of
from tocsin.cli.report import Finding
from tocsin.integrations.django_mail import DjangoEmailHandler
from tocsin.mail.smtp import SMTPEmailHandler
from tocsin.passwords import SOURCES
from tocsin.pipeline.recipients import bare_addresses
from tocsin.render.times import span
from tocsin.switches import VARIABLE

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from tocsin.cli.configuration import AlertEntry
    from tocsin.handler import AlertHandler

_DEFAULT = Policy()
_ERROR = 40  # logging.ERROR
_LONG_WAIT = 60.0  # seconds after which a new error is told late
_LONG_PAUSE = 3600.0  # the same for the first repeat
_KEY = re.compile(r"[a-z_]+(?:\[\d+\])?(?:\.[a-z_]+)?")
_SETTINGS = "name the settings of Django: tocsin check --django MODULE"
_FIXES = (  # the start of a problem → the fix, where the problem names none
    (
        re.compile(r"email\.password_env: .*(?:is not set|is empty)"),
        "set it in the environment of the command, as in that of the program",
    ),
    (
        re.compile(r"email\.username: .*an empty string"),
        "set it; without a login, leave out username and password",
    ),
    (
        re.compile(r"email\.password: missing"),
        "set password_env or password_file; without a login, leave out username",
    ),
    (re.compile(r"email\.handler: the settings of Django"), _SETTINGS),
    (re.compile(r"fallback: expected"), "make the folder, or leave fallback out"),
)
_FILE_FIXES = (
    ("ImproperlyConfigured", _SETTINGS),
    ("settings are not configured", _SETTINGS),
    ("no handler has the class", "add a handler with the class tocsin.AlertHandler"),
    ("ModuleNotFoundError", "run the command in the environment of the program"),
)
_STEPS = (  # key → the step that is about it
    (re.compile(r"(?:email\.)?(?:password|access_token|username)"), "password"),
    (re.compile(r"(?:to|cc|bcc)\b"), "recipients"),
    (re.compile(r"from_addr|email\.default_from"), "sender"),
    (re.compile(r"policy"), "policy"),
)


def of_error(error: EntryError, entry: AlertEntry) -> Finding:
    """Return the finding about an option that is wrong."""
    problem, _, fix = error.problem.partition("; ")
    fix = next((text for start, text in _FIXES if start.match(error.problem)), fix)
    if _email_options(entry).get("handler") == "django" and problem == "to: missing":
        fix = "set ADMINS in the settings of Django, or to in the configuration"
    key = problem.partition(":")[0]
    fix = fix or (f"correct {key}" if _KEY.fullmatch(key) else "correct the configuration")
    step = next((name for key, name in _STEPS if key.match(problem)), "keys")
    return Finding(status="FAIL", step=step, text=problem, fix=fix, line=error.line)


def fix_of_file(problem: str) -> str:
    """Return the fix of a configuration that can't be read."""
    for start, fix in _FILE_FIXES:
        if start in problem:
            return fix
    return "correct the configuration"


def of_handler(entry: AlertEntry, handler: AlertHandler) -> Iterator[Finding]:
    """Return the findings about a handler that could be built."""
    yield Finding(status="ok", step="keys", text="all known")
    if os.environ.get(VARIABLE, "").strip() == "0":
        yield Finding(
            status="WARN",
            step="enabled",
            text=f"{VARIABLE}=0 in the environment",
            means="programs with this environment send nothing; the check goes on without it",
            fix=f"remove {VARIABLE} where mails are wanted",
        )
    if entry.options.get("enabled") is False:
        yield Finding(
            status="WARN",
            step="enabled",
            text="enabled: false",
            means="the handler ignores all records, and sends nothing",
            fix="set enabled: true where mails are wanted",
            line=entry.line("enabled"),
        )
    yield _sender(entry, handler)
    yield _recipients(entry, handler)
    yield _password(entry, handler)


def _email_options(entry: AlertEntry) -> Mapping[str, Any]:
    found = entry.options.get("email")
    return found if isinstance(found, Mapping) else {}


def _sender(entry: AlertEntry, handler: AlertHandler) -> Finding:
    parts = parts_of(handler)
    address = parts.sender.from_addr.addr_spec
    by_django = isinstance(parts.email, DjangoEmailHandler)
    if entry.options.get("from_addr") is not None:
        source = "from from_addr"
    elif by_django and _email_options(entry).get("default_from") is None:
        source = f"from {django_server.sender_source()}"
    elif getattr(parts.email, "default_from", None) is not None:
        source = "from email.default_from"
    else:
        source = "from email.username"
    if by_django and address in django_server.UNSET:
        return Finding(
            status="WARN",
            step="sender",
            text=f"{address}, {source}",
            means="it is Django's default: many mail servers refuse it, or take mails for spam",
            fix="set SERVER_EMAIL in the settings of Django, or from_addr",
        )
    return Finding(status="ok", step="sender", text=f"{address}, {source}")


def _recipients(entry: AlertEntry, handler: AlertHandler) -> Finding:
    audience = parts_of(handler).audience()
    addresses = bare_addresses(audience)
    line = entry.line("to")
    if not addresses:
        return Finding(
            status="FAIL",
            step="recipients",
            text="; ".join(audience.notes) or "none",
            means="a mail has no recipient now",
            fix="correct what 'to' names",
            line=line,
        )
    if audience.notes:
        return Finding(
            status="WARN",
            step="recipients",
            text=f"{len(addresses)}; {'; '.join(audience.notes)}",
            means="an older list of recipients is used",
            fix="correct what 'to', 'cc' or 'bcc' names",
            line=line,
        )
    count = f"{len(addresses)}: {', '.join(addresses[:3])}"
    return Finding(
        status="ok",
        step="recipients",
        text=count + (", ..." if len(addresses) > 3 else ""),  # noqa: PLR2004 - as above
    )


def _password(entry: AlertEntry, handler: AlertHandler) -> Finding:
    """Say where the password comes from, and never what it is."""
    email = parts_of(handler).email
    if isinstance(email, DjangoEmailHandler):
        return _password_of_django(email)
    if isinstance(email, SMTPEmailHandler) and email.username is not None:
        return _password_of_smtp(entry, email)
    return Finding(status="ok", step="password", text="none, as there is no login")


def _password_of_smtp(entry: AlertEntry, email: SMTPEmailHandler) -> Finding:
    given = _email_options(entry)
    source = next((key for key in (*SOURCES, "access_token") if given.get(key) is not None), "")
    if source in {"password_env", "password_file", "password_keyring"}:
        words = {
            "password_env": f"from the variable {given[source]}, set",
            "password_file": f"from the file {given[source]}, read",
            "password_keyring": f"from the keyring, {given[source]}",
        }
        return Finding(status="ok", step="password", text=words[source])
    if callable(email.password) or callable(email.access_token):
        return Finding(status="ok", step="password", text="from a callable, asked at the login")
    written = entry.written("email", source)
    if isinstance(written, str) and written.startswith("ext://"):
        return Finding(status="ok", step="password", text=f"from {written}, set")
    line = entry.line("email", source or "url")
    if line is None:  # Python code has read it from somewhere
        return Finding(status="ok", step="password", text="set")
    return Finding(
        status="WARN",
        step="password",
        text="written in the configuration",
        means="everybody who can read the file has it",
        fix="put it into an environment variable or a file: password_env, password_file",
        line=line,
    )


def _password_of_django(email: DjangoEmailHandler) -> Finding:
    username, password = django_server.login_of(email)
    if bool(username) == bool(password):
        text = "from EMAIL_HOST_PASSWORD, set" if username else "none, as there is no login"
        return Finding(status="ok", step="password", text=text)
    names = ["EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"]
    given, empty = names if username else reversed(names)
    return Finding(
        status="WARN",
        step="password",
        text=f"{given} is set, {empty} is empty",
        means="Django doesn't log in",
        fix=f"set {empty} in the settings of Django",
    )


def of_policy(entry: AlertEntry, handler: AlertHandler) -> Iterator[Finding]:
    """Return remarks about settings that delay mails for longer than most programs want."""
    policy = parts_of(handler).sender.policy
    found: list[tuple[str, str, str]] = []
    if policy.group_wait > _LONG_WAIT:
        wait = span(policy.group_wait)
        found.append(("group_wait", f"a new error is mailed after {wait} only", "10 s"))
    if policy.repeat_after > _LONG_PAUSE:
        pause = span(policy.repeat_after)
        found.append(("repeat_after", f"an error that goes on is silent for {pause}", "15 min"))
    if policy.repeat_max > _DEFAULT.repeat_max:
        pause = span(policy.repeat_max)
        found.append(("repeat_max", f"an error that goes on is silent for up to {pause}", "4 h"))
    for key, means, usual in found:
        yield Finding(
            status="WARN",
            step="policy",
            text=f"{key} {getattr(policy, key):g}",
            means=means,
            fix=f"leave it out for {usual}",
            line=entry.line("policy", key),
        )
    if handler.level > _ERROR:
        yield Finding(
            status="WARN",
            step="level",
            text=f"level {_level(handler)}",
            means="records of the level ERROR are no alerts",
            fix="leave it out for ERROR",
            line=entry.line("level"),
        )
    if not found and handler.level <= _ERROR:
        yield Finding(status="ok", step="policy", text="no long silence")


def would_mail(handler: AlertHandler) -> Iterator[tuple[str, str]]:
    """Return what the policy means: words, and when."""
    policy = parts_of(handler).sender.policy
    if policy.at_exit:
        yield "at the end", "one mail with everything"
        yield "urgent", f"a new group of level {_name(policy.urgent_level)}, at once"
        return
    yield "new", f"after {span(policy.group_wait)}; {_name(policy.urgent_level)} at once"
    yield "going on", f"every {_intervals(policy)}"
    yield "worse", f"{policy.surge_factor:g} times as often, at once"
    yield "quiet", f"{span(policy.quiet_after)} after the last"
    yield "at most", f"{policy.burst} mails at once, then 1 per {span(policy.refill)}"


def _intervals(policy: Policy) -> str:
    """Return the intervals between the mails about an error that goes on: `15 min, 30 min`."""
    found = [policy.repeat_after]
    while found[-1] < policy.repeat_max and len(found) < 3:  # noqa: PLR2004 - enough to see how
        found.append(min(found[-1] * 2, policy.repeat_max) or policy.repeat_max)
    words = ", ".join(span(one) for one in found)
    return words if found[-1] >= policy.repeat_max else f"{words} ... {span(policy.repeat_max)}"


def _level(handler: logging.Handler) -> str:
    return _name(handler.level)


def _name(level: int) -> str:
    import logging  # noqa: PLC0415 - for the names of levels only

    return str(logging.getLevelName(level))
