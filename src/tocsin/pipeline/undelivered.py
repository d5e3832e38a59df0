"""Undelivered alerts: a digest that is given up is written to the fallback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.alerts import outcome
from tocsin.alerts.policy import Urgency, decide
from tocsin.pipeline.fallback import say

if TYPE_CHECKING:
    from collections.abc import Container

    from tocsin.alerts.digest import Audience
    from tocsin.alerts.outgoing import Outgoing
    from tocsin.pipeline.claims import Claims
    from tocsin.pipeline.fallback import Fallback
    from tocsin.pipeline.intake import Intake
    from tocsin.pipeline.journal import Journal, Leadership
    from tocsin.pipeline.messages import Messages


class Undelivered:
    """Give up what cannot be mailed.

    An alert is kept by the fallback before it counts as given up: twice is better than never.

    Args:
        fallback: takes the alerts.
        give_up_after: seconds after which an alert that was not sent is given up.
        claims: takes digests.
        messages: renders them.
    """

    def __init__(
        self, fallback: Fallback, *, give_up_after: float, claims: Claims, messages: Messages
    ) -> None:
        self._fallback = fallback
        self._give_up_after = give_up_after
        self._claims = claims
        self._messages = messages
        self._told = 0  # the latest batch that was told as not stored

    def give_up_overdue(self, lead: Leadership, audience: Audience) -> None:
        """Give up the digests that are too old.

        Args:
            lead: the state.
            audience: the latest recipients, for a digest of what was never sent.
        """
        overdue = outcome.overdue(lead.state, self._give_up_after, lead.now)
        if outcome.is_hopeless(lead.state, self._give_up_after, lead.now):
            overdue += self._claims.take_rest(lead, Urgency.ALL, audience)
        if overdue:
            self._give_up("this alert could not be mailed in time", overdue, lead)

    def give_up_all(self, lead: Leadership, audience: Audience) -> None:
        """Give up everything that no other handler sends, as there is no later attempt."""
        self._claims.take_rest(lead, Urgency.EXIT, audience)
        self._give_up("this alert could not be mailed", self._claims.free(lead), lead)

    def drop(
        self, lead: Leadership, audience: Audience, only: Container[str] | None = None
    ) -> list[Outgoing]:
        """Give up what a person wants to drop, apart from digests that another process sends now.

        Args:
            lead: the state.
            audience: the recipients that the dropped alerts name.
            only: the fingerprints of the groups to drop; None for all. A digest with further
                groups is left as it is.

        Returns:
            The digests that were given up.
        """
        if any(only is None or group.fingerprint in only for group in lead.state.unmailed):
            policy = self._claims.policy
            decision = decide(lead.state, policy, lead.now, Urgency.ALL)
            self._claims.take(lead, decision, audience, 0, only=only)
        dropped = [one for one in self._claims.free(lead) if _has_only(one, only)]
        for outgoing in dropped:
            self.keep("this alert was dropped", outgoing)
            outcome.drop(lead.state, outgoing, self._claims.policy, lead.now)
            self._claims.end(outgoing)
        lead.commit()
        return dropped

    def _give_up(self, why: str, digests: list[Outgoing], lead: Leadership) -> None:
        for outgoing in digests:
            self.keep(why, outgoing)
            outcome.give_up(lead.state, outgoing, lead.now)
            self._claims.end(outgoing)
        lead.commit()

    def keep(self, why: str, outgoing: Outgoing) -> None:
        """Let the fallback keep an alert."""
        digest, owed = outgoing.digest, outgoing.owed
        if owed and outgoing.frozen:
            why += " to " + ", ".join(owed)
        try:
            message = self._messages.of(outgoing)
            self._fallback.keep(why, message, lambda: self._messages.plain(digest))
        except Exception as error:  # noqa: BLE001 - the package's files may be gone by now
            groups = [f"\n{one.group.count} x {one.group.text}" for one in digest.entries]
            say(f"{why}, nor be shown ({error!r}):{''.join(groups)}")

    def tell_unstored(self, intake: Intake, journal: Journal) -> None:
        """Tell the events that the store may not have, as it does not answer."""
        drained = intake.drain()
        intake.dropped += sum(group.count for group in drained)
        waiting = [batch for batch in journal.unsent if batch.number > self._told]
        self._told = max([self._told, *(batch.number for batch in waiting)])
        groups = [group for batch in waiting for group in batch.groups]
        groups += [*journal.unmailed, *drained]
        if groups:
            lines = [f"\n{group.count} x {group.level_name} {group.text}" for group in groups]
            say(f"the store has not taken these errors in time:{''.join(lines)}")


def _has_only(outgoing: Outgoing, only: Container[str] | None) -> bool:
    """Return whether a digest has no group besides these."""
    names = [entry.group.fingerprint for entry in outgoing.digest.entries]
    return only is None or (bool(names) and all(name in only for name in names))
