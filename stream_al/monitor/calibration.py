"""Calibration of confidences, online: how often an answer is right that the model gave with confidence 0.7.

Histogram binning (Zadrozny & Elkan 2001): answers of like confidence share a bin, and a bin knows the share of its labels on
which the model was right, each weighted by 1 / propensity, as labels were not drawn evenly. The bin's share is drawn
towards the confidence itself while the bin has few labels, and forgets what is long ago, so that it follows a drift.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from stream_al.uncertainty import Scores

FINE: Final = 128
"""Confidences are told apart by ``int(confidence * FINE)``: half the cost of a search, on the path of every event."""
_EDGES: Final = (0, 32, 48, 64, 70, 77, 84, 90, 96, 102, 109, 115, 119, 122, 124, 125, 126, 127)
"""Where the bins begin, in these steps; finer near 1, where most answers are."""
_STEPS: Final = [*zip(_EDGES, (*_EDGES[1:], FINE + 1), strict=True)]
_MIDDLES: Final = [(begin + min(end, FINE)) / 2.0 / FINE for begin, end in _STEPS]
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
        self._bins: list[list[float]] = [[0.0] * 5 for _ in _STEPS]
        """Of each bin the sums of w, w², w·confidence, w·right, w·(the calibrated confidence before the label)."""
        self.expected_errors = [0.0] * (FINE + 1)
        """By ``int(confidence * FINE)``, how probably the answer is wrong, at most `MOST`."""
        for at in range(len(_STEPS)):
            self._expect(at)

    def _expect(self, at: int) -> None:
        begin, end = _STEPS[at]
        self.expected_errors[begin:end] = [min(MOST, 1.0 - self._right(at, _MIDDLES[at]))] * (end - begin)

    def _right(self, at: int, confidence: float) -> float:
        """Return the share of right answers in a bin, drawn towards the confidence."""
        weight, squares, _, right, _ = self._bins[at]
        if not weight:
            return confidence
        labels = weight * weight / squares
        return (_PRIOR * confidence + right / weight * labels) / (_PRIOR + labels)

    def expected(self, confidence: float) -> float:
        """Return how probably an answer of this confidence is wrong, by its bin; at most `MOST`."""
        return self.expected_errors[int(confidence * FINE)]

    def calibrated(self, confidence: float) -> float:
        """Return how often the model is right when it answers with this confidence."""
        return self._right(_bin(confidence), confidence)

    def rescaled(self, scores: Scores) -> Scores:
        """Return the scores with the calibrated confidence; the other probabilities keep their proportions."""
        label, first, others = scores.label, scores.confidence, len(scores.probabilities) - 1
        if others < 1 or not 0.0 < first <= 1.0:
            return scores
        told = self.calibrated(first)
        left = 1.0 - first
        if left > 0.0:
            rest = {name: p / left * (1.0 - told) for name, p in scores.probabilities.items()}
            second = (first - scores.margin) / left * (1.0 - told)
        else:  # the others had nothing; nobody knows in which proportions
            second = (1.0 - told) / others
            rest = dict.fromkeys(scores.probabilities, second)
        rest[label] = told
        return Scores(rest, label, told, max(0.0, told - second), scores.version, scores.classes)

    def learn(self, confidence: float, right: bool, propensity: float) -> None:
        """Take note of a label: whether an answer of this confidence was right."""
        at = _bin(confidence)
        weight = 1.0 / propensity
        kept = self._bins[at]
        told = self._right(at, confidence)
        kept[0] = kept[0] * _KEEP + weight
        kept[1] = kept[1] * (_KEEP * _KEEP) + weight * weight  # so that weight² / squares is Kish's number
        kept[2] = kept[2] * _KEEP + weight * confidence
        kept[3] = kept[3] * _KEEP + weight * right
        kept[4] = kept[4] * _KEEP + weight * told
        self._expect(at)

    def table(self) -> list[Bin]:
        """Return the bins that have labels: the reliability diagram."""
        total = sum(kept[0] for kept in self._bins)
        return [
            Bin(
                _STEPS[at][0] / FINE,
                min(1.0, _STEPS[at][1] / FINE),
                w * w / w2,
                confidence / w,
                right / w,
                w / total,
            )
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
            made._expect(at)
        return made


def _bin(confidence: float) -> int:
    return bisect(_EDGES, int(confidence * FINE)) - 1
