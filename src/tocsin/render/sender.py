"""The sender: the properties that all mails of a handler have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.alerts.settings import Policy
from tocsin.mail.address import AddressList

if TYPE_CHECKING:
    from email.headerregistry import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The properties that all mails of a handler have in common.

    Attributes:
        app: the application's name.
        environment: such as "production"; or "".
        from_addr: the address in From.
        reply_to: the addresses in Reply-To.
        policy: how often mails are sent, and how many groups each shows.
        footnote: a note about the counts, at the end of each mail.
    """

    app: str
    environment: str
    from_addr: Address
    reply_to: AddressList = field(default_factory=AddressList)
    policy: Policy = field(default_factory=Policy)
    footnote: str = ""

    @property
    def identity(self) -> str:
        """The application and its environment."""
        return f"{self.app} {self.environment}".strip()

    @property
    def domain(self) -> str:
        """The domain of `from_addr`, for identifiers."""
        return self.from_addr.domain.strip("[]")
