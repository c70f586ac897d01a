"""Calibration of confidences, online: how often an answer is right that the model gave with confidence 0.7.

Histogram binning (Zadrozny & Elkan 2001): answers of like confidence share a bin, and a bin knows the share of its labels on
which the model was right, each weighted by 1 / propensity, as labels were not drawn evenly. The bin's share is drawn
towards the confidence itself while the bin has few labels, and forgets what is long ago, so that it follows a drift.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

EDGES: Final = (
    1e-9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995,
)  # fmt: skip
"""Between the bins; finer near 1, where most answers are. The first bin is of answers that name no class."""
_BINS: Final = len(EDGES) + 1
_MIDDLES: Final = [0.0, *((low + high) / 2.0 for low, high in zip(EDGES, (*EDGES[1:], 1.0), strict=True))]
_PRIOR: Final = 10.0
"""A bin of so many labels is trusted as much as the confidence itself."""
_KEEP: Final = 0.996
"""What each label leaves of the weight of earlier ones in its bin: some 500 labels count."""
MOST: Final = 0.5
"""Expected errors are at most this, which the bounds of `monitor.sequence` are made for."""


class Bin(NamedTuple):
    """One bin of a reliability diagram."""

    low: float
    high: float
    labels: float
    """How many evenly drawn labels would be worth as much (Kish)."""
    confidence: float
    right: float
    share: float
    """Of all recent events, estimated."""


class Calibration:
    """From confidences to the shares of right answers.

    Examples
    --------
    >>> told = Calibration()
    >>> round(told.calibrated(0.9), 2)
    0.9
    >>> for number in range(200):
    ...     told.learn(0.9, right=number % 2 == 0, propensity=1.0)
    >>> 0.5 < told.calibrated(0.9) < 0.55
    True
    """

    __slots__ = ("_bins", "expected_errors")

    def __init__(self) -> None:
        self._bins: list[list[float]] = [[0.0] * 5 for _ in range(_BINS)]
        """Of each bin the sums of w, w², w·confidence, w·right, w·(the calibrated confidence before the label)."""
        self.expected_errors: list[float] = []
        """By bin (``bisect(EDGES, confidence)``), how probably the answer is wrong; for the path of every event."""
        self._refresh()

    def _refresh(self) -> None:
        self.expected_errors = [
            min(MOST, 1.0 - self._right(at, middle)) for at, middle in enumerate(_MIDDLES)
        ]
        self.expected_errors[0] = 1.0  # no class, so not the right one

    def _right(self, at: int, confidence: float) -> float:
        """Return the share of right answers in a bin, drawn towards the confidence."""
        weight, squares, _, right, _ = self._bins[at]
        if not weight:
            return confidence
        labels = weight * weight / squares
        return (_PRIOR * confidence + right / weight * labels) / (_PRIOR + labels)

    def expected(self, confidence: float) -> float:
        """Return how probably an answer of this confidence is wrong, by its bin; at most `MOST`, unless it is none."""
        return self.expected_errors[bisect(EDGES, confidence)]

    def calibrated(self, confidence: float) -> float:
        """Return how often the model is right when it answers with this confidence."""
        return self._right(bisect(EDGES, confidence), confidence)

    def learn(self, confidence: float, right: bool, propensity: float) -> None:
        """Take note of a label: whether an answer of this confidence was right."""
        at = bisect(EDGES, confidence)
        weight = 1.0 / propensity
        told = self._right(at, confidence)
        kept = self._bins[at]
        for place, value in enumerate(
            (weight, weight * weight, weight * confidence, weight * right, weight * told)
        ):
            # The squares fade as squares do, so that the effective number of labels settles.
            kept[place] = kept[place] * (_KEEP * _KEEP if place == 1 else _KEEP) + value
        if at:
            self.expected_errors[at] = min(MOST, 1.0 - self._right(at, _MIDDLES[at]))

    def table(self) -> list[Bin]:
        """Return the bins that have labels: the reliability diagram."""
        total = sum(kept[0] for kept in self._bins)
        edges = (0.0, *EDGES, 1.0)
        return [
            Bin(edges[at], edges[at + 1], w * w / w2, confidence / w, right / w, w / total)
            for at, (w, w2, confidence, right, _) in enumerate(self._bins)
            if w
        ]

    def errors(self) -> tuple[float, float] | None:
        """Return the calibration errors: as the model has it, and calibrated; None before the first label.

        The expected calibration error (Naeini, Cooper & Hauskrecht 2015): the mean over recent events, by
        inverse propensity, of how far a bin's confidence is from its share of right answers. The second
        number is of what `calibrated` said *before* each label was known. Both are biased upwards while bins
        have few labels.
        """
        total = sum(kept[0] for kept in self._bins)
        if not total:
            return None
        raw = sum(abs(right - confidence) for _, _, confidence, right, _ in self._bins)
        told = sum(abs(right - told) for _, _, _, right, told in self._bins)
        return raw / total, told / total

    def dump(self) -> list[Any]:
        """Return the state as JSON: the bins that have labels."""
        return [[at, *kept] for at, kept in enumerate(self._bins) if kept[0]]

    @classmethod
    def load(cls, state: Sequence[Any]) -> Calibration:
        """Return the calibration whose `dump` this is."""
        made = cls()
        for at, *kept in state:
            made._bins[at] = list(kept)
        made._refresh()
        return made
