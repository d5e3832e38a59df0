"""Complaints: failures of the alerts themselves, on standard error, each kind once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.pipeline.fallback import say
from tocsin.pipeline.sending import silent
from tocsin.text import attempt, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tocsin.exceptions import StoreError

_MAX_ERROR = 2_000  # characters of an error that are looked at


class Complaints:
    """Tell failures on standard error.

    A failure of one kind is told once, until the recipients that it is about have got a mail.

    Args:
        redact: takes secrets out of text.

    Attributes:
        last_error: why the latest attempt to send a mail failed; None if it did not.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self.last_error: str | None = None
        self._redact = redact
        self._told: dict[str, set[str]] = {}  # kind: the recipients that it is about, if known

    def tell(self, kind: str, text: str, recipients: Collection[str] = ()) -> None:
        """Tell a failure, unless it was told before for all these recipients."""
        self.last_error = text
        told = self._told.get(kind)
        if told is None or not told.issuperset(recipients):
            self._told[kind] = {*recipients, *(told or ())}
            with silent():  # standard error may be a logger
                say(text)

    def unexpected(self, error: BaseException) -> None:
        """Tell an error for which there is no other treatment."""
        name = type_name(type(error))
        self.tell(name, f"unexpected: {name}: {self.text_of(error)}")

    def store_failed(self, error: StoreError) -> str:
        """Tell that the process goes on alone, and return the error's text."""
        text = self.text_of(error)
        self.tell("store", f"the store can't be used, each process goes on alone: {text}")
        return text

    def text_of(self, error: BaseException) -> str:
        """Return an error's text without secrets: it is stored, mailed and printed."""
        try:
            return self._redact(attempt(error)[:_MAX_ERROR])
        except Exception:  # noqa: BLE001 - a redactor that cannot be loaded
            return type_name(type(error))

    def got_mail(self, recipients: Collection[str]) -> None:
        """Tell a failure again, if it comes again, as these recipients have got a mail."""
        left = {kind: told.difference(recipients) for kind, told in list(self._told.items())}
        self._told = {kind: told for kind, told in left.items() if told}
