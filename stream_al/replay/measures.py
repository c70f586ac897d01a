"""The measures of a run beside accuracy: River's, from the confusion matrix, and those that need probabilities."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from river import metrics

from stream_al.records import ClassLabel
from stream_al.replay.outcome import UNKNOWN, Outcome

MEASURES: Final = {
    "accuracy": "share of right answers",
    "balanced_accuracy": "mean of the classes' recalls",
    "kappa": "Cohen's κ: how far above chance, with the classes' frequencies given",
    "kappa_temporal": "κ-temporal: how far above saying what the event before was",
    "macro_f1": "mean of the classes' F1",
    "log_loss": "mean of −ln(probability given to the true class); lower is better",
    "calibration_error": "mean distance between confidence and accuracy, in ten bins; lower is better",
    "accuracy_faded": "share of right answers at the end, old ones fading away",
    "accuracy_last_tenth": "share of right answers in the last tenth of the events",
}
"""Every measure of a run, and what it says."""

FADING: Final = 0.999
"""What an answer weighs after each event more, in ``accuracy_faded`` (Gama, Sebastião & Rodrigues 2013)."""
_BINS: Final = 10
_LEAST: Final = 1e-15
"""Probabilities are taken as no less in the logarithm, as River's ``CrossEntropy`` does."""


class ClassMeasures(NamedTuple):
    """How a run did on one class."""

    label: ClassLabel
    events: int
    asked: int
    """Labels asked for events of this class."""
    precision: float
    recall: float
    f1: float


def measures(outcome: Outcome) -> dict[str, float]:
    """Return the value of every one of `MEASURES`.

    An event without an answer is no event of a class: it counts as wrong where answers count, and as a guess
    (1 / number of classes) where probabilities do. Accuracy, balanced accuracy, κ and F1 are River's own, over
    the run's confusion matrix; the log-loss is its ``CrossEntropy``. κ-temporal: Žliobaitė, Bifet, Read,
    Pfahringer & Holmes, *Evaluation methods and decision theory for classification of streaming data with
    temporal dependence* (2015). Calibration error: Naeini, Cooper & Hauskrecht, *Obtaining well calibrated
    probabilities using Bayesian binning* (2015), over confidences.
    """
    matrix = confusion(outcome)
    accuracy = metrics.Accuracy(cm=matrix).get()
    f1 = [each.f1 for each in _by_class(outcome, matrix)]
    return {
        "accuracy": accuracy,
        "balanced_accuracy": metrics.BalancedAccuracy(cm=matrix).get(),
        "kappa": metrics.CohenKappa(cm=matrix).get(),
        "kappa_temporal": _above(accuracy, _persistence(outcome)),
        "macro_f1": sum(f1) / len(f1),
        "log_loss": _log_loss(outcome),
        "calibration_error": _calibration_error(outcome),
        "accuracy_faded": float(faded(outcome.correct)[-1]),
        "accuracy_last_tenth": outcome.last_tenth,
    }


def confusion(outcome: Outcome) -> metrics.ConfusionMatrix:
    """Return River's confusion matrix of the events whose true class is known; no answer is the class None."""
    known = outcome.truth != UNKNOWN
    width = len(outcome.classes) + 1
    places = outcome.truth[known].astype(np.int64) * width + outcome.predicted[known] + 1
    counts = np.bincount(places, minlength=len(outcome.classes) * width)
    said: list[ClassLabel | None] = [None, *outcome.classes]
    matrix = metrics.ConfusionMatrix(classes=outcome.classes)
    for place in np.flatnonzero(counts):
        matrix.update(outcome.classes[place // width], said[place % width], float(counts[place]))
    return matrix


def by_class(outcome: Outcome) -> list[ClassMeasures]:
    """Return how a run did on each class that occurs, in their order."""
    return _by_class(outcome, confusion(outcome))


def _by_class(outcome: Outcome, matrix: metrics.ConfusionMatrix) -> list[ClassMeasures]:
    asked = np.bincount(
        outcome.truth[outcome.asked & (outcome.truth != UNKNOWN)], minlength=len(outcome.classes)
    )
    found = []
    for code, label in enumerate(outcome.classes):
        events = int(matrix.sum_row.get(label, 0))
        if events:
            one: Any = {"cm": matrix, "pos_val": label}
            values: list[float] = [
                metric.get()  # type: ignore[no-untyped-call]
                for metric in (metrics.Precision(**one), metrics.Recall(**one), metrics.F1(**one))
            ]
            found.append(ClassMeasures(label, events, int(asked[code]), *values))
    return found


def faded(correct: npt.NDArray[np.float64], fading: float = FADING) -> npt.NDArray[np.float64]:
    """Return, after every event, the share of right answers in which each event more weighs an older one less."""
    found = np.full(len(correct), np.nan)
    right = count = 0.0
    for place, value in enumerate(correct.tolist()):
        right, count = fading * right, fading * count
        if value == value:  # its true class is known
            right, count = right + value, count + 1.0
        if count:
            found[place] = right / count
    return found


def _persistence(outcome: Outcome) -> float:
    """Return the accuracy of saying what the event before was."""
    known = outcome.truth[outcome.truth != UNKNOWN]
    return float((known[1:] == known[:-1]).sum() / len(known))


def _above(accuracy: float, reference: float) -> float:
    return (accuracy - reference) / (1.0 - reference) if reference < 1.0 else 0.0


def _log_loss(outcome: Outcome) -> float:
    known = outcome.truth != UNKNOWN
    chance = np.where(np.isnan(outcome.chance), 1.0 / len(outcome.classes), outcome.chance)[known]
    return float(-np.log(np.clip(chance, _LEAST, 1.0 - _LEAST)).mean())


def _calibration_error(outcome: Outcome) -> float:
    known = (outcome.truth != UNKNOWN) & (outcome.predicted != UNKNOWN)
    if not known.any():
        return 0.0
    confidence, correct = outcome.confidence[known], outcome.correct[known]
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    gaps = np.abs(np.bincount(bins, confidence, _BINS) - np.bincount(bins, correct, _BINS))
    return float(gaps.sum() / counts.sum())
