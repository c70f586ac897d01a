"""Learning curves as pictures: a PNG of both, and SVGs in light and dark for the report. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream_al.replay.comparison import Comparison
from stream_al.replay.contenders import ALL, RANDOM
from stream_al.replay.outcome import Outcome, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours that colour-blind readers can tell apart (after Okabe & Ito 2008); line styles differ, too."""

    ink: str
    faint: str
    grid: str
    compared: Sequence[str]
    random: str
    all: str

    def style(self, comparison: Comparison, outcome: Outcome) -> dict[str, Any]:
        """Return colour and stroke of an outcome's line."""
        if outcome.name == ALL:
            return {"color": self.all, "linestyle": (0, (1.5, 1.5)), "linewidth": 1.6}
        if outcome.name == RANDOM:
            return {"color": self.random, "linestyle": (0, (5, 2)), "linewidth": 1.8}
        place = comparison.compared.index(outcome)
        strokes = ("-", (0, (8, 2, 1.5, 2)), (0, (3, 1)))
        color = self.compared[place % len(self.compared)]
        return {"color": color, "linestyle": strokes[place // len(self.compared) % 3], "linewidth": 2.2}


LIGHT = Palette(
    ink="#1c2430",
    faint="#5b6675",
    grid="#e3e7ec",
    compared=("#0072b2", "#008f6a", "#a8458f", "#7a5c00"),
    random="#c2500a",
    all="#5b6675",
)
DARK = Palette(
    ink="#eef1f5",
    faint="#a3adba",
    grid="#323b47",
    compared=("#5cb8f2", "#33cf9f", "#e89bd0", "#e3c65b"),
    random="#f5a04a",
    all="#b4bdc9",
)


def write_png(comparison: Comparison, path: Path) -> None:
    """Write both learning curves into one PNG of 1,800 × 750 pixels."""
    figure = _figure(12.0, 5.0)
    left, right = figure.subplots(1, 2)
    draw_by_labels(left, comparison, LIGHT, titled=True)
    draw_by_events(right, comparison, LIGHT, titled=True)
    figure.suptitle(comparison.source, x=0.01, ha="left", color=LIGHT.ink, fontsize=13, fontweight="bold")
    figure.savefig(path, format="png", dpi=150, facecolor="white")


def svg(draw: Callable[[Axes, Comparison, Palette], None], comparison: Comparison, palette: Palette) -> str:
    """Return one learning curve as an SVG on a transparent ground, the same bytes every time."""
    import matplotlib as mpl

    figure = _figure(7.6, 3.9)
    draw(figure.subplots(), comparison, palette)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "stream_al"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def draw_by_labels(axes: Axes, comparison: Comparison, palette: Palette, *, titled: bool = False) -> None:
    """Draw prequential accuracy against labels asked for; all labels as the level there is to reach."""
    everything = comparison.all
    others = [outcome for outcome in comparison.groups if outcome is not everything]
    ends = []
    for outcome in others or comparison.groups:
        points = _settled(outcome)
        style = palette.style(comparison, outcome)
        axes.plot([p.labels for p in points], [p.accuracy for p in points], **style)
        axes.plot(points[-1].labels, points[-1].accuracy, "o", color=style["color"], markersize=5)
        ends.append((outcome, points[-1].accuracy))
    if everything is not None and others:
        axes.axhline(everything.accuracy, **palette.style(comparison, everything))
        ends.append((everything, everything.accuracy))
    _scale(axes, comparison, [(p.events, p.accuracy) for o in comparison.groups for p in _settled(o)])
    _finish(axes, palette, "labels asked for", "Accuracy so far, by labels spent" if titled else "")
    _name(axes, comparison, palette, ends)


def draw_by_events(axes: Axes, comparison: Comparison, palette: Palette, *, titled: bool = False) -> None:
    """Draw the accuracy of the latest events against events."""
    ends = []
    for outcome in reversed(comparison.groups):
        points = _settled(outcome)
        axes.plot(
            [p.events for p in points], [p.recent for p in points], **palette.style(comparison, outcome)
        )
        ends.append((outcome, points[-1].recent))
    window = comparison.groups[0].window
    _scale(axes, comparison, [(p.events, p.recent) for o in comparison.groups for p in _settled(o)])
    title = f"Accuracy of the latest {window:,} events" if titled else ""
    _finish(axes, palette, "events", title)
    _name(axes, comparison, palette, ends)


def _settled(outcome: Outcome) -> list[Point]:
    """Return the curve without its first hundredth, where one answer more or less is tens of points."""
    points = outcome.curve()
    return [point for point in points if point.events * 100 >= outcome.events] or points


def _scale(axes: Axes, comparison: Comparison, values: Sequence[tuple[int, float]]) -> None:
    """Fit the accuracies to what differs: the climb of the first fifth leaves through the bottom."""
    settled = [value for events, value in values if events * 5 >= comparison.events]
    low, high = min(settled), max(settled)
    room = max(0.05, 0.3 * (high - low))
    axes.set_ylim(max(0.0, low - room), min(1.0, high + room / 2))


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # type: ignore[union-attr, call-arg]
    return figure


def _finish(axes: Axes, palette: Palette, xlabel: str, title: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

    axes.set_xlabel(xlabel, color=palette.faint)
    axes.set_title(title, loc="left", color=palette.ink, fontsize=11, pad=12)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_xlim(left=0)
    axes.grid(axis="y", color=palette.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.faint, length=0, labelsize=9.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(palette.grid)


def _name(
    axes: Axes, comparison: Comparison, palette: Palette, ends: Sequence[tuple[Outcome, float]]
) -> None:
    """Write each line's name beside its end, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    ends = sorted(ends, key=lambda end: end[1])
    gap = min(0.07 * (high - low), (high - low) / len(ends))
    places: list[float] = []
    for _, value in ends:
        places.append(max(value, places[-1] + gap) if places else value)
    # What was pushed up is shared by all, as far as the axis allows.
    excess = sum(place - value for place, (_, value) in zip(places, ends, strict=True)) / len(ends)
    excess = max(excess, places[-1] - high)
    for place, (outcome, _) in zip(places, ends, strict=True):
        axes.annotate(
            "all labels" if outcome.name == ALL else outcome.name,
            (1.0, max(low, place - excess)),
            (6, 0),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            color=palette.style(comparison, outcome)["color"],
            fontsize=10,
            fontweight="bold" if outcome in comparison.compared else "normal",
            annotation_clip=False,
        )
