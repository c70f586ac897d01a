"""The report of a comparison: one HTML page, and a picture of its two main figures.

``charts`` says what the figures show, ``drawing`` draws them, ``tables``, ``words`` and ``questions`` say the rest,
``page`` puts it together. Needs the ``plot`` extra, which is imported only when something is drawn.
"""

from __future__ import annotations

from pathlib import Path

from stream_al.errors import ConfigError
from stream_al.replay.comparison import Comparison
from stream_al.replay.report.charts import by_budgets, by_labels, lately
from stream_al.replay.report.drawing import png
from stream_al.replay.report.extra import require_extra, require_writable
from stream_al.replay.report.figures import main_title
from stream_al.replay.report.page import render
from stream_al.replay.report.questions import clipped

__all__ = ["render", "require_extra", "require_writable", "write_files"]


def write_files(comparison: Comparison, *, plot: Path | None = None, html: Path | None = None) -> None:
    """Write the main figures as a PNG, and the report as a page, where wanted.

    Raises
    ------
    ConfigError
        When the ``plot`` extra is not installed, or a file cannot be written.
    """
    try:
        if plot is not None:
            require_extra()
            _write_png(comparison, plot)
        if html is not None:
            # A path may hold bytes that are no text: a question mark stands for each.
            html.write_text(render(comparison), "utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}; name another path") from error


def _write_png(comparison: Comparison, path: Path) -> None:
    """Draw accuracy by labels, and lately, side by side; a row for each model."""
    main = by_budgets(comparison) if len(comparison.budgets) > 1 else by_labels(comparison)
    window = comparison.groups[0].window
    rows = []
    for model, left, right in zip(comparison.models, main, lately(comparison), strict=True):
        on = f", {clipped(model)}" if len(comparison.models) > 1 else ""
        rows.append(
            [
                (f"{main_title(comparison)}{on}", left),
                (f"Accuracy of the latest {window:,} events{on}", right),
            ]
        )
    png(rows, clipped(comparison.source), path)
