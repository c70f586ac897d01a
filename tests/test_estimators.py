"""Where River goes through a set of texts, the order must not depend on the process's hash seed."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from river import (
    base,
    compose,
    dummy,
    ensemble,
    forest,
    linear_model,
    metrics,
    neighbors,
    preprocessing,
    tree,
)
from river.tree.split_criterion import InfoGainSplitCriterion
from river.tree.splitter.nominal_splitter_classif import NominalSplitterClassif

from stream_al.digest import digest, visit
from stream_al.errors import ModelError
from stream_al.estimators import ORDERED, PURE, SortedSet, check, steadied

WORDS = ("ham", "spam", "junk", "phishing", "unsolicited", "newsletter")
KNN = neighbors.KNNClassifier(engine=neighbors.LazySearch(window_size=9))
LINEAR = linear_model.LogisticRegression()


def taught(estimator: Any) -> Any:
    for number, word in enumerate(WORDS):
        estimator.learn_one({"x": float(number)}, word)
    return estimator


def orders() -> dict[str, Any]:
    """Return what comes out of River in the order of some set."""
    answering = {
        "KNN": KNN,
        "KNN in an ensemble": ensemble.BaggingClassifier(KNN, n_models=2, seed=1),
        "AMF": forest.AMFClassifier(n_estimators=2, seed=1),
        "HAT": tree.HoeffdingAdaptiveTreeClassifier(seed=1),
        "NoChange": dummy.NoChangeClassifier(),
    }
    found: dict[str, Any] = {
        name: list(taught(steadied(classifier)).predict_proba_one({"x": 1.5}))
        for name, classifier in answering.items()
    }
    found["Select"] = list(steadied(compose.Select(*WORDS)).transform_one(dict.fromkeys(WORDS, 1.0)))
    encoder = preprocessing.OneHotEncoder(categories={"word": set(WORDS)})
    found["OneHotEncoder"] = list(steadied(encoder).transform_one({"word": "ham"}))
    metric = metrics.MacroF1()
    for word in WORDS:
        metric.update(word, word)
    found["MacroF1"] = list(metric.cm.classes)
    splitter = NominalSplitterClassif()
    counts = {"yes": 0.0, "no": 0.0}
    for word in WORDS:  # each word tells as much as any other
        for label in counts:
            splitter.update(word, label, 1.0)
            counts[label] += 1.0
    found["tied splits"] = splitter.best_evaluated_split_suggestion(
        InfoGainSplitCriterion(0.01), counts, "word", True
    ).split_info
    return found


def test_whatever_comes_out_of_a_set_is_in_the_same_order_in_every_process() -> None:
    root = str(Path(__file__).parents[1])
    workers = [
        subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "2", "3")
    ]
    outputs = [worker.communicate()[0] for worker in workers]
    first, *others = map(json.loads, outputs)
    assert others == [first, first]


@pytest.mark.parametrize("kind", [*ORDERED.values(), *PURE.values()])
def test_a_changed_class_is_found_by_pickle_and_keeps_its_name(kind: type) -> None:
    assert pickle.loads(pickle.dumps(kind)) is kind  # noqa: S301
    assert kind.__name__ == kind.__mro__[1].__name__


def test_members_cloned_later_are_changed_too() -> None:
    scaled = steadied(ensemble.BaggingClassifier(preprocessing.StandardScaler() | LINEAR, n_models=2, seed=1))
    scaler = scaled.model.clone()["StandardScaler"]
    scaler.transform_one({"never learned": 1.0})
    assert dict(scaler.vars) == {}
    assert type(steadied(KNN.clone()).clone().classes) is SortedSet


def test_the_plain_scaler_of_a_pipeline_is_left_alone_for_it_knows_every_name() -> None:
    pipeline = steadied(preprocessing.StandardScaler() | LINEAR)
    assert type(pipeline["StandardScaler"]) is preprocessing.StandardScaler


def test_a_sorted_set_is_a_set_in_order_also_after_copying() -> None:
    found = SortedSet({"b", "a"})
    found.add("c")
    assert list(found) == ["a", "b", "c"]
    assert found == {"a", "b", "c"}
    assert list(SortedSet({2, "x", 1})) == [1, 2, "x"]
    for twin in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):  # noqa: S301
        assert list(twin) == ["a", "b", "c"]
        assert type(twin) is SortedSet
        assert digest(twin) == digest(found)


def test_rivers_trees_split_as_before() -> None:
    splitter = NominalSplitterClassif()
    for value, label in (("red", "yes"), ("red", "yes"), ("blue", "no"), ("green", "no")):
        splitter.update(value, label, 1.0)
    best = splitter.best_evaluated_split_suggestion(
        InfoGainSplitCriterion(0.01), {"yes": 2.0, "no": 2.0}, "c", True
    )
    assert best.split_info == "red"
    assert splitter.cond_proba("red", "yes") == 1.0
    assert splitter.cond_proba("red", "never seen") == 0.0
    assert type(splitter._att_values) is set


@pytest.mark.parametrize(
    ("estimator", "two"),
    [
        (LINEAR, True),
        (preprocessing.StandardScaler() | LINEAR, True),
        (preprocessing.StandardScaler() | tree.HoeffdingTreeClassifier(), False),
        (ensemble.StackingClassifier([LINEAR, KNN], linear_model.SoftmaxRegression()), True),
        (ensemble.StackingClassifier([KNN, KNN], linear_model.SoftmaxRegression()), False),
        (ensemble.BaggingClassifier(LINEAR, seed=1), True),
    ],
)
def test_two_class_models_are_known_wherever_they_hide(estimator: base.Classifier, two: bool) -> None:
    assert check(estimator) is two


def test_a_name_like_that_of_an_unusable_class_of_river_is_no_reason() -> None:
    class SWINN(dummy.PriorClassifier):  # type: ignore[misc]
        pass

    assert check(SWINN()) is False


def test_an_unseeded_class_of_the_users_own_is_refused_too() -> None:
    class Mine(dummy.PriorClassifier):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seed = None

    with pytest.raises(ModelError, match="Mine has no seed"):
        check(Mine())


def test_visiting_comes_past_functions_and_bound_methods() -> None:
    found: list[object] = []
    visit([KNN.learn_one, len], found.append)
    assert KNN in found
    assert neighbors.KNNClassifier.learn_one in found
    assert len in found


if __name__ == "__main__":
    json.dump(orders(), sys.stdout)
