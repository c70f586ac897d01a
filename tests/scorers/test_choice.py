"""Which scorer a model gets, and that none outlives the River it was written for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from river import (
    compose,
    forest,
    linear_model,
    metrics,
    multiclass,
    naive_bayes,
    optim,
    preprocessing,
    tree,
)
from river.tree.nodes import htc_nodes
from river.utils import math as river_math
from scipy import special

from stream_al.estimators import steadied
from stream_al.model import Model
from stream_al.scorers import Scorer, ThroughRiver, choice, scorer_of, trees
from stream_al.scorers import naive_bayes as naive_bayes_scorers
from stream_al.scorers.base import Behind, Compiled
from stream_al.scorers.choice import SAMPLES
from stream_al.scorers.forests import ForestScorer
from stream_al.scorers.naive_bayes import NaiveBayesScorer
from stream_al.scorers.trees import TreeScorer


class OwnTree(tree.HoeffdingTreeClassifier):
    """May differ from River's in any way."""


class OwnScaler(preprocessing.StandardScaler):
    """The same."""


def lr(**settings: Any) -> Any:
    return linear_model.LogisticRegression(**settings)


CHOICES: tuple[tuple[Callable[[], Any], type[Scorer]], ...] = (
    (lambda: preprocessing.StandardScaler() | lr(), Compiled),
    (lambda: multiclass.OneVsRestClassifier(lr()), Compiled),
    (naive_bayes.GaussianNB, Compiled),
    (naive_bayes.MultinomialNB, NaiveBayesScorer),
    (tree.HoeffdingTreeClassifier, TreeScorer),
    (lambda: forest.ARFClassifier(seed=1), ForestScorer),
    (lambda: compose.Select("x") | preprocessing.StandardScaler() | lr(), Behind),
    (lambda: preprocessing.StandardScaler() | tree.HoeffdingTreeClassifier(), Behind),
    # River itself is the quickest,
    (lr, ThroughRiver),
    # or the parts are not those that the scorers were written for.
    (lambda: preprocessing.StandardScaler() | lr(loss=optim.losses.Squared()), ThroughRiver),
    (lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=1), ThroughRiver),
    (lambda: forest.ARFClassifier(metric=metrics.MacroF1(), seed=1), ThroughRiver),
    (OwnTree, ThroughRiver),
    (lambda: preprocessing.StandardScaler() | linear_model.Perceptron(), ThroughRiver),
)


@pytest.mark.parametrize(("make", "kind"), CHOICES)
def test_a_scorer_is_chosen_by_the_exact_types(make: Callable[[], Any], kind: type[Scorer]) -> None:
    assert type(Model(make())._scoring.scorer) is kind


def test_a_scaler_of_ones_own_is_not_compiled() -> None:
    scorer = scorer_of(OwnScaler() | lr())
    assert type(scorer) is ThroughRiver


def test_where_nothing_is_to_be_done_but_asking_river_nothing_is() -> None:
    classifier = linear_model.LogisticRegression()
    assert scorer_of(classifier).shortest == classifier.predict_proba_one
    scorer = scorer_of(OwnScaler() | lr())
    assert scorer.shortest is scorer


# ── the River, scipy and NumPy installed ─────────────────────────────────────────────────────────────


@pytest.fixture
def tried_again() -> Iterator[None]:
    choice.agrees.cache_clear()
    yield
    choice.agrees.cache_clear()


@pytest.mark.usefixtures("tried_again")
@pytest.mark.parametrize("kind", SAMPLES)
def test_every_family_agrees_with_the_river_installed_and_is_really_tried(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: compiled.append(function) or function(*args)  # type: ignore[func-returns-value]

    monkeypatch.setattr("stream_al.scorers.naive_bayes.log_sum_exp", noted(naive_bayes_scorers.log_sum_exp))
    monkeypatch.setattr("stream_al.scorers.trees._votes", noted(trees._votes))
    monkeypatch.setattr("stream_al.scorers.linear.exp", noted(math.exp))
    assert choice.agrees(kind)
    assert len(compiled) > 20


@pytest.mark.usefixtures("tried_again")
@pytest.mark.parametrize("version", ["0.27.0", "1.0.0", "0.260.0"])
def test_with_another_series_of_river_there_are_no_scorers(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "river_version", version)
    assert type(scorer_of(naive_bayes.GaussianNB())) is ThroughRiver


def last_bit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose numbers are the next ones."""
    return lambda *args: math.nextafter(function(*args), math.inf)


def turned(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method whose probabilities have been divided and multiplied by three."""
    return lambda *args: {label: p / 3 * 3 for label, p in answer(*args).items()}


CHANGES: dict[str, tuple[Any, str, Callable[..., Any], Callable[[], Any]]] = {
    "scipy adds up otherwise": (special, "logsumexp", last_bit, naive_bayes.GaussianNB),
    "counts, too": (special, "logsumexp", last_bit, naive_bayes.MultinomialNB),
    "another sigmoid": (river_math, "sigmoid", last_bit, lambda: preprocessing.StandardScaler() | lr()),
    "another softmax": (river_math, "softmax", turned, linear_model.SoftmaxRegression),
    "other leaves": (htc_nodes, "do_naive_bayes_prediction", turned, tree.HoeffdingTreeClassifier),
    "other leaves in a forest": (
        htc_nodes,
        "do_naive_bayes_prediction",
        turned,
        lambda: steadied(forest.ARFClassifier(seed=1)),
    ),
}


@pytest.mark.usefixtures("tried_again")
@pytest.mark.parametrize("change", CHANGES)
def test_a_family_whose_numbers_differ_in_a_bit_is_off(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, changed, make = CHANGES[change]
    assert type(scorer_of(make())) is not ThroughRiver
    choice.agrees.cache_clear()
    monkeypatch.setattr(module, name, changed(getattr(module, name)))
    assert type(scorer_of(make())) is ThroughRiver


@pytest.mark.usefixtures("tried_again")
def test_a_family_that_cannot_be_tried_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def impossible() -> Any:
        raise TypeError("missing 1 required positional argument")

    monkeypatch.setitem(SAMPLES, naive_bayes.GaussianNB, impossible)
    assert type(scorer_of(naive_bayes.GaussianNB())) is ThroughRiver
