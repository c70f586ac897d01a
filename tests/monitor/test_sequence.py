"""The bound on a sum of which a sample is seen: exactly a martingale, whatever the residuals and propensities."""

from __future__ import annotations

import json
from itertools import product
from math import exp, inf, isclose, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_al.monitor.sequence import SumBound

chances = st.sampled_from([0.004, 0.01, 0.05, 0.1, 0.3, 0.9])
residuals = st.floats(-1.0, 1.0, allow_nan=False)


def fed(stream: list[tuple[float, float]], seen: tuple[bool, ...], most: float = 1.0) -> SumBound:
    bound = SumBound(most)
    for (residual, chance), is_seen in zip(stream, seen, strict=True):
        bound.meet(chance, chance)
        if is_seen:
            bound.add(residual, chance)
    return bound


@given(st.lists(st.tuples(residuals, chances), min_size=1, max_size=7))
def test_over_the_draws_the_evidence_at_the_truth_is_one_on_average_or_less(
    stream: list[tuple[float, float]],
) -> None:
    total = sum(residual for residual, _ in stream)
    mean = 0.0
    for seen in product((False, True), repeat=len(stream)):
        weight = 1.0
        for (_, chance), is_seen in zip(stream, seen, strict=True):
            weight *= chance if is_seen else 1.0 - chance
        mean += weight * exp(fed(stream, seen).evidence(total))
    assert mean <= 1.0 + 1e-9
    if all(chance >= stream[0][1] for _, chance in stream):  # no rate had to be given up
        assert isclose(mean, 1.0, rel_tol=1e-9)


@given(
    st.lists(st.tuples(residuals, chances, st.booleans()), min_size=1, max_size=50),
    st.sampled_from([0.001, 0.025, 0.5]),
)
def test_the_bound_is_where_the_evidence_reaches_one_in_alpha(
    stream: list[tuple[float, float, bool]], alpha: float
) -> None:
    bound = fed([(r, c) for r, c, _ in stream], tuple(seen for _, _, seen in stream))
    found = bound.bound(alpha)
    if found == inf:
        assert not bound.excludes(1e9, alpha)
        return
    assert isclose(bound.evidence(found), -log(alpha), abs_tol=1e-6)
    assert bound.excludes(found + 1e-6, alpha)
    assert not bound.excludes(found - 1e-6, alpha)


def test_where_nothing_is_left_to_chance_the_sum_of_the_rest_is_zero() -> None:
    bound = SumBound(1.0)
    assert bound.bound(0.025) == 0.0
    assert bound.excludes(0.5, 0.025)
    assert not bound.excludes(0.0, 0.025)


def test_a_propensity_too_small_for_all_rates_allows_no_statement() -> None:
    bound = SumBound(1.0)
    bound.meet(0.5, 1e-9)
    assert bound.bound(0.025) == inf
    assert not bound.excludes(1e12, 0.025)


def test_more_labels_narrow_it() -> None:
    few, many = SumBound(1.0), SumBound(1.0)
    for bound, labels in ((few, 10), (many, 1000)):
        bound.meet(0.1, 0.1)
        bound.add(1.0, 0.1, times=labels)
    assert few.bound(0.025) / (10 / 0.1) > 1.9
    assert 1.0 < many.bound(0.025) / (1000 / 0.1) < 1.2


@given(st.lists(st.tuples(residuals, chances, st.booleans()), max_size=20), st.integers(0, 20))
def test_what_was_dumped_or_joined_goes_on_as_if_it_had_not(
    stream: list[tuple[float, float, bool]], cut: int
) -> None:
    def feed(bound: SumBound, part: list[tuple[float, float, bool]]) -> SumBound:
        for residual, chance, seen in part:
            bound.meet(chance, chance)
            if seen:
                bound.add(residual, chance)
        return bound

    whole = feed(SumBound(1.0), stream)
    begun = feed(SumBound(1.0), stream[:cut])
    loaded = feed(SumBound.load(1.0, json.loads(json.dumps(begun.dump()))), stream[cut:])
    assert loaded.dump() == whole.dump()
    begun.join(feed(begun.next(), stream[cut:]))
    assert begun.dump()[:2] == whole.dump()[:2]
    assert begun.bound(0.025) == pytest.approx(whole.bound(0.025), rel=1e-9, abs=1e-9)
