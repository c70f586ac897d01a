"""The stream strategies of scikit-activeml as deciders of the benchmark, with their own budget managers.

A thin adapter: the model's answer is handed over as a classifier that is already fitted, and `query` and `update`
are their own. After the first event their checking of arguments is skipped, which decides nothing and takes most
of the time; `microseconds` measures them with it, as their users have them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from skactiveml import stream as theirs
from skactiveml.base import SkactivemlClassifier

from stream_al.uncertainty import Scores

Array = NDArray[np.float64]
WIDTH: Final = 64
"""How many columns an event with names of its own gets: those of counted words are hashed."""


class Answered(SkactivemlClassifier):  # type: ignore[misc]
    """A fitted classifier that gives the answer it was told, and how many labels it was learned from nearby."""

    def __init__(self, classes: Any = None) -> None:
        super().__init__(classes=classes, missing_label=-1)

    def tell(self, scores: Scores, classes: int, labels_near: float) -> None:
        """Take over the model's probabilities; complete doubt while it knows fewer than two classes."""
        found = list(scores.probabilities.values())
        if len(found) < 2:
            found = [1.0 / classes] * classes
        self.answer = np.array([found + [0.0] * (classes - len(found))])
        self.labels_near = labels_near
        self.classes_ = np.arange(classes)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Answered:  # noqa: N803
        return self

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        return self.answer

    def predict_freq(self, X: Any) -> Array:  # noqa: N803
        return self.answer * self.labels_near


class Peer:
    """One of their strategies, at one budget, over one stream.

    Parameters
    ----------
    name
        Of `skactiveml.stream`.
    columns
        The features' names, in order; empty for streams where every event has its own.
    checked
        Leave their checking of arguments on.
    """

    def __init__(
        self, name: str, budget: float, classes: int, seed: int, columns: list[str], *, checked: bool = False
    ) -> None:
        kind = getattr(theirs, name)
        given: dict[str, Any] = {"budget": budget, "random_state": seed}
        if name.endswith(("FixedUncertainty", "FixUn")):
            given["classes"] = list(range(classes))
        if "Dual" in name:
            given["force_full_budget"] = True  # their default may leave most of the budget unused
        self._strategy = kind(**given)
        self._classes = classes
        self._columns = columns
        self._model = Answered(classes=list(range(classes)))
        self._near = _Near() if name == "StreamProbabilisticAL" else None
        self._blind = name in ("StreamRandomSampling", "PeriodicSampling")
        self._spatial = self._near is not None or "Dual" in name or "Density" in name
        self._scale = _Scale(len(columns) or WIDTH)
        self._checked = checked
        self._trusted = False

    def decide(self, scores: Scores, features: Mapping[str, float], draw: float) -> bool:
        """Return whether to ask."""
        candidate = self._scale(self._row(features)) if self._spatial else _ANYWHERE
        near = self._near(candidate) if self._near else 1.0
        self._model.tell(scores, self._classes, near)
        update: dict[str, Any] = {}
        if self._blind:
            asked = self._strategy.query(candidates=candidate)
        elif self._near:
            asked, utilities = self._strategy.query(candidate, self._model, return_utilities=True)
            update["budget_manager_param_dict"] = {"utilities": utilities}
            if len(asked):
                self._near.add(candidate)
        else:
            asked = self._strategy.query(candidates=candidate, clf=self._model)
        self._strategy.update(candidates=candidate, queried_indices=asked, **update)
        if not (self._trusted or self._checked):
            self._trust()
        return len(asked) > 0

    def _row(self, features: Mapping[str, float]) -> Array:
        if self._columns:
            return np.array([[features[name] for name in self._columns]])
        row = np.zeros((1, WIDTH))
        for name, value in features.items():
            row[0, crc32(name.encode()) % WIDTH] += value
        return row

    def _trust(self) -> None:
        """Skip the checking of arguments from now on: what is given has the form it had before."""
        self._trusted = True
        if self._blind:
            self._strategy._validate_data = lambda candidates, return_utilities: (
                candidates,
                return_utilities,
            )
            return
        names: tuple[str, ...] = (
            "candidates",
            "clf",
            "X",
            "y",
            "sample_weight",
            "fit_clf",
            "return_utilities",
        )
        if self._near:
            names = (*names[:-1], "utility_weight", names[-1])

        def unchecked(*args: Any, **given: Any) -> tuple[Any, ...]:
            return tuple(
                np.ones(1) if name == "utility_weight" else given.get(name, args[0] if args else None)
                for name in names
            )

        self._strategy._validate_data = unchecked
        # What a budget manager prepares when it checks its first utilities is there by now.
        self._strategy.budget_manager_._validate_data = lambda utilities: utilities


_ANYWHERE: Final[Array] = np.zeros((1, 1))


class _Scale:
    """Standardises rows by what was seen so far (Welford 1962)."""

    def __init__(self, width: int) -> None:
        self._seen = 0
        self._mean, self._square = np.zeros(width), np.zeros(width)

    def __call__(self, row: Array) -> Array:
        self._seen += 1
        apart = row[0] - self._mean
        self._mean += apart / self._seen
        self._square += apart * (row[0] - self._mean)
        deviation = np.sqrt(self._square / self._seen)
        scaled: Array = (row - self._mean) / np.where(deviation > 0.0, deviation, 1.0)
        return scaled


class _Near:
    """How many labels were asked near a row, by a Gaussian kernel: the newest 500, of standardised rows."""

    def __init__(self) -> None:
        self._rows: deque[Array] = deque(maxlen=500)

    def __call__(self, row: Array) -> float:
        if not self._rows:
            return 0.0
        squares = ((np.concatenate(self._rows) - row) ** 2).mean(axis=1)
        return float(np.exp(-squares).sum())

    def add(self, row: Array) -> None:
        self._rows.append(row)


def microseconds(name: str, answers: list[Scores], rows: list[Mapping[str, float]], classes: int) -> float:
    """Return what a decision of theirs takes as its users have it, checks of arguments included."""
    peer = Peer(name, 0.1, classes, 1, list(rows[0]), checked=True)
    begun = time.perf_counter()
    for scores, row in zip(answers, rows, strict=True):
        peer.decide(scores, row, 0.5)
    return (time.perf_counter() - begun) / len(rows) * 1e6
