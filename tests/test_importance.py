"""Labels that weigh what they stand for: an unbiased sample of the stream, and models that learn with weights."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from recordings import People, run_pipeline
from river import ensemble, forest, linear_model, multiclass, naive_bayes, neighbors, preprocessing, tree
from streams import estimator, rows

from connectors.sqlite import read_recording, verify
from stream_al import ActiveLearner, ColdStart, Importance, Limited, Model, QueryStrategy, Random, Selective
from stream_al.draws import Draws
from stream_al.errors import ModelError
from stream_al.estimators import require_weights
from stream_al.log_codec import ExampleRow
from stream_al.records import Example
from stream_al.replay.rerun import reproduce
from stream_al.uncertainty import Scores, scores

KEYS, EVENTS, BUDGET = 300, 1000, 0.1

# ── what the weighted labels stand for ───────────────────────────────────────────────────────────


def a_stream() -> list[tuple[Scores, dict[str, float]]]:
    """Return answers whose doubts go with what is to be estimated, and drift, and of each event what that is."""
    rng = random.Random(3)
    made = []
    for number in range(EVENTS):
        sure = 1.0 - 0.5 * rng.betavariate(0.5, 1.5 if number < EVENTS / 2 else 4.0)
        wrong = rng.random() < 1.2 * (1.0 - sure)
        answer = scores({"a": sure, "b": 1.0 - sure}, 1000, 2)
        made.append((answer, {"all": 1.0, "wrong": float(wrong), "margin": answer.margin}))
    return made


def totals(strategy: QueryStrategy, key: str) -> dict[str, float]:
    """Return what the labels asked for add up to, each as heavy as it is learned."""
    state, draw, weigh = strategy.start(), Draws(key), strategy.weigher()
    found = dict.fromkeys(("all", "wrong", "margin"), 0.0)
    for number, (answer, told) in enumerate(a_stream_once):
        decision, state = strategy.decide(answer, state, draw(str(number)))
        assert decision.propensity > 0.0
        if decision.ask:
            weight = 1.0 if weigh is None else weigh(decision.propensity, decision.reason)
            for name, value in told.items():
                found[name] += weight * value
    return found


a_stream_once = a_stream()


@pytest.mark.parametrize("explore", [None, 0.05])
def test_the_weighted_labels_add_up_to_the_budget_s_share_of_the_stream(explore: float | None) -> None:
    runs = [totals(Importance(BUDGET, explore), f"key {key}") for key in range(KEYS)]
    for name in ("all", "wrong", "margin"):
        truth = BUDGET * sum(told[name] for _, told in a_stream_once)
        found = [run[name] for run in runs]
        error = stdev(found) / KEYS**0.5
        assert error < 0.03 * truth  # or the next line would say nothing
        assert abs(fmean(found) - truth) < 3.5 * error, name


def test_without_weights_they_do_not() -> None:
    runs = [totals(Selective(BUDGET), f"key {key}") for key in range(30)]
    wrong = fmean(run["wrong"] / run["all"] for run in runs)
    assert wrong > 1.5 * fmean(told["wrong"] for _, told in a_stream_once)


def test_no_label_weighs_more_than_the_least_probability_lets_it() -> None:
    for explore, most in ((None, 10.0), (0.025, 4.0)):
        strategy = ColdStart(Importance(BUDGET, explore), examples=0)
        state, weigh = strategy.start(), strategy.weigher()
        assert weigh is not None
        heaviest = 0.0
        for answer, _ in a_stream_once * 3:
            decision, state = strategy.decide(answer, state, 0.0)  # everything that can be asked is
            if decision.ask:
                heaviest = max(heaviest, weigh(decision.propensity, decision.reason))
        assert heaviest == pytest.approx(most)


@pytest.mark.parametrize("reason", ["cold-start", "representative"])
def test_a_cold_start_s_labels_weigh_one(reason: str) -> None:
    weigh = Importance(0.05).weigher()
    assert weigh is not None
    assert weigh(1.0, reason) == 1.0


# ── learning with weights ────────────────────────────────────────────────────────────────────────

STRATEGY = Limited(ColdStart(Importance(0.2), examples=10), labels_total=500)


def fresh(pipeline: object = None) -> ActiveLearner:
    return ActiveLearner(Model(estimator(), checkpoint_every=50), STRATEGY)


def test_a_pipeline_learns_each_label_with_its_weight_and_is_reproduced(tmp_path: Path) -> None:
    run_pipeline(tmp_path / "store.db", fresh(), rows(600), People(delay=(1, 40)), {"any": "thing"})
    assert verify(tmp_path / "store.db", fresh).differences == []
    recording = read_recording(tmp_path / "store.db", fresh)
    assert reproduce(recording).differences == []
    asked = {row.event_id: row for row in recording.predictions if row.queried}
    examples = [record for record in recording.examples if isinstance(record, ExampleRow)]
    drawn = [record for record in examples if asked[record.event_id].reason != "cold-start"]
    assert len(drawn) > 60
    assert len({record.weight for record in drawn}) > 30
    assert all(record.weight == 0.2 / asked[record.event_id].propensity for record in drawn)
    assert all(record.weight == 1.0 for record in examples if record not in drawn)


def test_a_learner_goes_on_weighing_after_a_restart_and_stops_with_another_strategy() -> None:
    first, again = fresh(), fresh()
    again.restore(first.snapshot())
    assert again.desk.weigh is not None
    assert again.desk.weigh(0.5, "uncertain") == 0.4
    again.strategy = Random(0.1)
    assert again.desk.weigh is None


WEIGHTED: dict[str, Callable[[], Any]] = {
    "logistic regression": linear_model.LogisticRegression,
    "perceptron": linear_model.Perceptron,
    "scaled one-vs-rest": lambda: (
        preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
    ),
    "tree": tree.HoeffdingTreeClassifier,
    "adaptive tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=1),
    "bagging": lambda: ensemble.LeveragingBaggingClassifier(tree.HoeffdingTreeClassifier(), seed=1),
}
UNWEIGHTED: dict[str, tuple[Callable[[], Any], str]] = {
    "naive Bayes": (naive_bayes.GaussianNB, "GaussianNB"),
    "scaled softmax": (
        lambda: preprocessing.StandardScaler() | linear_model.SoftmaxRegression(),
        "SoftmaxRegression",
    ),
    "scaled neighbours": (
        lambda: preprocessing.StandardScaler() | neighbors.KNNClassifier(engine=neighbors.LazySearch()),
        "KNNClassifier",
    ),
    "forest": (lambda: forest.ARFClassifier(seed=1), "ARFClassifier"),
    "patches": (lambda: ensemble.SRPClassifier(seed=1), "SRPClassifier"),
    "bagged Bayes": (lambda: ensemble.BaggingClassifier(naive_bayes.GaussianNB(), seed=1), "GaussianNB"),
}


def digest(make: Callable[[], Any], weight: float) -> str | None:
    """Return the model after a few examples of this weight; None where it refuses one."""
    model = Model(make())
    for number, row in enumerate(rows(40)):
        example = Example(
            event_id="e", features=row.features, label=str(row.truth), weight=1.0 if number < 2 else weight
        )
        if model.learn(example) is not None:
            return None
    return model.digest()


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_model_that_learns_with_weights_is_let_in(name: str) -> None:
    make = WEIGHTED[name]
    require_weights(make())
    light, heavy = digest(make, 1.0), digest(make, 3.5)
    assert heavy is not None
    assert light != heavy


@pytest.mark.parametrize("name", UNWEIGHTED)
def test_a_model_that_refuses_or_ignores_weights_is_refused_by_name_before_it_starts(name: str) -> None:
    make, told = UNWEIGHTED[name]
    assert digest(make, 3.5) in (None, digest(make, 1.0))
    with pytest.raises(ModelError, match=f"{told} does not learn with weights"):
        ActiveLearner(make(), STRATEGY)
    ActiveLearner(make(), Selective())
