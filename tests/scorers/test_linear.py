"""Linear models: River is not asked where a function was made, and is where a weight is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from river import linear_model, multiclass, naive_bayes, preprocessing
from scorers.families import asked, asked_together, learned, twins

from stream_al.estimators import PURE
from stream_al.scorers import Scorer
from stream_al.scorers.scalers import SCALERS

LINEAR: dict[str, Callable[[], Any]] = {
    "logistic": linear_model.LogisticRegression,
    "softmax": linear_model.SoftmaxRegression,
    "one-vs-rest": lambda: multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
}


def no_river(x: Any) -> Any:
    raise AssertionError("River was asked")


@pytest.mark.parametrize("last", LINEAR)
@pytest.mark.parametrize("scaler", [kind for kind in SCALERS if kind not in PURE.values()])
def test_behind_every_scaler_the_answers_are_rivers_and_river_is_not_asked(scaler: Any, last: str) -> None:
    models = model, plain = twins(lambda: scaler() | LINEAR[last]())
    for number in range(40):
        learned(models, {"x": number % 7 / 3, "y": -float(number), "constant": 2.0}, number % 2)
    event = {"x": 0.3, "y": 1e9, "constant": 5.0}
    for _ in range(20):
        asked(model, event)
    vars(model._scoring.scorer)["_river"] = no_river
    assert asked(model, event) == asked(plain, event)


def test_a_class_that_lacks_a_weight_is_added_up_in_rivers_order() -> None:
    models = model, plain = twins(linear_model.SoftmaxRegression)
    learned(models, {"b": 0.1, "c": 1e16}, "p")
    learned(models, {"a": 0.3, "b": 1.7, "c": -1e16, "d": 3.0}, "q")
    learned(models, {"d": 0.7, "e": 0.7}, "r")
    for _ in range(20):
        for event in ({"a": 1.0, "b": 1.1, "c": 1.3, "d": 1.7, "e": 1.9}, {"c": 1.0, "d": 3.0}, {"e": 1.0}):
            assert asked(model, event) == asked(plain, event)


@pytest.mark.parametrize("last", LINEAR)
def test_an_infinite_value_behind_a_feature_without_spread_is_rivers_zero(last: str) -> None:
    models = model, plain = twins(
        lambda: preprocessing.MaxAbsScaler() | preprocessing.StandardScaler() | LINEAR[last]()
    )
    for number in range(10):
        learned(models, {"x": float(number), "tiny": 5e-324}, number % 2)
    for _ in range(20):
        found = asked(model, {"x": 3.0, "tiny": 1.0})
        assert found == asked(plain, {"x": 3.0, "tiny": 1.0})
        assert "nan" not in found
        assert "={}" not in found


LARGE = 2**53 + 1  # no float is this number


@pytest.mark.parametrize(
    "make",
    [
        lambda: preprocessing.MaxAbsScaler() | linear_model.SoftmaxRegression(),
        lambda: (
            preprocessing.RobustScaler(with_centering=False, with_scaling=False)
            | preprocessing.MaxAbsScaler()
            | linear_model.SoftmaxRegression()
        ),
    ],
)
def test_an_integer_too_large_for_a_float_is_scaled_as_river_scales_it(make: Callable[[], Any]) -> None:
    models = model, plain = twins(make)
    for number in range(20):
        learned(models, {"x": (number % 4 - 1) * LARGE, "y": number * LARGE}, number % 2)
    for number in range(60):
        event = {"x": LARGE + number, "y": 3 * LARGE - number}
        assert asked(model, event) == asked(plain, event)


MANY: dict[str, Callable[[], Any]] = {
    "StandardScaler | LR": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "MinMaxScaler | StandardScaler | LR": lambda: (
        preprocessing.MinMaxScaler() | preprocessing.StandardScaler() | linear_model.LogisticRegression()
    ),
    "GaussianNB": naive_bayes.GaussianNB,
}


@pytest.mark.parametrize("name", MANY)
def test_many_events_are_answered_together(name: str) -> None:
    models = model, plain = twins(MANY[name])
    for number in range(40):
        learned(models, {"x": number % 7 / 3, "y": -float(number), "constant": 2.0}, number % 2)
    events = [{"x": number / 9, "constant": 2 + number % 2, "y": number % 3 > 1} for number in range(20)]
    told = [asked(plain, x) for x in events]
    one_by_one, vars(model._scoring.scorer)["_river"] = vars(model._scoring.scorer)["_river"], no_river
    assert asked_together(model, events) == told
    assert vars(model._scoring.scorer)["_whole"] is None  # the function for one event was never needed
    vars(model._scoring.scorer)["_river"] = one_by_one
    for place, strange in enumerate(({"x": "text"}, {"x": 10**400}, {"x": 2**60 + 1}, {"x": 1.7e308})):
        mixed = [{**x, **strange} if at == place else x for at, x in enumerate(events)]
        assert asked_together(model, mixed) == [asked(plain, x) for x in mixed]


class Beyond(Scorer):
    """Answers with a last bit more than one, as naive Bayes may."""

    def __call__(self, x: Any) -> Any:
        return {0: 0.0, 1: 1.0000000000000002}


def test_a_probability_beyond_one_is_mended_among_many_as_alone() -> None:
    model, _ = twins(naive_bayes.GaussianNB)
    for number in range(4):
        learned((model,), {"x": float(number)}, number % 2)
    model._scoring.scorer = Beyond()
    assert asked_together(model, [{"x": 1.0}] * 20) == [asked(model, {"x": 1.0})] * 20
    assert model.score({"x": 1.0}).confidence == 1.0
