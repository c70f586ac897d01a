"""Not asking again what was just asked: near-duplicates of the last queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec

from stream_al.strategies.base import Decision, QueryStrategy, State
from stream_al.uncertainty import SKETCH, Scores

MOST: Final = 32
"""How many queries can be remembered: 320 bytes of the state."""
_NEAR: Final = 1
"""Of 24 bits, how many may differ: at angles below 7 or 8 degrees most pairs differ in no more."""


@dataclass(frozen=True, slots=True)
class Apart(QueryStrategy):
    """Ask as ``then``, but not because of doubt where one of the last ``queries`` was nearly the same event.

    While an answer is on its way, everything like the event asked about looks as doubtful as it did, and would be asked
    about as well: labels for one lesson. Rule: an event whose sketch (`stream_al.insight.sketch`, of the features as the
    model sees them) differs in at most one bit of 24 from that of one of the last ``queries`` is shown to ``then`` as if
    the model were sure of it. So ``then`` asks about something else, its budget goes on as ever, and such an
    event keeps the chance that exploration gives it. That queries should differ from each other, not only be doubtful, is
    Brinker (2003), "Incorporating diversity in active learning with support vector machines", ICML.

    The features must be on one scale, so give the model a scaler. Which queries are open it does not know: set ``queries``
    to about how many usually are, budget × events that an answer takes.

    Cost: a sketch (10 µs with ten features) and a look through the last ones. Budget: that of ``then``.

    Parameters
    ----------
    then
        The strategy.
    queries
        How many of the last are remembered, `MOST` at most.
    """

    then: QueryStrategy
    queries: int = MOST

    def __post_init__(self) -> None:
        if not 1 <= self.queries <= MOST:
            raise ValueError(f"queries = {self.queries!r}: must be from 1 to {MOST}")

    def wants(self) -> frozenset[str]:
        """Return the sketch, and what ``then`` wants."""
        return self.then.wants() | {SKETCH}

    def start(self) -> State:
        """Return (the state of ``then``, the sketches of the last queries and 1, 0 where there is none yet)."""
        return (*self.then.start(), *[0] * self.queries)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        inner, asked = state[: -self.queries], state[-self.queries :]
        told, after = self.then.decide(scores, inner, draw)
        mine, label = scores.sketch, scores.label
        if mine is None or label is None:
            return told, (*after, *asked)
        if any(it and (mine ^ int(it) - 1).bit_count() <= _NEAR for it in asked):
            decision, after = self.then.decide(scores.as_if_sure(), inner, draw)
            told = msgspec.structs.replace(decision, utility=told.utility, threshold=told.threshold)
        if told.ask:
            asked = (*asked[1:], mine + 1)
        return told, (*after, *asked)

    def charge(self, state: State) -> State:
        """Charge the query to ``then``."""
        return (*self.then.charge(state[: -self.queries]), *state[-self.queries :])

    def alarmed(self, state: State) -> State:
        """Tell ``then``."""
        return (*self.then.alarmed(state[: -self.queries]), *state[-self.queries :])

    def divided(self, parts: int) -> QueryStrategy:
        """Divide ``then`` and what is remembered."""
        return replace(self, then=self.then.divided(parts), queries=-(-self.queries // parts))

    def rate(self) -> float:
        """Return the rate of ``then``."""
        return self.then.rate()

    def slack(self) -> float:
        """Return the slack of ``then``."""
        return self.then.slack()
