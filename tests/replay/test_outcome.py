import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.replay.comparison import Comparison
from stream_al.replay.outcome import Outcome


def measured(answers, truths, asked=()):
    lines = [json.dumps({"label": a, "queried": n in asked}).encode() for n, a in enumerate(answers)]
    return Outcome.measure("margin", "asked by margin", lines, truths, len(asked))


def outcome(name, title, right, events, labels):
    correct = np.array([1.0] * right + [0.0] * (events - right))
    return Outcome(name, title, correct, np.arange(events) < labels, labels)


def test_no_answer_is_wrong_and_no_truth_does_not_count():
    found = measured([None, "a", "b", "b"], ["a", "a", None, "b"], asked={0, 2})
    assert found.accuracy == pytest.approx(2 / 3)
    assert (found.events, found.labels, found.share) == (4, 2, 0.5)


def test_a_prediction_too_few_is_noticed():
    with pytest.raises(ValueError, match="zip"):
        measured(["a"], ["a", "b"])


def test_the_last_tenth_is_of_the_measured_events():
    truths = ["a"] * 18 + ["b", None] * 2
    assert measured(["a"] * 18 + ["b"] * 4, truths).last_tenth == 1.0
    assert measured(["a"] * 22, truths).last_tenth == 0.0


events = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["a", "b", None]), st.booleans()), min_size=1
)


@given(events, st.integers(1, 40))
def test_a_curve_ends_at_the_numbers_of_the_table_and_never_goes_back(rows, points):
    found = measured([r[0] for r in rows], [r[1] for r in rows], {n for n, r in enumerate(rows) if r[2]})
    curve = found.curve(points)
    assert len(curve) <= points
    if all(row[1] is None for row in rows):
        assert curve == []
        return
    assert curve[-1][:2] == (found.events, found.labels)
    assert curve[-1].accuracy == pytest.approx(found.accuracy)
    assert all(0.0 <= p.recent <= 1.0 and math.isfinite(p.recent) for p in curve)
    assert [p.events for p in curve] == sorted({p.events for p in curve})
    assert [p.labels for p in curve] == sorted(p.labels for p in curve)


def test_the_recent_accuracy_forgets():
    found = measured(["b"] * 90 + ["a"] * 10, ["a"] * 100)
    assert found.window == 10
    assert found.curve()[-1].recent == 1.0
    assert found.curve()[-1].accuracy == pytest.approx(0.1)


def test_the_sentence_says_who_wins_and_by_how_much():
    margin = outcome("margin", "asked by margin", 80, 100, 10)
    rest = [outcome("random", "asked at random", 75, 100, 11), outcome("all", "all labels", 90, 100, 100)]
    comparison = Comparison("x", 2, [margin, *rest], {})
    assert comparison.sentence() == (
        "Asked by margin, 10 labels for 100 events gave 80.0% right answers: 5.0 points more than asking "
        "for 11 at random, and 10.0 points fewer than learning from all 100 labels."
    )
    assert comparison.gap(margin) == pytest.approx(-10.0)


def test_the_sentence_does_not_hide_a_loss_or_a_draw():
    margin = outcome("margin", "asked by margin", 70, 100, 10)
    rest = [outcome("random", "asked at random", 75, 100, 10), outcome("all", "all labels", 70, 100, 100)]
    text = Comparison("x", 2, [margin, *rest], {}).sentence()
    assert "5.0 points fewer than asking for 10 at random" in text
    assert "as many as learning from all 100 labels" in text


def test_the_sentence_compares_with_random_only_what_spent_no_more():
    lavish = outcome("margin<0.9", "asked where margin < 0.9", 95, 100, 60)
    frugal = outcome("margin", "asked by margin", 80, 100, 10)
    rest = [outcome("random", "asked at random", 75, 100, 10), outcome("all", "all labels", 97, 100, 100)]
    assert "Asked by margin, 10 labels" in Comparison("x", 2, [lavish, frugal, *rest], {}).sentence()
    alone = Comparison("x", 2, [lavish, *rest], {}).sentence()
    assert alone == (
        "Asked where margin < 0.9, 60 labels for 100 events gave 95.0% right answers: "
        "2.0 points fewer than learning from all 100 labels."
    )


def test_one_outcome_alone_makes_a_sentence_and_no_gap():
    alone = outcome("all", "all labels", 1, 2, 2)
    assert Comparison("x", 2, [alone], {}).sentence().endswith("gave 50.0% right answers.")
    random = Comparison("x", 2, [outcome("random", "asked at random", 1, 2, 2)], {})
    assert random.gap(random.outcomes[0]) is None
