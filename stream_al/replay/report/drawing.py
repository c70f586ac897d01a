"""Charts as pictures: an SVG in any palette for the page, and a PNG of the two that matter. Needs matplotlib."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stream_al.replay.report.charts import Chart, Line
from stream_al.replay.report.palette import LIGHT, Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE: Final = (868, 400)
"""Pixels of a figure across the page; text is as large in it as on the page."""
NARROW: Final = (380, 320)
"""Of one on a telephone, and of a panel beside another."""
_TEXT: Final = 12.5
"""Pixels."""
LINES: Final = 12
"""Drifts that are drawn as lines; more of them are only ticks, as lines would be a curtain."""
_FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


def svg(chart: Chart, palette: Palette, size: tuple[int, int]) -> str:
    """Return a chart as the data URI of an SVG on a transparent ground, the same bytes every time."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with _plainly():
        figure = _figure(*size)
        draw(figure.subplots(), chart, palette, size)
        # Text stays text: the reader's own font is narrower than the one that is measured with here.
        with mpl.rc_context({"svg.hashsalt": "stream_al", "svg.fonttype": "none"}):
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = re.sub(r"'DejaVu Sans'[^;\"]*", _FONT.replace('"', "'"), text[text.index("<svg") :])
    text = re.sub(r'\bd="[^"]+"', _rounded, text)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()


