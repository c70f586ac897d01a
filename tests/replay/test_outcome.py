import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.replay.outcome import Outcome


def measured(answers, truths, asked=()):
    lines = [json.dumps({"label": a, "queried": n in asked}).encode() for n, a in enumerate(answers)]
    return Outcome.measure("margin", "asked by margin", lines, truths, len(asked))


def test_no_answer_is_wrong_and_no_truth_does_not_count():
    found = measured([None, "a", "b", "b"], ["a", "a", None, "b"], asked={0, 2})
    assert found.accuracy == pytest.approx(2 / 3)
    assert (found.events, found.labels, found.share) == (4, 2, 0.5)


def test_a_prediction_too_few_is_noticed():
    with pytest.raises(ValueError, match="must be as many"):
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


def test_what_came_after_is_measured_by_itself():
    found = measured(["a", "b", "a", "a"], ["a", "a", "a", "b"], asked={0, 3}).after(2)
    assert (found.events, found.labels, found.accuracy) == (2, 1, 0.5)
    assert found.chance.shape == found.confidence.shape == (2,)
