"""Asking at random: the baseline, and the only sample that is unbiased by itself."""

from __future__ import annotations

from dataclasses import dataclass

from stream_al.strategies.base import Decision, QueryStrategy, State, require_share
from stream_al.uncertainty import Scores


@dataclass(frozen=True, slots=True)
class Random(QueryStrategy):
    """Ask each event with probability ``budget``, whatever the model says.

    Rule: draw < budget. Cost: one comparison. Budget: held on average, as coin flips do, not in every window.
    The utility recorded is 1 − margin, so that the open queries can still be ordered.
    """

    budget: float = 0.1

    def __post_init__(self) -> None:
        require_share("budget", self.budget)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        ask = draw < self.budget
        utility = 1.0 - scores.margin
        if utility != utility:
            utility = 1.0  # NaN: nothing is known
        return Decision(ask, utility, None, self.budget, "random" if ask else "none"), state

    def rate(self) -> float:
        """Return the budget."""
        return self.budget
