"""A simulation: a state, its policy, and a clock that jumps from one decision to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.alerts import outcome
from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.digest import Audience
from tocsin.alerts.grouping import OTHER
from tocsin.alerts.outgoing import Report
from tocsin.alerts.policy import Urgency, causes, decide
from tocsin.alerts.state import State
from tocsin.alerts.taking import take

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.alerts.digest import Digest
    from tocsin.alerts.grouping import Group
    from tocsin.alerts.policy import Decision
    from tocsin.alerts.settings import Policy

_EVER = float("inf")
_AUDIENCE = Audience(to=("oncall@example.com",))


class Simulation:
    """Merge events, and take the digests that a policy would have sent. Nothing waits.

    Args:
        policy: the policy.
        send: called with each digest, at its time.
        audience: the recipients of the digests.
        domain: the domain of Message-IDs.

    Attributes:
        state: the state.
        now: the time so far; it never goes back.
    """

    def __init__(
        self,
        policy: Policy,
        send: Callable[[Digest], object],
        *,
        audience: Audience = _AUDIENCE,
        domain: str = "simulated",
    ) -> None:
        self.state: State = State()
        self.now: float = 0.0
        self._policy = policy
        self._send = send
        self._audience = audience
        self._owed = (*audience.to, *audience.cc, *audience.bcc)
        self._domain = domain
        self._next = _EVER
        self._sent = 0

    def run_until(self, until: float) -> None:
        """Send all mails that are due up to a time."""
        while self._next <= until and self._next < _EVER:
            self.now = max(self.now, self._next)
            decision = decide(self.state, self._policy, self.now)
            self._next = _EVER if decision.next_at is None else decision.next_at
            self._take(decision)

    def merge(self, groups: tuple[Group, ...], time: float) -> None:
        """Merge events that are handed over at a time, and send the mails that are due."""
        self.now = time = max(self.now, time)
        receive(self.state, Batch(groups=groups), self._policy, time)
        for group in groups:
            name = group.fingerprint if group.fingerprint in self.state.groups else OTHER
            found = causes(self.state, self.state.groups[name], self._policy, time)
            self._next = min(self._next, *(cause.at for cause in found), _EVER)
        self.run_until(time)

    def end(self, until: float | None = None) -> None:
        """Send what is due up to a time; by default, all that can become due.

        Only a policy with `at_exit` sends the rest then.
        """
        self.run_until(_EVER if until is None else until)
        if self._policy.at_exit:
            self.now = max(self.now, until or 0)
            self._take(decide(self.state, self._policy, self.now, Urgency.EXIT))

    def _take(self, decision: Decision) -> None:
        """Take the digest that was decided, as if a server had accepted its mail."""
        if decision.reason is None:
            return
        self._sent += 1
        name = f"<{self._sent}@{self._domain}>"
        outgoing = take(
            self.state,
            decision,
            message_id=name,
            policy=self._policy,
            now=self.now,
            audience=self._audience,
            owed=self._owed,
        )
        report = Report(message_id=name, accepted=outgoing.owed)
        outcome.report(self.state, report, self._policy, self.now)
        self._next = self.now  # decide again: the budgets have changed
        self._send(outgoing.digest)
