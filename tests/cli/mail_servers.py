"""What the tests of the command share: a configuration, and runs of the command."""

from __future__ import annotations

import contextlib
import io
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tocsin.cli.main import main

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    import trustme

PASSWORD = "hunter2-is-secret"
LOGIN = """\
username = "alerts@example.com"
password_env = "SMTP_APP_PASSWORD"
tls_ca_file = "ca.pem"
"""
CONSOLE = """handlers = ["alerts", "console"]
[handlers.console]
class = "logging.StreamHandler"
"""
ACCOUNTS = {"alerts@example.com": PASSWORD}


@dataclass(frozen=True)
class Run:
    """A run of the command: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    def findings(self, status: str) -> list[dict[str, Any]]:
        """Return the findings of a status in the JSON document."""
        return [
            finding
            for section in self.document["sections"]
            for finding in section["findings"]
            if finding["status"] == status
        ]

    def each_has_a_fix(self) -> None:
        """Look at whether each fault and each warning says what to change."""
        for status in ("FAIL", "LATER", "WARN"):
            for finding in self.findings(status):
                assert finding.get("fix"), finding


@dataclass
class Project:
    """A folder with a configuration, in which the command runs."""

    folder: Path
    ca: trustme.CA

    def write(self, port: int, email: str = "", **handler: str) -> None:
        """Write `shop.toml`; values are TOML."""
        keys = {
            "to": '["ann@example.com", "bo@example.com", "cy@example.com"]',
            "from_addr": '"alerts@example.com"',
            **handler,
        }
        options = "\n".join(f"{key} = {value}" for key, value in keys.items())
        (self.folder / "shop.toml").write_text(
            "version = 1\ndisable_existing_loggers = false\n\n"
            f'[handlers.alerts]\nclass = "tocsin.AlertHandler"\n{options}\n\n'
            f'[handlers.alerts.email]\nhost = "localhost"\nport = {port}\ntimeout = 5\n{email}\n'
            '[root]\nhandlers = ["alerts"]\n',
            encoding="utf-8",
        )

    def add_console(self) -> None:
        """Add a second handler to the root logger in `shop.toml`."""
        path = self.folder / "shop.toml"
        text = path.read_text(encoding="utf-8").replace('handlers = ["alerts"]', CONSOLE)
        path.write_text(text, encoding="utf-8")

    def run(self, *args: str) -> Run:
        """Run the command in this process; its output never shows the password."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(args)
            except SystemExit as error:  # argparse
                code = int(error.code or 0)
        assert PASSWORD not in out.getvalue() + err.getvalue()
        return Run(code, out.getvalue(), err.getvalue())

    def check(self, *args: str) -> Run:
        """Check `shop.toml` as text and as JSON; return the run with JSON."""
        text = self.run("check", "shop.toml", *args)
        found = self.run("check", "shop.toml", "--json", *args)
        assert text.code == found.code == found.document["exit_code"]
        assert found.err == ""
        assert text.out.splitlines()[-1].endswith("; nothing sent")
        found.each_has_a_fix()
        return found

    def server_tls(
        self, not_before: dt.datetime | None = None, not_after: dt.datetime | None = None
    ) -> ssl.SSLContext:
        """Return what a server uses that is `localhost`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = self.ca.issue_cert(
            "localhost", "127.0.0.1", not_before=not_before, not_after=not_after
        )
        certificate.configure_cert(context)
        return context
