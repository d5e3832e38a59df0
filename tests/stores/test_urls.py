"""What the URL of a store names: on each system, by a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin import ConfigError
from tocsin.config import build_store
from tocsin.stores.sqlite import SQLiteStore
from tocsin.stores.urls import file_of


@pytest.mark.parametrize(
    ("url", "posix", "windows"),
    [
        ("memory:", None, None),
        ("memory", None, None),
        ("sqlite:alerts.db", "alerts.db", "alerts.db"),
        ("sqlite:data/alerts.db", "data/alerts.db", "data/alerts.db"),
        ("sqlite:./alerts.db", "./alerts.db", "./alerts.db"),
        ("sqlite:~/alerts.db", "~/alerts.db", "~/alerts.db"),
        ("sqlite:///var/lib/a.db", "/var/lib/a.db", "/var/lib/a.db"),
        ("sqlite:/var/lib/a.db", "/var/lib/a.db", "/var/lib/a.db"),
        ("sqlite:////var/lib/a.db", "/var/lib/a.db", "//var/lib/a.db"),
        ("sqlite:////alerts.db", "/alerts.db", "//alerts.db"),
        ("sqlite:/alerts.db", "/alerts.db", "/alerts.db"),
        ("sqlite:///C:/x.db", "/C:/x.db", "C:/x.db"),
        ("sqlite:///c:/shop/x.db", "/c:/shop/x.db", "c:/shop/x.db"),
        ("sqlite:C:/x.db", "C:/x.db", "C:/x.db"),
    ],
)
def test_each_form_has_one_meaning(url: str, posix: str | None, windows: str | None) -> None:
    assert (file_of(url, windows=False), file_of(url, windows=True)) == (posix, windows)


def test_a_windows_drive_with_backslashes_is_kept() -> None:
    assert file_of("sqlite:///C:\\shop\\x.db", windows=True) == "C:\\shop\\x.db"


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize("name", ["alerts.db", "x"])
def test_a_file_in_the_root_folder_was_meant_to_be_elsewhere(name: str, windows: bool) -> None:
    with pytest.raises(ValueError, match="root folder") as caught:
        file_of(f"sqlite:///{name}", windows=windows)
    assert f"expected 'sqlite:{name}' for one in the working directory" in str(caught.value)
    assert f"or 'sqlite:///full/path/{name}'" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "sqlite:", "sqlite://", "sqlite:///", "sqlite://h/x", "sqlite://a.db", "redis:x"]
)
def test_what_names_nothing_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match="expected 'memory:', 'sqlite:///full/path"):
        file_of(url, windows=False)


def test_a_relative_file_is_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(build_store("sqlite:alerts.db", "one"), SQLiteStore)
    assert (tmp_path / "alerts.db").is_file()


@pytest.mark.parametrize("slashes", ["///", "////", "/"])
def test_a_folder_is_no_file(tmp_path: Path, slashes: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_store(f"sqlite:{slashes}{str(tmp_path).lstrip('/')}", "one")
    expected = f"store: {str(tmp_path)!r} is a folder; expected the path of a file"
    assert str(caught.value) == expected


def test_the_root_folder_stays_clean() -> None:
    before = set(Path("/").iterdir())
    with pytest.raises(ConfigError, match=r"^store: 'sqlite:///alerts\.db' is a file in the root"):
        build_store("sqlite:///alerts.db", "one")
    assert set(Path("/").iterdir()) == before
