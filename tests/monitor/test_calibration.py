"""Calibration: what a confidence is worth, from labels that were not drawn evenly."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.monitor import Calibration
from stream_al.monitor.calibration import MOST

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
