"""Not asking again what was just asked: near-duplicates of the last queries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from stream_al.strategies.base import Decision, QueryStrategy, State
from stream_al.strategies.budgeted import Budgeted
from stream_al.uncertainty import SKETCH, Scores

KEPT: Final = 32
"""How many queries are remembered at most: 320 bytes of the state."""
_NEAR: Final = 1
"""Of 24 bits, how many may differ: at angles below 7 or 8 degrees most pairs differ in no more."""


@dataclass(frozen=True, slots=True)
class Apart(QueryStrategy):
    """Ask as ``then``, but not because of doubt where nearly the same event was asked about within ``events`` events.

    While an answer is on its way, everything like the event asked about looks as doubtful as it did, and would be asked
    about as well: labels for one lesson. Rule: an event whose sketch (`stream_al.insight.sketch`, of the features as the
    model sees them) differs in at most one bit of 24 from that of a query of the last ``events`` events (of which the last
    `KEPT` are remembered) is shown to ``then`` as if the model were sure of it. So ``then`` asks about something else, its
    budget goes on as ever, and such an event keeps the chance that exploration gives it. That queries should differ from
    each other, not only be doubtful, is Brinker (2003), "Incorporating diversity in active learning with support vector
    machines", ICML.

    The features must be on one scale, so give the model a scaler; and there must be more than three or four, or
    everything is near to something and little is asked. Which queries are open it does not know: set ``events`` to how
    many an answer usually takes.

    Cost: a sketch (some 20 µs with ten features) and a look through the last ones. Budget: that of ``then``.

    Parameters
    ----------
    then
        The strategy.
    events
        For how many events a query is remembered at most.
    """

    then: QueryStrategy = field(default_factory=Budgeted)
    events: int = 500

    def __post_init__(self) -> None:
        if self.events < 1:
            raise ValueError(f"events = {self.events!r}: must be at least 1")

    def wants(self) -> frozenset[str]:
        """Return the sketch, and what ``then`` wants."""
        return self.then.wants() | {SKETCH}

    def start(self) -> State:
        """Return (the state of ``then``, events since a query was last forgotten, the queries' sketches and 1, or 0)."""
        return (*self.then.start(), 0, *[0] * KEPT)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        inner, passed, asked = state[: -KEPT - 1], state[-KEPT - 1] + 1, state[-KEPT:]
        if passed * KEPT >= self.events:  # so that none of so many is older than ``events``
            passed, asked = 0, (*asked[1:], 0)
        told, after = self.then.decide(scores, inner, draw)
        mine, label = scores.sketch, scores.label
        if mine is None or label is None:
            return told, (*after, passed, *asked)
        if any(it and is_near(mine, int(it) - 1) for it in asked):
            decision, after = self.then.decide(scores.as_if_sure(), inner, draw)
            told = msgspec.structs.replace(decision, utility=told.utility, threshold=told.threshold)
        if told.ask:
            asked = (*asked[1:], mine + 1)
        return told, (*after, passed, *asked)

    def charge(self, state: State) -> State:
        """Charge the query to ``then``."""
        return (*self.then.charge(state[: -KEPT - 1]), *state[-KEPT - 1 :])

    def alarmed(self, state: State) -> State:
        """Tell ``then``."""
        return (*self.then.alarmed(state[: -KEPT - 1]), *state[-KEPT - 1 :])

    def divided(self, parts: int) -> QueryStrategy:
        """Divide ``then``, and for how long a query is remembered."""
        return replace(self, then=self.then.divided(parts), events=max(1, self.events // parts))

    def rate(self) -> float:
        """Return the rate of ``then``."""
        return self.then.rate()

    def slack(self) -> float:
        """Return the slack of ``then``."""
        return self.then.slack()


def is_near(one: int, other: int) -> bool:
    """Tell whether two sketches are of nearly the same event.

    Examples
    --------
    >>> is_near(0b1011, 0b1010), is_near(0b1011, 0b1000)
    (True, False)
    """
    return (one ^ other).bit_count() <= _NEAR
