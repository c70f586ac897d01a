"""Asking while the model knows too little for its own doubts to mean anything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil, isfinite

from stream_al.strategies.base import Decision, QueryStrategy, State, require_share
from stream_al.strategies.budgeted import Budgeted
from stream_al.uncertainty import Scores

RULES = ("all", "random", "none")


@dataclass(frozen=True, slots=True)
class ColdStart(QueryStrategy):
    """Ask by a rule of its own until the model has learned ``examples`` and two classes, then as ``then``.

    An empty model answers nothing, and a model of one class is certain of it, so the usual strategies would
    ask everything or never again (`river.active` does the latter). The rules:

    - ``"all"``: ask every event until ``examples`` were asked.
    - ``"random"``: ask ``share`` of the events, until ``examples`` were asked.
    - ``"none"``: no cold start; ``then`` decides from the first event.

    Labels come late, so there is a wait between the last of these queries and the time they are learned.
    Meanwhile a strategy with a budget goes on by itself; for one without, ``share`` of the events are asked.

    Cost: nothing once it is over. Budget: the queries are charged to ``then``, which repays them if it has a
    budget; a window may exceed it by ``examples`` more.
    """

    then: QueryStrategy = field(default_factory=Budgeted)
    examples: int = 50
    rule: str = "all"
    share: float = 0.1
    asks: int | None = None
    """How many queries it asks at most, when not ``examples``: several parts of a stream share the task."""

    def __post_init__(self) -> None:
        require_share("share", self.share)
        if self.rule not in RULES:
            raise ValueError(f"rule = {self.rule!r}: must be one of {', '.join(RULES)}")
        if self.examples < 0:
            raise ValueError(f"examples = {self.examples!r}: must not be negative")

    def start(self) -> State:
        """Return (queries asked by the cold start, then the state of ``then``)."""
        return (0, *self.then.start())

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        asked, *rest = state
        cold = self.rule != "none" and (scores.version < self.examples or scores.classes < 2)
        waiting = asked >= (self.examples if self.asks is None else self.asks)
        if not cold or (waiting and isfinite(self.then.slack())):
            decision, after = self.then.decide(scores, tuple(rest), draw)
            return decision, (asked, *after)
        propensity = 1.0 if self.rule == "all" and not waiting else self.share
        if draw >= propensity:
            return Decision(False, 1.0, None, propensity, "none"), state
        decision = Decision(True, 1.0, None, propensity, "cold-start")
        return decision, (asked + 1, *self.then.charge(tuple(rest)))

    def charge(self, state: State) -> State:
        """Charge the query to ``then``."""
        return (state[0], *self.then.charge(state[1:]))

    def alarmed(self, state: State) -> State:
        """Tell ``then``."""
        return (state[0], *self.then.alarmed(state[1:]))

    def divided(self, parts: int) -> QueryStrategy:
        """Divide the questions, not the examples: those all parts learn from."""
        asks = ceil((self.examples if self.asks is None else self.asks) / parts)
        return replace(self, then=self.then.divided(parts), asks=asks)

    def rate(self) -> float:
        """Return the rate of ``then``."""
        return self.then.rate()

    def slack(self) -> float:
        """Return the slack of ``then``, and the cold start's own queries."""
        return self.then.slack() + (self.examples if self.asks is None else self.asks)
