"""What grouping near-duplicates of open queries, and a cold start of representatives, are worth: accuracy for labels spent.

    python benchmarks/grouping.py [--data outdoor.csv.gz] [--seeds 5] [--budget 0.02 --budget 0.05]

Digits (scikit-learn's), ImageSegments (River's) and any CSV file with a column `label`, as streams, in another order for
each seed. The strategy is the usual one, by margin within a budget after a cold start; an answer comes 100 to 300 events
late. *within* is the distance up to which events are grouped, *window* of how many first events 50 representatives are
chosen. *accuracy* is prequential: each event is answered before its label can be known. *labels* are those that people gave,
*propagated* those that others took over at half the weight, *right* the share of these that are the truth. Cells are means
and 95 % intervals over seeds; *gain* is the accuracy less that with neither, of the same seed; *later* is the same of
the events after the first 500.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from representatives import MODELS, digits, segments
from rich.console import Console
from rich.table import Table

from stream_al.amendments import ListedLog
from stream_al.cli.assemble import open_events
from stream_al.config import EventsConfig
from stream_al.draws import Draws
from stream_al.groups import GroupRules
from stream_al.learner import ActiveLearner, default_strategy
from stream_al.records import Event, Example, Label
from stream_al.replay.group import Estimate
from stream_al.replay.stream import LabelledStream, truth_of
from stream_al.strategies import Budgeted, ColdStart

WAYS: dict[str, tuple[float | None, int]] = {
    "within 0.2": (0.2, 0),
    "within 0.4": (0.4, 0),
    "within 0.6": (0.6, 0),
    "window 150": (None, 150),
    "window 300": (None, 300),
}
START = 500
LATE = (100, 300)


class Run(NamedTuple):
    """What came of one stream."""

    accuracy: float
    later: float
    """Of the events after the first `START`."""
    labels: int
    propagated: int
    right: float


def run(
    stream: LabelledStream, make: Callable[[], Any], budget: float, groups: GroupRules | None, key: str
) -> Run:
    """Run a learner over a stream in the order that a key gives it."""
    order, late = Draws(key, "order"), Draws(key, "late")
    rows = sorted(stream.rows, key=lambda row: order(str(row.id)))
    log = ListedLog()
    strategy = default_strategy(budget)
    if groups is not None and groups.window:
        strategy = ColdStart(Budgeted(budget), groups.representatives, "none", asks=groups.representatives)
    learner = ActiveLearner(make(), strategy, key=key, window=None, log=log, groups=groups)
    truths = {str(row.id): truth_of(row) for row in rows}
    coming: deque[tuple[float, str]] = deque()
    right: list[bool] = []
    labels = 0
    for number, row in enumerate(rows):
        while coming and coming[0][0] <= number:
            _, name = coming.popleft()
            truth = truths[name]
            assert truth is not None
            log += learner.teach(Label(event_id=name, label=truth, annotator="ann")).records
            labels += 1
        event = Event(id=str(row.id), features=row.features)
        prediction, query, _ = learner.process(event)
        right.append(prediction.label == truth_of(row))
        if query is not None:
            due = number + LATE[0] + (LATE[1] - LATE[0]) * late(query.event_id)
            coming = deque(sorted([*coming, (due, query.event_id)]))
    taken = [r for r in log if isinstance(r, Example) and r.propagated_from is not None]
    true = sum(example.label == truths[example.event_id] for example in taken)
    after = right[START:]
    share = true / len(taken) if taken else 1.0
    return Run(sum(right) / len(right), sum(after) / len(after), labels, len(taken), share)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, action="append", default=[], help="a CSV file with a column `label`"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=float, action="append", default=[])
    given = parser.parse_args()
    streams = [digits(), segments()]
    for path in given.data:
        events = open_events(EventsConfig(path=str(path), label_column="label"))
        streams.append(LabelledStream.read(events, path.name.partition(".")[0]))
    table = Table(title=f"prequential accuracy, {given.seeds} seeds")
    for name in (
        "stream",
        "model",
        "budget",
        "grouped",
        "labels",
        "propagated",
        "right",
        "accuracy",
        "gain",
        "later",
    ):
        table.add_column(name, justify="left" if name in ("stream", "model") else "right")
    for stream in streams:
        for model in ("logistic regressions", "Hoeffding tree"):
            make, weight = MODELS[model]
            for budget in given.budget or [0.02, 0.05]:
                keys = [f"seed {seed}" for seed in range(given.seeds)]
                off = [run(stream, make, budget, None, key) for key in keys]
                _row(table, stream.name, model, budget, "off", off, off)
                for way, (within, window) in WAYS.items():
                    rules = GroupRules(within, weight, window=window)
                    on = [run(stream, make, budget, rules, key) for key in keys]
                    _row(table, stream.name, model, budget, way, on, off)
    Console(width=140).print(table)


def _row(
    table: Table, stream: str, model: str, budget: float, name: str, runs: list[Run], off: list[Run]
) -> None:
    gains = [100 * (one.accuracy - other.accuracy) for one, other in zip(runs, off, strict=True)]
    later = [100 * (one.later - other.later) for one, other in zip(runs, off, strict=True)]
    taken = sum(run.propagated for run in runs)
    table.add_row(
        stream,
        model,
        f"{budget:.0%}",
        name,
        f"{sum(run.labels for run in runs) / len(runs):.0f}",
        f"{taken / len(runs):.0f}",
        f"{sum(run.right * run.propagated for run in runs) / taken:.0%}" if taken else "",
        _cell(Estimate.of([100 * run.accuracy for run in runs]), "%"),
        *("" if runs is off else _cell(Estimate.of(values), "", sign="+") for values in (gains, later)),
    )


def _cell(found: Estimate, unit: str, sign: str = "") -> str:
    half = "" if found.high is None else f" ± {found.high - found.mean:.1f}{unit}"
    return f"{found.mean:{sign}.1f}{unit}{half}"


if __name__ == "__main__":
    main()
