"""What the measures of uncertainty say of known tables, and of tables that no model should give."""

from __future__ import annotations

from math import inf, isfinite, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.strategies import LeastConfidence, Margin
from stream_al.uncertainty import UTILITIES, confidence, entropy, margin, scores

# Two events and three classes: A has one likely and one close second class, B has no class above a half.
A = scores({0: 0.4, 1: 0.55, 2: 0.05})
B = scores({0: 0.25, 1: 0.25, 2: 0.5})

tables = st.dictionaries(st.text(max_size=3), st.floats(0.0, 1.0), max_size=6).map(
    lambda table: {name: p / (sum(table.values()) or 1.0) for name, p in sorted(table.items())}
)


def test_least_confidence_prefers_the_event_without_a_likely_class() -> None:
    assert UTILITIES["least-confidence"](B) > UTILITIES["least-confidence"](A)
    strategy = LeastConfidence(threshold=0.52)
    assert [strategy.decide(event, (), 0.9)[0].ask for event in (A, B)] == [False, True]


def test_margin_prefers_the_event_with_a_close_second_class() -> None:
    assert UTILITIES["margin"](A) > UTILITIES["margin"](B)
    strategy = Margin(threshold=0.2)
    assert [strategy.decide(event, (), 0.9)[0].ask for event in (A, B)] == [True, False]


def test_the_measures_of_the_two_events_are_those_computed_by_hand() -> None:
    assert (A.label, A.confidence, B.label, B.confidence) == (1, 0.55, 2, 0.5)
    assert (A.margin, B.margin) == (pytest.approx(0.15), 0.25)
    by_hand = -(0.25 * log(0.25) * 2 + 0.5 * log(0.5)) / log(3)
    assert entropy(B.probabilities) == pytest.approx(by_hand)


@given(tables)
def test_every_utility_is_a_share(table: dict[str, float]) -> None:
    for utility in UTILITIES.values():
        assert 0.0 <= utility(scores(table)) <= 1.0


@given(tables)
def test_scores_agree_with_the_single_measures_and_with_sorting(table: dict[str, float]) -> None:
    answer = scores(table)
    ranked = sorted(table.items(), key=lambda item: (-item[1], item[0]))
    assert answer.confidence == confidence(table) == (ranked[0][1] if ranked else 0.0)
    assert answer.label == (ranked[0][0] if ranked else None)
    assert answer.margin == margin(table)
    if len(ranked) > 1:
        assert answer.margin == ranked[0][1] - ranked[1][1]


@given(st.integers(2, 50))
def test_complete_doubt_is_the_highest_utility_however_many_classes(classes: int) -> None:
    even = scores(dict.fromkeys(range(classes), 1.0 / classes))
    assert entropy(even.probabilities) == pytest.approx(1.0)
    assert UTILITIES["margin"](even) == 1.0


def test_of_equally_probable_classes_the_first_wins() -> None:
    assert scores({"a": 0.5, "b": 0.5}).label == "a"
    assert scores({False: 0.5, True: 0.5}).label is False


def test_knowing_nothing_is_worth_the_most_and_one_class_is_certainty() -> None:
    assert [utility(scores({})) for utility in UTILITIES.values()] == [1.0, 1.0, 1.0]
    assert [utility(scores({"a": 1.0})) for utility in UTILITIES.values()] == [0.0, 0.0, 0.0]


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from([nan, 0.0, 0.5, 1.0]), max_size=3))
def test_nan_is_never_taken_for_certainty(table: dict[str, float]) -> None:
    answer = scores(table)
    assert all(isfinite(number) for number in (answer.confidence, answer.margin, entropy(table)))
    if len(table) > 1 and all(p != p for p in table.values()):
        assert [utility(answer) for utility in UTILITIES.values()] == [1.0, 1.0, 1.0]
    assert answer.confidence < inf
