"""The figures of a report: each with its words, its pictures, and the table behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stream_al.replay.comparison import Comparison
from stream_al.replay.contenders import ALL, NONE
from stream_al.replay.report import charts, tables
from stream_al.replay.report.charts import Chart, budget_shown
from stream_al.replay.report.drawing import LINES, NARROW, WIDE, svg
from stream_al.replay.report.numbers import budget, count, share
from stream_al.replay.report.palette import DARK, LIGHT
from stream_al.replay.report.tables import Table

_BANDS = " Bands are 95% intervals over the runs (no labels has none here)."
_AXIS = " The axis does not begin at zero."


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in both schemes."""

    light: str
    dark: str
    size: tuple[int, int]

    @classmethod
    def of(cls, chart: Chart, size: tuple[int, int]) -> Image:
        """Draw a chart in a size."""
        return cls(svg(chart, LIGHT, size), svg(chart, DARK, size), size)


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture, and the table behind it."""

    name: str
    """Empty where there is one only."""
    text: str
    """For who does not see it."""
    wide: Image | None
    narrow: Image
    table: Table


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: a panel for each model."""

    anchor: str
    title: str
    caption: str
    panels: tuple[Panel, ...]


def main_figure(comparison: Comparison) -> Figure:
    """Return the figure of the field: accuracy against labels, with and without active learning.

    As in Settles, *Active Learning Literature Survey* (2009), figure 3: with one budget the curve of each strategy,
    with several a line through what each had reached in the end.
    """
    bands = _BANDS if comparison.seeds > 1 else ""
    if len(comparison.budgets) > 1:
        caption = (
            "Share of right answers over the whole stream, against the labels asked for; a point for each budget. "
            "Higher and further left is better." + bands + _AXIS
        )
        drawn, table = charts.by_budgets(comparison), tables.behind_budgets
    else:
        caption = (
            "Share of right answers since the beginning, against the labels asked for until then. Higher and further left "
            "is better." + _levels(comparison) + bands + _AXIS
        )
        drawn, table = charts.by_labels(comparison), tables.behind_labels
    return _figure(comparison, "by-labels", main_title(comparison), caption, drawn, table)


def main_title(comparison: Comparison) -> str:
    """Return the title of `main_figure`."""
    return "Accuracy by labels and budget" if len(comparison.budgets) > 1 else "Accuracy by labels spent"


def lately(comparison: Comparison) -> Figure:
    """Return the figure of accuracy lately."""
    window = comparison.groups[0].window
    caption = (
        f"Share of right answers among the latest {count(window)} events: what the model was worth then."
        + _slice(comparison)
        + (_BANDS if comparison.seeds > 1 else "")
        + _drifts(comparison)
        + _AXIS
    )
    return _figure(
        comparison, "lately", "Accuracy lately", caption, charts.lately(comparison), tables.behind_lately
    )


def over_time(comparison: Comparison) -> Figure | None:
    """Return the figure of the labels asked for over time; None when there is nothing to compare."""
    drawn = charts.over_time(comparison)
    if len(drawn) < len(comparison.models):
        return None
    caption = (
        "Labels asked for since the beginning. Where a line is steeper, more was asked."
        + _slice(comparison)
        + _drifts(comparison)
    )
    return _figure(comparison, "over-time", "Labels over time", caption, drawn, tables.behind_time)


def latency(comparison: Comparison) -> Figure | None:
    """Return the figure of how late labels were; None when they came at once, or nothing came."""
    group = comparison.best
    waits = np.concatenate([run.waits for run in group.runs])
    if not len(waits) or not waits.max():
        return None
    missing = round(sum(run.labels - run.answered for run in group.runs) / len(group.runs))
    caption = (
        f"How many events passed between a question of {comparison.label(group)} and what was learned from its answer: "
        f"half of the {count(group.answered)} labels came within {count(float(np.quantile(waits, 0.5)))} events, "
        f"nine tenths within {count(float(np.quantile(waits, 0.9)))}."
    )
    if missing:
        caption += f" {count(missing)} questions ({share(missing / group.labels)}) gave no label."
    caption += " What was open at the end of the stream is counted as answered then."
    drawn = charts.latency(group)
    if drawn is not None and waits.max() >= drawn.bars[-1][1]:
        caption += " What took longer than the axis is long is in its last bar."
    panels = () if drawn is None else (_panel("", "Waiting times", drawn, tables.behind_latency(group)),)
    return Figure("latency", "How late labels were", caption, panels)


# ── words and pictures ───────────────────────────────────────────────────────────────────────────────


def _figure(
    comparison: Comparison,
    anchor: str,
    title: str,
    caption: str,
    drawn: Sequence[Chart],
    table: Callable[[Comparison, str], Table],
) -> Figure:
    several = len(comparison.models) > 1
    panels = tuple(
        _panel(model if several else "", title, chart, table(comparison, model))
        for model, chart in zip(comparison.models, drawn, strict=True)
    )
    return Figure(anchor, title, caption, panels)


def _panel(name: str, title: str, chart: Chart, table: Table) -> Panel:
    ends = ", ".join(
        f"{line.text} {share(line.ys[-1]) if chart.percent else count(line.ys[-1])}" for line in chart.lines
    )
    text = f"{title}{f' on {name}' if name else ''}. {f'At the end: {ends}. ' if ends else ''}"
    return Panel(
        name,
        f"{text}The same values are in the table below.",
        None if name else Image.of(chart, WIDE),
        Image.of(chart, NARROW),
        table,
    )


def _levels(comparison: Comparison) -> str:
    levels = {ALL: "all labels", NONE: "no labels after the cold start"}
    present = {group.name for group in comparison.groups}
    names = [text for name, text in levels.items() if name in present]
    if not names or present <= set(levels):
        return ""
    verb = "gave in the end is a level" if len(names) == 1 else "gave in the end are levels"
    return f" What {' and '.join(names)} {verb}."


def _slice(comparison: Comparison) -> str:
    shown = budget_shown(comparison)
    if len(comparison.budgets) < 2 or shown is None:
        return ""
    return f" At the budget of {budget(shown)}, and without one."


def _drifts(comparison: Comparison) -> str:
    many = len(comparison.drifts)
    if not many:
        return ""
    first = ", ".join(count(drift) for drift in comparison.drifts[:6])
    where = f"after {first}{' …' if many > 6 else ''} events"
    marks = "Dashed lines" if many <= LINES else "Ticks at the top"
    return f" {marks}: where the detector ADWIN noticed a change in the accuracy of a model that goes on learning ({where})."
