"""Naive Bayes.

Nine tenths of what River spends on it is ``scipy.special.logsumexp``, made for arrays of any shape and called with
one number a class. Here are the same operations of NumPy without what surrounds them. They must be NumPy's:
its `exp` and `log1p` differ from those of `math` in the last bit of some numbers on some processors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, inf, isfinite, log, pi, sqrt
from typing import Any, Final

import numpy as np

from stream_al.scorers.base import Ask, AskMany, Features, Floats, Scorer

_LEAST: Final = 10e-10
"""What River adds to every density."""
_ROOT: Final = sqrt(2.0 * pi)
_FLAT: Final = (0.0, inf)
"""The density of no number: what River takes a Gaussian for that has no spread, or is not there."""
_UNROLLED: Final = 8
"""NumPy adds up fewer numbers than these one after the other, more of them in pairs."""


def compile_gaussian(model: Any, names: tuple[str, ...]) -> Ask:
    """Return the function from features that have exactly these names to probabilities."""
    total = sum(model.class_counts.values())
    classes = [
        (label, log(count / total), [_moments(model.gaussians.get(label, {}).get(name)) for name in names])
        for label, count in model.class_counts.items()
    ]

    def ask(x: Features) -> Mapping[Any, float]:
        values = x.values()
        likelihoods = {
            label: prior
            + sum(
                [
                    log(_LEAST + exp(-0.5 * (z := (value - mean) / sigma) * z) / _ROOT / sigma)
                    for value, (mean, sigma) in zip(values, moments)  # noqa: B905
                ]
            )
            for label, prior, moments in classes
        }
        scale = log_sum_exp(list(likelihoods.values()))
        return {label: exp(likelihood - scale) for label, likelihood in likelihoods.items()}

    return ask


def compile_gaussian_many(model: Any, names: tuple[str, ...]) -> AskMany:
    """Return the function from the values of many events, a row each, to a column of probabilities for each class."""
    total = sum(model.class_counts.values())
    classes = [
        (
            label,
            log(count / total),
            np.array([_moments(model.gaussians.get(label, {}).get(name)) for name in names]).T,
        )
        for label, count in model.class_counts.items()
    ]

    def ask(values: Floats) -> Mapping[Any, Floats]:
        likelihoods = []
        for _, prior, (mean, sigma) in classes:
            z = (values - mean) / sigma
            densities = _LEAST + _mapped(exp, -0.5 * z * z) / _ROOT / sigma
            likelihoods.append([prior + sum(logs) for logs in _mapped(log, densities).tolist()])
        table = np.array(likelihoods)
        scale = _log_sum_exps(table)
        return dict(zip((label for label, _, _ in classes), _mapped(exp, table - scale), strict=True))

    return ask


def _mapped(function: Callable[[float], float], numbers: Floats) -> Floats:
    """Return what a function of `math` makes of each number; NumPy's may differ in the last bit."""
    return np.array(list(map(function, numbers.ravel().tolist()))).reshape(numbers.shape)


def _log_sum_exps(table: Floats) -> Floats:
    """Return `log_sum_exp` of each column; of fewer than `_UNROLLED` rows."""
    if len(table) >= _UNROLLED:
        raise ValueError("NumPy would add up in another order")
    most = table.max(axis=0)
    greatest = table == most
    rest = np.add.accumulate(np.exp(np.where(greatest, -inf, table - most)))[-1]
    count = greatest.sum(axis=0).astype(float)
    result: Floats = np.log1p(rest / count) + np.log(count) + most
    if not np.isfinite(result).all():
        raise ValueError(table)
    return result


def _moments(gaussian: Any) -> tuple[float, float]:
    """Return the mean and the standard deviation of one feature in one class."""
    if gaussian is None:
        return _FLAT
    spread = gaussian._var
    count = spread.mean.n
    if not count > spread.ddof:
        return _FLAT
    variance = spread._S / (count - spread.ddof)
    return (spread.mean._mean, sqrt(variance)) if variance > 0.0 else _FLAT


class NaiveBayesScorer(Scorer):
    """Answers for the other naive Bayes models: River's likelihoods, normalised as above."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, x: Features) -> Mapping[Any, float]:  # noqa: D102
        likelihoods = self._model.joint_log_likelihood(x)
        try:
            scale = log_sum_exp(list(likelihoods.values()))
            return {label: exp(likelihood - scale) for label, likelihood in likelihoods.items()}
        except Exception:  # what is not finite
            return self._model.predict_proba_one(x)  # type: ignore[no-any-return]


def log_sum_exp(values: list[float]) -> float:
    """Return what ``scipy.special.logsumexp`` returns for a list of finite floats.

    Scipy takes the greatest values out of the sum and counts them.

    Raises
    ------
    ValueError
        When the result is not finite; scipy then tries another way.

    Examples
    --------
    >>> from scipy.special import logsumexp
    >>> log_sum_exp([-3.5, -0.25]) == float(logsumexp([-3.5, -0.25]))
    True
    """
    most = max(values)
    powers = np.exp(np.array([-inf if value == most else value - most for value in values]))
    if len(values) < _UNROLLED:
        rest = 0.0
        for power in powers.tolist():
            rest += power
    else:
        rest = float(np.add.reduce(powers))
    count = values.count(most)
    result = float(np.log1p(rest / count)) + float(np.log(float(count))) + most
    if not isfinite(result):
        raise ValueError(values)
    return result
