"""How long the slowest decisions take: with labels and without, and how old events get before they are committed.

    python benchmarks/tails.py [--events 20000]

*decide*: two learners that know River's Shuttle (9 features) decide about the same events, one after the other, by turns.
One gets no labels, the other is taught one for 5 % of the events, between them. What is timed is the CPU time of
`ActiveLearner.answer`, an event at a time, and 128 at a time: all that an event waits for but learning itself, which is in
the last column.

*commit*: the age of the first event of a batch, from when it is read until its predictions are committed (SQLite,
`synchronous=FULL`) and emitted: by the clock, with batches by size only (1,000), and by size and age (50 ms).
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from open_queries import Again
from rich.console import Console
from rich.table import Table
from river import forest, linear_model, naive_bayes, preprocessing, tree
from speed import rows_of, taught

from connectors.datasets import RiverEvents
from connectors.files import JsonlSink
from connectors.memory import MemoryLabels
from connectors.sqlite import SqliteStore
from stream_al import ActiveLearner, Budgeted, Model
from stream_al.codec import EventRow
from stream_al.ports import LabelledRow
from stream_al.records import DeadLetter, Example
from stream_al.runtime import Worker, tune_collector
from stream_al.runtime.worker import RUN

MODELS: dict[str, Callable[[], Any]] = {
    "StandardScaler | SoftmaxRegression": lambda: (
        preprocessing.StandardScaler() | linear_model.SoftmaxRegression()
    ),
    "HoeffdingTreeClassifier": tree.HoeffdingTreeClassifier,
    "GaussianNB": naive_bayes.GaussianNB,
    "ARFClassifier(10)": lambda: forest.ARFClassifier(n_models=10, seed=1),
}
LABELS = 20
"""One label for so many events."""


def spread(times: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the 99th and the 99.9th percentile."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[len(ordered) * 999 // 1000]


def decide(model: Model, rows: list[LabelledRow], size: int) -> tuple[list[float], list[float], list[float]]:
    """Return the µs of each call without labels, with labels, and of learning one."""
    still, learning = (ActiveLearner(copy.deepcopy(model), Budgeted(0.04)) for _ in range(2))
    without: list[float] = []
    beside: list[float] = []
    learned: list[float] = []
    now, owed = time.thread_time_ns, 0
    for start in range(0, len(rows) - size + 1, size):
        part = [EventRow(row.features, f"{start}-{row.id}") for row in rows[start : start + size]]
        for learner, times in ((still, without), (learning, beside)):
            before = now()
            learner.answer(part)
            times.append((now() - before) / 1000)
        owed += size
        while owed >= LABELS:
            owed -= LABELS
            row = rows[start]
            assert row.truth is not None
            example = Example(event_id=str(row.id), features=row.features, label=row.truth)
            before = now()
            learning.model.learn(example)
            learned.append((now() - before) / 1000)
    return without, beside, learned


class Timed(Again):
    """An endless source that remembers when it was last read."""

    read_at = 0.0

    def read(self, limit: int, wait: float) -> Sequence[EventRow | DeadLetter]:
        self.read_at = time.perf_counter()
        return super().read(limit, wait)


def ages(model: Model, rows: list[LabelledRow], events: int, seconds: float | None) -> list[float]:
    """Return the ms from the reading of each batch to its end."""
    with tempfile.TemporaryDirectory() as folder:
        source, labels, store = Timed(rows), MemoryLabels(), SqliteStore(Path(folder) / "store.db")
        labels.asked = lambda query, event, number: labels.put(source.label(str(event.id)))  # type: ignore[method-assign]
        worker = Worker(
            ActiveLearner(copy.deepcopy(model), Budgeted(0.04)),
            source,
            labels,
            JsonlSink({"predictions": Path(folder) / "predictions.jsonl"}),
            store,
            batch_seconds=seconds,
        )
        worker.recover()
        found = []
        while worker.progress.events < events:
            worker.step()
            found.append((time.perf_counter() - source.read_at) * 1000)
        store.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000)
    options = parser.parse_args()
    rows = rows_of(RiverEvents("river:Shuttle"), options.events)
    deciding = Table(
        "model", "at a time", "without labels, µs", "5 % labels, µs", "p99 beside", "learning, µs",
        title=f"decide: p50 / p99 / p99.9 of {len(rows):,} events",
    )  # fmt: skip
    waiting = Table(
        "model", "by size, ms", "by size and age, ms", title="commit: p50 / p99 / p99.9 of batches"
    )
    tune_collector()
    for name, make in MODELS.items():
        model = taught(make, rows[:5000])
        for size in (1, RUN):
            found = [spread(times) for times in decide(model, rows, size)]
            shown = [" / ".join(f"{value:.1f}" for value in values) for values in found]
            deciding.add_row(
                name if size == 1 else "",
                str(size),
                *shown[:2],
                f"{found[1][1] / found[0][1]:.2f}×",
                shown[2],
            )
        aged = [ages(model, rows, options.events, seconds) for seconds in (None, 0.05)]
        waiting.add_row(name, *(" / ".join(f"{value:.1f}" for value in spread(times)) for times in aged))
    console = Console(width=140)
    console.print(deciding)
    console.print(waiting)


if __name__ == "__main__":
    main()
