"""What a replay costs beside bare River loops that predict and learn the same, in the same process.

    python benchmarks/replay.py [--data electricity.csv.gz] [--events N] [--seeds 3] [--processes 2]

Twelve configurations: three strategies on each of four models. The bare loop asks River for probabilities at every
event and teaches it the labels that the replay taught, when it did; nothing else, and no decision, either. Both do
every run, one after the other, by turns; CPU time. Last, all runs together in several processes; wall time, beside
the bare loops' CPU time divided by the processes. Without --data the events are those of River's Bananas.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from river import compose, forest, linear_model, naive_bayes, preprocessing, tree

from stream_al.cli.assemble import open_events
from stream_al.config import EventsConfig
from stream_al.replay.outcome import Outcome
from stream_al.replay.plan import Plan, entries, model_maker
from stream_al.replay.pool import run_plan
from stream_al.replay.stream import LabelledStream, truth_of
from stream_al.runtime.worker import tune_collector

RIVER: dict[str, Callable[[], Any]] = {
    "": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "river.tree.HoeffdingTreeClassifier": tree.HoeffdingTreeClassifier,
    "river.naive_bayes.GaussianNB": naive_bayes.GaussianNB,
    "benchmarks/replay_forest.py": lambda: forest.ARFClassifier(n_models=10, seed=1),
}
MODELS = tuple(RIVER)
STRATEGIES = ("margin", "confidence<0.6", "random")


def bare(stream: LabelledStream, model: Any, outcome: Outcome) -> float:
    """Return the CPU seconds of River alone, learning at the same events."""
    two = isinstance(model, compose.Pipeline)  # logistic regression learns booleans
    last = stream.classes[-1]
    steps = [
        (row.features, (truth_of(row) == last if two else truth_of(row)) if asked else None)
        for row, asked in zip(stream.rows, outcome.asked, strict=True)
    ]
    predict, learn = model.predict_proba_one, model.learn_one
    began = time.process_time()
    for features, label in steps:
        predict(features)
        if label is not None:
            learn(features, label)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a CSV file with a column `label`, of two classes")
    parser.add_argument("--events", type=int, default=45_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    if given.data:
        events = open_events(EventsConfig(path=str(given.data), label_column="label"))
        stream = LabelledStream.read(events, given.data.name, given.events)
    else:
        bundled = "river:Bananas"
        stream = LabelledStream.read(open_events(EventsConfig(path=bundled)), bundled, given.events)
    plan = Plan(entries(STRATEGIES, models=MODELS, baselines=False), given.seeds)
    tune_collector()
    spent: dict[str, list[float]] = {model: [0.0, 0.0] for model in MODELS}
    for cell in plan.cells:
        gc.collect()
        began = time.process_time()
        outcome = plan.run(stream, cell)
        spent[cell.entry.model][0] += time.process_time() - began
        spent[cell.entry.model][1] += bare(stream, RIVER[cell.entry.model](), outcome)
    began = time.perf_counter()
    run_plan(plan, stream, processes=given.processes)
    together = time.perf_counter() - began
    runs = len(plan.cells)
    table = Table(title=f"{stream.name}, {len(stream.rows):,} events, {runs} runs")
    for name in ("model", "replay, s of CPU", "bare River, s of CPU", "ratio"):
        table.add_column(name, justify="left" if name == "model" else "right")
    totals = [sum(pair[side] for pair in spent.values()) for side in (0, 1)]
    for model, (ours, theirs) in [*spent.items(), ("all twelve", totals)]:
        name = model if model == "all twelve" else model_maker(model, stream)[1]
        table.add_row(name, f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}")
    console = Console()
    console.print(table)
    console.print(
        f"in {given.processes} processes: {together:.1f} s by the clock; bare River's CPU time divided by "
        f"{given.processes}: {totals[1] / given.processes:.1f} s; ratio {together * given.processes / totals[1]:.2f}",
        highlight=False,
    )


if __name__ == "__main__":
    main()
