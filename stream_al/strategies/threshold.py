"""Fixed thresholds: ask when the model is less sure than a number that somebody chose."""

from __future__ import annotations

from dataclasses import dataclass

from stream_al.strategies.base import Decision, QueryStrategy, State, require_share
from stream_al.uncertainty import Scores, entropy


def _decide(utility: float, threshold: float, explore: float, draw: float) -> Decision:
    if utility != utility:
        utility = 1.0  # NaN: nothing is known, which is worth asking about
    if utility > threshold:
        return Decision(True, utility, threshold, 1.0, "uncertain")
    if draw < explore:
        return Decision(True, utility, threshold, explore, "explore")
    return Decision(False, utility, threshold, explore, "none")


@dataclass(frozen=True, slots=True)
class LeastConfidence(QueryStrategy):
    """Ask when the confidence (the probability of the likeliest class) is below ``threshold``.

    Rule: 1 − confidence > 1 − threshold. Cost: one comparison. Budget: none; how much is asked depends on the
    model. ``explore`` is the share of all other events asked at random, without which nothing honest can be
    said about the events the model is sure of (their propensity would be 0).

    Examples
    --------
    >>> from stream_al.uncertainty import scores
    >>> strategy = LeastConfidence(threshold=0.52)
    >>> a, b = scores({0: 0.4, 1: 0.55, 2: 0.05}), scores({0: 0.25, 1: 0.25, 2: 0.5})
    >>> [strategy.decide(s, (), 0.9)[0].ask for s in (a, b)]
    [False, True]
    """

    threshold: float = 0.7
    explore: float = 0.0

    def __post_init__(self) -> None:
        require_share("threshold", self.threshold)
        require_share("explore", self.explore)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        return _decide(1.0 - scores.confidence, 1.0 - self.threshold, self.explore, draw), state


@dataclass(frozen=True, slots=True)
class Margin(QueryStrategy):
    """Ask when the margin (first minus second probability) is below ``threshold``.

    Rule: 1 − margin > 1 − threshold. Cost, budget and ``explore``: as `LeastConfidence`.

    Examples
    --------
    >>> from stream_al.uncertainty import scores
    >>> strategy = Margin(threshold=0.2)
    >>> a, b = scores({0: 0.4, 1: 0.55, 2: 0.05}), scores({0: 0.25, 1: 0.25, 2: 0.5})
    >>> [strategy.decide(s, (), 0.9)[0].ask for s in (a, b)]
    [True, False]
    """

    threshold: float = 0.2
    explore: float = 0.0

    def __post_init__(self) -> None:
        require_share("threshold", self.threshold)
        require_share("explore", self.explore)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        return _decide(1.0 - scores.margin, 1.0 - self.threshold, self.explore, draw), state


@dataclass(frozen=True, slots=True)
class Entropy(QueryStrategy):
    """Ask when the entropy (as a share of its maximum) is above ``threshold``.

    Rule: entropy > threshold. Cost: a logarithm a class. Budget and ``explore``: as `LeastConfidence`.
    """

    threshold: float = 0.5
    explore: float = 0.0

    def __post_init__(self) -> None:
        require_share("threshold", self.threshold)
        require_share("explore", self.explore)

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        return _decide(entropy(scores.probabilities), self.threshold, self.explore, draw), state


@dataclass(frozen=True, slots=True)
class AnyOf(QueryStrategy):
    """Ask when any of several fixed thresholds asks: "margin or confidence below its threshold".

    All members see the same draw, so the propensity is the largest of theirs. The decision reported is that
    of the first member with this propensity.

    Examples
    --------
    >>> from stream_al.uncertainty import scores
    >>> strategy = AnyOf((LeastConfidence(0.5), Margin(0.2)))
    >>> strategy.decide(scores({"a": 0.55, "b": 0.45}), (), 0.9)[0].ask
    True
    """

    members: tuple[QueryStrategy, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        if not self.members or any(member.start() != () for member in self.members):
            raise ValueError("members: give one or more fixed thresholds (LeastConfidence, Margin, Entropy)")

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        """Decide about one event; see `QueryStrategy.decide`."""
        decisions = [member.decide(scores, (), draw)[0] for member in self.members]
        return max(decisions, key=lambda decision: decision.propensity), state
