"""The interface of a redactor, and one that changes nothing."""

from __future__ import annotations

from typing import Protocol


class Redacts(Protocol):
    """Takes secrets out of text."""

    def text(self, text: str, /) -> str:
        """Return the text without secrets."""
        ...

    def field(self, name: str, value: str, /) -> str:
        """Return a field's value without secrets; the name may say that it is one."""
        ...


class NoSecrets:
    """A redactor that changes nothing."""

    def text(self, text: str, /) -> str:
        """Return the text."""
        return text

    def field(self, name: str, value: str, /) -> str:  # noqa: ARG002 - the protocol's
        """Return the value."""
        return value
