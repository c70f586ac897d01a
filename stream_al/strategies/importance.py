"""Asking with a probability, and learning each label as what it stands for: the stream, not what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stream_al.strategies.base import Weigher
from stream_al.strategies.bucket import Bucketed
from stream_al.strategies.selective import Selective

_COLD: Final = ("cold-start", "representative")
"""The reasons of queries that a cold start asks."""


@dataclass(frozen=True, slots=True)
class Importance(Selective):
    """Ask as `Selective`, and learn each label with weight ``budget`` / propensity.

    Importance-weighted active learning (IWAL): Beygelzimer, Dasgupta & Langford (2009), ICML, doi
    10.1145/1553374.1553381; Beygelzimer, Hsu, Langford & Zhang (2010), "Agnostic active learning without constraints",
    NIPS 23. Labels chosen by doubt are no fair sample, and a model fitted to them is fitted to what was asked. An event
    asked with probability p and learned with weight 1 / p counts, in expectation over the draws, as if every event had
    been learned once. Here that is multiplied by the budget, so that a label weighs 1 in the mean. ``explore`` is the
    p_min of the papers: no event is asked with less, so no label weighs more than ``budget`` / ``explore``, ten unless told.

    Their p follows from how much two hypotheses that are still possible differ on the event, which takes a search over
    hypotheses; here it is that of `Selective`, from the margin. That the weighted labels stand for the stream rests on
    p being known, not on how it was chosen. It does not extend to events that have no chance: those that come while the
    bucket is overdrawn as far as it may be, or that a limit holds back. Queries of a cold start, when the model's doubts
    mean nothing yet, weigh 1.

    What it gives is a model that is fitted to the stream; what it costs is most of what asking by doubt gains
    (`docs/label-efficiency.md`). The model must learn with weights: `ActiveLearner` refuses one that does not.

    Cost and budget: those of `Selective`.

    Parameters
    ----------
    budget, burst
        As `Bucketed` has them.
    explore
        The least probability that an event is asked with, above 0; a tenth of the budget unless told.

    Examples
    --------
    >>> weigh = Importance(budget=0.1).weigher()
    >>> [round(weigh(propensity, "uncertain"), 2) for propensity in (0.01, 0.1, 0.5)]
    [10.0, 1.0, 0.2]
    """

    def __post_init__(self) -> None:
        Bucketed.__post_init__(self)
        if self.explore == 0.0 and self.budget:
            raise ValueError(
                "explore = 0.0: a label could weigh without bound; give the least probability to ask with"
            )

    def weigher(self) -> Weigher:
        """Return ``budget`` / propensity; 1 for queries of a cold start."""
        budget = self.budget
        return lambda propensity, reason: 1.0 if reason in _COLD else budget / propensity
