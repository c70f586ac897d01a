"""Whether the intervals for the accuracy are right at all times, how wide they are, and what naive ones are.

    python benchmarks/honest_accuracy.py [--streams 500] [--events 3000]

Simulated streams: a model that is more or less sure, more or less rightly, and drifts; the strategies are the real ones.
*Covered* is the share of streams in which the 95 % sequence contains the true running accuracy at every single event.
*Naive* is the accuracy on the labels asked for, with the usual 95 % interval: how far off it is in the end, and in how many
streams its interval covers the truth in the end, and at every event after 30 labels. *Width* is that in the end; *even* is
how many times as wide as for as many labels drawn evenly; *at best* how many times as large the standard deviation of the
estimate itself is, with the same propensities: about what no other way to make intervals can fall below; *EB* how many times
as wide the empirical-Bernstein sequence of Waudby-Smith et al. (2022) is on the same data.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from stream_al import Budgeted, LeastConfidence, Margin, QueryStrategy, Random, Scores
from stream_al.monitor.calibration import MOST
from stream_al.monitor.sequence import PRIOR, rates
from stream_al.monitor.stretch import ALPHA, Span, Stretch

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

STRATEGIES: dict[str, QueryStrategy] = {
    "random 10 %": Random(0.1),
    "margin, explore 2 %": Margin(0.2, explore=0.02),
    "threshold, explore 2 %": LeastConfidence(0.6, explore=0.02),
    "budgeted 10 %, explore 1 %": Budgeted(0.1),
    "budgeted 10 %, explore 2.5 %": Budgeted(0.1, explore=0.025),
}
DRIFTS: dict[str, Callable[[Floats], Floats]] = {
    "none": lambda time: np.ones_like(time),
    "sudden": lambda time: np.where(time < 0.5, 1.0, 3.0),
    "gradual": lambda time: 0.5 + 2.0 * time,
    "recurring": lambda time: np.where(np.sin(20.0 * time) > 0.0, 0.4, 2.0),
}
"""By name, from time (0 to 1) to how many times as often as it says the model is wrong."""
MEASURED = 60
"""Streams of each kind whose widths are measured."""


class Streams(NamedTuple):
    """Many simulated streams at once: a row each."""

    wrong: Flags
    """Whether the model's answer is."""
    expected: Floats
    """The model's own doubt: what `Calibration.expected` is in the pipeline."""
    propensity: Floats
    asked: Flags


class Kind(NamedTuple):
    """What was found for one strategy and drift."""

    accuracy: float
    labels: float
    missed: int
    width: float
    against_even: float
    at_best: float
    against_bernstein: float
    naive_off: float
    naive_covers_end: float
    naive_covers_always: float


def simulate(
    strategy: QueryStrategy, drift: str, streams: int, events: int, rng: np.random.Generator
) -> Streams:
    """Return streams whose confidences mean less than they say, more or less so as time passes."""
    confidence = 1.0 - 0.5 * rng.beta(0.5, 1.5, (streams, events))
    second = (1.0 - confidence) * rng.uniform(0.6, 1.0, (streams, events))
    factor = DRIFTS[drift](np.linspace(0.0, 1.0, events)) * rng.uniform(0.5, 1.5, (streams, 1))
    wrong = rng.random((streams, events)) < np.minimum(0.9, (1.0 - confidence) * factor)
    draws = rng.random((streams, events))
    propensity = np.empty((streams, events))
    for at in range(streams):
        state, decide = strategy.start(), strategy.decide
        for event, (first, other, draw) in enumerate(
            zip(confidence[at].tolist(), second[at].tolist(), draws[at].tolist(), strict=True)
        ):
            decision, state = decide(
                Scores({"a": first, "b": other}, "a", first, first - other, 99, 3), state, draw
            )
            propensity[at, event] = decision.propensity
    return Streams(wrong, np.minimum(MOST, 1.0 - confidence), propensity, draws < propensity)


def evidence(residual: Floats, asked: Flags, propensity: Floats, most: float) -> Floats:
    """Return the logarithm of the mixture at every event, at the true sum: what `SumBound.evidence` is, for many streams."""
    chance = (propensity > 0.0) & (propensity < 1.0)
    least = propensity[chance].min()
    assert least == propensity[chance].max(), "kept simple: one propensity besides 0 and 1"
    residual = np.where(chance, residual, 0.0)
    seen = asked & chance
    total = np.full(residual.shape, -np.inf)
    for prior, rate in zip(PRIOR, rates(least, most), strict=True):
        steps = rate * residual
        steps[seen] += np.log1p(np.expm1(-steps[seen]) / least)
        total = np.logaddexp(total, prior + np.cumsum(steps, axis=1))
    return total


def missed(found: Streams) -> Flags:
    """Return which streams have an interval, at any event, that does not contain the true running accuracy."""
    residual = found.wrong - found.expected
    threshold = np.log(2.0 / ALPHA)
    high: Flags = evidence(residual, found.asked, found.propensity, 1.0).max(axis=1) >= threshold
    low: Flags = evidence(-residual, found.asked, found.propensity, MOST).max(axis=1) >= threshold
    return high | low


