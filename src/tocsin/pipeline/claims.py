"""Claims: the digests that this process may send now, and no other process.

A digest is claimed, and the claim committed, before it is sent. A claim lasts longer than the send
may take. A process that was killed loses its claims when their time is over.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from tocsin.alerts.policy import Urgency, decide
from tocsin.alerts.taking import take
from tocsin.pipeline.recipients import bare_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from tocsin.alerts.digest import Audience
    from tocsin.alerts.outgoing import Outgoing
    from tocsin.alerts.policy import Decision
    from tocsin.alerts.settings import Policy
    from tocsin.pipeline.journal import Journal, Leadership

_SEND = 300.0  # seconds for a mail to all its recipients, unless a caller waits for it
_LEAST = 1.0  # seconds of the same, where there is no time left
_MARGIN = 60.0  # seconds more until another process takes it that the mail was not sent


class Claims:
    """Take digests from the state, and claim them.

    Args:
        journal: leads the store.
        domain: the domain of Message-IDs.
        clock: returns the time in seconds since the epoch, as a mail shows it.
    """

    def __init__(self, journal: Journal, *, domain: str, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._domain = domain
        self._clock = clock
        self._ends: dict[str, float] = {}  # Message-ID: when the send has to be over

    @property
    def policy(self) -> Policy:
        """The policy by which digests are taken."""
        return self._journal.store.policy

    def take(
        self,
        lead: Leadership,
        decision: Decision,
        audience: Audience,
        until: float,
        *,
        only: Container[str] | None = None,
    ) -> Outgoing:
        """Take a digest of everything unmailed, and claim it.

        Args:
            lead: the state.
            decision: why the digest is sent.
            audience: its recipients.
            until: when the send has to be over, as a point of `time.monotonic`.
            only: the fingerprints of the groups to take; None for all.
        """
        outgoing = take(
            lead.state,
            decision,
            message_id=f"<{secrets.token_hex(16)}@{self._domain}>",
            policy=self.policy,
            now=lead.now,
            wall=self._clock(),
            audience=audience,
            owed=bare_addresses(audience),
            only=only,
        )
        self.claim(outgoing, lead, until)
        return outgoing

    def take_rest(
        self, lead: Leadership, urgency: Urgency, audience: Audience, until: float = 0
    ) -> list[Outgoing]:
        """Take a digest of everything unmailed, if there is something."""
        decision = decide(lead.state, self.policy, lead.now, urgency)
        return [] if decision.reason is None else [self.take(lead, decision, audience, until)]

    def claim(self, outgoing: Outgoing, lead: Leadership, until: float) -> None:
        """Claim a digest for as long as the send may take, and commit that."""
        owner, name = self._journal.owner, outgoing.digest.message_id
        ours = outgoing.claimed_by == owner and outgoing.claimed_until > lead.now
        if ours and name in self._ends:
            return
        # A claim of ours that is not known here was interrupted while the digest was sent.
        now = time.monotonic()
        longest = max(_LEAST, min(_SEND, until - now))
        outgoing.claim(owner, lead.now + longest + _MARGIN)
        self._ends[name] = now + longest
        lead.commit()

    def free(self, lead: Leadership) -> list[Outgoing]:
        """Return the digests that no other process sends now."""
        ours = {"", self._journal.owner}
        digests = lead.state.outgoing.values()
        return [one for one in digests if one.claimed_by in ours or one.claimed_until <= lead.now]

    def end(self, outgoing: Outgoing) -> float:
        """End a claim, and return when the send has to be over; 0 if there is no claim."""
        return self._ends.pop(outgoing.digest.message_id, 0)
