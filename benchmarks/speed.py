"""What the pipeline costs, beside the bare loop over the same model in the same process.

    python benchmarks/speed.py [--data electricity.csv.gz] [--label-column label]

Bare is River's own ``predict_proba_one`` over ready dictionaries. Beside it, on the same events: *memory*, bytes
in → decision → bytes out, in micro-batches; *durable*, the same by the whole worker, with its SQLite store at
``synchronous=FULL`` and JSONL outputs (*elapsed*: with waiting for the disk); *+ learning*, with the labels of 4 %
of the events coming back and being matched and learned. Segments of 2,000 events are interleaved, so that
whatever disturbs the machine disturbs all alike; the table shows medians over the segments. Without --data
the events are those of river's Shuttle.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from river import compose, linear_model, naive_bayes, preprocessing, tree

from connectors.datasets import RiverEvents
from connectors.files import Columns, CsvEvents, JsonlEvents, JsonlSink, event_lines
from connectors.memory import MemoryLabels
from connectors.sqlite import SqliteStore
from stream_al import ActiveLearner, Budgeted, Model
from stream_al.codec import EventRow, QueryRow, decode_events, encode_json, encode_predictions
from stream_al.ports import EventSource, LabelledRow, LabelSource
from stream_al.records import Example
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.people import Crowd
from stream_al.runtime import Worker, tune_collector
from stream_al.runtime.worker import RUN

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
        super().__init__(Crowd.one(500, 500))
        self._known = {str(row.id): row for row in rows}

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        super().asked(query, self._known[query.event_id], number)


def rows_of(source: EventSource, limit: int) -> list[LabelledRow]:
    found: list[LabelledRow] = []
    while not source.exhausted and len(found) < limit:
        found += [row for row in source.read(1000, 0.0) if isinstance(row, LabelledRow)]
    return found[:limit]


def taught(make: Callable[[], Any], rows: list[LabelledRow]) -> Model:
    """Return a model that has learned the whole stream: a tree as deep as it gets."""
    model = Model(make(), checkpoint_every=100_000)
    for row in rows:
        assert row.truth is not None
        model.learn(Example(event_id=str(row.id), features=row.features, label=row.truth))
    return model


def worker(make: Callable[[], Any], rows: list[LabelledRow], folder: Path, people: LabelSource) -> Worker:
    """Return the whole worker, as `stream-al run` has it: JSONL in and out, SQLite with synchronous=FULL."""
    folder.mkdir()
    lines = (encode_json({"id": row.id, "features": row.features}) for row in rows)
    (folder / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    made = Worker(
        ActiveLearner(taught(make, rows), Budgeted(0.04)),
        JsonlEvents(event_lines(str(folder / "events.jsonl"))),
        people,
        JsonlSink({"predictions": folder / "predictions.jsonl"}),
        SqliteStore(folder / "store.db"),
        batch_size=SEGMENT,
    )
    made.recover()
    return made


def measure(make: Callable[[], Any], rows: list[LabelledRow], folder: Path) -> dict[str, float]:
    learner = ActiveLearner(taught(make, rows), Budgeted(0.04))
    features = [dict(sorted(row.features.items())) for row in rows]
    estimator = make()
    for row, x in zip(rows, features, strict=True):
        estimator.learn_one(x, row.truth)
    lines = [encode_json({"id": row.id, "features": row.features}) for row in rows]
    silent = worker(make, rows, folder / "silent", MemoryLabels())
    answered = worker(make, rows, folder / "answered", People(rows))

    def bare(part: slice) -> None:
        predict = estimator.predict_proba_one
        for x in features[part]:
            predict(x)

    def pipeline(part: slice) -> bytes:
        out = []
        for start in range(part.start, part.stop, RUN):
            run = decode_events(lines[start : start + RUN])
            out.append(encode_predictions(learner.answer(run)[0]))  # type: ignore[arg-type]  # all are events
        return b"".join(out)

    ways: dict[str, Callable[[slice], object]] = {
        "bare": bare,
        "memory": pipeline,
        "durable": lambda part: silent.step(),
        "learning": lambda part: answered.step(),
    }
    found: dict[str, list[float]] = {name: [] for name in (*ways, "elapsed")}
    tune_collector()
    for start in range(0, len(rows) - SEGMENT + 1, SEGMENT):
        for name, way in ways.items():
            began, before = time.perf_counter(), time.thread_time()
            way(slice(start, start + SEGMENT))
            found[name].append((time.thread_time() - before) * 1e6 / SEGMENT)
            if name == "durable":
                found["elapsed"].append((time.perf_counter() - began) * 1e6 / SEGMENT)
    gc.unfreeze()
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
        "model", "bare", "memory", "", "durable", "", "+ learning", "", "(elapsed)",
        title=f"{name}, {len(rows):,} events, µs of CPU an event, and how often bare",
    )  # fmt: skip
    for label, make in MODELS.items():
        if "Logistic" in label and len({row.truth for row in rows}) > 2:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = measure(make, rows, Path(folder))
        cells = [
            c
            for n in ("memory", "durable", "learning")
            for c in (f"{found[n]:.1f}", f"{found[n] / found['bare']:.2f}×")
        ]
        table.add_row(label, f"{found['bare']:.1f}", *cells, f"{found['elapsed']:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
