"""Whether a pipeline stays as fast as it was: with a long log of examples, and after many events.

    python benchmarks/long_run.py [--most 1000000] [--events 10000000] [--rounds 15] [--model softmax]

First, of every model, how fast a log of 10,000 examples is folded from its beginning, dumps on the way included, beside
River's `learn_one` on the same examples, by turns: the share of River's speed.

*log*: stores with one example less than 10², 10³, … of River's Shuttle (9 features), whose queries are answered and
remembered. *restart* is the CPU time a new worker takes to stand where the last one stood; *behind* is by how many examples
the last snapshot is behind then. Folding these is timed beside River's `learn_one` on the same examples in the same
state, by turns: the share of River's speed.

*events*: workers that have answered 10⁴, 10⁵, … events, asked about 4 % at random, and learned the answers, with a store.

Then each of these workers goes on, by turns, 2,000 events each: the CPU time of a turn beside that of the youngest of its
kind, in the same round; the median of the rounds (the quartiles), without rounds during which a fixed loop took a tenth
longer than it usually does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from open_queries import SEGMENT, Again
from rich.console import Console
from rich.table import Table
from river import forest, linear_model, naive_bayes, preprocessing, tree
from speed import rows_of
from turns import ratio, take_turns, undisturbed

from connectors.datasets import RiverEvents
from connectors.files import JsonlSink
from connectors.memory import MemoryLabels
from connectors.sqlite import SqliteStore
from stream_al import ActiveLearner, Model, Random
from stream_al.codec import EventRow, QueryRow, encode_json
from stream_al.log_codec import ExampleRow
from stream_al.ports import Batch, LabelledRow, Progress
from stream_al.query_state import QueryState
from stream_al.records import ClassLabel, Example
from stream_al.runtime import Worker, tune_collector

MODELS: dict[str, Callable[[], Any]] = {
    "softmax": lambda: preprocessing.StandardScaler() | linear_model.SoftmaxRegression(),
    "logistic": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "tree": tree.HoeffdingTreeClassifier,
    "naive-bayes": naive_bayes.GaussianNB,
    "forest": lambda: forest.ARFClassifier(n_models=10, seed=1),
}
BATCH = 1000
FOLDED = 10_000
TURNS = 11


class Aged:
    """A worker on a store, with people who answer what is asked at once, between two batches."""

    def __init__(self, make: Callable[[], Any], rows: list[LabelledRow], path: Path) -> None:
        self.events, self.labels = Again(rows), MemoryLabels()
        self.labels.asked = self._asked  # type: ignore[method-assign]
        self.store = SqliteStore(path)
        learner = ActiveLearner(Model(make()), Random(0.04))
        sink = JsonlSink({"predictions": path.with_suffix(".jsonl")})
        self.worker = Worker(learner, self.events, self.labels, sink, self.store, batch_size=SEGMENT)
        self.worker.recover()

    def _asked(self, query: object, event: EventRow, number: int) -> None:
        self.labels.put(self.events.label(str(event.id)))

    def turn(self, number: int) -> None:
        self.worker.step()
        del self.labels.items[: self.labels.position]  # what was taken, so that only the pipeline grows
        self.labels.seek(0)


def write_log(make: Callable[[], Any], rows: list[LabelledRow], examples: int, path: Path) -> None:
    """Write a store with so many examples, as a worker would that was killed then."""
    model, store, events = Model(make()), SqliteStore(path), Again(rows)
    saved = 0
    for start in range(0, examples, BATCH):
        batch = Batch(first_event=start, state=())
        for number, row in enumerate(events.next(min(BATCH, examples - start)), start):
            name = str(row.id)
            label = events.label(name).label
            assert label is not None
            example = Example(event_id=name, features=row.features, label=label, annotators=("ann",))
            model.learn(example)
            batch.examples.append((number, example))
            batch.changed.append(answered(row, number, label))
        if model.checkpointed > saved:
            saved = model.checkpointed
            batch.snapshot = (saved, model.checkpoint)
        done = start + len(batch.examples)
        batch.progress = Progress(start // BATCH + 1, done, done, done, Random(0.04).start())
        batch.progress.event_position = done
        store.commit(batch)
    store.close()


def answered(row: EventRow, number: int, label: ClassLabel) -> QueryState:
    """Return the query about an event as it is stored once it is answered."""
    name = str(row.id)
    query = QueryRow(name, row.features, None, None, 0, {}, 0.5, None, 1.0, "random", number, number)
    given = {"event_id": name, "label": label, "annotator": "ann"}
    votes, line = encode_json([[number, given, ""]]).decode(), query.to_json().decode()
    return QueryState(name, "answered", 0.5, number, line, votes, "[]", None, number, number + 1)


def fold(make: Callable[[], Any], path: Path, snapshots: int) -> tuple[int, list[dict[str, float]]]:
    """Fold what comes after the last snapshot, and let River learn it, by turns; return how many, and the rounds.

    With no ``snapshots`` allowed, all of the log.
    """
    with closing(SqliteStore(path)) as store:
        model, other = Model(make()), Model(make())
        for _, snapshot in islice(store.snapshots(), snapshots):
            model.load(snapshot)
            other.load(snapshot)
        estimator = other.estimator
        two = not estimator._multiclass
        examples = [
            (record.features, bool(record.label) if two else record.label)
            for record in store.examples(model.version)
            if isinstance(record, ExampleRow)
        ]
        log, size = store.examples(model.version), len(examples) // (TURNS + 1)

        def ours(_: int) -> None:
            model.fold_all(islice(log, size), store)

        def bare(number: int) -> None:
            learn = estimator.learn_one
            for features, label in examples[number * size : (number + 1) * size]:
                learn(features, label)

        return len(examples), take_turns({"ours": ours, "bare": bare}, TURNS)


def by_model(rows: list[LabelledRow]) -> Table:
    """Fold a log with every model."""
    table = Table("model", "learn_one, µs", "fold beside learn_one", title=f"a log of {FOLDED:,} examples")
    for name, make in MODELS.items():
        print(f"folding with {name} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log.db"
            write_log(make, two_classes(rows) if name == "logistic" else rows, FOLDED, path)
            count, rounds = fold(make, path, snapshots=0)
        bare = median(found["bare"] for found in rounds) / (count // (TURNS + 1))
        table.add_row(name, f"{bare:.1f}", ratio(rounds, "bare", "ours"))
    return table


def two_classes(rows: list[LabelledRow]) -> list[LabelledRow]:
    """Return the same events with the classes 1 and 0: the first class, and any other."""
    return [msgspec.structs.replace(row, truth=int(row.truth == 1)) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=1_000_000, help="the most examples")
    parser.add_argument("--events", type=int, help="the most events; as many as --most unless told")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--model", choices=MODELS, default="softmax")
    options = parser.parse_args()
    rows, make = rows_of(RiverEvents("river:Shuttle"), 10_000), MODELS[options.model]
    if options.model == "logistic":
        rows = two_classes(rows)
    logs = [10**n for n in range(2, 9) if 10**n <= options.most]
    lengths = [10**n for n in range(4, 9) if 10**n <= (options.events or options.most)]
    ways: dict[str, Callable[[int], object]] = {}
    cells: list[list[str]] = []
    tune_collector()
    folds = by_model(rows)
    with tempfile.TemporaryDirectory() as folder:
        for examples in logs:
            print(f"writing a log of {examples:,} examples ...", file=sys.stderr)
            path = Path(folder) / f"log-{examples}.db"
            write_log(make, rows, examples - 1, path)
            behind, folded = fold(make, path, snapshots=1)
            began = time.process_time()
            ways[f"log {examples}"] = Aged(make, rows, path).turn
            restart = time.process_time() - began
            cells.append([f"{examples:,}", f"{restart:.2f} s", f"{behind:,}", ratio(folded, "bare", "ours")])
        for events in lengths:
            print(f"answering {events:,} events ...", file=sys.stderr)
            aged = Aged(make, rows, Path(folder) / f"events-{events}.db")
            while aged.worker.learner.events < events:
                aged.turn(0)
            ways[f"events {events}"] = aged.turn
        print(f"{options.rounds} rounds ...", file=sys.stderr)
        rounds = undisturbed(take_turns(ways, options.rounds))
    console = Console(width=120)
    console.print(folds)
    title = f"{options.model}: {len(rounds)} of {options.rounds} rounds"
    log = Table("examples", "restart", "behind", "fold beside learn_one", "2,000 events", title=title)
    for examples, found in zip(logs, cells, strict=True):
        log.add_row(*found, ratio(rounds, f"log {examples}", f"log {logs[0]}"))
    console.print(log)
    if lengths:
        table = Table("after events", "2,000 events", title=title)
        for events in lengths:
            table.add_row(f"{events:,}", ratio(rounds, f"events {events}", f"events {lengths[0]}"))
        console.print(table)


if __name__ == "__main__":
    main()
