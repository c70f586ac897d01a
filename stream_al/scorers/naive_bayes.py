"""Naive Bayes.

Nine tenths of what River spends on it is ``scipy.special.logsumexp``, made for arrays of any shape and called with
one number a class. Here are the same operations of NumPy without what surrounds them. They must be NumPy's:
its `exp` and `log1p` differ from those of `math` in the last bit of some numbers on some processors.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, inf, isfinite, log, pi, sqrt
from typing import Any, Final

import numpy as np

from stream_al.scorers.base import Ask, Features, Scorer

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
