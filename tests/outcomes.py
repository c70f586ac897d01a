"""Outcomes made by hand: for tests of what is told about them."""

import numpy as np

from stream_al.replay.outcome import UNKNOWN, Asked, Outcome


def made(
    truth,
    predicted,
    *,
    name="margin",
    title="asked by margin",
    asked=None,
    confidence=None,
    chance=None,
    classes=None,
    waits=(),
    questions=(),
    notes=(),
):
    """Return an outcome of classes given as text, None where unknown or unanswered."""
    classes = classes or tuple(sorted({c for c in (*truth, *predicted) if c is not None}))
    code = {label: number for number, label in enumerate(classes)} | {None: UNKNOWN}
    right = [t == p for t, p in zip(truth, predicted, strict=True)]
    confidence = [0.8] * len(truth) if confidence is None else confidence
    if chance is None:
        chance = [c if ok else 1 - c for c, ok in zip(confidence, right, strict=True)]
    return Outcome(
        name,
        title,
        classes,
        np.array([code[t] for t in truth], dtype=np.int32),
        np.array([code[p] for p in predicted], dtype=np.int32),
        np.array(chance, dtype=np.float64),
        np.array(confidence, dtype=np.float64),
        np.zeros(len(truth), dtype=np.bool_) if asked is None else np.array(asked, dtype=np.bool_),
        0 if asked is None else sum(asked),
        np.array(waits, dtype=np.int32),
        tuple(questions),
        tuple(notes),
    )


__all__ = ["Asked", "made"]
