"""The benchmarks of late labels and of exploring measure what the benchmark of label efficiency does."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import explore_price
from efficiency_streams import LEARNERS, streams
from label_efficiency import Job, measure
from late_labels import DEFAULT, TRIED, Open, accuracy, expected, with_pending

from stream_al import Model
from stream_al.records import Example
from stream_al.uncertainty import scores

SPAM = streams(None)["spam"]
ROWS = SPAM.rows(0)[:1_500]
STREAM = SPAM._replace(rows=lambda seed: ROWS)


@pytest.mark.parametrize("delay", [0, 200])
def test_the_default_is_the_default(delay):
    known = measure(Job("spam", "linear", "default", 0.1, 0, delay), STREAM, ROWS)["accuracy"]
    assert accuracy(TRIED[DEFAULT], "linear", STREAM, 0, delay, 0.1) == pytest.approx(known)


WITHOUT_EFFECT = {
    DEFAULT,
    "cold start 10",  # goes on asking while answers are late, as the default does
    "apart",  # texts have few words in common, so that none is near to another
}


@pytest.mark.parametrize("name", [name for name in TRIED if name not in WITHOUT_EFFECT])
def test_whatever_is_tried_makes_a_difference(name):
    tried, default = (accuracy(TRIED[n], "linear", STREAM, 0, 200, 0.1) for n in (name, DEFAULT))
    assert tried != default
    assert tried > 60


def test_the_imagined_model_has_learned_the_open_queries_and_the_real_one_has_not():
    model = Model(LEARNERS["linear"].make(SPAM))
    for number, (features, label) in enumerate(ROWS[:60]):
        model.learn(Example(event_id=str(number), features=features, label=label))
    before = model.digest()
    row = ROWS[70]
    made = with_pending(model, [Open(99, row, [("spam", 1.0)])])
    assert model.digest() == before != made.digest()
    assert made.score(row[0]).probabilities["spam"] > model.score(row[0]).probabilities["spam"]


def test_an_open_query_counts_as_predicted_or_as_probable_once_there_are_two_classes():
    answer = scores({"ham": 0.75, "other": 0.01, "spam": 0.24}, 100)
    assert expected(answer, "predicted") == [("ham", 1.0)]
    assert expected(answer, "probable") == [("ham", 0.75), ("spam", 0.24)]
    assert expected(answer, "") == expected(scores({"ham": 1.0}, 3), "predicted") == []


def test_more_exploring_makes_the_interval_narrower_for_the_same_number_of_labels():
    runs = [explore_price.run(STREAM, ROWS, share, 0.1, 0) for share in (0.1, 0.4)]
    assert runs[0].accuracy == pytest.approx(
        measure(Job("spam", "linear", "default", 0.1, 0), STREAM, ROWS)["accuracy"]
    )
    assert runs[1].width < 0.8 * runs[0].width
    assert all(run.held for run in runs)
    assert 1.0 < runs[1].even < runs[0].even
