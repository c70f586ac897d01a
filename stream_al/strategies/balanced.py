"""Asking evenly across the classes: where one is rare, its doubtful events are worth more."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Final

from stream_al.strategies.base import Decision, State
from stream_al.strategies.bucket import Bucketed, settled
from stream_al.strategies.quotas import code_of
from stream_al.uncertainty import Scores

_STEP: Final = 0.5
"""How far, in log-odds, one event moves the threshold; as `Budgeted`."""
_FURTHEST: Final = 12.0
"""The log-odds stay within ±12, as `Budgeted`."""
REMEMBERED: Final = 64
"""How many of its last queries it counts the classes of."""
_CODES: Final = 1 << 12
"""Of a class it remembers 12 bits of a hash, four digits of its state; classes that share them share a count."""


@dataclass(frozen=True, slots=True)
class Balanced(Bucketed):
    """Ask about the ``budget`` share of events with the highest utility, that of a class lately asked about being less.

    Rule: the utility is 1 − margin, its odds divided by how often the predicted class was among the last `REMEMBERED`
    queries, as a multiple of an equal share (with one query more of each class, so that none is worth infinitely
    much). The threshold and the budget are those of `Budgeted`. Where the model predicts a class that is rarely asked
    about, a lesser doubt suffices; where one class takes all the queries, only its greatest doubts are asked about.

    That errors on rare classes should be asked about more readily, by what is predicted, is the asymmetric query of
    Zhang, Yang & Srinivasan (2016), "Online asymmetric active learning with imbalanced data", KDD, doi
    10.1145/2939672.2939854, for two classes and a rate for each that is given; here the rates follow from
    the queries. Ertekin, Huang, Bottou & Giles (2007), "Learning on the border", CIKM, doi 10.1145/1321440.1321461,
    found that queries near the boundary are already more balanced than the data: what is gained is what is left.

    It goes by predictions: a class that the model never predicts gains nothing.

    Cost: that of `Budgeted` and a look through 64 numbers; a hash a class. Budget: as `Bucketed`.

    Parameters
    ----------
    budget, explore, burst
        As `Bucketed` has them.

    Examples
    --------
    >>> from stream_al.uncertainty import scores
    >>> strategy = Balanced(explore=0.0)
    >>> common, rare = scores({"ham": 0.6, "spam": 0.4}, 100), scores({"ham": 0.4, "spam": 0.6}, 100)
    >>> state = strategy.start()
    >>> for event in range(30):
    ...     _, state = strategy.decide(common, state, 0.5)
    >>> [round(strategy.decide(answer, state, 0.5)[0].utility, 2) for answer in (common, rare)]
    [0.7, 0.93]
    """

    budget: float = 0.1
    explore: float | None = None
    burst: int = 20

    def start(self) -> State:
        """Return (threshold in log-odds, tokens, debt, then the classes last asked about, 0 where there is none yet)."""
        return (0.0, self.burst / 2 if self.budget else 0.0, 0.0, *[0] * REMEMBERED)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        level, asked = state[0], state[3:]
        tokens, debt = self.earn(state[:3])
        threshold = 1.0 / (1.0 + exp(-level))
        if scores.classes < 2:
            unknown = self.unknown(tokens)
            decision, after = settled(1.0, threshold, unknown, "cold-start", draw, (level, tokens, debt))
            return decision, (*after, *asked)
        code = code_of(scores.label) % (_CODES - 1) + 1
        utility = 1.0 - scores.margin
        if utility != utility:
            utility = 1.0  # NaN: nothing is known, which is worth asking about
        elif utility > 0.0:
            known = REMEMBERED - asked.count(0)
            often = scores.classes * (asked.count(code) + 1) / (known + scores.classes)
            utility /= utility + (1.0 - utility) * often
        worth = utility > threshold
        aim = self.budget * (0.5 + max(tokens, 0.0) / self.burst)
        level = min(max(level + _STEP * (worth - aim), -_FURTHEST), _FURTHEST)
        propensity, reason = self.allowed(float(worth), tokens)
        decision, after = settled(utility, threshold, propensity, reason, draw, (level, tokens, debt))
        if decision.ask:
            asked = (*asked[1:], code)
        return decision, (*after, *asked)

    def charge(self, state: State) -> State:
        """Add one query to the loan."""
        level, tokens, debt, *asked = state
        return (level, tokens, debt + 1.0, *asked)
