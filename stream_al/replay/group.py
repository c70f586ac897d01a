"""The runs of one strategy, on one model, with one budget: means over seeds, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from stream_al.replay.contenders import ALL, BASELINES, NONE
from stream_al.replay.measures import MEASURES, ClassMeasures, by_class, measures
from stream_al.replay.outcome import Outcome

CONFIDENCE = 0.95
"""Of all intervals over seeds."""
WITHIN = 0.01
"""What counts as the accuracy of all labels: at most a point less."""


class Estimate(NamedTuple):
    """A mean over seeds with its interval; without one, where there was a single run."""

    mean: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Return the mean of several runs, and Student's 95 % interval of it."""
        mean = float(np.mean(values))
        if len(values) < 2:
            return cls(mean)
        half = float(
            stdtrit(len(values) - 1, (1.0 + CONFIDENCE) / 2.0) * np.std(values, ddof=1) / np.sqrt(len(values))
        )
        return cls(mean, mean - half, mean + half)


class Band(NamedTuple):
    """A place on the learning curves of several runs, after ``events`` events."""

    events: int
    labels: float
    accuracy: Estimate
    recent: Estimate


@dataclass(frozen=True, eq=False)
class Group:
    """One line of a comparison.

    Parameters
    ----------
    runs
        The outcome of each seed.
    budget
        The share of events that might be asked; None for what has none.
    model
        The model's name, for people; empty where there is only one.
    """

    runs: tuple[Outcome, ...]
    budget: float | None = None
    model: str = ""

    @property
    def name(self) -> str:
        """The strategy's name."""
        return self.runs[0].name

    @property
    def title(self) -> str:
        """How it asks, as part of a sentence."""
        return self.runs[0].title

    @property
    def short(self) -> str:
        """The strategy's name where space is dear, and model and budget are known."""
        return {ALL: "all labels", NONE: "no labels"}.get(self.name, self.name)

    @property
    def baseline(self) -> bool:
        """Whether others are compared with it."""
        return self.name in BASELINES

    @property
    def events(self) -> int:
        """How many events were answered."""
        return max(run.events for run in self.runs)

    @property
    def labels(self) -> float:
        """How many labels were asked for, on average."""
        return float(np.mean([run.labels for run in self.runs]))

    @property
    def answered(self) -> float:
        """How many labels became examples, on average."""
        return float(np.mean([run.answered for run in self.runs]))

    @property
    def share(self) -> float:
        """The share of events that were asked about, on average."""
        return float(np.mean([run.share for run in self.runs]))

    @property
    def window(self) -> int:
        """How many events "lately" means in the curves."""
        return self.runs[0].window

    @cached_property
    def measures(self) -> dict[str, Estimate]:
        """Every one of `MEASURES`, over the runs."""
        found = [measures(run) for run in self.runs]
        return {name: Estimate.of([each[name] for each in found]) for name in MEASURES}

    @property
    def accuracy(self) -> float:
        """Prequential accuracy, the mean of the runs'."""
        return self.measures["accuracy"].mean

    @property
    def last_tenth(self) -> float:
        """The accuracy over the last tenth of the events, the mean of the runs'."""
        return self.measures["accuracy_last_tenth"].mean

    @cached_property
    def by_class(self) -> list[ClassMeasures]:
        """How it did on each class: the means of the runs'."""
        return [
            ClassMeasures(
                each[0].label,
                each[0].events,
                round(float(np.mean([one.asked for one in each]))),
                *(
                    float(np.mean([getattr(one, name) for one in each]))
                    for name in ("precision", "recall", "f1")
                ),
            )
            for each in zip(*(by_class(run) for run in self.runs), strict=True)
        ]

    def curve(self, points: int = 200) -> list[Band]:
        """Return at most ``points`` places on the learning curves, with the intervals over the runs."""
        bands = []
        for places in zip(*(run.curve(points) for run in self.runs), strict=False):
            labels = float(np.mean([place.labels for place in places]))
            accuracy = Estimate.of([place.accuracy for place in places])
            bands.append(
                Band(places[0].events, labels, accuracy, Estimate.of([place.recent for place in places]))
            )
        return bands

    def labels_to_reach(self, everything: Group) -> float | None:
        """Return after how many labels it had the accuracy of all labels, within a point, and kept it to the end.

        Accuracy so far is compared with that of all labels at the same event; None when it never came so close.
        The first hundredth of the events does not count: there one answer is tens of points.
        """
        if self.name == ALL:
            return None
        found = [_reached(run, everything.runs[0]) for run in self.runs]
        reached = [labels for labels in found if labels is not None]
        return float(np.mean(reached)) if len(reached) == len(found) else None


def _reached(run: Outcome, everything: Outcome) -> int | None:
    known = ~np.isnan(run.correct)
    if len(run.correct) != len(everything.correct):
        return None  # one of them could not score all events
    behind = np.cumsum(np.where(known, everything.correct - run.correct, 0.0))
    close = behind <= WITHIN * np.maximum(1, np.cumsum(known))
    if not close[-1]:
        return None
    apart = np.flatnonzero(~close)
    since = max(int(apart[-1]) + 1 if len(apart) else 0, run.events // 100)
    return int(run.asked[: since + 1].sum())
