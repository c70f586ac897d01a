"""The confusion matrix of the whole stream, and recall and precision of each class, from the labelled few."""

from __future__ import annotations

from collections.abc import Sequence
from math import frexp, inf, ldexp
from typing import Any, Final, NamedTuple

from stream_al.monitor.stretch import ALPHA, Stretch
from stream_al.records import ClassLabel

_BITS: Final = 9
"""Of a propensity are kept; so that strategies with ever new propensities do not make the state grow."""
_OFF: Final = 2.0**-_BITS
"""By so much of itself a kept propensity is off at most; the bounds take the worse side."""
_BOUNDED: Final = 20
"""With more classes than this no bounds are computed: they would say nothing, slowly."""

_Counts = dict[float, int]
"""By propensity, how many."""


class ClassEstimate(NamedTuple):
    """How well one class is recognised; None where the labels say nothing.

    The intervals hold at all times at once, with probability 95 % for each of the two measures.
    """

    label: ClassLabel
    precision: float | None
    precision_low: float
    precision_high: float
    recall: float | None
    recall_low: float
    recall_high: float
    labels: int
    """Labels of this class."""


class Confusion:
    """Counts the labels by predicted and true class, and by the propensity with which they were asked for."""

    __slots__ = ("_cells", "_unanswered")

    def __init__(self) -> None:
        self._cells: dict[tuple[ClassLabel | None, ClassLabel], _Counts] = {}
        """By (predicted, true)."""
        self._unanswered: _Counts = {}

    def count(self, predicted: ClassLabel | None, true: ClassLabel | None, propensity: float) -> None:
        """Take in an event that was asked about; ``true`` is None when nobody answered."""
        kept = propensity if propensity == 1.0 else _rounded(propensity)
        counts = self._unanswered if true is None else self._cells.setdefault((predicted, true), {})
        counts[kept] = counts.get(kept, 0) + 1

    def matrix(self, events: int) -> list[tuple[ClassLabel | None, ClassLabel, float]]:
        """Return (predicted, true, how many of these events), by self-normalised inverse propensity."""
        weights = {key: _weight(counts) for key, counts in self._cells.items()}
        total = sum(weights.values())
        return [(*key, events * weights[key] / total) for key in sorted(weights, key=repr)]

    def classes(self, whole: Stretch) -> list[ClassEstimate]:
        """Return recall and precision of every class; ``whole`` is the stretch these counts are of."""
        labels = {label for key in self._cells for label in key if label is not None}
        return [self._class(label, whole, len(labels) <= _BOUNDED) for label in sorted(labels)]

    def _class(self, label: ClassLabel, whole: Stretch, bounded: bool) -> ClassEstimate:
        cells: dict[str, list[_Counts]] = {"right": [], "false": [], "missed": []}
        for (predicted, true), counts in self._cells.items():
            if predicted == label:
                cells["right" if true == label else "false"].append(counts)
            elif true == label:
                cells["missed"].append(counts)
        right, false, missed = (sum(map(_weight, found)) for found in cells.values())
        low: dict[str, float] = dict.fromkeys(cells, 0.0)
        high: dict[str, float] = dict.fromkeys(cells, inf)
        if bounded:
            for name, found in cells.items():
                low[name], high[name] = self._bounds(found, whole)
        return ClassEstimate(
            label,
            right / (right + false) if right + false else None,
            *_ratio(low["right"], high["right"], low["false"], high["false"]),
            right / (right + missed) if right + missed else None,
            *_ratio(low["right"], high["right"], low["missed"], high["missed"]),
            sum(sum(counts.values()) for counts in cells["right"] + cells["missed"]),
        )

    def _bounds(self, cells: Sequence[_Counts], whole: Stretch) -> tuple[float, float]:
        """Return how many events are in some cells, at least and at most: each at level 1 - ALPHA / 4."""
        more, fewer = whole.more.next(4.0 * _OFF), whole.fewer.next(4.0 * _OFF)
        certain = 0
        for counts in cells:
            for propensity, times in counts.items():
                if propensity == 1.0:
                    certain += times
                else:
                    more.add(1.0, propensity * (1.0 - _OFF), times)
                    fewer.add(-1.0, min(1.0, propensity * (1.0 + 2.0 * _OFF)), times)
        low = certain - fewer.bound(ALPHA / 4.0)
        for propensity, times in self._unanswered.items():  # any of them may be one of these
            if propensity == 1.0:
                certain += times
            else:
                more.add(1.0, propensity * (1.0 - _OFF), times)
        high = certain + more.bound(ALPHA / 4.0) + whole.unseen
        return max(low, float(sum(sum(counts.values()) for counts in cells))), high

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def dump(self) -> list[Any]:
        """Return the state as JSON."""
        cells = [[*key, list(map(list, counts.items()))] for key, counts in self._cells.items()]
        return [cells, list(map(list, self._unanswered.items()))]

    @classmethod
    def load(cls, state: Sequence[Any]) -> Confusion:
        """Return what this is the `dump` of."""
        made = cls()
        for predicted, true, counts in state[0]:
            made._cells[predicted, true] = dict(counts)
        made._unanswered = dict(state[1])
        return made


def _rounded(propensity: float) -> float:
    fraction, power = frexp(propensity)
    return min(ldexp(round(fraction * 2.0**_BITS) * _OFF, power), 1.0 - _OFF)


def _weight(counts: _Counts) -> float:
    return sum(times / propensity for propensity, times in counts.items())


def _ratio(low: float, high: float, other_low: float, other_high: float) -> tuple[float, float]:
    """Return between what part / (part + other) is."""
    lowest = low / (low + other_high) if low else 0.0
    highest = high / (high + other_low) if high < inf and other_low else 1.0
    return lowest, highest
