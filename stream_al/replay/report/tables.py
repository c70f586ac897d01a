"""The tables of a report: results, measures, classes, and the numbers behind each figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from stream_al.records import ClassLabel, class_text
from stream_al.replay.comparison import Comparison
from stream_al.replay.contenders import ALL, NONE
from stream_al.replay.group import Band, Group
from stream_al.replay.measures import ClassMeasures
from stream_al.replay.report.charts import shown
from stream_al.replay.report.numbers import NOTHING, budget, count, estimate, share, signed
from stream_al.replay.report.words import ahead

_ROWS: Final = 10
"""Of the table behind a curve: as many as can be read aloud."""
OPEN_CLASSES: Final = 10
"""So many classes are shown; the others on demand."""
_NAMED: Final = 20
"""Classes that are listed in a sentence."""
MEASURES_SHOWN: Final = {
    "balanced_accuracy": "Balanced accuracy",
    "kappa": "Cohen's κ",
    "kappa_temporal": "κ-temporal",
    "macro_f1": "Macro F1",
    "log_loss": "Log-loss",
    "calibration_error": "Calibration error",
}
"""Measures beside accuracy, with the headings of their columns."""
_LOWER: Final = ("log_loss", "calibration_error")
_PERCENT: Final = ("balanced_accuracy",)


@dataclass(frozen=True, slots=True)
class Row:
    """A row, with its heading."""

    name: str
    cells: tuple[str, ...]
    marked: bool = False
    """Whether the summary is about it."""
    strong: tuple[bool, ...] = ()
    """For each cell, whether it is the best of its section; empty where that says nothing."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in sections under columns, which may have headings in common."""

    corner: str
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    """A heading and the headings under it, if any."""
    sections: tuple[tuple[str, tuple[Row, ...]], ...]
    """Each with a heading, which is empty where there is one section only."""

    @property
    def starts(self) -> frozenset[int]:
        """The places of the cells with which columns of a common heading begin."""
        found, place = set(), 0
        for _, under in self.columns:
            if under:
                found.add(place)
            place += max(1, len(under))
        return frozenset(found)

    @classmethod
    def plain(cls, corner: str, columns: Sequence[str], rows: Sequence[Row]) -> Table:
        """Return a table with one row of headings, and one section."""
        return cls(corner, tuple((name, ()) for name in columns), (("", tuple(rows)),))


# ── results ──────────────────────────────────────────────────────────────────────────────────────────


def results(comparison: Comparison) -> Table:
    """Return how much each asked for, and what that gave."""
    columns = (
        "Labels",
        "Share of events",
        "Accuracy",
        "Points against all labels",
        "Points against random",
        "Accuracy in the last tenth",
        "Labels until within a point of all labels",
    )
    scores: tuple[Callable[[Group], float] | None, ...] = (
        None,
        None,
        lambda group: group.accuracy,
        None,
        None,
        lambda group: group.last_tenth,
        None,
    )
    return Table(
        "Strategy",
        tuple((name, ()) for name in columns),
        _sections(comparison, lambda group: _result(comparison, group), scores, full=True),
    )


def _result(comparison: Comparison, group: Group) -> tuple[str, ...]:
    everything, at_random = comparison.all(group.model), comparison.random(group)
    gap, reached = comparison.gap(group), comparison.labels_to_reach(group)
    before = None
    if at_random is not None and group.name not in (ALL, NONE):
        before = ahead(group, at_random)
    return (
        count(group.labels),
        share(group.share),
        estimate(group.measures["accuracy"], percent=True),
        NOTHING if gap is None or group is everything else signed(gap),
        NOTHING if before is None else signed(before.mean),
        estimate(group.measures["accuracy_last_tenth"], percent=True),
        NOTHING if everything in (None, group) else "not reached" if reached is None else count(reached),
    )


def measured(comparison: Comparison) -> Table:
    """Return the measures beside accuracy."""

    def cells(group: Group) -> tuple[str, ...]:
        return tuple(estimate(group.measures[name], percent=name in _PERCENT) for name in MEASURES_SHOWN)

    def score(name: str) -> Callable[[Group], float]:
        sign = -1.0 if name in _LOWER else 1.0
        return lambda group: sign * group.measures[name].mean

    scores = tuple(score(name) for name in MEASURES_SHOWN)
    columns = tuple((heading, ()) for heading in MEASURES_SHOWN.values())
    return Table("Strategy", columns, _sections(comparison, cells, scores, full=False))


def _sections(
    comparison: Comparison,
    cells: Callable[[Group], tuple[str, ...]],
    scores: Sequence[Callable[[Group], float] | None],
    *,
    full: bool,
) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    """Return a row for each group, in a section for each model and budget."""
    several = len(comparison.models) > 1 or len(comparison.budgets) > 1

    def key(group: Group) -> tuple[int, float, str]:
        if len(comparison.budgets) < 2:
            return comparison.models.index(group.model), 0.0, group.model
        return comparison.models.index(group.model), group.budget or 2.0, group.model

    found = []
    for (_, amount, model), members in groupby(sorted(comparison.groups, key=key), key=key):
        groups = list(members)
        rivals = [group for group in groups if group.name not in (ALL, NONE)]
        most = [
            None if score is None or len(rivals) < 2 else max(score(group) for group in rivals)
            for score in scores
        ]
        rows = []
        for group in groups:
            strong = tuple(
                score is not None
                and most[place] is not None
                and group in rivals
                and score(group) == most[place]
                for place, score in enumerate(scores)
            )
            rows.append(Row(_name(group, full=full), cells(group), group is comparison.best, strong))
        parts = [model] if len(comparison.models) > 1 else []
        if len(comparison.budgets) > 1:
            parts.append(f"budget {budget(amount)}" if amount <= 1.0 else "without a budget")
        heading = " · ".join(parts)
        found.append((heading[:1].upper() + heading[1:] if several else "", tuple(rows)))
    return tuple(found)


