"""Calibration: what a confidence is worth, from labels that were not drawn evenly."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.linear_model import LogisticRegression
from river.optim import SGD

from stream_al import ActiveLearner, Calibration, Event, Label, LeastConfidence
from stream_al.monitor.calibration import MOST
from stream_al.uncertainty import scores

labels = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.booleans(), st.sampled_from([0.01, 0.1, 1.0])), max_size=60
)


def test_an_overconfident_model_is_told_so_and_the_error_shows_it() -> None:
    rng, told = random.Random(1), Calibration()
    for _ in range(3000):
        confidence = rng.uniform(0.5, 1.0)
        told.learn(confidence, rng.random() < 0.5 + (confidence - 0.5) * 0.4, 1.0)
    for confidence in (0.56, 0.72, 0.88):
        assert told.calibrated(confidence) == pytest.approx(0.5 + (confidence - 0.5) * 0.4, abs=0.07)
    errors = told.errors()
    assert errors is not None
    raw, calibrated = errors
    assert raw == pytest.approx(0.15, abs=0.03)
    assert calibrated < raw / 3


def test_labels_are_weighted_by_how_rarely_they_are_asked_for() -> None:
    told = Calibration()
    for number in range(400):  # half the labels are wrong, but they stand for few events
        told.learn(0.9, number % 2 == 0, 0.1 if number % 2 == 0 else 1.0)
    (found,) = told.table()
    assert found.right == pytest.approx(10 / 11, abs=0.01)
    assert found.labels < 400


def test_it_forgets_what_is_long_ago() -> None:
    told = Calibration()
    for right in (True, False):
        for _ in range(2000):
            told.learn(0.9, right, 1.0)
    assert told.calibrated(0.9) < 0.05


def test_without_labels_a_confidence_is_itself() -> None:
    told = Calibration()
    assert told.errors() is None
    assert told.table() == []
    assert [told.calibrated(c) for c in (0.0, 0.3, 0.95, 1.0)] == [0.0, 0.3, 0.95, 1.0]


@given(labels, labels)
def test_what_it_says_is_a_probability_and_survives_a_dump(
    before: list[tuple[float, bool, float]], after: list[tuple[float, bool, float]]
) -> None:
    told = Calibration()
    for label in before:
        told.learn(*label)
    again = Calibration.load(json.loads(json.dumps(told.dump())))
    for label in after:
        told.learn(*label)
        again.learn(*label)
    assert again.dump() == told.dump()
    assert again.expected_errors == told.expected_errors
    assert all(0.0 <= share <= MOST for share in told.expected_errors)
    for step in range(101):
        assert 0.0 <= told.calibrated(step / 100) <= 1.0
        assert told.expected(step / 100) == told.expected_errors[int(step / 100 * 128)]
    assert sum(found.share for found in told.table()) == pytest.approx(1.0 if before or after else 0.0)


@given(labels, st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5))
def test_rescaled_probabilities_are_probabilities_of_the_same_answer(
    learned: list[tuple[float, bool, float]], weights: list[float]
) -> None:
    told = Calibration()
    for label in learned:
        told.learn(*label)
    answer = scores({name: weight / sum(weights) for name, weight in zip("abcde", weights, strict=False)}, 7)
    again = told.rescaled(answer)
    assert (again.label, again.version, again.classes) == (answer.label, 7, len(weights))
    assert sum(again.probabilities.values()) == pytest.approx(1.0)
    assert again.confidence == pytest.approx(again.probabilities[answer.label])
    if len(weights) > 1:
        assert again.confidence == told.calibrated(answer.confidence)
    assert 0.0 <= again.margin <= again.confidence


def test_an_empty_answer_stays_empty() -> None:
    assert Calibration().rescaled(scores({})) == scores({})


def test_a_calibrated_threshold_asks_where_answers_are_not_that_often_right() -> None:
    rng = random.Random(1)
    rows = [(rng.gauss(0, 1), rng.random() < 0.55) for _ in range(1500)]  # nothing to be learned
    asked: dict[bool, int] = {}
    for calibrated in (False, True):
        learner = ActiveLearner(
            LogisticRegression(SGD(20.0)),  # steps so large that it is always sure
            LeastConfidence(0.8, explore=0.1),
            calibrated=calibrated,
        )
        asked[calibrated] = 0
        for number, (x, truth) in enumerate(rows):
            prediction, query, _ = learner.process(Event(id=f"e{number}", features={"x": x}))
            assert prediction.confidence == max(prediction.probabilities.values(), default=0.0)
            if query is not None:
                asked[calibrated] += number >= 1000
                learner.teach(Label(event_id=query.event_id, label=truth))
    assert asked[False] < 200
    assert asked[True] > 450


def test_calibrated_scores_need_the_accuracy_watched() -> None:
    with pytest.raises(ValueError, match="window = None: calibrated needs the accuracy watched"):
        ActiveLearner(LogisticRegression(), calibrated=True, window=None)
