"""The leaves of trees: compiled at the third visit, and only as long as they stay as they are."""

from __future__ import annotations

import random
from typing import Any

import pytest
from river import forest, tree

from stream_al.estimators import steadied
from stream_al.scorers.forests import ForestScorer
from stream_al.scorers.trees import TreeScorer, leaf_of

LEAVES = ("mc", "nb", "nba")


def grown(classifier: Any, count: int = 300) -> Any:
    rng = random.Random(5)
    for _ in range(count):
        classifier.learn_one(*event(rng))
    return classifier


def event(rng: random.Random) -> tuple[dict[str, Any], str]:
    label = rng.choice("pqr")
    return {
        "x": rng.gauss("pqr".index(label), 1.0),
        "y": rng.random(),
        "z": rng.choice(("red", label)),
    }, label


def events(count: int = 60) -> list[dict[str, Any]]:
    rng = random.Random(6)
    return [event(rng)[0] for _ in range(count)]


def no_prediction(self: Any, x: Any, **_: Any) -> Any:
    raise AssertionError("River was asked")


@pytest.mark.parametrize("leaf", LEAVES)
def test_after_three_visits_a_leaf_answers_without_river(leaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = grown(tree.HoeffdingTreeClassifier(grace_period=20, delta=0.5, leaf_prediction=leaf))
    assert classifier.n_leaves > 3
    scorer = TreeScorer(classifier)
    wanted = [classifier.predict_proba_one(x) for x in events()]
    for _ in range(3):
        assert [dict(scorer(x)) for x in events()] == wanted
    for x in events():
        monkeypatch.setattr(type(leaf_of(classifier, x)), "prediction", no_prediction)
    assert [dict(scorer(x)) for x in events()] == wanted


def test_after_three_visits_a_forest_answers_without_river(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = grown(steadied(forest.ARFClassifier(n_models=3, grace_period=20, delta=0.5, seed=1)))
    scorer = ForestScorer(classifier)
    wanted = [classifier.predict_proba_one(x) for x in events()]
    for _ in range(3):
        assert [scorer(x) for x in events()] == wanted
    for member in classifier:
        for x in events():
            monkeypatch.setattr(type(leaf_of(member, x)), "prediction", no_prediction)
    assert [scorer(x) for x in events()] == wanted


def test_an_example_drops_its_own_leaf_and_no_other() -> None:
    classifier = grown(tree.HoeffdingTreeClassifier(grace_period=20, delta=0.5))
    classifier.grace_period = 10_000  # it splits no more
    scorer = TreeScorer(classifier)
    for x in events() * 3:
        scorer(x)
    before = dict(scorer._leaves)
    x, label = event(random.Random(8))
    leaf = leaf_of(classifier, x)
    assert leaf in before
    scorer.forget(x)
    classifier.learn_one(x, label)
    assert {*before} - {*scorer._leaves} == {leaf}
    assert all(scorer._leaves[other] is before[other] for other in scorer._leaves)
    assert [dict(scorer(x)) for x in events()] == [classifier.predict_proba_one(x) for x in events()]


def test_a_leaf_that_knows_many_more_names_than_an_event_has_is_compiled_after_as_many_more_visits() -> None:
    classifier = tree.HoeffdingTreeClassifier()
    for number in range(100):
        classifier.learn_one({f"word{number}": 1, f"word{number + 1}": 2}, number % 2)
    scorer = TreeScorer(classifier)
    made = []
    for number in range(120):
        x = {f"word{number % 101}": 1, f"word{number * 7 % 99}": 1, "new": 5}
        assert dict(scorer(x)) == classifier.predict_proba_one(x)
        made.append(scorer._leaves[classifier._root][0] is not None)
    assert made.index(True) in range(2 * 101 // 3, 2 * 101 // 2 + 1)
    assert all(made[made.index(True) :])


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_put_to_sleep_and_woken_for_want_of_memory_answer_as_they_are(leaf: str) -> None:
    classifier = grown(tree.HoeffdingTreeClassifier(grace_period=20, delta=0.5, leaf_prediction=leaf))
    scorer = TreeScorer(classifier)
    for change in ("deactivate", "activate"):
        for x in events() * 3:
            scorer(x)
        for x in events():
            getattr(leaf_of(classifier, x), change)()
        for _ in range(3):
            assert [dict(scorer(x)) for x in events()] == [classifier.predict_proba_one(x) for x in events()]


@pytest.mark.parametrize("leaf", LEAVES)
def test_an_answer_that_somebody_changes_is_nobody_elses(leaf: str) -> None:
    scorer = TreeScorer(grown(tree.HoeffdingTreeClassifier(leaf_prediction=leaf)))
    x = events(1)[0]
    for _ in range(4):
        found = dict(scorer(x))
        scorer(x).clear()  # type: ignore[attr-defined]
        assert dict(scorer(x)) == found != {}


def test_the_leaves_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_al.scorers.trees._MOST_LEAVES", 2)
    classifier = grown(tree.HoeffdingTreeClassifier(grace_period=20, delta=0.5))
    scorer = TreeScorer(classifier)
    for x in events():
        assert dict(scorer(x)) == classifier.predict_proba_one(x)
        assert len(scorer._leaves) <= 2
