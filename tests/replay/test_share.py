"""A share of which only those asked about are known: exact, or an interval that covers it as often as told, or refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from stream_al.replay.share import Sample, weighted_share

RUNS, EVENTS = 500, 1500
Floats = npt.NDArray[np.float64]


def fewest(runs: int) -> int:
    """An interval that covers 95 % of the time covers in fewer of so many runs once in a thousand such tests."""
    return int(binom.ppf(0.001, runs, 0.95))


def population(rng: np.random.Generator, drift: float) -> tuple[Floats, Floats]:
    """Utilities, and whether the model is wrong: likelier where it is unsure, and as time goes by. A row a run."""
    utility = rng.beta(0.6, 2.0, (RUNS, EVENTS))
    chance = 0.03 + 0.6 * utility**2 + drift * np.linspace(0.0, 1.0, EVENTS)
    return utility, (rng.random((RUNS, EVENTS)) < np.clip(chance, 0.0, 1.0)).astype(float)


def budgeted(
    rng: np.random.Generator, utility: Floats, budget: float, explore: float
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Propensities that depend on what was asked before, as those of a strategy with a budget do."""
    threshold, tokens = np.full(RUNS, 0.5), np.full(RUNS, 5.0)
    propensity, draw = np.zeros((RUNS, EVENTS)), rng.random((RUNS, EVENTS))
    for at in range(EVENTS):
        tokens = np.minimum(20.0, tokens + budget)
        worth = utility[:, at] > threshold
        propensity[:, at] = np.where(worth & (tokens >= 1.0), 1.0, explore)
        tokens = tokens - (draw[:, at] < propensity[:, at])
        threshold = np.clip(threshold + 0.02 * (worth - budget * (0.5 + tokens / 20)), 0.05, 0.95)
    return propensity, draw < propensity


@pytest.mark.parametrize("answered", [1.0, 0.8], ids=["all-answered", "a-fifth-never"])
@pytest.mark.parametrize(
    ("region", "drift", "explore"),
    [
        (0.0, 0.0, 0.03),
        (0.0, 0.0, 0.1),
        (0.0, 0.2, 0.03),
        (0.0, 0.2, 0.1),
        (0.5, -0.1, 0.1),
        (-0.3, 0.1, 0.03),
    ],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(
    region: float, drift: float, explore: float, answered: float
) -> None:
    """Of all events, of those above a utility, of those below one (negative)."""
    rng = np.random.default_rng(7)
    utilities, wrongs = population(rng, drift)
    propensities, asks = budgeted(rng, utilities, 0.15, explore)
    answers = asks & (rng.random(asks.shape) < answered)
    covered = naive = given_ = 0
    for utility, wrong, propensity, asked, known in zip(
        utilities, wrongs, propensities, asks, answers, strict=True
    ):
        weight = np.ones_like(wrong) if not region else (np.sign(region) * utility > region).astype(float)
        found = weighted_share(np.where(known, wrong, np.nan), weight, Sample(propensity, asked))
        if found.low is None or found.high is None:
            continue  # of those that chance decided about, too few were asked
        truth = float(wrong @ weight / weight.sum())
        given_ += 1
        covered += found.low <= truth <= found.high
        mean, n = float(wrong[known & (weight > 0)].mean()), int((known & (weight > 0)).sum())
        naive += bool(abs(mean - truth) <= 1.96 * np.sqrt(mean * (1 - mean) / n))
    assert given_ >= 0.95 * RUNS
    assert covered >= fewest(given_), f"{covered} of {given_}"
    if not region:  # of all events; counting the labels alone is far off
        assert naive < fewest(given_) / 2, f"{naive} of {given_}"


def test_the_interval_is_not_much_wider_than_it_must_be() -> None:
    """With equal propensities it is about that of as many labels drawn at random."""
    rng = np.random.default_rng(3)
    widths = []
    for _ in range(200):
        wrong = (rng.random(4000) < 0.2).astype(float)
        asked = rng.random(4000) < 0.1
        found = weighted_share(
            np.where(asked, wrong, np.nan), np.ones(4000), Sample(np.full(4000, 0.1), asked)
        )
        assert found.low is not None
        assert found.high is not None
        widths.append((found.high - found.low) / (2 * 1.96 * np.sqrt(0.2 * 0.8 * 0.9 / asked.sum())))
    assert 0.9 < np.mean(widths) < 1.15


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0.01, 5.0)), min_size=1, max_size=30),
)
def test_where_all_is_known_it_is_the_plain_share_and_exact(events: list[tuple[float, float]]) -> None:
    truth, weight = (np.array(column) for column in zip(*events, strict=True))
    found = weighted_share(truth, weight, Sample(np.ones(len(events)), np.ones(len(events), bool)))
    assert found.kind == "exact"
    assert found.value == found.low == found.high == pytest.approx(float(np.average(truth, weights=weight)))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0]),
            st.just(0.0) | st.floats(1e-6, 3.0),
            st.sampled_from([0.0, 0.05, 0.5, 1.0]),
            st.floats(0.0, 0.999),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_whatever_is_known_the_interval_is_around_the_value_and_within_0_and_1(
    events: list[tuple[float, float, float, float, bool]],
) -> None:
    truth, weight, propensity, draw, answered = (np.array(column) for column in zip(*events, strict=True))
    asked = draw < propensity
    found = weighted_share(np.where(asked & answered, truth, np.nan), weight, Sample(propensity, asked))
    if found.kind == "refused":
        assert found.why
        assert found.value is found.low is found.high is None
    else:
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert 0.0 <= found.low <= found.value + 1e-9
        assert found.value <= found.high + 1e-9 <= 1.0 + 2e-9


def test_without_a_chance_to_be_asked_there_is_no_number_unless_it_is_of_few() -> None:
    propensity = np.array([1.0] * 90 + [0.0] * 10)
    asked = propensity > 0.0
    truth = np.where(asked, 0.0, np.nan)
    found = weighted_share(truth, np.ones(100), Sample(propensity, asked))
    assert found.kind == "refused"
    assert found.why == "of 10.0% of these events fewer than 5 answers are known"
    few = np.where(asked, 1.0, 0.2)
    found = weighted_share(truth, few, Sample(propensity, asked))
    assert (found.kind, found.value, found.low) == ("estimated", 0.0, 0.0)
    assert found.high == pytest.approx(2 / 92)


def test_no_error_among_few_labels_is_not_taken_for_no_error() -> None:
    propensity = np.full(2000, 0.01)
    asked = np.zeros(2000, bool)
    asked[::100] = True
    found = weighted_share(np.where(asked, 0.0, np.nan), np.ones(2000), Sample(propensity, asked))
    assert found.value == 0.0
    assert found.high is not None
    assert 0.1 < found.high < 0.2
