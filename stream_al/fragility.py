"""How little must change in an event for a linear model to answer otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf, sqrt
from typing import Any

from river import linear_model, multiclass

from stream_al.errors import ModelError
from stream_al.uncertainty import FRAGILITY


class Boundaries:
    """The boundaries between the classes of a linear model, and how far an event is from the nearest.

    Of class y, which is answered, and another class k that is ``(s_y − s_k) / |w_y − w_k|``: the least Euclidean change that
    makes their scores equal. To ask where it is least is the adversarial margin of Ducoffe & Precioso (2018), "Adversarial
    active learning for deep networks", arXiv 1802.09841; the closed form for linear models is that of "DeepFool" (Moosavi-
    Dezfooli, Fawzi & Frossard 2016, arXiv 1511.04599). Two classes rank events as the margin does, as there is one
    boundary; of more the margin takes the second most probable, this takes the nearest.

    Parameters
    ----------
    last
        Logistic or softmax regression, or one-vs-rest over the former; asked, not changed, and to be made anew when it is.

    Raises
    ------
    ModelError
        When it is another model.

    Examples
    --------
    >>> model = linear_model.LogisticRegression()
    >>> model.learn_one({"x": 3.0, "y": 4.0}, True)
    >>> model.intercept = 0.0
    >>> round(Boundaries(model).distance({"x": 3.0, "y": 4.0}), 9)
    5.0
    """

    def __init__(self, last: Any) -> None:
        self._rows = _rows(last)
        self._between: dict[tuple[int, int], float] = {}

    def distance(self, x: Mapping[Any, float]) -> float:
        """Return the distance to the nearest boundary; 0 while there are none, infinite from one that is nowhere near.

        Parameters
        ----------
        x
            The features as this model is given them.
        """
        if len(self._rows) < 2:
            return 0.0
        scores = [
            bias + sum(weights.get(name, 0.0) * value for name, value in x.items())
            for weights, bias in self._rows
        ]
        first = max(range(len(scores)), key=scores.__getitem__)
        least = inf
        for other, score in enumerate(scores):
            if other == first:
                continue
            lead, width = scores[first] - score, self._apart(first, other)
            if lead <= 0.0:
                return 0.0
            if width > 0.0:
                least = min(least, lead / width)
        return least

    def _apart(self, one: int, other: int) -> float:
        """Return the norm of the difference of two classes' weights."""
        pair = (min(one, other), max(one, other))
        if pair not in self._between:
            mine, theirs = self._rows[pair[0]][0], self._rows[pair[1]][0]
            names = [*mine, *(name for name in theirs if name not in mine)]
            self._between[pair] = sqrt(sum((mine.get(n, 0.0) - theirs.get(n, 0.0)) ** 2 for n in names))
        return self._between[pair]


def _rows(last: Any) -> list[tuple[dict[Any, float], float]]:
    """Return weights and bias of each class."""
    if isinstance(last, linear_model.LogisticRegression):
        return [({}, 0.0), (dict(last.weights), last.intercept)]
    if isinstance(last, linear_model.SoftmaxRegression):
        return [(dict(weights), 0.0) for weights in last.weights.values()]
    if isinstance(last, multiclass.OneVsRestClassifier) and isinstance(
        last.classifier, linear_model.LogisticRegression
    ):
        members: Iterable[Any] = last.classifiers.values()
        return [(dict(member.weights), member.intercept) for member in members]
    raise ModelError(
        f"utility = {FRAGILITY!r}: {type(last).__name__} has no boundaries known here; use logistic or softmax regression, "
        "or one-vs-rest over the former, behind transformers if need be, or another utility"
    )
