"""What the figures of a report show, as numbers: lines, levels, bands, bars. Drawn by `drawing`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from stream_al.replay.comparison import Comparison
from stream_al.replay.contenders import ALL, NONE
from stream_al.replay.group import Band, Estimate, Group
from stream_al.replay.report.numbers import count

_POINTS: Final = 120
"""Of a curve: more than a picture of a page's width can show."""
_BARS: Final = 30
_FAR: Final = 8.0
"""From so many times the labels on, they are shown on a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its name at its end; a level across the figure when it has no ``xs``.

    ``low`` and ``high`` are the edges of its band, as many as there are ``ys``, or none.
    """

    group: Group
    text: str
    place: int
    ys: tuple[float, ...]
    xs: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    dotted: bool = False
    """Whether each point is a result of its own, to be seen as such."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure, or one panel of several with the same axes."""

    lines: tuple[Line, ...]
    xlabel: str
    ylim: tuple[float, float]
    percent: bool = True
    logarithmic: bool = False
    valued: bool = False
    """Whether a line's end is a result, to be written beside its name."""
    drifts: tuple[int, ...] = ()
    bars: tuple[tuple[float, float, float], ...] = ()
    """Left edge, right edge, height."""
    marks: tuple[tuple[float, str], ...] = ()
    """Places on the horizontal axis with a name."""


# ── which lines ──────────────────────────────────────────────────────────────────────────────────────


def budget_shown(comparison: Comparison) -> float | None:
    """Return the budget at which strategies are shown over time: that of the one the summary is about."""
    best = comparison.best
    if best.budget is not None:
        return best.budget
    at_random = comparison.random(best)
    return None if at_random is None else at_random.budget


def shown(comparison: Comparison, model: str) -> list[Group]:
    """Return what is shown over time on a model: everything at `budget_shown`, and what has no budget."""
    budgets = (None, budget_shown(comparison))
    return [group for group in comparison.groups if group.model == model and group.budget in budgets]


def _place(comparison: Comparison, group: Group) -> int:
    names = list(dict.fromkeys(one.name for one in comparison.compared))
    return names.index(group.name) if group.name in names else 0


def _line(comparison: Comparison, group: Group, xs: Iterable[float], ys: Sequence[Estimate]) -> Line:
    # After the first few labels the runs of a model left alone may be anything: its band would cover the others.
    banded = group.name != NONE and all(y.low is not None for y in ys)
    return Line(
        group,
        group.short,
        _place(comparison, group),
        tuple(y.mean for y in ys),
        tuple(xs),
        tuple(y.low for y in ys if y.low is not None) if banded else (),
        tuple(y.high for y in ys if y.high is not None) if banded else (),
    )


# ── the figures ──────────────────────────────────────────────────────────────────────────────────────


def by_labels(comparison: Comparison) -> list[Chart]:
    """Return, for each model, accuracy so far against labels asked for; all labels, and none, as levels."""
    charts = []
    for model in comparison.models:
        groups = shown(comparison, model)
        curves = [group for group in groups if group.name not in (ALL, NONE)] or groups
        lines, settled = [], []
        for group in groups:
            if group in curves:
                bands = _begun(group)
                xs, ys = [b.labels for b in bands], [b.accuracy for b in bands]
                settled.append((group, _settled(group, [(b.events, b.accuracy) for b in bands])))
            else:
                xs, ys = [], [group.measures["accuracy"]]
                settled.append((group, [group.accuracy]))
            lines.append(_line(comparison, group, xs, ys))
        charts.append(Chart(tuple(lines), "labels asked for", _fitted(settled), valued=True))
    return _alike(charts)


def by_budgets(comparison: Comparison) -> list[Chart]:
    """Return, for each model, accuracy against labels asked for: a line for each strategy through the budgets."""
    charts = []
    for model in comparison.models:
        groups = [group for group in comparison.groups if group.model == model]
        lines = []
        for name in dict.fromkeys(group.name for group in groups):
            same = sorted((g for g in groups if g.name == name), key=lambda g: g.labels)
            xs = [] if name in (ALL, NONE) else [group.labels for group in same]
            line = _line(comparison, same[-1], xs, [group.measures["accuracy"] for group in same])
            lines.append(replace(line, dotted=bool(xs)))
        limits = _fitted([(line.group, line.ys) for line in lines])
        asked = [x for line in lines for x in line.xs]
        far = bool(asked) and max(asked) > _FAR * min(asked) > 0
        charts.append(Chart(tuple(lines), "labels asked for", limits, logarithmic=far, valued=True))
    return _alike(charts)


