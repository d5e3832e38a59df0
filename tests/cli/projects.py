"""A project's folder, for the tests of the command.

A plug-in that test modules name, as in tests/smtp.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import trustme
from mail_servers import PASSWORD, Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA) -> Project:
    """Be in an empty folder with the file of a certification authority."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the command adds the folder
    monkeypatch.setenv("SMTP_APP_PASSWORD", PASSWORD)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return Project(tmp_path, authority)
