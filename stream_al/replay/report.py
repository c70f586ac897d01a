"""The report: one HTML page that needs nothing else, for people who were not there."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream_al.errors import ConfigError
from stream_al.replay.comparison import Comparison
from stream_al.replay.curves import DARK, LIGHT, draw_by_events, draw_by_labels, svg, write_png
from stream_al.replay.versions import versions

_ROWS = 10
"""Rows of the table behind a curve: as many as can be read aloud."""


def require_extra() -> None:
    """Raise ConfigError, naming the extra, when reports and pictures cannot be made."""
    for name in ("matplotlib", "jinja2"):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"reports need {name}, of the `plot` extra: pip install 'stream-al[plot]'")


def require_writable(files: Mapping[str, Path | None]) -> None:
    """Raise ConfigError before anything is run when a picture or page could not be written afterwards.

    Parameters
    ----------
    files
        Paths by the name of the option that gave them; None where it was not given.
    """
    for option, path in files.items():
        if path is None:
            continue
        require_extra()
        if path.is_dir() or not path.resolve().parent.is_dir():
            raise ConfigError(f"{option} {path}: not a file in a directory that exists; name another")


def write_files(comparison: Comparison, *, plot: Path | None = None, html: Path | None = None) -> None:
    """Write the learning curves as a PNG, and the report as a page, where wanted.

    Raises
    ------
    ConfigError
        When the ``plot`` extra is not installed, or a file cannot be written.
    """
    try:
        if plot is not None:
            require_extra()
            write_png(comparison, plot)
        if html is not None:
            html.write_text(render(comparison), "utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}; name another path") from error


def render(comparison: Comparison) -> str:
    """Return the report as one self-contained HTML page, the same bytes for the same comparison."""
    require_extra()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("stream_al.replay", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2")
    return page.render(comparison=comparison, figures=_figures(comparison), versions=versions())


def _figures(comparison: Comparison) -> list[dict[str, Any]]:
    window = comparison.groups[0].window
    by_labels = {
        "title": "Accuracy by labels spent",
        "caption": "Share of right answers since the beginning, against labels asked for. "
        "Higher and further left is better. The axis does not begin at zero.",
        "draw": draw_by_labels,
        "columns": ("labels", "accuracy"),
    }
    by_events = {
        "title": "Accuracy lately",
        "caption": f"Share of right answers among the latest {window:,} events: what it was worth then. "
        "The axis does not begin at zero.",
        "draw": draw_by_events,
        "columns": ("recent",),
    }
    figures: list[dict[str, Any]] = []
    for figure in (by_labels, by_events):
        draw: Any = figure["draw"]
        images = {name: _data_uri(svg(draw, comparison, p)) for name, p in (("light", LIGHT), ("dark", DARK))}
        figures.append({**figure, **images, "rows": _rows(comparison)})
    return figures


def _rows(comparison: Comparison) -> list[tuple[int, list[Any]]]:
    """Return the curves as a table: after so many events, a point of each outcome."""
    curves = [outcome.curve(_ROWS) for outcome in comparison.groups]
    return [(points[0].events, list(points)) for points in zip(*curves, strict=False)]


def _data_uri(text: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()