def stretch_of(found: Streams, at: int, events: int | None = None) -> Stretch:
    """Return what the pipeline would count of one of the streams."""
    made = Stretch()
    rows = [column[at][:events] for column in found]
    wrong, expected, propensity, asked = rows
    before = 0
    for event in [*np.flatnonzero(asked).tolist(), len(asked)]:
        gap = slice(before, event)
        chances = propensity[before : event + 1]
        chances = chances[(chances > 0.0) & (chances < 1.0)]
        none = propensity[gap] == 0.0
        made.pass_over(
            Span(
                event - before,
                float(expected[gap].sum()),
                int(none.sum()),
                float(expected[gap][none].sum()),
                float(chances[0]) if len(chances) else 1.0,
                float(chances.min()) if len(chances) else 1.0,
            )
        )
        if event < len(asked):
            made.count(float(expected[event]), float(propensity[event]), bool(wrong[event]))
        before = event + 1
    return made


def bernstein_width(found: Streams, at: int) -> float:
    """Return the width of the empirical-Bernstein sequence for the running mean, with the same kind of mixture.

    As Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro (2022) do on Howard et al. (2021), theorem 4: for x >= 0 and
    predictable guesses y, exp(lam (x - E x) - (-log(1 - lam) - lam) (x - y)^2) is a supermartingale.
    """
    wrong, expected, propensity, asked = (column[at] for column in found)
    scale = 1.0 / propensity[propensity > 0.0].min()
    correction = np.zeros(len(wrong))
    correction[asked] = (wrong[asked] - expected[asked]) / propensity[asked]
    lam = 0.95 * 1.7 ** -np.arange(12.0)
    width = 0.0
    for errors, most in ((expected + correction, MOST * scale), (1.0 - expected - correction, scale)):
        x = (errors + most) / (1.0 + most)  # both are at least -most
        guess = np.concatenate(([0.5], (np.cumsum(x)[:-1] + 0.5) / np.arange(2.0, len(x) + 1.0)))
        variance = ((x - guess) ** 2).sum()
        cost = (-np.log1p(-lam) - lam) * variance
        low, high = 0.0, float(((np.log(2.0 / ALPHA) - PRIOR + cost) / lam).min())
        for _ in range(60):
            middle = (low + high) / 2.0
            above = np.logaddexp.reduce(np.array(PRIOR) + lam * middle - cost) > np.log(2.0 / ALPHA)
            low, high = (low, middle) if above else (middle, high)
        width += high * (1.0 + most) / len(x)
    return min(1.0, width)


def deviations(found: Streams) -> Floats:
    """Return the standard deviation of each stream's doubly robust estimate, times its events."""
    chance = (found.propensity > 0.0) & (found.propensity < 1.0)
    factor = np.where(chance, 1.0 / np.where(chance, found.propensity, 1.0) - 1.0, 0.0)
    total: Floats = np.sqrt((factor * (found.wrong - found.expected) ** 2).sum(axis=1))
    return total


def naive(found: Streams) -> tuple[float, float, float]:
    """Return how far the accuracy on the labels is off, and how often its interval covers: in the end, and always."""
    labels = np.cumsum(found.asked, axis=1)
    told = np.cumsum(found.asked & ~found.wrong, axis=1) / np.maximum(labels, 1)
    true = np.cumsum(~found.wrong, axis=1) / np.arange(1.0, found.wrong.shape[1] + 1.0)
    half = 1.96 * np.sqrt(told * (1.0 - told) / np.maximum(labels, 1))
    covers = (abs(told - true) <= half) | (labels < 30)
    return (
        float(np.median(abs(told - true)[:, -1])),
        float(covers[:, -1].mean()),
        float(covers.all(axis=1).mean()),
    )


def measure(name: str, drift: str, streams: int, events: int) -> Kind:
    rng = np.random.default_rng([*name.encode(), *drift.encode()])
    found = simulate(STRATEGIES[name], drift, streams, events, rng)
    share = float(found.asked.mean())
    even = found._replace(
        propensity=np.full(found.wrong.shape, share), asked=rng.random(found.wrong.shape) < share
    )
    widths, against_even, against_bernstein = [], [], []
    for at in range(min(MEASURED, streams)):
        ours, theirs = stretch_of(found, at).estimate(), stretch_of(even, at).estimate()
        widths.append(ours.high - ours.low)
        against_even.append(widths[-1] / (theirs.high - theirs.low))
        against_bernstein.append(bernstein_width(found, at) / widths[-1])
    off, end, always = naive(found)
    return Kind(
        1.0 - float(found.wrong.mean()),
        float(found.asked.sum(axis=1).mean()),
        int(missed(found).sum()),
        float(np.median(widths)),
        float(np.median(against_even)),
        float(np.median(deviations(found) / deviations(even))),
        float(np.median(against_bernstein)),
        off,
        end,
        always,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=500, help="of each kind")
    parser.add_argument("--events", type=int, default=3000, help="in each stream")
    arguments = parser.parse_args()
    console = Console(width=150)
    table = Table(title=f"{arguments.streams} streams of {arguments.events:,} events of each kind")
    for column in ("strategy", "drift"):
        table.add_column(column)
    for column in (
        "accuracy", "labels", "covered", "width", "even", "at best", "EB", "naive off by", "covers, end", "covers, always",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for name in STRATEGIES:
        for drift in DRIFTS:
            kind = measure(name, drift, arguments.streams, arguments.events)
            table.add_row(
                name,
                drift,
                f"{kind.accuracy:.1%}",
                f"{kind.labels:,.0f}",
                f"{1.0 - kind.missed / arguments.streams:.1%}",
                f"{kind.width:.1%}",
                f"{kind.against_even:.2f}×",
                f"{kind.at_best:.2f}×",
                f"{kind.against_bernstein:.2f}×",
                f"{kind.naive_off:.1%}",
                f"{kind.naive_covers_end:.0%}",
                f"{kind.naive_covers_always:.0%}",
            )
        table.add_section()
    console.print(table)


if __name__ == "__main__":
    main()
