"""The interface of a redactor, and a redactor that changes nothing."""

from __future__ import annotations

from typing import Protocol


class Redacts(Protocol):
    """A redactor: takes secrets out of text."""

    def text(self, text: str, /) -> str:
        """Return the text without secrets."""
        ...

    def field(self, name: str, value: str, /) -> str:
        """Return a field's value without secrets; its name may mean that it is one."""
        ...


class NoSecrets:
    """A redactor that changes nothing."""

    def text(self, text: str, /) -> str:
        """Return the text as it is."""
        return text

    def field(self, name: str, value: str, /) -> str:  # noqa: ARG002 - the protocol's
        """Return the value as it is."""
        return value
