"""How unsure a probability mapping is. Functions from class probabilities to one number.

Settles, *Active Learning Literature Survey* (2009), section 3.1, is the source of the three classic
measures. `UTILITIES` turns each into a utility in [0, 1], higher meaning that a label is worth more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import log
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stream_al.records import ClassLabel

if TYPE_CHECKING:
    from stream_al.about import About

CHANGE: Final = "expected-change"
COMMITTEE: Final = "committee"
FRAGILITY: Final = "fragility"
SKETCH: Final = "sketch"
DISTANCE: Final = "distance"
"""What a strategy may want of the model besides its answer (`stream_al.insight`)."""
ABOUT: Final = "about"
"""What a strategy looks at that decides about the event itself (`Scores.about`)."""
SKETCH_BITS: Final = 24


class Scores(msgspec.Struct, frozen=True, gc=False):
    """A model's answer to one event.

    ``probabilities`` is in the order of the sorted classes, and empty while the model knows nothing;
    ``version`` is the number of examples folded, ``classes`` the number of classes among them.
    """

    probabilities: Mapping[Any, float]
    label: ClassLabel | None
    confidence: float
    margin: float
    version: int
    classes: int
    worth: float | None = None
    """What the model itself thinks a label is worth, from 0 to 1; where the strategy wants it (`stream_al.insight`)."""
    sketch: int | None = None
    """A few bits that near events have in common; where the strategy wants it."""
    distance: float | None = None
    """How far the event is from what was learned, in spreads; where the strategy wants it."""
    about: About | None = None
    """The event itself, where the strategy looks at it."""

    def looked(self, wants: Collection[str]) -> Scores:
        """Return the same answer with what only the model can tell of this event; without, where nobody can be asked."""
        if self.about is None:
            return self
        return self.about.look(self.about.event.features, self, wants)

    def as_if_sure(self) -> Scores:
        """Return the same answer, but without doubt."""
        return msgspec.structs.replace(
            self,
            probabilities={self.label: 1.0},
            confidence=1.0,
            margin=1.0,
            worth=None if self.worth is None else 0.0,
        )


def scores(probabilities: Mapping[Any, float], version: int = 0, classes: int | None = None) -> Scores:
    """Rank a probability mapping whose classes are in sorted order.

    Of equally probable classes the first wins, so the answer does not depend on how a model came by them.

    Examples
    --------
    >>> found = scores({"a": 0.25, "b": 0.25, "c": 0.5})
    >>> found.label, found.confidence, found.margin
    ('c', 0.5, 0.25)
    >>> scores({}).label is None
    True
    """
    best = second = -1.0
    label: ClassLabel | None = None
    for candidate, probability in probabilities.items():
        if probability > best:
            second = best
            best = probability
            label = candidate
        elif probability > second:
            second = probability
    if second < 0.0:  # fewer than two classes
        second = 0.0
        if best < 0.0:
            best = 0.0
    return Scores(
        probabilities, label, best, best - second, version, len(probabilities) if classes is None else classes
    )


def confidence(probabilities: Mapping[Any, float]) -> float:
    """Return the probability of the most probable class; 0 when there is none.

    Examples
    --------
    >>> confidence({"a": 0.4, "b": 0.55, "c": 0.05})
    0.55
    """
    return max(probabilities.values(), default=0.0)


def margin(probabilities: Mapping[Any, float]) -> float:
    """Return how far the most probable class is ahead of the second; 0 when there is none.

    Examples
    --------
    >>> round(margin({"a": 0.4, "b": 0.55, "c": 0.05}), 2)
    0.15
    """
    return scores(probabilities).margin


def entropy(probabilities: Mapping[Any, float]) -> float:
    """Return Shannon's entropy divided by its maximum, log(number of classes): from 0 to 1.

    An empty mapping is complete ignorance, 1; a single class is certainty, 0.

    Examples
    --------
    >>> entropy({"a": 0.5, "b": 0.5})
    1.0
    >>> entropy({}), entropy({"a": 1.0})
    (1.0, 0.0)
    """
    if len(probabilities) < 2:
        return 0.0 if probabilities else 1.0
    total = 0.0
    for probability in probabilities.values():
        if probability > 0.0:
            total -= probability * log(probability)
        elif probability != probability:
            return 1.0  # NaN: nothing is known
    return min(1.0, total / log(len(probabilities)))


UTILITIES: Final[Mapping[str, Callable[[Scores], float]]] = {
    "least-confidence": lambda answer: 1.0 - answer.confidence,
    "margin": lambda answer: 1.0 - answer.margin,
    "entropy": lambda answer: entropy(answer.probabilities),
}
"""By name, how much a label would be worth: 1 − confidence, 1 − margin, entropy."""


def _told(answer: Scores) -> float:
    """Return what the model told; where it was not asked, nothing is known."""
    return 1.0 if answer.worth is None else answer.worth


FROM_MODEL: Final[Mapping[str, Callable[[Scores], float]]] = {
    CHANGE: _told,
    COMMITTEE: _told,
    FRAGILITY: _told,
}
"""By name, the utilities that probabilities do not tell: the model computes them for strategies that want them."""
