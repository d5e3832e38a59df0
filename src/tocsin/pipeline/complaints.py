"""The complaints: Tocsin's own failures, written to standard error, each kind once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.pipeline.fallback import say
from tocsin.pipeline.sending import silent
from tocsin.text import attempt, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from tocsin.exceptions import StoreError

_MAX_ERROR = 2_000  # characters of an error that are read


class Complaints:
    """Write failures to standard error.

    A failure of one kind is written once. It is written again only after the recipients that it
    concerned have got a mail.

    Args:
        redact: takes secrets out of text.

    Attributes:
        last_error: the text of the latest failure; None once a mail was sent without one.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self.last_error: str | None = None
        self._redact = redact
        self._told: dict[str, set[str]] = {}  # kind → the recipients that it concerns, if known

    def tell(self, kind: str, text: str, recipients: Collection[str] = ()) -> None:
        """Write a failure, unless this kind was written before for all these recipients."""
        self.last_error = text
        told = self._told.get(kind)
        if told is None or not told.issuperset(recipients):
            self._told[kind] = {*recipients, *(told or ())}
            with silent():  # the stream may log
                say(text)

    def unexpected(self, error: BaseException) -> None:
        """Write an error that Tocsin handles nowhere else."""
        name = type_name(type(error))
        self.tell(name, f"unexpected: {name}: {self.text_of(error)}")

    def no_recipient(self, notes: Sequence[str]) -> None:
        """Tell that there is no recipient, and what is wrong with the lists."""
        self.tell("nobody", f"no recipient is known; {'; '.join(notes)}")

    def store_failed(self, error: StoreError) -> str:
        """Write that this process works alone now, and return the error's text."""
        text = self.text_of(error)
        self.tell("store", f"the store can't be used, each process works alone: {text}")
        return text

    def text_of(self, error: BaseException) -> str:
        """Return an error's text without secrets, to store, mail and write it."""
        try:
            return self._redact(attempt(error)[:_MAX_ERROR])
        except Exception:  # noqa: BLE001 - the redactor can't be loaded
            return type_name(type(error))

    def got_mail(self, recipients: Collection[str]) -> None:
        """Note that these recipients have got a mail: a new failure for them is written again."""
        left = {kind: told.difference(recipients) for kind, told in list(self._told.items())}
        self._told = {kind: told for kind, told in left.items() if told}
