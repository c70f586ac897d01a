"""The model a replay uses when none is named: fast, and good enough to compare strategies with."""

from __future__ import annotations

from numbers import Number
from typing import Any

from stream_al.replay.stream import LabelledStream


def default_model(stream: LabelledStream) -> tuple[Any, str]:
    """Return a pipeline that fits a stream, and its name for people.

    Logistic regression over standardised numbers, one against the rest when there are more than two classes;
    text is encoded one-hot. The step is 0.1: with a tenth of the labels, river's 0.01 is still on its way.
    """
    from river.compose import SelectType
    from river.linear_model import LogisticRegression
    from river.multiclass import OneVsRestClassifier
    from river.optim import SGD
    from river.preprocessing import OneHotEncoder, StandardScaler

    classifier: Any = LogisticRegression(SGD(0.1))
    name = "LogisticRegression(SGD(0.1))"
    if len(stream.classes) > 2:
        classifier, name = OneVsRestClassifier(classifier), f"OneVsRestClassifier({name})"
    if not any(isinstance(value, str) for row in stream.rows for value in row.features.values()):
        return StandardScaler() | classifier, f"StandardScaler | {name}"
    encoder = (SelectType(Number) | StandardScaler()) + (SelectType(str) | OneHotEncoder())
    return encoder | classifier, f"(StandardScaler + OneHotEncoder) | {name}"
