"""An event's draw is its own: the same everywhere, uniform, and independent between keys."""

from __future__ import annotations

import subprocess
import sys
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.draws import Draws


@given(st.lists(st.text()), st.text(max_size=20))
def test_many_draws_are_the_draws_of_each(ids: list[str], key: str) -> None:
    assert Draws(key).all(ids) == [Draws(key)(event_id) for event_id in ids]


@given(st.text(), st.text(max_size=20))
def test_a_draw_is_in_range_and_repeatable(event_id: str, key: str) -> None:
    draw = Draws(key)(event_id)
    assert 0.0 <= draw < 1.0
    assert Draws(key)(event_id) == draw


def test_a_draw_is_the_same_in_another_process_with_another_hash_seed() -> None:
    code = "from stream_al.draws import Draws; print(repr(Draws('key')('événement 1')))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == repr(Draws("key")("événement 1"))


def test_a_draw_does_not_change_between_releases() -> None:
    # Recorded propensities and replays depend on this number.
    assert Draws("stream_al")("tx-1") == 0.5469745759768629


@pytest.mark.parametrize("ids", ["e{}", "2026-01-31T{:06}", "{}"])
def test_draws_are_uniform_over_ids(ids: str) -> None:
    draw = Draws("key")
    count, bins = 20_000, 20
    found = [0] * bins
    for number in range(count):
        found[int(draw(ids.format(number)) * bins)] += 1
    expected = count / bins
    statistic = sum((observed - expected) ** 2 / expected for observed in found)
    assert statistic < 44  # the 0.999 quantile of chi-squared with 19 degrees of freedom is 43.8


def correlation(one: list[float], other: list[float]) -> float:
    n = len(one)
    return sum((a - 0.5) * (b - 0.5) for a, b in zip(one, other, strict=True)) * 12 / n


def test_draws_of_different_keys_purposes_and_neighbours_are_uncorrelated() -> None:
    ids = [f"e{number}" for number in range(10_000)]
    base = [Draws("key")(event_id) for event_id in ids]
    bound = 4 / sqrt(len(ids))
    for other in (Draws("key2"), Draws("key", "oracle"), Draws("")):
        assert abs(correlation(base, [other(event_id) for event_id in ids])) < bound
    assert abs(correlation(base[:-1], base[1:])) < bound


def test_a_purpose_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="person"):
        Draws("key", "a purpose of more than sixteen bytes")
