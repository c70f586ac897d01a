"""How little must change until a linear model answers otherwise: held to the model itself, and to attacks on it."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from river import linear_model, multiclass, preprocessing
from streams import rows

from stream_al import Model
from stream_al.fragility import Boundaries
from stream_al.records import Example
from stream_al.uncertainty import FRAGILITY, Scores

LINEAR = {
    "logistic": (linear_model.LogisticRegression, 2),
    "softmax": (linear_model.SoftmaxRegression, 4),
    "one-vs-rest": (lambda: multiclass.OneVsRestClassifier(linear_model.LogisticRegression()), 4),
}


def taught(last: Any, classes: int) -> Model:
    model = Model(preprocessing.StandardScaler() | last)
    for row in rows(300):
        label = (
            str(row.truth) if classes == 2 else f"{row.truth} {'high' if row.features['n'] > 2 else 'low'}"
        )
        assert model.learn(Example(event_id="e", features=row.features, label=label)) is None
    return model


@pytest.mark.parametrize("name", LINEAR)
def test_no_change_shorter_than_the_distance_flips_the_answer_and_one_a_little_longer_does(name: str) -> None:
    make, classes = LINEAR[name]
    model = taught(make(), classes)
    scaler, last = model.estimator.steps.values()
    names, rng = model.names, random.Random(1)

    def answer(x: dict[str, float]) -> object:
        shares = last.predict_proba_one(x)
        return max(sorted(shares), key=shares.__getitem__)

    found = 0
    for row in rows(60, seed=5):
        x = scaler.transform_one(row.features)
        far = Boundaries(last).distance(x)
        mine, others = answer(x), set()
        for _ in range(300):
            way = [rng.gauss(0.0, 1.0) for _ in names]
            length = math.hypot(*way)
            moved = {n: x[n] + 0.999 * far * by / length for n, by in zip(names, way, strict=True)}
            assert answer(moved) == mine
            # The nearest boundary is met at its foot, so about any way that leads there crosses it not much later.
            beyond = {n: x[n] + 1.3 * far * by / length for n, by in zip(names, way, strict=True)}
            others.add(answer(beyond))
        found += others != {mine}
    assert found > 50


@pytest.mark.parametrize("name", LINEAR)
def test_the_model_tells_it_among_the_features_as_it_sees_them(name: str) -> None:
    make, classes = LINEAR[name]
    model = taught(make(), classes)
    events = [dict(row.features) for row in rows(50, seed=3)]
    for features, scores in zip(events, model.score_all(events, {FRAGILITY}), strict=True):
        assert isinstance(scores, Scores)
        scaler, last = model.estimator.steps.values()
        # Not to the last bit: the model puts features in its own order.
        far = Boundaries(last).distance(scaler.transform_one(features))
        assert scores.worth == pytest.approx(1.0 / (1.0 + far))
        assert 0.0 < scores.worth <= 1.0


def test_two_classes_are_ranked_as_by_the_margin_and_more_are_not() -> None:
    def orders(name: str) -> tuple[list[int], list[int]]:
        make, classes = LINEAR[name]
        model = taught(make(), classes)
        found = model.score_all([dict(row.features) for row in rows(200, seed=3)], {FRAGILITY})
        answers = [scores for scores in found if isinstance(scores, Scores)]
        by_margin = sorted(range(200), key=lambda place: answers[place].margin)
        return by_margin, sorted(range(200), key=lambda place: -(answers[place].worth or 0.0))

    assert len(set(orders("softmax")[0])) == 200
    one, other = orders("logistic")
    assert one == other
    one, other = orders("softmax")
    assert one != other


def test_without_boundaries_everything_is_worth_asking() -> None:
    assert (
        Boundaries(multiclass.OneVsRestClassifier(linear_model.LogisticRegression())).distance({"x": 1.0})
        == 0.0
    )
    untaught = linear_model.LogisticRegression()
    assert Boundaries(untaught).distance({"x": 1.0}) == 0.0
    untaught.intercept = 2.0
    assert Boundaries(untaught).distance({"x": 1.0}) == math.inf
