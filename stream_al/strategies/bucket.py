"""The token bucket that holds a share of the events, and what strategies that spend from one have in common."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from stream_al.strategies.base import Decision, QueryStrategy, State, require_share


class Bucketed(QueryStrategy):
    """A strategy that asks about the ``budget`` share of events, by a token bucket.

    An event earns ``budget`` tokens, a query costs one, and no more than ``burst`` are saved. Exploration may
    overdraw the bucket by as much, so that every event has a chance in any but the worst stretch. Queries put on the
    account (`charge`) are a loan, repaid with half of what is earned.

    The state is (a number of the strategy's own, tokens, debt). Budget: in any window of n events at most
    ``budget·n + slack()`` queries, whatever the model says.

    Parameters
    ----------
    budget
        The share of events that may be asked.
    explore
        The share of events asked at random; a tenth of the budget unless told. Must not be above the budget.
    burst
        How many unspent queries are saved for a stretch where many are worth asking.
    """

    budget: float
    explore: float | None
    burst: int

    def __post_init__(self) -> None:
        require_share("budget", self.budget)
        require_share("explore", self.explore or 0.0, most=self.budget)
        if self.burst < 1:
            raise ValueError(f"burst = {self.burst!r}: must be at least 1")

    def earn(self, state: State) -> tuple[float, float]:
        """Return the tokens and the debt after an event has earned its share."""
        _, tokens, debt = state
        earned = self.budget
        if debt > 0.0:
            earned /= 2
            debt = max(0.0, debt - earned)
        return min(tokens + earned, float(self.burst)), debt

    def unknown(self, tokens: float) -> float:
        """Return the propensity of an event while the model knows fewer than two classes: its doubts mean nothing."""
        return self.budget if tokens >= 1.0 else 0.0

    def allowed(self, rule: float, tokens: float) -> tuple[float, str]:
        """Return the propensity and the reason, given what the strategy's rule would ask with, and the tokens."""
        explore = self.budget / 10 if self.explore is None else self.explore
        if tokens >= 1.0 and rule > explore:
            return rule, "uncertain"
        if tokens > -self.burst:
            return explore, "explore"
        return 0.0, "none"

    def charge(self, state: State) -> State:
        """Add one query to the loan."""
        level, tokens, debt = state
        return (level, tokens, debt + 1.0)

    def divided(self, parts: int) -> QueryStrategy:
        """Divide what may be saved."""
        return replace(self, burst=ceil(self.burst / parts))  # type: ignore[type-var]

    def rate(self) -> float:
        """Return the budget."""
        return self.budget

    def slack(self) -> float:
        """Return the bound: a full bucket spent, and as much again that exploration may overdraw it."""
        return 2.0 * self.burst + 1.0


def settled(
    utility: float,
    threshold: float | None,
    propensity: float,
    reason: str,
    draw: float,
    after: State,
) -> tuple[Decision, State]:
    """Return the decision at this draw, and the state with its query paid for."""
    level, tokens, debt = after
    if draw < propensity:
        return Decision(True, utility, threshold, propensity, reason), (level, tokens - 1.0, debt)
    return Decision(False, utility, threshold, propensity, "none"), after
