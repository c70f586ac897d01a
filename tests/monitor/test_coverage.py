"""The promise: over many streams, strategies and drifts, 95 % of the interval sequences are right at every event."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from benchmarks.honest_accuracy import (
    DRIFTS,
    STRATEGIES,
    evidence,
    missed,
    naive,
    simulate,
    stretch_of,
)
from stream_al.monitor.calibration import MOST

STREAMS, EVENTS = 500, 1200


def most_by_chance(trials: int, share: float, chance: float) -> int:
    """Return how many successes are exceeded with no more than this chance."""
    left, found = 1.0, -1
    while left > chance:
        found += 1
        left -= comb(trials, found) * share**found * (1.0 - share) ** (trials - found)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_sequence_covers_the_true_running_accuracy_at_all_times_and_the_naive_one_does_not(
    name: str,
) -> None:
    misses = 0
    for drift in DRIFTS:
        rng = np.random.default_rng([1, *name.encode(), *drift.encode()])
        found = simulate(STRATEGIES[name], drift, STREAMS, EVENTS, rng)
        missing = int(missed(found).sum())
        assert missing <= most_by_chance(STREAMS, 0.05, 1e-4), drift
        misses += missing
        off, end, always = naive(found)
        if name.startswith("random"):  # without bias, but not made for looking at all the time
            assert off < 0.04
            assert always < 0.9
        else:
            assert off > 0.08
            assert end < 0.75
            assert always < 0.6
    assert misses <= 0.05 * STREAMS * len(DRIFTS)
    assert misses > 0 or not name.startswith("random")  # not so wide as to be always right


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random 10 %", "margin, explore 2 %", "budgeted 10 %, explore 2.5 %"])
def test_it_is_at_most_about_twice_as_wide_as_for_as_many_labels_drawn_evenly(name: str) -> None:
    rng = np.random.default_rng(7)
    found = simulate(STRATEGIES[name], "gradual", 40, 4000, rng)
    share = float(found.asked.mean())
    even = found._replace(propensity=np.full((40, 4000), share), asked=rng.random((40, 4000)) < share)
    widths = []
    for kind in (found, even):
        estimates = [stretch_of(kind, at).estimate() for at in range(40)]
        widths.append(np.array([estimate.high - estimate.low for estimate in estimates]))
    assert np.median(widths[0] / widths[1]) < 2.2


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_simulated_at_once_is_what_the_pipeline_counts(name: str) -> None:
    rng = np.random.default_rng(5)
    found = simulate(STRATEGIES[name], "sudden", 4, 600, rng)
    residual = np.where(found.propensity < 1.0, found.wrong - found.expected, 0.0)
    residual[found.propensity == 0.0] = 0.0
    high = evidence(found.wrong - found.expected, found.asked, found.propensity, 1.0)
    low = evidence(found.expected - found.wrong, found.asked, found.propensity, MOST)
    for at in range(4):
        for events in (50, 300, 600):
            made = stretch_of(found, at, events)
            total = float(residual[at, :events].sum())
            assert made.more.evidence(total) == pytest.approx(high[at, events - 1], abs=1e-6)
            assert made.fewer.evidence(-total) == pytest.approx(low[at, events - 1], abs=1e-6)
            assert made.labels == found.asked[at, :events].sum()
