"""Where an alert goes that can't be mailed."""

from __future__ import annotations

import email
import email.policy
from typing import TYPE_CHECKING, Any

import pytest
from parts import Moody, logger_with

from tocsin import AlertHandler, ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def make(**options: Any) -> AlertHandler:
    given = {"to": "Ada <o@example.com>", "from_addr": "a@example.com", "app": "shop"}
    return AlertHandler(**{**given, "email": Moody(lambda _: OSError("no route")), **options})


def test_a_folder_gets_a_file_that_mail_programs_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = make(fallback=str(tmp_path))
    with logger_with(handler) as logger:
        logger.error("precious")
        handler.close()
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".eml"
    assert path.stat().st_mode & 0o777 == 0o600
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert mail["To"] == "Ada <o@example.com>"
    assert mail["Subject"].startswith("[1x, 1 new] shop: ERROR precious in ")
    body = mail.get_body(("plain",))
    assert body is not None
    assert "precious" in body.get_content()
    error = capsys.readouterr().err
    assert f"tocsin: this alert could not be mailed; it is kept as {str(path)!r}" in error
    assert "1   NEW" not in error


def test_what_the_folder_does_not_take_is_told_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "alerts"
    folder.mkdir()
    handler = make(fallback=folder)
    folder.rmdir()
    with logger_with(handler) as logger:
        logger.error("precious")
        handler.close()
    error = capsys.readouterr().err
    assert f"can't be kept in {str(folder)!r}" in error
    assert "1   NEW" in error
    assert "precious" in error


def test_the_folder_has_to_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(ConfigError) as raised:
        make(fallback=missing)
    assert (
        str(raised.value)
        == f"fallback: expected 'stderr' or a folder, and {str(missing)!r} is none"
    )
    with pytest.raises(ConfigError, match="expected a path, got int"):
        make(fallback=5)
