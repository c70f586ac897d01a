"""A threshold that goes down with every question and up with every event that was not worth one."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import Final

from stream_al.strategies.base import Decision, State
from stream_al.strategies.bucket import Bucketed, settled
from stream_al.uncertainty import Scores

_ROOT: Final = sqrt(2.0)
_LEAST: Final = 1e-3
"""The lowest threshold: below the confidence in the likeliest of a thousand classes nothing ever is."""


@dataclass(frozen=True, slots=True)
class VariableUncertainty(Bucketed):
    """Ask when the confidence is below a threshold that moves a little with every event.

    Žliobaitė, Bifet, Pfahringer & Holmes (2014), "Active learning with drifting streaming data", IEEE TNNLS 25(1),
    doi 10.1109/TNNLS.2012.2236570. Rule (their algorithm 3): while the budget allows a question, ask when the confidence is
    below the threshold, which then becomes (1 − ``step``) times what it was; if it is not below, (1 + ``step``) times. So it
    goes where the most doubtful events of the moment are, and asks whenever it may.

    With a ``spread``, it is their randomised variable uncertainty: the threshold is multiplied, for each event, by a
    normal variable of mean 1 and this standard deviation (they use 1), so that no event is safe from being asked. The
    event's own draw decides, so that the propensity is exact: Φ((1 − confidence / threshold) / spread).

    Their third strategy, Split, keeps a share ν of the events for questions at random. That is ``explore = ν·budget``
    here, but that the events it keeps are offered to the rule as well.

    Differences: their budget is an estimate over a window of 100 events that exceeds budgets of a few percent (1.4 % for
    1 % asked); ours is the bucket of all our strategies. Theirs does not explore; ``explore = 0`` does not either.

    Cost: a multiplication; with a spread, an error function. Budget: as `Bucketed`.

    Parameters
    ----------
    budget, explore, burst
        As `Bucketed` has them.
    step
        By which share the threshold moves with an event.
    spread
        The standard deviation of the factor on the threshold; 0 is a threshold that is what it is.
    """

    budget: float = 0.1
    step: float = 0.01
    spread: float = 0.0
    explore: float | None = None
    burst: int = 20

    def __post_init__(self) -> None:
        Bucketed.__post_init__(self)
        if not 0.0 < self.step < 1.0:
            raise ValueError(f"step = {self.step!r}: must be between 0 and 1")
        if not 0.0 <= self.spread <= 10.0:
            raise ValueError(f"spread = {self.spread!r}: must be from 0 to 10")

    def start(self) -> State:
        """Return (threshold, tokens, debt)."""
        return (1.0, self.burst / 2 if self.budget else 0.0, 0.0)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        level = state[0]
        tokens, debt = self.earn(state)
        if scores.classes < 2:
            unknown = self.unknown(tokens)
            return settled(1.0, 1.0 - level, unknown, "cold-start", draw, (level, tokens, debt))
        confidence = scores.confidence
        if confidence != confidence:
            confidence = 0.0  # NaN: nothing is known, which is worth asking about
        rule = float(confidence < level)
        if self.spread:
            rule = 0.5 * erfc((confidence / level - 1.0) / (self.spread * _ROOT))
        propensity, reason = self.allowed(rule, tokens)
        after = level
        if tokens >= 1.0:  # theirs looks at an event only while the budget allows a question
            after *= 1.0 - self.step if draw < rule else 1.0 + self.step
            after = min(max(after, _LEAST), 1.0 + self.step)
        return settled(1.0 - confidence, 1.0 - level, propensity, reason, draw, (after, tokens, debt))
