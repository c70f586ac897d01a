"""Asking with a probability that falls as the model grows surer: every event keeps a chance."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Final

from stream_al.strategies.base import Decision, State
from stream_al.strategies.bucket import Bucketed, settled
from stream_al.uncertainty import Scores

_STEP: Final = 0.5
"""How far, in logarithms, an event moves the scale, at most; as `Budgeted`."""
_FURTHEST: Final = 12.0
"""Margins in log-odds, and the logarithm of the scale, are kept within ±12."""


@dataclass(frozen=True, slots=True)
class Selective(Bucketed):
    """Ask with probability b / (b + margin), the margin in log-odds.

    Cesa-Bianchi, Gentile & Zaniboni (2006), "Worst-case analysis of selective sampling for linear classification", JMLR 7,
    who prove for the perceptron that it errs, in expectation, no more than with all labels. Their b is fixed; here it is
    tracked by stochastic approximation, so that the mean probability is the budget. As in importance-weighted active
    learning (Beygelzimer, Dasgupta & Langford 2009, doi 10.1145/1553374.1553381), every event has a chance, and what a
    label stands for, 1 / propensity, is finite and recorded: estimates such as those of `docs/accuracy.md` need no more.
    The model learns the labels unweighted, as in the older paper.

    The margin in log-odds is log(first / second probability): the raw score of a logistic model, and of a softmax
    between its two best classes.

    Cost: two logarithms and an exponential. Budget: as `Bucketed`; while the bucket is empty only exploration asks.

    Parameters
    ----------
    budget, explore, burst
        As `Bucketed` has them.
    """

    budget: float = 0.1
    explore: float | None = None
    burst: int = 20

    def start(self) -> State:
        """Return (log b, tokens, debt)."""
        return (0.0, self.burst / 2 if self.budget else 0.0, 0.0)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        level = state[0]
        tokens, debt = self.earn(state)
        if scores.classes < 2:
            return settled(1.0, None, self.unknown(tokens), "cold-start", draw, (level, tokens, debt))
        utility = 1.0 - scores.margin
        if utility != utility:
            utility, apart = 1.0, 0.0  # NaN: nothing is known, which is worth asking about
        else:
            first, second = scores.confidence, scores.confidence - scores.margin
            apart = min(log(first / second), _FURTHEST) if second > 0.0 else _FURTHEST
        scale = exp(level)
        rule = scale / (scale + apart)
        aim = self.budget * (0.5 + max(tokens, 0.0) / self.burst)
        after = min(max(level + _STEP * (aim - rule), -_FURTHEST), _FURTHEST)
        propensity, reason = self.allowed(rule, tokens)
        return settled(utility, None, propensity, reason, draw, (after, tokens, debt))