def _name(group: Group, *, full: bool) -> str:
    return group.title[0].upper() + group.title[1:] if full else group.short


# ── classes ──────────────────────────────────────────────────────────────────────────────────────────


def by_class(comparison: Comparison) -> tuple[Table, tuple[str, ...]]:
    """Return how the best, random and all labels did on each class, worst first; and what must be known of it."""
    best = comparison.best
    beside = (comparison.random(best), comparison.all(best.model))
    groups = [best, *(group for group in beside if group is not None and group is not best)]
    found = {id(group): {_key(one.label): one for one in group.by_class} for group in groups}
    order = sorted(best.by_class, key=lambda one: (one.f1, -one.events))
    rows = []
    for one in order:
        cells = [count(one.events)]
        for group in groups:
            cells += _class_cells(found[id(group)].get(_key(one.label)), asked=group.name != ALL)
        rows.append(Row(class_text(one.label), tuple(cells)))
    columns: list[tuple[str, tuple[str, ...]]] = [("Events", ())]
    for group in groups:
        asked = ("asked",) if group.name != ALL else ()
        columns.append((comparison.label(group), (*asked, "precision", "recall", "F1")))
    notes = [_never_said(comparison, group) for group in groups]
    table = Table("Class", tuple(columns), (("", tuple(rows)),))
    return table, tuple(note for note in notes if note)


def _key(value: ClassLabel) -> tuple[str, ClassLabel]:
    return type(value).__name__, value


def _class_cells(one: ClassMeasures | None, *, asked: bool) -> list[str]:
    if one is None:  # it did not meet the class, as it could not score the event
        return [NOTHING] * (4 if asked else 3)
    values = [share(value, 0) for value in (one.precision, one.recall, one.f1)]
    return [count(one.asked), *values] if asked else values


def _never_said(comparison: Comparison, group: Group) -> str:
    said = {int(code) for run in group.runs for code in np.unique(run.predicted)}
    classes = group.runs[0].classes
    never = [class_text(one.label) for one in group.by_class if classes.index(one.label) not in said]
    if not never:
        return ""
    names = ", ".join(never[:_NAMED])
    more = f" and {len(never) - _NAMED} more" if len(never) > _NAMED else ""
    return f"With {comparison.label(group)} the model never answered {names}{more}."


# ── behind the figures ───────────────────────────────────────────────────────────────────────────────


def behind_labels(comparison: Comparison, model: str) -> Table:
    """Return the curves of accuracy by labels as a table: after so many events, what had been asked, and reached."""

    def cells(group: Group, band: Band) -> tuple[str, ...]:
        return count(band.labels), estimate(band.accuracy, percent=True)

    return _behind(shown(comparison, model), ("labels", "accuracy"), cells)


def behind_lately(comparison: Comparison, model: str) -> Table:
    """Return the curves of accuracy lately as a table."""
    return _behind(shown(comparison, model), (), lambda group, band: (estimate(band.recent, percent=True),))


def behind_time(comparison: Comparison, model: str) -> Table:
    """Return the labels over time as a table."""
    groups = [group for group in shown(comparison, model) if group.name not in (ALL, NONE)]
    return _behind(groups, (), lambda group, band: (count(band.labels),))


def _behind(
    groups: Sequence[Group], columns: tuple[str, ...], cells: Callable[[Group, Band], tuple[str, ...]]
) -> Table:
    curves = [group.curve(_ROWS) for group in groups]
    rows = []
    for places in zip(*curves, strict=False):
        values = [cells(group, band) for group, band in zip(groups, places, strict=True)]
        rows.append(Row(count(places[0].events), tuple(cell for value in values for cell in value)))
    return Table("Events", tuple((group.short, columns) for group in groups), (("", tuple(rows)),))


def behind_budgets(comparison: Comparison, model: str) -> Table:
    """Return the accuracies by budget as a table."""
    rows = [
        Row(
            group.short,
            (
                NOTHING if group.budget is None else budget(group.budget),
                count(group.labels),
                estimate(group.measures["accuracy"], percent=True),
            ),
        )
        for group in comparison.groups
        if group.model == model
    ]
    return Table.plain("Strategy", ("Budget", "Labels", "Accuracy"), rows)


def behind_latency(group: Group) -> Table:
    """Return how late labels were, as shares of them."""
    waits = np.concatenate([run.waits for run in group.runs])
    quantiles = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
    rows = [Row(share(q, 0), (count(float(np.quantile(waits, q))),)) for q in quantiles]
    return Table.plain("Share of the labels", ("Came within so many events",), rows)