def lately(comparison: Comparison) -> list[Chart]:
    """Return, for each model, the accuracy of the latest events against events."""
    charts = []
    for model in comparison.models:
        lines, settled = [], []
        for group in shown(comparison, model):
            bands = _begun(group)
            lines.append(_line(comparison, group, [b.events for b in bands], [b.recent for b in bands]))
            settled.append((group, _settled(group, [(b.events, b.recent) for b in bands])))
        charts.append(Chart(tuple(lines), "events", _fitted(settled), drifts=tuple(comparison.drifts)))
    return _alike(charts)


def over_time(comparison: Comparison) -> list[Chart]:
    """Return, for each model, labels asked for so far against events; not all labels, and not none."""
    charts = []
    for model in comparison.models:
        lines = []
        for group in shown(comparison, model):
            if group.name not in (ALL, NONE):
                bands = group.curve(_POINTS)
                ys = [Estimate(band.labels) for band in bands]
                lines.append(_line(comparison, group, [band.events for band in bands], ys))
        if lines:
            most = max(line.ys[-1] for line in lines)
            limits = (0.0, 1.08 * max(1.0, most))
            charts.append(
                Chart(tuple(lines), "events", limits, percent=False, drifts=tuple(comparison.drifts))
            )
    return _alike(charts)


def latency(group: Group) -> Chart | None:
    """Return how late a strategy's labels were, in events: a histogram; None when all were equally late.

    The axis ends where 99 in 100 had come; what came later is in the last bar.
    """
    waits = np.concatenate([run.waits for run in group.runs])
    if not len(waits) or waits.min() == waits.max():
        return None
    low, high = int(waits.min()), int(np.ceil(np.quantile(waits, 0.99)))
    width = max(1, -(-(high - low + 1) // _BARS))
    bins = np.minimum((waits - low) // width, (high - low) // width)
    heights = np.bincount(bins) / len(waits)
    left = [float(low + width * number) for number in range(len(heights))]
    bars = tuple((x, x + width, float(height)) for x, height in zip(left, heights, strict=True))
    marks = tuple(
        (min(value, left[-1] + width), f"{name}: {count(value)}")
        for name, value in (("half", np.quantile(waits, 0.5)), ("nine tenths", np.quantile(waits, 0.9)))
    )
    return Chart(
        (), "events from question to label", (0.0, 1.2 * float(heights.max())), bars=bars, marks=marks
    )


# ── scales ───────────────────────────────────────────────────────────────────────────────────────────


def _begun(group: Group) -> list[Band]:
    """Return the curve without its first hundredth, where one answer more or less is tens of points."""
    bands = group.curve(_POINTS)
    return [band for band in bands if band.events * 100 >= group.events] or bands


def _settled(group: Group, values: Sequence[tuple[int, Estimate]]) -> list[float]:
    """Return the values that a scale must fit: the climb of the first fifth may leave through the bottom."""
    return [value.mean for events, value in values if events * 5 >= group.events]


def _fitted(values: Sequence[tuple[Group, Sequence[float]]]) -> tuple[float, float]:
    """Return a scale for what the strategies differ in.

    A model left alone is usually far below: where it would take more than half of the figure it is left to
    be below it. Intervals do not count: those of two or three runs can be as wide as everything.
    """
    taught = [value for group, found in values if group.name != NONE for value in found]
    alone = [value for group, found in values if group.name == NONE for value in found]
    low, high = min(taught or alone), max(taught or alone)
    room = max(0.01, 0.15 * (high - low))
    if alone and high > max(alone) and low - min(alone) <= high - low + 2 * room:
        low = min(low, *alone)
        room = max(0.01, 0.15 * (high - low))
    return max(0.0, low - room), min(1.0, high + room)


def _alike(charts: Sequence[Chart]) -> list[Chart]:
    """Give all panels the same vertical scale."""
    if not charts:
        return []
    limits = min(chart.ylim[0] for chart in charts), max(chart.ylim[1] for chart in charts)
    return [replace(chart, ylim=limits) for chart in charts]
