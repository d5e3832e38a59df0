"""What all mails of a handler have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.alerts.settings import Policy
from tocsin.mail.address import AddressList

if TYPE_CHECKING:
    from email.headerregistry import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What all mails of a handler have in common.

    Attributes:
        app: the application's name.
        environment: such as "production"; or "".
        from_addr: who sends.
        reply_to: where answers go.
        policy: when mails go, and how much each shows.
        footnote: what the end of each mail says about the counts.
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
        """The sender's domain, for identifiers."""
        return self.from_addr.domain.strip("[]")
