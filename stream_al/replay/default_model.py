"""The model a replay uses when none is named: fast, without a knob to turn, and fit for most tables."""

from __future__ import annotations

from numbers import Number
from typing import Any

from stream_al.replay.stream import LabelledStream


def default_model(stream: LabelledStream) -> tuple[Any, str]:
    """Return an estimator that fits a stream, and its name for people.

    For two classes logistic regression over standardised numbers, text encoded one-hot; for more a Hoeffding
    tree, which takes numbers and text as they are. Of the fast models these were the most accurate on the
    streams this was measured on (a forest is better and many times slower; name it with ``--model``).
    """
    from river.compose import SelectType
    from river.linear_model import LogisticRegression
    from river.preprocessing import OneHotEncoder, StandardScaler
    from river.tree import HoeffdingTreeClassifier

    if len(stream.classes) > 2:
        return HoeffdingTreeClassifier(), "HoeffdingTreeClassifier"
    if not any(str in map(type, row.features.values()) for row in stream.rows):
        return StandardScaler() | LogisticRegression(), "StandardScaler | LogisticRegression"
    encoder = (SelectType(Number) | StandardScaler()) + (SelectType(str) | OneHotEncoder())
    return encoder | LogisticRegression(), "(StandardScaler + OneHotEncoder) | LogisticRegression"
