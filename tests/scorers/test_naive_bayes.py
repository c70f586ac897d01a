"""The logarithm of a sum of exponentials, as scipy has it."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import logsumexp

from stream_al.scorers.naive_bayes import log_sum_exp

likelihoods = (
    st.floats(-800.0, 0.0) | st.floats(-3.0, 0.0) | st.sampled_from((-1.0, 0.0, -0.0, 709.0, -1e100))
)


@given(st.lists(likelihoods, min_size=1, max_size=70))
@example([-1.0, -1.0])
@example([-0.0, 0.0])
@example([0.1 * number for number in range(40)])
def test_it_is_scipys_to_the_last_bit(values: list[float]) -> None:
    assert log_sum_exp(values).hex() == float(logsumexp(values)).hex()


@pytest.mark.parametrize("values", [[inf, 0.0], [-inf, -inf], [nan, 0.0], [0.0, nan], []])
def test_what_is_not_finite_is_left_to_scipy(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"\[|empty"):
        log_sum_exp(values)
