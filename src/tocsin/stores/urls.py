"""The URL of a store: the memory, or a file."""

from __future__ import annotations

import re

_DRIVE = re.compile(r"/[A-Za-z]:[/\\]")


def file_of(url: str, *, windows: bool) -> str | None:
    """Return the path in a store's URL, as it is written there; None for the memory.

    Args:
        url: `memory:`, or one of these:

            - `sqlite:alerts.db`, `sqlite:data/alerts.db`: relative to the working directory;
            - `sqlite:///var/lib/shop/alerts.db`, `sqlite:/var/lib/shop/alerts.db`: absolute;
            - `sqlite:////var/lib/shop/alerts.db`: the same, as SQLAlchemy writes it;
            - `sqlite:///C:/shop/alerts.db`: absolute, with a Windows drive.
        windows: whether paths may begin with a drive.

    Raises:
        ValueError: the URL is none of these; the error says what was expected.
    """
    kind, _, place = url.partition(":")
    if kind == "memory" and not place:
        return None
    path = place.removeprefix("//")
    elsewhere = path != place and not path.startswith("/")  # `sqlite://host/…`
    if kind != "sqlite" or elsewhere or path.lstrip("/") in {"", ":memory:"}:
        got = "a URL with a user in it" if "@" in url else repr(url)  # and perhaps a password
        raise ValueError(
            "expected 'memory:', 'sqlite:///full/path/alerts.db', or 'sqlite:alerts.db' for a file "
            f"in the working directory, got {got}"
        )
    if windows and _DRIVE.match(path):
        return path[1:]
    if path.startswith("//") and not windows:  # on Windows, this names another machine
        return path[1:]
    if path != place and "/" not in path[1:].rstrip("/"):
        name = path[1:].rstrip("/")
        raise ValueError(
            f"{url!r} is a file in the root folder; expected 'sqlite:{name}' for one in the "
            f"working directory, or 'sqlite:///full/path/{name}'"
        )
    return path
