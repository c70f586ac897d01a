"""Asking about the most useful share of events, and no more than that share."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from stream_al.strategies.base import Decision, State
from stream_al.strategies.bucket import Bucketed
from stream_al.uncertainty import FROM_MODEL, UTILITIES, Scores

_STEP = 0.5
"""How far, in log-odds, one event moves the threshold. 0.3 to 1 did best on three data sets."""
_FURTHEST = 12.0
"""The log-odds stay within ±12, utilities from 6e-6 to 1 − 6e-6, so that no plateau takes long to leave."""

_UTILITIES = {**UTILITIES, **FROM_MODEL}


@dataclass(frozen=True, slots=True)
class Budgeted(Bucketed):
    """Ask about the ``budget`` share of events with the highest utility, and explore a little.

    Rule: ask when the utility is above a threshold that tracks the (1 − budget) quantile of the utilities
    seen lately, by stochastic approximation in log-odds (Robbins & Monro 1951), so that it adapts equally
    fast where a model is always sure and where it never is. A token bucket holds the budget: an event earns
    ``budget`` tokens, a query costs one, and no more than ``burst`` are saved; the fuller the bucket, the
    lower the threshold aims. ``explore`` of all events are asked by their draw alone, whatever the model
    says, from the same bucket, so that regions where the model is confidently wrong are still seen.

    While the model knows fewer than two classes, its utilities mean nothing: ``budget`` of the events are
    asked at random.

    Cost: one exponential. Budget: in any window of n events at most ``budget·n + slack()`` queries,
    whatever the model says.

    Parameters
    ----------
    budget
        The share of events that may be asked.
    utility
        ``"least-confidence"``, ``"margin"`` or ``"entropy"``; or what only the model can tell (`stream_al.insight`):
        ``"expected-change"`` or ``"fragility"`` of a linear model, or the disagreement of a ``"committee"`` (an ensemble).
    explore
        The share of events asked at random; a tenth of the budget unless told. Must be below the budget.
    burst
        How many unspent queries are saved for a stretch where many are worth asking.
    """

    budget: float = 0.1
    utility: str = "margin"
    explore: float | None = None
    burst: int = 20

    def __post_init__(self) -> None:
        Bucketed.__post_init__(self)
        if self.utility not in _UTILITIES:
            raise ValueError(f"utility = {self.utility!r}: must be one of {', '.join(_UTILITIES)}")

    def wants(self) -> frozenset[str]:
        """Return the utility, where only the model can tell it."""
        return frozenset({self.utility} & FROM_MODEL.keys())

    def start(self) -> State:
        """Return (threshold in log-odds, tokens, debt)."""
        return (0.0, self.burst / 2 if self.budget else 0.0, 0.0)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        # What `Bucketed` does in calls is spelled out here, as this is on the path of every event.
        level, tokens, debt = state
        earned = budget = self.budget
        if debt > 0.0:
            earned = budget / 2
            debt = max(0.0, debt - earned)
        burst = self.burst
        tokens += earned
        if tokens > burst:
            tokens = float(burst)
        threshold = 1.0 / (1.0 + exp(-level))
        if scores.classes < 2:
            utility = 1.0
            propensity = budget if tokens >= 1.0 else 0.0
            reason = "cold-start"
        else:
            utility = 1.0 - scores.margin if self.utility == "margin" else _UTILITIES[self.utility](scores)
            if utility != utility:
                utility = 1.0  # NaN: nothing is known, which is worth asking about
            worth = utility > threshold
            # Aim at the budget when the bucket is half full, at more when fuller, at less when emptier.
            aim = budget * (0.5 + tokens / burst) if tokens > 0.0 else budget * 0.5
            level += _STEP * (worth - aim)
            if not -_FURTHEST < level < _FURTHEST:
                level = _FURTHEST if level > 0.0 else -_FURTHEST
            if worth and tokens >= 1.0:
                propensity, reason = 1.0, "uncertain"
            elif tokens > -burst:
                propensity = budget / 10 if self.explore is None else self.explore
                reason = "explore"
            else:
                propensity, reason = 0.0, "none"
        if draw < propensity:
            return Decision(True, utility, threshold, propensity, reason), (level, tokens - 1.0, debt)
        return Decision(False, utility, threshold, propensity, "none"), (level, tokens, debt)