def png(rows: Sequence[Sequence[tuple[str, Chart]]], title: str, path: Path) -> None:
    """Write charts, each with its title, into a PNG of 1,800 pixels' width; 750 for each row of charts."""
    width, height = 960, 400
    with _plainly():
        figure = _figure(width, height * len(rows))
        axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
        for places, charts in zip(axes, rows, strict=True):
            for place, (name, chart) in zip(places, charts, strict=True):
                draw(place, chart, LIGHT, (width // len(charts), height))
                place.set_title(name, loc="left", color=LIGHT.ink, fontsize=13, pad=24)
        figure.suptitle(title, x=0.012, ha="left", color=LIGHT.ink, fontsize=15, fontweight="bold")
        figure.savefig(path, format="png", dpi=135, facecolor="white")


def draw(axes: Axes, chart: Chart, palette: Palette, size: tuple[int, int]) -> None:
    """Draw a chart into a space of so many pixels."""
    axes.set_ylim(*chart.ylim)
    for line in reversed(chart.lines):  # those compared come first, and lie on top
        _draw_line(axes, line, palette)
    for left, right, height in chart.bars:
        color = palette.compared[0]
        axes.bar(
            left, height, right - left, align="edge", color=color, linewidth=0.7, edgecolor=palette.ground
        )
    _finish(axes, chart, palette, size)
    _name(axes, chart, palette, size)
    _mark(axes, chart, palette)


def _draw_line(axes: Axes, line: Line, palette: Palette) -> None:
    style = palette.style(line.group.name, line.place)
    band = {"color": style["color"], "alpha": 0.13, "linewidth": 0}
    if not line.xs:
        axes.axhline(line.ys[0], **style)
        if line.low:
            axes.axhspan(line.low[0], line.high[0], **band)
        return
    axes.plot(line.xs, line.ys, **style, solid_capstyle="round")
    if line.dotted or len(line.xs) == 1:
        axes.plot(line.xs, line.ys, "o", color=style["color"], markersize=6)
    if line.low and len(line.xs) > 1:
        axes.fill_between(line.xs, line.low, line.high, **band)
    elif line.low:
        axes.vlines(line.xs, line.low, line.high, color=style["color"], linewidth=1.4)


def _finish(axes: Axes, chart: Chart, palette: Palette, size: tuple[int, int]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    wide = _wide(size)
    low, high = chart.ylim
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=not chart.percent))
    digits = 0 if high - low >= 0.05 else 1
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:.{digits}%}" if chart.percent else f"{value:,.0f}")
    )
    ends = [x for line in chart.lines for x in line.xs] + [bar[1] for bar in chart.bars]
    if chart.logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(min(ends) / 1.15, max(ends) * 1.15)
        axes.xaxis.set_major_locator(FixedLocator(_ticks(*axes.get_xlim(), 6 if wide else 4)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7 if wide else 4, integer=True))
        axes.set_xlim(0, 1.005 * max([1.0, *ends]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(chart.xlabel, color=palette.faint, fontsize=_TEXT)
    axes.grid(axis="y", color=palette.grid, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.faint, length=0, labelsize=_TEXT - 0.5, pad=5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(palette.grid)


def _wide(size: tuple[int, int]) -> bool:
    return size[0] > (NARROW[0] + WIDE[0]) / 2


def _ticks(low: float, high: float, most: int) -> list[int]:
    """Return round numbers for a logarithmic axis, as dense as there is room for."""
    found: list[int] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [n * 10**e for e in range(9) for n in digits if low <= n * 10**e <= high]
        if len(found) <= most:
            break
    return found


def _name(axes: Axes, chart: Chart, palette: Palette, size: tuple[int, int]) -> None:
    """Write each line's name at the right, as high as its end; moved apart where they would overlap."""
    if not chart.lines:
        return
    low, high = chart.ylim
    height = size[1] - 75
    lines = sorted(chart.lines, key=lambda line: line.ys[-1])
    ends = [min(max(line.ys[-1], low), high) for line in lines]
    places = _apart(ends, low, high, min(1.3 * _TEXT * (high - low) / height, (high - low) / len(ends)))
    for line, end, place in zip(lines, ends, places, strict=True):
        color = palette.style(line.group.name, line.place)["color"]
        text = line.text
        if not low <= line.ys[-1] <= high:
            text += f" {line.ys[-1]:.1%} {'↓' if line.ys[-1] < low else '↑'}"
        elif chart.valued and _wide(size):
            text += f" {line.ys[-1]:.1%}"
        axes.annotate(
            text,
            (1.0, place),
            (7, 0),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            color=color,
            fontsize=_TEXT,
            fontweight="normal" if line.group.baseline else "bold",
            annotation_clip=False,
        )
        if line.xs:
            beside = axes.transAxes.inverted().transform(axes.transData.transform((line.xs[-1], end)))
            at = axes.transAxes.inverted().transform(axes.transData.transform((line.xs[-1], place)))[1]
            if beside[0] < 0.94:
                ends_at = ((beside[0], 1.0), (beside[1], at))
                axes.plot(*ends_at, color=color, linewidth=0.7, alpha=0.7, transform=axes.transAxes)


def _apart(values: Sequence[float], low: float, high: float, gap: float) -> list[float]:
    """Return ascending values moved as little as needed to lie ``gap`` apart, within low and high.

    Those that would overlap are put side by side about their mean, as often as that makes others overlap.
    """
    heaps: list[tuple[float, int]] = []  # (mean, how many)
    for value in values:
        heaps.append((value, 1))
        while True:
            heaps[-1] = _within(*heaps[-1], low, high, gap)
            if len(heaps) < 2:
                break
            (below, n), (above, m) = heaps[-2:]
            if above - below >= gap * (n + m) / 2:
                break
            heaps[-2:] = [((below * n + above * m) / (n + m), n + m)]
    return [mean + gap * (k - (n - 1) / 2) for mean, n in heaps for k in range(n)]


def _within(mean: float, many: int, low: float, high: float, gap: float) -> tuple[float, int]:
    half = gap * (many - 1) / 2
    return max(low + half, min(high - half, mean)), many


def _mark(axes: Axes, chart: Chart, palette: Palette) -> None:
    """Draw what happened at some place along the horizontal axis."""
    across = axes.get_xaxis_transform()
    many = len(chart.drifts)
    for drift in chart.drifts:
        foot = 0.0 if many <= LINES else 0.95
        axes.axvline(
            drift, foot, color=palette.faint, linewidth=1, linestyle=(0, (2, 2)), alpha=0.7, zorder=0.5
        )
    if chart.drifts:
        late = chart.drifts[0] > 0.6 * axes.get_xlim()[1]
        axes.annotate(
            "drift" if many == 1 else f"drift, {many} times",
            (chart.drifts[0], 1.0),
            (0, 3),
            xycoords=across,
            textcoords="offset points",
            ha="right" if late else "left",
            va="bottom",
            color=palette.faint,
            fontsize=_TEXT - 1,
        )
    for number, (place, text) in enumerate(chart.marks):
        axes.axvline(place, color=palette.ink, linewidth=1)
        axes.annotate(
            text,
            (place, 1.0),
            (5, -2 - 1.4 * _TEXT * number),
            xycoords=across,
            textcoords="offset points",
            va="top",
            color=palette.ink,
            fontsize=_TEXT,
            bbox={"facecolor": palette.ground, "edgecolor": "none", "pad": 1.5},
        )


# ── matplotlib ───────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _plainly() -> Iterator[None]:
    """Take names literally: a ``$`` is no formula, and a letter that the measuring font lacks no complaint."""
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False, "font.family": "DejaVu Sans"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _figure(width: int, height: int) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    return figure


def _rounded(path: re.Match[str]) -> str:
    """Write a path to a tenth of a pixel: nobody sees more, and the page is half as large."""
    return re.sub(r"-?\d+\.\d\d+", lambda number: f"{float(number[0]):.1f}", path[0])
