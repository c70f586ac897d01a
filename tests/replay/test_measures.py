"""Every measure beside River's own, event by event, or beside its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import made
from river import metrics

from stream_al.replay.group import Estimate, Group
from stream_al.replay.measures import MEASURES, by_class, confusion, faded, measures

CLASSES = ("a", "b", "c")
answers = st.lists(
    st.tuples(st.sampled_from([*CLASSES, None]), st.sampled_from([*CLASSES, None]), st.floats(0.34, 1.0)),
    min_size=1,
    max_size=200,
).filter(lambda rows: any(truth for truth, _, _ in rows))


@given(answers)
def test_what_river_measures_is_what_river_measures(rows):
    truth, said, confidence = zip(*rows, strict=True)
    found = measures(made(truth, said, confidence=confidence, classes=CLASSES))
    assert found.keys() == MEASURES.keys()
    theirs = {
        "accuracy": metrics.Accuracy(),
        "balanced_accuracy": metrics.BalancedAccuracy(),
        "kappa": metrics.CohenKappa(),
    }
    for t, p in zip(truth, said, strict=True):
        if t is not None:
            for metric in theirs.values():
                metric.update(t, p)
    for name, metric in theirs.items():
        assert found[name] == pytest.approx(metric.get(), abs=1e-12), name


@given(answers)
def test_f1_is_the_mean_over_the_classes_there_are(rows):
    truth, said, _ = zip(*rows, strict=True)
    outcome = made(truth, said, classes=CLASSES)
    f1 = []
    for label in sorted({t for t in truth if t is not None}):
        metric = metrics.F1()
        for t, p in zip(truth, said, strict=True):
            if t is not None:
                metric.update(t == label, p == label)
        f1.append(metric.get())
    assert measures(outcome)["macro_f1"] == pytest.approx(sum(f1) / len(f1), abs=1e-12)
    assert sum(each.events for each in by_class(outcome)) == sum(t is not None for t in truth)


@given(answers)
def test_the_log_loss_is_rivers_cross_entropy(rows):
    truth, said, confidence = zip(*rows, strict=True)
    metric = metrics.CrossEntropy()
    chance = []
    for t, p, c in rows:
        chances = (
            dict.fromkeys(CLASSES, 1 / 3) if p is None else {k: c if k == p else (1 - c) / 2 for k in CLASSES}
        )
        chance.append(math.nan if p is None or t is None else chances[t])
        if t is not None:
            metric.update(t, chances)
    found = measures(made(truth, said, confidence=confidence, chance=chance, classes=CLASSES))
    assert found["log_loss"] == pytest.approx(metric.get(), rel=1e-9, abs=1e-12)


def test_kappa_temporal_is_above_saying_what_was():
    truth = ["a"] * 5 + ["b"] * 5  # what was is right 8 times of 10
    assert measures(made(truth, truth))["kappa_temporal"] == 1.0
    wrong_twice = ["b", *truth[1:9], "a"]
    assert measures(made(truth, wrong_twice))["kappa_temporal"] == pytest.approx(0.0)


def test_the_calibration_error_is_the_distance_of_confidence_and_accuracy():
    truth = ["a"] * 10
    assert measures(made(truth, ["a"] * 8 + ["b"] * 2, confidence=[0.8] * 10))[
        "calibration_error"
    ] == pytest.approx(0)
    assert measures(made(truth, ["a"] * 10, confidence=[0.6] * 10))["calibration_error"] == pytest.approx(0.4)
    # Two bins, 0.1 and 0.3 away, half the events each.
    found = measures(made(truth, ["a"] * 10, confidence=[0.9] * 5 + [0.7] * 5))
    assert found["calibration_error"] == pytest.approx(0.2)


@given(st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=1), st.floats(0.5, 0.999))
def test_fading_is_the_recursion_it_is_defined_by(correct, fading):
    right = count = 0.0
    for value, found in zip(correct, faded(np.array(correct), fading), strict=True):
        right, count = right * fading, count * fading
        if not math.isnan(value):
            right, count = right + value, count + 1.0
        assert found == pytest.approx(right / count) if count else math.isnan(found)


def test_no_answer_is_in_the_confusion_matrix_as_none():
    matrix = confusion(made(["a", "a", "b", None], ["a", None, "b", "a"], classes=CLASSES))
    assert (matrix["a"]["a"], matrix["a"][None], matrix["b"]["b"], matrix.total_weight) == (1, 1, 1, 3)


def test_an_interval_over_seeds_is_students():
    found = Estimate.of([0.8, 0.82, 0.84])
    assert found.mean == pytest.approx(0.82)
    assert found.high - found.mean == pytest.approx(4.30265 * 0.02 / math.sqrt(3), rel=1e-5)
    assert Estimate.of([0.5]) == (0.5, None, None)


def test_a_group_is_the_mean_of_its_runs():
    one, two = (
        made(["a"] * 10, ["a"] * 10, classes=CLASSES),
        made(["a"] * 10, ["a"] * 8 + ["b"] * 2, classes=CLASSES),
    )
    group = Group((one, two))
    assert group.accuracy == pytest.approx(0.9)
    assert group.by_class[0].recall == pytest.approx(0.9)
    assert group.curve(5)[-1].accuracy.mean == pytest.approx(0.9)
