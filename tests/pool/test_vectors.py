"""Vectors of records: numbers, text, what is missing, and embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.feature_extraction import BagOfWords
from river.preprocessing import MinMaxScaler

from stream_al.errors import RecordError
from stream_al.pool import embedded, vectors

VALUES = st.one_of(st.floats(-1e6, 1e6), st.integers(-5, 5), st.booleans(), st.sampled_from(["a", "b", ""]))
RECORDS = st.lists(st.dictionaries(st.sampled_from("wxyz"), VALUES, min_size=1), min_size=1, max_size=12)


@given(RECORDS, st.randoms(use_true_random=False))
def test_every_record_has_a_finite_row_whatever_the_order_of_its_names(records, rng) -> None:  # type: ignore[no-untyped-def]
    found = vectors(records)
    assert found.shape[0] == len(records)
    assert np.isfinite(found).all()
    shuffled = [dict(rng.sample(list(row.items()), len(row))) for row in records]
    assert (vectors(shuffled) == found).all()


def test_numbers_weigh_alike_whatever_their_unit() -> None:
    found = vectors([{"small": 0.001, "large": 1e6}, {"small": 0.003, "large": 3e6}])
    assert found.tolist() == [[-1.0, -1.0], [1.0, 1.0]]


def test_a_number_that_is_missing_is_0() -> None:
    without, with_zero = (
        vectors([{"x": 1.0}, {"x": -1.0}, {"y": 5.0}]),
        vectors([{"x": 1.0}, {"x": -1.0}, {"x": 0.0}]),
    )
    assert without[:, 0].tolist() == with_zero[:, 0].tolist()


def test_a_river_transformer_is_learned_first() -> None:
    records = [{"x": 0.0}, {"x": 10.0}, {"x": 5.0}]
    embed = embedded(MinMaxScaler(), records)
    assert [embed(row)["x"] for row in records] == [0.0, 1.0, 0.5]  # type: ignore[call-overload]


def test_words_can_be_compared() -> None:
    records = [{"text": "red apple"}, {"text": "red apple pie"}, {"text": "blue sky"}]
    found = vectors(records, embedded(BagOfWords(on="text"), records))
    near, far = np.linalg.norm(found[0] - found[1]), np.linalg.norm(found[0] - found[2])
    assert near < far


def test_numbers_in_a_fixed_order_are_taken_as_they_are() -> None:
    assert vectors([{"x": 2.0}], lambda features: [features["x"], 7.0]).tolist() == [[2.0, 7.0]]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("embed", "detail"),
    [
        (lambda features: [0.0] * int(features["n"]), "record 2: its embedding has 2 numbers, the first has 1"),
        (lambda features: [1.0 / (2.0 - features["n"]) if features["n"] != 2 else float("nan")], "record 2: .* not finite"),
        (lambda features: [], "record 1: its embedding has 0 numbers"),
    ],
)  # fmt: skip
def test_an_embedding_that_is_none_says_so(embed, detail: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RecordError, match=detail):
        vectors([{"n": 1}, {"n": 2}], embed)
