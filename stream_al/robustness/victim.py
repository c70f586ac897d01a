"""The model under attack: asked about many changed versions of one event, and how often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream_al.errors import ModelError, RecordError
from stream_al.model import Model
from stream_al.records import ClassLabel, Features
from stream_al.robustness.space import Space, values_of
from stream_al.uncertainty import Scores

Floats = npt.NDArray[np.float64]
_LEAST: float = 1e-300
"""Probabilities below count as this, so that their logarithm is finite."""


@dataclass(frozen=True, slots=True)
class Change:
    """One feature before and after, and its share (0 to 1) in what the change did."""

    name: str
    before: float
    after: float
    effect: float


@dataclass(frozen=True, slots=True)
class Fooled:
    """An event that was changed until the model answered something else."""

    event_id: str
    features: Features
    """The event as it was."""
    before: Scores
    after: Scores
    changes: tuple[Change, ...]
    size: float
    """The greatest change of any feature, in spreads."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of an attack on one event."""

    fooled: Fooled | None
    calls: int
    """How often the model was asked."""
    flat: bool = False
    """Whether there was no slope to follow."""


@dataclass(slots=True, eq=False)
class Victim:
    """One event, and the model that answers its changed versions.

    Parameters
    ----------
    model
        The model; scoring does not change it.
    event_id, features
        The event.
    space
        What may be changed; see `Space.around`.
    target
        The class that the model is to answer; any other than now when not given.

    Raises
    ------
    ModelError
        When the model has no answer to the event, so that there is nothing to change.
    """

    model: Model
    event_id: str
    features: Features
    space: Space
    target: ClassLabel | None = None
    calls: int = 0
    own: Floats = field(init=False)
    before: Scores = field(init=False)

    def __post_init__(self) -> None:
        self.space = self.space.around(self.features)
        self.own = values_of(self.features, self.space.names)
        self.before = self.model.score(self.features)
        if self.before.label is None:
            raise ModelError(
                f"event {self.event_id}: the model has no answer to it; teach it at least one example, and give it "
                "the features it was taught with"
            )

    def answers(self, vectors: Sequence[Floats] | Floats) -> list[Scores]:
        """Return the model's answers to the event with these values of the space's features."""
        names = self.space.names
        events = [dict(self.features) | dict(zip(names, map(float, row), strict=True)) for row in vectors]
        self.calls += len(events)
        found: list[Scores] = []
        for answer in self.model.score_all(events):
            if isinstance(answer, RecordError):
                raise answer
            found.append(answer)
        return found

    def is_fooled(self, answer: Scores) -> bool:
        """Tell whether this answer is what the attack is after."""
        if self.target is not None:
            return answer.label == self.target
        return answer.label is not None and answer.label != self.before.label

    def lead(self, answer: Scores) -> float:
        """Return by how much (in logarithms of probability) the model still answers as it should."""
        shares = answer.probabilities
        if self.target is not None:
            wanted = shares.get(self.target, 0.0)
            other = max((p for label, p in shares.items() if label != self.target), default=0.0)
            return logarithm(other) - logarithm(wanted)
        other = max((p for label, p in shares.items() if label != self.before.label), default=0.0)
        return logarithm(shares.get(self.before.label, 0.0)) - logarithm(other)

    def least(self, path: Callable[[float], Floats], sizes: Floats) -> tuple[float, Floats, Scores] | None:
        """Return the smallest size along a path at which the model is fooled, to a thousandth of it.

        The first of the sizes given that fools it, and the one before it, are brought together by halving.
        """
        answers = self.answers([path(size) for size in sizes])
        first = next((place for place, answer in enumerate(answers) if self.is_fooled(answer)), None)
        if first is None:
            return None
        high, answer = float(sizes[first]), answers[first]
        low = float(sizes[first - 1]) if first else 0.0
        while high - low > 1e-3 * high and high > 1e-12:
            middle = (low + high) / 2.0
            (tried,) = self.answers([path(middle)])
            if self.is_fooled(tried):
                high, answer = middle, tried
            else:
                low = middle
        return high, path(high), answer

    def fooled(self, after: Floats, answer: Scores, effects: Floats) -> Fooled:
        """Return the record of a change that fools the model; ``effects`` need not add up to 1."""
        moved = np.flatnonzero(after != self.own)
        total = float(np.sum(effects[moved]))
        changes = tuple(
            Change(
                self.space.names[place],
                float(self.own[place]),
                float(after[place]),
                float(effects[place]) / total if total > 0.0 else 1.0 / len(moved),
            )
            for place in moved
        )
        size = self.space.size(self.own, after)
        return Fooled(self.event_id, self.features, self.before, answer, changes, size)


def logarithm(probability: float) -> float:
    """Return the logarithm of a probability, finite also of 0."""
    return float(np.log(max(probability, _LEAST)))
