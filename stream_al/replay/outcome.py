"""What one strategy achieved on a stream: measured on its predictions alone, by the prequential rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from stream_al.records import ClassLabel, class_text

UNKNOWN = -1
"""The code of a true class that nobody knows, and of an answer that was none."""


class Point(NamedTuple):
    """A place on the learning curves, after ``events`` events of the stream."""

    events: int
    labels: int
    """Asked so far."""
    accuracy: float
    """Of all answers so far."""
    recent: float
    """Of the answers to the latest events (`Outcome.window` of them)."""


class Asked(NamedTuple):
    """A question as an example of what was asked and why."""

    number: int
    """Of the event, from 1."""
    event_id: str
    reason: str
    features: Mapping[str, Any]
    probabilities: Mapping[str, float]
    """What the model thought."""
    utility: float
    threshold: float | None
    truth: ClassLabel | None
    """What the answer was, or would have been."""


class _Answer(msgspec.Struct):
    label: str | int | bool | None
    queried: bool
    probabilities: dict[str, float] = {}
    confidence: float = 0.0


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one strategy achieved, in one run.

    An answer given before the model knew anything counts as wrong; an event whose true class nobody knows
    does not count. So the accuracies of all strategies are over the same events.

    Parameters
    ----------
    name, title
        Of the contender.
    classes
        All classes of the stream, sorted; what follows names them by their place here (`UNKNOWN`: none).
    truth, predicted
        For every event: the class it was, and the class the model said.
    chance
        For every event: the probability the model gave to the class it was; NaN where there was no answer.
    confidence
        For every event: the probability of the class the model said.
    asked
        For every event: whether it was asked about.
    answered
        How many labels became examples.
    waits
        For each label that was learned, in order: how many events after its question.
    questions
        Some of the questions, as examples.
    notes
        What went wrong on the way, in sentences.
    """

    name: str
    title: str
    classes: tuple[ClassLabel, ...]
    truth: npt.NDArray[np.int32]
    predicted: npt.NDArray[np.int32]
    chance: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    asked: npt.NDArray[np.bool_]
    answered: int
    waits: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    questions: tuple[Asked, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def measure(
        cls,
        name: str,
        title: str,
        predictions: Iterable[bytes],
        truths: Sequence[ClassLabel | None],
        answered: int,
        notes: tuple[str, ...] = (),
    ) -> Outcome:
        """Measure the lines of a stream of predictions against the truths, event by event."""
        decode = msgspec.json.Decoder(_Answer).decode
        answers = [decode(line) for line in predictions]
        said = {answer.label for answer in answers if answer.label is not None}
        classes = tuple(sorted({truth for truth in truths if truth is not None} | said))
        code = {label: number for number, label in enumerate(classes)}
        truth = np.array([UNKNOWN if t is None else code[t] for t in truths], dtype=np.int32)
        if len(truth) != len(answers):
            raise ValueError(f"{len(answers)} predictions and {len(truth)} truths: must be as many")
        chance = [
            np.nan if t is None or not a.probabilities else a.probabilities.get(class_text(t), 0.0)
            for a, t in zip(answers, truths, strict=True)
        ]
        return cls(
            name,
            title,
            classes,
            truth,
            np.array([UNKNOWN if a.label is None else code[a.label] for a in answers], dtype=np.int32),
            np.array(chance, dtype=np.float64),
            np.array([a.confidence for a in answers], dtype=np.float64),
            np.array([a.queried for a in answers], dtype=np.bool_),
            answered,
            notes=notes,
        )

    @cached_property
    def correct(self) -> npt.NDArray[np.float64]:
        """For every event: 1 right, 0 wrong, NaN where the true class is unknown."""
        right: npt.NDArray[np.float64] = (self.predicted == self.truth).astype(np.float64)
        right[self.truth == UNKNOWN] = np.nan
        return right

    @property
    def events(self) -> int:
        """How many events were answered."""
        return len(self.truth)

    @property
    def labels(self) -> int:
        """How many labels were asked for."""
        return int(self.asked.sum())

    @property
    def share(self) -> float:
        """The share of events that were asked about."""
        return self.labels / self.events

    @property
    def accuracy(self) -> float:
        """Prequential accuracy: the share of right answers, each given before its label was known."""
        return float(np.nanmean(self.correct))

    @property
    def last_tenth(self) -> float:
        """The accuracy over the last tenth of the events: what the model is worth at the end."""
        measured = self.correct[~np.isnan(self.correct)]
        return float(measured[-max(1, len(measured) // 10) :].mean())

    @property
    def window(self) -> int:
        """How many events "lately" means in the curves: a tenth of the stream, at most 1,000."""
        return max(1, min(1000, self.events // 10))

    def after(self, start: int) -> Outcome:
        """Return the same of the events from number ``start`` on: what was achieved in the rest."""
        return Outcome(
            self.name,
            self.title,
            self.classes,
            self.truth[start:],
            self.predicted[start:],
            self.chance[start:],
            self.confidence[start:],
            self.asked[start:],
            self.answered,
            notes=self.notes,
        )

    def curve(self, points: int = 200) -> list[Point]:
        """Return at most ``points`` places on the learning curves, evenly spread over the events."""
        known = ~np.isnan(self.correct)
        right = np.concatenate(([0.0], np.cumsum(np.where(known, self.correct, 0.0))))
        counted = np.concatenate(([0], np.cumsum(known)))
        spent = np.concatenate(([0], np.cumsum(self.asked)))
        places = np.unique(np.linspace(self.events / points, self.events, points).round().astype(int))
        found = []
        for place in (int(p) for p in places if p > 0 and counted[p]):
            before = max(0, place - self.window)
            lately = counted[place] - counted[before]
            recent = (right[place] - right[before]) / lately if lately else right[place] / counted[place]
            accuracy = float(right[place] / counted[place])
            found.append(Point(place, int(spent[place]), accuracy, float(recent)))
        return found
