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

    - ``"all"``: ask every event until ``examples`` were asked (or ``asks``).
    - ``"random"``: ask ``share`` of the events, until ``examples`` were asked (or ``asks``).
    - ``"none"``: no cold start; ``then`` decides from the first event.

    Labels come late, so there is a wait between the last of these queries and the time they are learned.
    Meanwhile a strategy with a budget goes on by itself; for one without, ``share`` of the events are asked.

    With ``asks`` above ``examples`` it goes on asking while the answers are on their way, until ``examples`` of
    them were learned or ``asks`` were asked: nothing is lost where labels come at once, and where they are late
    the model begins with what it would otherwise wait for at the pace of the budget (`while_late`).

    Cost: nothing once it is over. Budget: the queries are charged to ``then``, which repays them if it has a
    budget; a window may exceed it by the most it asks.

    Examples
    --------
    >>> from stream_al.uncertainty import scores
    >>> strategy = ColdStart(Budgeted(0.01), examples=2, asks=3)
    >>> state, asked = strategy.start(), []
    >>> for event in range(5):  # no label arrives
    ...     decision, state = strategy.decide(scores({}), state, 0.9)
    ...     asked.append(decision.ask)
    >>> asked
    [True, True, True, False, False]
    """

    then: QueryStrategy = field(default_factory=Budgeted)
    examples: int = 50
    rule: str = "all"
    share: float = 0.1
    asks: int | None = None
    """How many queries it asks at most, when not ``examples``."""

    def __post_init__(self) -> None:
        require_share("share", self.share)
        if self.rule not in RULES:
            raise ValueError(f"rule = {self.rule!r}: must be one of {', '.join(RULES)}")
        for name in ("examples", "asks"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} = {getattr(self, name)!r}: must not be negative")

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


def while_late(examples: int, budget: float) -> int:
    """Return how many queries a cold start on a budget should ask at most, where labels may be late.

    What 2,000 events earn, and at least ``examples``; repaid after 4,000 events more. (`docs/label-efficiency.md`
    says what it gives.) Give less to a stream that is shorter than that: it would end before they are repaid.

    Examples
    --------
    >>> while_late(50, 0.1), while_late(50, 0.01)
    (200, 50)
    """
    return max(examples, round(2_000 * budget)) if examples else 0
