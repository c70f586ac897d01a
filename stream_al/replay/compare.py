"""From the outcomes of a plan's runs to a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import PurePath

import numpy as np
from river.drift import ADWIN

from stream_al.replay.comparison import Comparison
from stream_al.replay.contenders import ALL, NONE
from stream_al.replay.group import Group
from stream_al.replay.outcome import Outcome
from stream_al.replay.plan import Cell, Plan, model_maker
from stream_al.replay.stream import LabelledStream


def compare(
    stream: LabelledStream,
    plan: Plan,
    outcomes: Mapping[Cell, Outcome],
    configuration: Mapping[str, str],
    *,
    cost_per_label: float | None = None,
) -> Comparison:
    """Return the comparison of all entries of a plan.

    Parameters
    ----------
    stream, plan
        What was run.
    outcomes
        Of every cell, in the plan's order.
    configuration
        For people: name to value.
    cost_per_label
        See `Comparison`.
    """
    models = dict.fromkeys(entry.model for entry in plan.entries)
    names = {model: model_maker(model, stream)[1] for model in models}
    several = len(names) > 1
    groups = [
        Group(tuple(outcome for _, outcome in found), entry.budget, names[entry.model] if several else "")
        for entry, found in groupby(outcomes.items(), key=lambda item: item[0].entry)
    ]
    groups.sort(key=lambda group: group.baseline)  # those compared first; within each kind as planned
    notes = [*_notes(stream, plan), *dict.fromkeys(note for o in outcomes.values() for note in o.notes)]
    comparison = Comparison(
        PurePath(stream.name).name,
        len(stream.classes),
        groups,
        configuration,
        notes,
        cost_per_label,
        _drifts(groups),
    )
    for group in comparison.compared:
        if all(question.reason == "cold-start" for run in group.runs for question in run.questions):
            notes.append(
                f"{comparison.label(group)}: never asked after the cold start; change its threshold, or take a strategy "
                "with a budget, which asks the least sure events however sure the model is."
            )
    return comparison


def _notes(stream: LabelledStream, plan: Plan) -> list[str]:
    """Return what of the stream a reader must know."""
    events = len(stream.rows)
    notes = []
    if stream.unusable:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in stream.unusable.items())
        notes.append(f"{sum(stream.unusable.values()):,} records were left out ({reasons}).")
    if stream.unlabelled:
        notes.append(f"{stream.unlabelled:,} events have no label; they are answered, and not measured.")
    if repeated := events - len({row.id for row in stream.rows}):
        notes.append(f"{repeated:,} events repeat an id; an id is asked about once.")
    for entry in dict.fromkeys((entry.budget, entry.cold_start) for entry in plan.entries):
        budget, cold_start = entry
        if budget is not None and cold_start > budget * events:
            notes.append(
                f"The cold start ({cold_start:,} labels) is more than the whole budget ({budget * events:,.0f})."
            )
    return notes


def _drifts(groups: list[Group]) -> tuple[int, ...]:
    """Return after how many events ADWIN noticed a change in how often a model that learns on is right.

    Bifet & Gavaldà, *Learning from time-changing data with adaptive windowing* (2007). It looks at the baseline
    of all labels; without one, at the first that is not the baseline of none.
    """
    looked_at = [group for group in groups if group.name == ALL]
    looked_at += [group for group in groups if group.name != NONE]
    if not looked_at:
        return ()
    detector = ADWIN()
    found = []
    for number, correct in enumerate(looked_at[0].runs[0].correct, 1):
        if not np.isnan(correct):
            detector.update(float(correct))
            if detector.drift_detected:
                found.append(number)
    return tuple(found)
