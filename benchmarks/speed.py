"""What the pipeline costs, beside the bare loop over the same model in the same process.

    python benchmarks/speed.py [--data electricity.csv.gz] [--label-column label]

Bare is ``predict_proba_one`` over ready dictionaries. Beside it, on the same events: bytes in → decision →
bytes out, in memory; and durable, the whole worker with its SQLite store at ``synchronous=FULL``, JSONL
outputs, and a simulated oracle whose labels it learns. Segments of 2,000 events are interleaved, so that
whatever disturbs the machine disturbs all alike; the table shows medians over the segments. Without --data
the events are those of river's Shuttle.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from river import compose, linear_model, naive_bayes, preprocessing, tree

from connectors.datasets import RiverEvents
from connectors.files import Columns, CsvEvents, JsonlEvents, JsonlSink, event_lines
from connectors.sqlite import SqliteStore
from stream_al import ActiveLearner, Budgeted, Model
from stream_al.codec import EventRow, QueryRow, decode_event, encode_json, encode_prediction
from stream_al.ports import EventSource, LabelledRow
from stream_al.records import Example
from stream_al.replay.oracle import SimulatedOracle
from stream_al.runtime import Worker

SEGMENT = 2000
MODELS: dict[str, Callable[[], Any]] = {
    "StandardScaler | LogisticRegression": lambda: compose.Pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression()
    ),
    "HoeffdingTreeClassifier": tree.HoeffdingTreeClassifier,
    "GaussianNB": naive_bayes.GaussianNB,
}


class People(SimulatedOracle):
    """Answers 500 to 1,000 events later. The events bring no truth, as in production: they know it."""

    def __init__(self, rows: list[LabelledRow]) -> None:
        super().__init__(delay=500, jitter=500)
        self._known = {str(row.id): row for row in rows}

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        super().asked(query, self._known[query.event_id], number)


def rows_of(source: EventSource, limit: int) -> list[LabelledRow]:
    found: list[LabelledRow] = []
    while not source.exhausted and len(found) < limit:
        found += [row for row in source.read(1000, 0.0) if isinstance(row, LabelledRow)]
    return found[:limit]


def taught(make: Callable[[], Any], rows: list[LabelledRow], examples: int) -> Model:
    """Return a model that has learned every so-manieth row, as it would have by asking."""
    model = Model(make(), checkpoint_every=100_000)
    for row in rows[:: max(1, len(rows) // examples)]:
        assert row.truth is not None
        model.learn(Example(event_id=str(row.id), features=row.features, label=row.truth))
    return model


def segments(rows: list[LabelledRow]) -> Iterator[slice]:
    for start in range(0, len(rows) - SEGMENT + 1, SEGMENT):
        yield slice(start, start + SEGMENT)


def timed(work: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    """Return microseconds per event of a segment."""
    before = clock()
    work()
    return (clock() - before) * 1e6 / SEGMENT


def measure(make: Callable[[], Any], rows: list[LabelledRow], folder: Path) -> dict[str, float]:
    learner = ActiveLearner(taught(make, rows, 2000), Budgeted(0.04))
    estimator = learner.model._estimator
    features = [dict(sorted(row.features.items())) for row in rows]
    lines = [encode_json({"id": row.id, "features": row.features}) for row in rows]

    (folder / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    store = SqliteStore(folder / "store.db")
    worker = Worker(
        ActiveLearner(taught(make, rows, 2000), Budgeted(0.04)),
        JsonlEvents(event_lines(str(folder / "events.jsonl"))),
        People(rows),
        JsonlSink({"predictions": folder / "predictions.jsonl"}),
        store,
        batch_size=SEGMENT,
    )
    worker.recover()

    def bare(part: slice) -> None:
        predict = estimator.predict_proba_one
        for x in features[part]:
            predict(x)

    def pipeline(part: slice) -> bytes:
        answer = learner.answer
        return b"\n".join(encode_prediction(answer(decode_event(line, "-"))[0]) for line in lines[part])

    found: dict[str, list[float]] = {"bare": [], "memory": [], "durable": [], "durable, elapsed": []}
    gc.collect()
    gc.freeze()
    for part in segments(rows):
        found["bare"].append(timed(lambda part=part: bare(part)))  # type: ignore[misc]
        found["memory"].append(timed(lambda part=part: pipeline(part)))  # type: ignore[misc]
        began = time.perf_counter()
        found["durable"].append(timed(worker.step))
        found["durable, elapsed"].append((time.perf_counter() - began) * 1e6 / SEGMENT)
    gc.unfreeze()
    store.close()
    return {name: median(values[1:]) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a CSV file (or .gz) of labelled events")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--events", type=int, default=40_000, help="how many to use at most")
    options = parser.parse_args()
    if options.data:
        name = options.data.name
        opened = gzip.open if options.data.suffix == ".gz" else open
        with opened(options.data, "rt") as file:
            kind = "int" if len({line.rsplit(",", 1)[-1] for line in file}) == 3 else "str"
        source: EventSource = CsvEvents(
            event_lines(str(options.data)), Columns(label=options.label_column, label_type=kind)
        )
    else:
        name, source = "river:Shuttle", RiverEvents("river:Shuttle")
    rows = rows_of(source, options.events)
    table = Table(
        "model", "bare µs", "memory µs", "ratio", "durable µs", "ratio", "elapsed µs", "ratio",
        title=f"{name}, {len(rows):,} events, µs an event (CPU of the thread; elapsed: with the disk)",
    )  # fmt: skip
    for label, make in MODELS.items():
        if "Logistic" in label and len({row.truth for row in rows}) > 2:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = measure(make, rows, Path(folder))
        bare = found.pop("bare")
        cells = [cell for value in found.values() for cell in (f"{value:.1f}", f"{value / bare:.2f}×")]
        table.add_row(label, f"{bare:.1f}", *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
