"""The report as one HTML page that needs nothing else, for people who were not there."""

from __future__ import annotations

from stream_al.replay.comparison import Comparison
from stream_al.replay.measures import MEASURES
from stream_al.replay.report import figures, tables, words
from stream_al.replay.report.extra import require_extra
from stream_al.replay.report.questions import questions
from stream_al.replay.versions import versions


def render(comparison: Comparison) -> str:
    """Return the report, the same bytes for the same comparison.

    Raises
    ------
    ConfigError
        When the ``plot`` extra is not installed.
    """
    require_extra()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("stream_al.replay.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = (
        figures.main_figure(comparison),
        figures.lately(comparison),
        figures.over_time(comparison),
        figures.latency(comparison),
    )
    classes, class_notes = tables.by_class(comparison)
    return environment.get_template("report.html.j2").render(
        comparison=comparison,
        best=comparison.label(comparison.best),
        key_figures=words.key_figures(comparison),
        qualifiers=words.qualifiers(comparison),
        figures=[figure for figure in drawn if figure is not None],
        results=tables.results(comparison),
        measured=tables.measured(comparison),
        meanings=[
            (heading, MEASURES[name].removeprefix(f"{heading}: "))
            for name, heading in tables.MEASURES_SHOWN.items()
        ],
        classes=classes,
        class_notes=class_notes,
        open_classes=tables.OPEN_CLASSES,
        questions=questions(comparison.best),
        never_asked=not comparison.best.labels,
        versions=versions(),
    )
