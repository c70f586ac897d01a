"""The learning curve: pieces that add up to the estimate of the whole stream, in bounded memory."""

from __future__ import annotations

from math import isclose, sqrt

import pytest

from stream_al.draws import Draws
from stream_al.monitor import Accuracy
from stream_al.monitor.curve import PIECES, Curve
from stream_al.monitor.stretch import Span


def watched(events: int, wrong_before: int, share: float = 0.2) -> Accuracy:
    """Return what was seen of a stream whose model is wrong every third time at first, and every tenth later."""
    watch, draw = Accuracy(), Draws("curve")
    for number in range(events):
        name = f"e{number}"
        if watch.pass_by(number, "a", 0.8, share, name if draw(name) < share else None):
            wrong = number % (3 if number < wrong_before else 10) == 0
            watch.settle(name, "b" if wrong else "a")
    return watch


def test_it_shows_where_the_model_became_better() -> None:
    points = watched(12_000, 6_000).report(12_000).curve
    before = [p for p in points if p.events < 6_000]
    after = [p for p in points if p.events > 6_500]
    assert len(before) > 10 < len(after)
    for part, true in ((before, 2 / 3), (after, 0.9)):
        known = [p.accuracy for p in part if p.accuracy is not None]
        assert isclose(sum(known) / len(known), true, abs_tol=0.03)
        covered = sum(p.low <= true <= p.high for p in part) / len(part)
        assert covered > 0.8


def test_its_pieces_add_up_to_the_estimate_of_the_whole() -> None:
    watch = watched(20_000, 0)
    points, whole = watch.curve.points(), watch.whole(20_000).estimate()
    assert whole.accuracy is not None
    assert points[-1].labels <= whole.labels
    sizes = [
        one.events - before for before, one in zip([0, *(p.events for p in points)], points, strict=False)
    ]
    mean = sum(s * p.accuracy for s, p in zip(sizes, points, strict=True) if p.accuracy is not None) / sum(
        sizes
    )
    assert isclose(mean, whole.accuracy, abs_tol=0.005)


def test_a_long_stream_keeps_few_pieces() -> None:
    curve = Curve()
    for number in range(100_000):
        curve.count(Span(events=9), 0.0, 1.0, number % 4 == 0)
    points = curve.points()
    assert PIECES // 2 <= len(points) <= PIECES
    assert points[-1].events <= 1_000_000
    assert points[-1].events == pytest.approx(1_000_000, rel=0.05)
    assert all(p.accuracy == pytest.approx(1 - 0.25 / 10, abs=1e-3) for p in points)


def test_what_nobody_answered_widens_the_band_and_moves_nothing() -> None:
    answered, silent = Curve(), Curve()
    for number in range(1000):
        answered.count(Span(), 0.1, 0.5, number % 10 == 0)
        silent.count(Span(), 0.1, 0.5, None if number % 2 else number % 10 == 0)
    for one, other in zip(answered.points(), silent.points(), strict=True):
        assert other.high - other.low > one.high - one.low


def test_without_labels_nothing_is_claimed() -> None:
    curve = Curve()
    for _ in range(500):
        curve.count(Span(), 0.1, 0.5, None)
    assert {(p.accuracy, p.low, p.high) for p in curve.points()} == {(None, 0.0, 1.0)}


def test_the_band_is_as_wide_as_the_variance_of_the_weighted_labels_says() -> None:
    curve = Curve()
    for number in range(100):
        curve.count(Span(), 0.0, 0.25, number < 20)
    (point,) = curve.points()
    half = 1.96 * sqrt(20 * 16 * 0.75) / 100
    assert point.accuracy == pytest.approx(0.2)
    assert point.high - point.accuracy == pytest.approx(half)


def test_a_dump_in_the_middle_changes_nothing() -> None:
    whole, first = Curve(), Curve()
    for number in range(3_000):
        whole.count(Span(events=number % 7), 0.1, 0.5, number % 9 == 0)
        if number == 1_500:
            first = Curve.load(first.dump())
        first.count(Span(events=number % 7), 0.1, 0.5, number % 9 == 0)
    assert first.dump() == whole.dump()
