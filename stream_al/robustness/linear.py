"""A linear model as the weights it multiplies the features with, in the features' own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from river import linear_model, multiclass, preprocessing
from river.compose import Pipeline

from stream_al.model import Model
from stream_al.records import ClassLabel

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Linear:
    """Class k is answered where ``weights[k] · x + bias[k]`` is the greatest.

    Parameters
    ----------
    classes
        The classes, sorted.
    names
        The features, sorted.
    weights
        One row a class, one column a feature, in units of 1 / feature: scalers are multiplied in.
    bias
        One number a class.
    """

    classes: tuple[ClassLabel, ...]
    names: tuple[str, ...]
    weights: Floats
    bias: Floats

    @classmethod
    def of(cls, model: Model) -> Linear | None:
        """Return what a model computes; None when it is not linear, or not one of those known here.

        Known are River's logistic regression and perceptron, softmax regression, and one-vs-rest over the first
        two; alone or behind scalers that treat each feature by itself (standard, min-max, max-abs).

        Examples
        --------
        >>> from river.linear_model import LogisticRegression
        >>> from stream_al.records import Example
        >>> model = Model(LogisticRegression())
        >>> for label, value in ((False, -1.0), (True, 1.0)):
        ...     _ = model.learn(Example(event_id="e", features={"x": value}, label=label))
        >>> Linear.of(model).weights.round(3).tolist()
        [[0.0], [0.01]]
        """
        estimator = model.estimator
        *scalers, head = estimator.steps.values() if isinstance(estimator, Pipeline) else (estimator,)
        found = _head(head, model)
        if found is None:
            return None
        weights, bias = found
        for scaler in reversed(scalers):
            scaled = _scaler(scaler, model.names)
            if scaled is None:
                return None
            slope, offset = scaled
            bias = bias + weights @ offset
            weights = weights * slope
        return cls(model.classes, model.names, weights, bias)

    def columns(self, names: Sequence[str]) -> Floats:
        """Return the weights of these features; zero where the model has none."""
        places = {name: place for place, name in enumerate(self.names)}
        found = np.zeros((len(self.classes), len(names)))
        for column, name in enumerate(names):
            if name in places:
                found[:, column] = self.weights[:, places[name]]
        return found


def _head(head: Any, model: Model) -> tuple[Floats, Floats] | None:
    """Return weights and bias by class of the part that answers."""
    names, classes = model.names, model.classes
    weights, bias = np.zeros((len(classes), len(names))), np.zeros(len(classes))
    rows: dict[ClassLabel, tuple[Any, float]]
    if isinstance(head, linear_model.LogisticRegression):
        if model.positive is None:
            return None
        rows = {model.positive: (head.weights, head.intercept)}
    elif isinstance(head, linear_model.SoftmaxRegression):
        rows = {label: (row, 0.0) for label, row in head.weights.items()}
    elif isinstance(head, multiclass.OneVsRestClassifier):
        members: dict[ClassLabel, Any] = head.classifiers
        if not all(isinstance(member, linear_model.LogisticRegression) for member in members.values()):
            return None
        rows = {label: (member.weights, member.intercept) for label, member in members.items()}
    else:
        return None
    for place, label in enumerate(classes):
        if label in rows:
            row, bias[place] = rows[label]
            weights[place] = [row.get(name, 0.0) for name in names]
    return weights, bias


def _scaler(scaler: Any, names: Sequence[str]) -> tuple[Floats, Floats] | None:
    """Return slope and offset of each feature; None of what does more than that."""
    if isinstance(scaler, preprocessing.StandardScaler):
        middle = _numbers(scaler.means, names)
        width = np.sqrt(_numbers(scaler.vars, names)) if scaler.with_std else np.ones(len(names))
    elif isinstance(scaler, preprocessing.MinMaxScaler):
        middle = _numbers(scaler.min, names)
        width = _numbers(scaler.max, names) - middle
    elif isinstance(scaler, preprocessing.MaxAbsScaler):
        middle, width = np.zeros(len(names)), _numbers(scaler.abs_max, names)
    else:
        return None
    slope = np.divide(1.0, width, out=np.zeros(len(names)), where=width > 0.0)
    return slope, -middle * slope


def _numbers(stored: Any, names: Sequence[str]) -> Floats:
    """Return what a scaler has stored of each feature, as numbers or as statistics."""
    found = [stored.get(name, 0.0) for name in names]
    return np.array([value if isinstance(value, int | float) else value.get() for value in found], float)
