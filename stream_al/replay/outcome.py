"""What one strategy achieved on a stream: measured on its predictions alone, by the prequential rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from stream_al.records import ClassLabel


class Point(NamedTuple):
    """A place on the learning curves, after ``events`` events of the stream."""

    events: int
    labels: int
    """Asked so far."""
    accuracy: float
    """Of all answers so far."""
    recent: float
    """Of the answers to the latest events (`Outcome.window` of them)."""


class _Answer(msgspec.Struct):
    label: str | int | bool | None
    queried: bool


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one strategy achieved.

    An answer given before the model knew anything counts as wrong; an event whose true class nobody knows
    does not count. So the accuracies of all strategies are over the same events.

    Parameters
    ----------
    name, title
        Of the contender.
    correct
        For every event: 1 right, 0 wrong, NaN where the true class is unknown.
    asked
        For every event: whether it was asked about.
    answered
        How many labels became examples.
    notes
        What went wrong on the way, in sentences.
    """

    name: str
    title: str
    correct: npt.NDArray[np.float64]
    asked: npt.NDArray[np.bool_]
    answered: int
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
        correct = [
            np.nan if truth is None else float(answer.label == truth)
            for answer, truth in zip(answers, truths, strict=True)
        ]
        asked = np.array([answer.queried for answer in answers], dtype=np.bool_)
        return cls(name, title, np.array(correct, dtype=np.float64), asked, answered, notes)

    @property
    def events(self) -> int:
        """How many events were answered."""
        return len(self.correct)

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
