"""A state as its leader changes it: merge events, take a digest, report its outcome, store it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin.alerts import outcome, taking
from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.codec import dump, load
from tocsin.alerts.digest import Audience
from tocsin.alerts.outgoing import Report
from tocsin.alerts.policy import Decision
from tocsin.alerts.state import State

if TYPE_CHECKING:
    from tocsin.alerts.grouping import Group
    from tocsin.alerts.outgoing import Outgoing
    from tocsin.alerts.settings import Policy


def merge(state: State, policy: Policy, now: float, *groups: Group, **fields: Any) -> None:
    """Merge a batch; the fields are those of `Batch`."""
    receive(state, Batch(groups=groups, **fields), policy, now)


def take(
    state: State,
    policy: Policy,
    now: float,
    *to: str,
    decision: Decision | None = None,
    name: str = "<m>",
    **fields: Any,
) -> Outgoing:
    """Take a digest for some recipients; as if there was a new group, if no decision is given."""
    return taking.take(
        state,
        decision or Decision(reason="new"),
        message_id=name,
        policy=policy,
        now=now,
        audience=Audience(to=to),
        owed=to,
        **fields,
    )


def report(
    state: State, policy: Policy, now: float, *accepted: str, name: str = "<m>", **fields: Any
) -> None:
    """Report the outcome of an attempt; the fields are those of `Report`."""
    made = Report(message_id=name, accepted=accepted, **fields)
    outcome.report(state, made, policy, now)


def size(state: State) -> int:
    """Return how many bytes a state has in a store."""
    return len(dump(state))


def stored(state: State) -> State:
    """Return the state that another leader reads."""
    return load(State, dump(state))
