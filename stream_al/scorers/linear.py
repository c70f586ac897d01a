"""Logistic, one-vs-rest and softmax regression, behind scalers or not.

River scales into one dictionary and multiplies it with another; here the shifts, scales and weights stand in one
list in the order of the features. The sums are River's: of logistic regression from 0.0 upwards in the order of the
features (`VectorDict.dot`, in Rust), of softmax regression Python's own `sum`, which from 3.12 on compensates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import exp
from operator import mul
from typing import Any, Final

import numpy as np
from river import compose, linear_model, multiclass, optim

from stream_al.scorers.base import WHOLE, Ask, AskMany, Compile, Features, Floats
from stream_al.scorers.scalers import SCALERS, Row

NOT_A_NUMBER: Final = "only River knows: an infinite scale makes no zero of an infinite value"


def _logistic(scalers: list[Any], model: Any) -> Compile:
    if type(model) is not linear_model.LogisticRegression:
        raise TypeError(type(model))
    if type(model.loss).mean_func is not optim.losses.BinaryLoss.mean_func:
        raise TypeError(type(model.loss))
    if not scalers:
        return Compile(lambda names: model.predict_proba_one)
    *before, last = scalers
    rows_of, scale_for = SCALERS[type(last)], _scaling(before)

    def compile_for(names: tuple[str, ...]) -> Ask:
        weight_of, intercept = model._weights.to_dict().get, model.intercept
        rows = [(a, b, weight_of(name, 0.0)) for name, (a, b) in zip(names, rows_of(last, names))]  # noqa: B905
        scale = scale_for(names) if before else None

        def ask(x: Features) -> dict[Any, float]:
            values = x.values() if scale is None else scale(x)
            total = 0.0
            for value, (shift, spread, weight) in zip(values, rows):  # noqa: B905
                total += (value - shift) / spread * weight
            total += intercept
            if total != total:
                raise ValueError(NOT_A_NUMBER)
            p = 0 if total < -30 else 1 if total > 30 else 1 / (1 + exp(-total))
            return {False: 1.0 - p, True: p}

        return ask

    def compile_many(names: tuple[str, ...]) -> AskMany:
        weight_of, intercept = model._weights.to_dict().get, model.intercept
        weights = np.array([weight_of(name, 0.0) for name in names])
        scales = [_columns(SCALERS[type(scaler)](scaler, names)) for scaler in scalers]

        def ask(values: Floats) -> dict[Any, Floats]:
            for shift, spread in scales:
                values = (values - shift) / spread
            totals = np.add.accumulate(values * weights, axis=1)[:, -1] + intercept
            if np.isnan(totals).any():
                raise ValueError(NOT_A_NUMBER)
            # The `exp` of `math`, as River's; NumPy's may differ in the last bit.
            powers = np.array(list(map(exp, np.clip(-totals, -31.0, 31.0).tolist())))
            p = np.where(totals < -30, 0.0, np.where(totals > 30, 1.0, 1.0 / (1.0 + powers)))
            return {False: 1.0 - p, True: p}

        return ask

    return Compile(compile_for, compile_many)


def _columns(rows: list[Row]) -> Floats:
    """Return the shifts and the scales of all features."""
    if any(type(number) is int and abs(number) > WHOLE for row in rows for number in row):
        raise ValueError("whole numbers that no float is")
    return np.array(rows, float).T


def _scaling(scalers: list[Any]) -> Callable[[tuple[str, ...]], Callable[[Features], Iterable[float]]]:
    """Return what makes, for names, the function from features to their scaled values."""

    def scale_for(names: tuple[str, ...]) -> Callable[[Features], Iterable[float]]:
        steps = [SCALERS[type(scaler)](scaler, names) for scaler in scalers]

        def scale(x: Features) -> Iterable[float]:
            values: Iterable[float] = x.values()
            for rows in steps:
                values = [(value - shift) / spread for value, (shift, spread) in zip(values, rows)]  # noqa: B905
            return values

        return scale

    return scale_for


def _one_vs_rest(scalers: list[Any], model: Any) -> Compile:
    scale_for = _scaling(scalers)

    def compile_for(names: tuple[str, ...]) -> Ask:
        scale = scale_for(names)
        members: list[tuple[Any, Ask]] = []
        for label, member in model.classifiers.items():
            *own, last = member.steps.values() if type(member) is compose.Pipeline else [member]
            members.append((label, _logistic(own, last).one(names)))

        def ask(x: Features) -> Mapping[Any, float]:
            if scalers:
                x = dict(zip(names, scale(x), strict=True))
            votes = {label: member(x)[True] for label, member in members}
            total = 0.0
            for vote in votes.values():
                total += vote
            if total != total:
                raise ValueError(NOT_A_NUMBER)
            if total:
                return {label: vote / total for label, vote in votes.items()}
            return {label: 1 / len(votes) for label in votes}

        return ask

    return Compile(compile_for)


def _softmax(scalers: list[Any], model: Any) -> Compile:
    scale_for = _scaling(scalers)

    def compile_for(names: tuple[str, ...]) -> Ask:
        scale = scale_for(names)
        # A class that lacks a weight raises here, for River might then add up in another order.
        members = [
            (label, list(map(dict(weights).__getitem__, names))) for label, weights in model.weights.items()
        ]

        def ask(x: Features) -> Mapping[Any, float]:
            values = list(scale(x))
            votes = {label: sum(map(mul, weights, values)) for label, weights in members}
            most = max(votes.values())
            total = 0.0
            for label, vote in votes.items():
                votes[label] = power = exp(vote - most)
                total += power
            if total != total:
                raise ValueError(NOT_A_NUMBER)
            for label in votes:
                votes[label] /= total
            return votes

        return ask

    return Compile(compile_for)


LINEAR: Final[dict[type, Callable[[list[Any], Any], Compile]]] = {
    linear_model.LogisticRegression: _logistic,
    linear_model.SoftmaxRegression: _softmax,
    multiclass.OneVsRestClassifier: _one_vs_rest,
}
"""By the exact class of the classifier, from the scalers before it and itself to what compiles them."""
