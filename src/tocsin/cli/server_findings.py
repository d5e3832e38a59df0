"""Findings about a mail server: each step from the look-up to the last recipient; nothing is sent.

A failure of the network, and a reply 4yz, may pass by itself: `LATER`. Everything else is a fault.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

from tocsin.cli import server_words as words
from tocsin.cli.configuration import parts_of
from tocsin.cli.report import Finding
from tocsin.exceptions import ConnectError
from tocsin.mail import advice
from tocsin.mail.diagnosis import diagnose
from tocsin.mail.message import Message
from tocsin.mail.pipelining import Pipelining
from tocsin.mail.probe import probe
from tocsin.mail.smtp import target_of
from tocsin.pipeline.recipients import bare_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tocsin.cli.configuration import AlertEntry
    from tocsin.handler import AlertHandler
    from tocsin.mail.opening import Step
    from tocsin.mail.receipt import Reply
    from tocsin.mail.smtp import SMTPEmailHandler
    from tocsin.mail.target import Target

_FEW_DAYS = 14  # a certificate that ends sooner is a warning
_MOST_SHOWN = 10  # recipients that are shown one by one


class ServerCheck:
    """The check of one mail server.

    Args:
        entry: the entry of the alert handler.
        handler: the alert handler.
        email: the email handler that connects.
        add: takes each finding.
    """

    def __init__(
        self,
        entry: AlertEntry,
        handler: AlertHandler,
        email: SMTPEmailHandler,
        add: Callable[[Finding], None],
    ) -> None:
        parts = parts_of(handler)
        self._entry = entry
        self._add = add
        self._email = email
        self._sender = parts.sender.from_addr
        self._recipients = bare_addresses(parts.audience())
        self._asked: list[Step] = []
        self._left = self._expected()
        self._failed = ""
        self.target: Target = target_of(email, Pipelining())

    def warn_in_the_clear(self, peer: str | None = None) -> None:
        """Warn if mails go unencrypted to another machine.

        Args:
            peer: the server's IP address, if it is known.
        """
        if words.goes_in_the_clear(
            self._email.host, peer, encrypted=self._email.use_tls or self._email.use_starttls
        ):
            self._add(
                Finding(
                    status="WARN",
                    step="TLS",
                    text=f"none: mails go unencrypted to {self._email.host}",
                    means="every machine on the way can read and change them",
                    fix="set use_tls (port 465), or use_starttls (port 587)",
                    line=self._entry.line("email", "port"),
                )
            )

    def run(self) -> None:
        """Connect, and add a finding for each step."""
        if not self._recipients:
            self._add(Finding(status="skip", step="server", text="there is no recipient"))
            return
        message = Message(from_addr=self._sender, to=self._recipients, text="never sent")
        began = time.monotonic()
        try:
            probe(
                self.target,
                message,
                on_step=self._note,
                limit=self._email.recipients_per_message,
            )
        except ConnectError as error:
            self._fail(error, time.monotonic() - began)
        self._add_recipients()
        self._skip()

    def _expected(self) -> list[str]:
        """Return the steps in order, as far as the options tell them."""
        email = self._email
        steps = ["name", "connect", "greeting", "extensions", "sender", "recipients"]
        if email.username is not None:
            steps.insert(4, "login")
        if email.use_tls or email.use_starttls:
            steps.insert(2 if email.use_tls else 3, "TLS")
        return steps

    def _note(self, step: Step) -> None:
        if step.name == "recipient":
            self._asked.append(step)
            return
        if step.name in self._left:
            self._left.remove(step.name)
        if step.name == "sender":
            self._add_sender(step)
            return
        text = words.FACTS[step.name](step.facts)
        self._add(Finding(status="ok", step=step.name, text=text, seconds=step.seconds))
        if step.name == "TLS":
            self._add_certificate(step.facts["certificate"])
        if step.name == "connect":
            self.warn_in_the_clear(step.facts["peer"])

    def _add_certificate(self, certificate: Mapping[str, Any]) -> None:
        if not certificate:
            self._add(
                Finding(
                    status="WARN",
                    step="certificate",
                    text="not verified, as your tls_context says",
                    means="another machine can pretend to be the server",
                    fix="leave tls_context out; for a private CA set tls_ca_file",
                    line=self._entry.line("email", "tls_context"),
                )
            )
            return
        days = words.days_left(str(certificate.get("notAfter", "")), time.time())
        few = days < _FEW_DAYS
        self._add(
            Finding(
                status="WARN" if few else "ok",
                step="certificate",
                text=f"{words.names_of(certificate)}, valid for {days} more days",
                means="then no mail can be sent" if few else "",
                fix="renew it on the server" if few else "",
            )
        )

    def _fail(self, error: ConnectError, seconds: float) -> None:
        """Add the finding about the step that failed."""
        step = self._left.pop(0) if self._left else "recipients"
        problem, fix = words.split(error, self.target)
        silent = step == "greeting" and not self._email.use_tls
        other = diagnose(error, self.target) if silent else ""
        means, usual_fix = words.explained(step, error, other)
        later = words.may_pass(error) and not other
        certificate = isinstance(error.__cause__, ssl.SSLCertVerificationError)
        if step == "login" and error.reply.code == 535 and not fix:  # noqa: PLR2004 - RFC 4954 §6
            usual_fix = self._fix_of_password()
        self._add(
            Finding(
                status="LATER" if later else "FAIL",
                step=step,
                text=problem,
                means=means,
                fix=usual_fix if other else fix or usual_fix,
                line=self._line_of("name" if certificate else step),
                seconds=seconds,
            )
        )
        self._failed = step

    def _fix_of_password(self) -> str:
        given = self._entry.options.get("email") or {}
        for key in ("password_env", "password_file", "password_keyring"):
            if given.get(key) is not None:
                return f"put the right password into {given[key]}, or correct username"
        return "correct username and password"

    def _line_of(self, step: str) -> int | None:
        keys = {
            "name": ("host", "url", "provider"),
            "connect": ("port", "url", "host", "provider"),
            "TLS": ("use_starttls", "use_tls", "url", "host"),
            "greeting": ("port", "url", "host"),
            "login": ("username", "url"),
        }
        given = self._entry.options.get("email") or {}
        key = next((one for one in keys.get(step, ()) if one in given), None)
        return None if key is None else self._entry.line("email", key)

    def _skip(self) -> None:
        """Add what was not tried."""
        for step in self._left:
            if step != "recipients" or not self._asked:
                self._add(Finding(status="skip", step=step, text=f"after {self._failed}"))

    def _add_sender(self, step: Step) -> None:
        reply: Reply = step.facts["reply"]
        address = step.facts["address"]
        if reply.positive:
            self._add(
                Finding(
                    status="ok", step="sender", text=f"{address} accepted", seconds=step.seconds
                )
            )
            return
        self._failed = "sender"
        needs_login = reply.code == 530  # noqa: PLR2004 - RFC 4954 §6
        fix = advice.of_reply(reply).lstrip("; ")
        if reply.final or needs_login:
            fix = fix or "set from_addr to an address that this account may send from"
        self._add(
            Finding(
                status="FAIL" if reply.final or needs_login else "LATER",
                step="sender",
                text=f"{address}: {reply}",
                means="the server takes no mail from this address",
                fix=fix or words.AGAIN,
                line=self._entry.line("from_addr"),
                seconds=step.seconds,
            )
        )

    def _add_recipients(self) -> None:
        good = [step for step in self._asked if step.facts["reply"].positive]
        bad = [step for step in self._asked if not step.facts["reply"].positive]
        if self._asked and "recipients" in self._left:
            self._left.remove("recipients")
        if len(good) > _MOST_SHOWN:
            seconds = sum(step.seconds for step in good)
            text = f"{len(good)} accepted"
            self._add(Finding(status="ok", step="recipients", text=text, seconds=seconds))
            good = []
        for step in good:
            text = f"{step.facts['address']} accepted"
            self._add(Finding(status="ok", step="recipient", text=text, seconds=step.seconds))
        alike: dict[str, list[Step]] = {}
        for step in bad:
            alike.setdefault(str(step.facts["reply"]), []).append(step)
        for steps in alike.values():
            self._add_refused(steps)

    def _add_refused(self, steps: list[Step]) -> None:
        """Add the finding about recipients that have the same negative reply."""
        reply: Reply = steps[0].facts["reply"]
        final = reply.final or reply.code in {None, 530}
        fix = advice.of_reply(reply).lstrip("; ") or words.fix_of_recipient(reply)
        names = ", ".join(step.facts["address"] for step in steps[:_MOST_SHOWN])
        more = "" if len(steps) <= _MOST_SHOWN else f" and {len(steps) - _MOST_SHOWN} more"
        means = "no mail reaches them" if len(steps) > 1 else "no mail reaches this recipient"
        self._add(
            Finding(
                status="FAIL" if final else "LATER",
                step="recipient",
                text=f"{names}{more}: {reply}",
                means=means if final else "the server takes it later: a limit, or greylisting",
                fix=fix if final else words.AGAIN,
                line=self._entry.line("to"),
                seconds=sum(step.seconds for step in steps),
            )
        )
