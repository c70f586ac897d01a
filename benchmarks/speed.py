"""What the pipeline costs, beside the bare loop over the same model in the same process.

    python benchmarks/speed.py [--data electricity.csv.gz] [--label-column label] [--events 40000] [--passes 3]

Bare is River's own ``predict_proba_one`` over ready dictionaries. Beside it, on the same events, in micro-batches:
*decide*, from bytes to decisions; *+ learn, write*, the same with predictions written as bytes, and the labels of 4 % of the
events coming back 750 events later, being matched and learned; *+ durable*, all of it by the whole worker, with its
SQLite store at ``synchronous=FULL`` and JSONL outputs (*elapsed*: with waiting for the disk).

The four take turns, 2,000 events each, so that whatever disturbs the machine disturbs all alike. A round counts if a
fixed loop, timed before and after each turn, took no more than a tenth longer than it usually does. The table shows
the median and the quartiles of the ratios of one round. CPU time of the thread. Without --data the events are those
of river's Shuttle.
"""

from __future__ import annotations

import argparse
import copy
import gc
import gzip
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from river import compose, forest, linear_model, naive_bayes, preprocessing, tree
from turns import ratio, take_turns, undisturbed

from connectors.datasets import RiverEvents
from connectors.files import Columns, CsvEvents, JsonlEvents, JsonlSink, event_lines
from connectors.sqlite import SqliteStore
from stream_al import ActiveLearner, Budgeted, Model
from stream_al.codec import EventRow, QueryRow, decode_events, encode_json, encode_predictions
from stream_al.ports import NEVER, EventSource, LabelledRow, LabelSource
from stream_al.records import ClassLabel, Example, Label, parse_label
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.people import Crowd
from stream_al.runtime import Worker, tune_collector
from stream_al.runtime.worker import RUN

SEGMENT = 2000
LATER = 750
MODELS: dict[str, Callable[[], Any]] = {
    "StandardScaler | LogisticRegression": lambda: compose.Pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression()
    ),
    "HoeffdingTreeClassifier": tree.HoeffdingTreeClassifier,
    "GaussianNB": naive_bayes.GaussianNB,
    "ARFClassifier(10)": lambda: forest.ARFClassifier(n_models=10, seed=1),
}


class People(SimulatedOracle):
    """Answers `LATER` events later, for the worker to find at its next batch. The events bring no truth: they know it."""

    due = NEVER
    lag = NEVER

    def __init__(self, rows: list[LabelledRow]) -> None:
        super().__init__(Crowd.one(LATER))
        self._known = {str(row.id): row for row in rows}

    def asked(self, query: QueryRow, event: EventRow, number: int) -> None:
        super().asked(query, self._known[query.event_id], number)


def rows_of(source: EventSource, limit: int) -> list[LabelledRow]:
    found: list[LabelledRow] = []
    while not source.exhausted and len(found) < limit:
        found += [row for row in source.read(1000, 0.0) if isinstance(row, LabelledRow)]
    return found[:limit]


def opened(path: Path, label: str) -> EventSource:
    """Open a CSV file of labelled events; the labels of two classes are taken for 0 and 1."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        kind = "int" if len({line.rsplit(",", 1)[-1] for line in file}) == 3 else "str"
    return CsvEvents(event_lines(str(path)), Columns(label=label, label_type=kind))


def taught(make: Callable[[], Any], rows: list[LabelledRow]) -> Model:
    """Return a model that has learned the whole stream: a tree as deep as it gets."""
    model = Model(make(), checkpoint_every=100_000)
    for row in rows:
        assert row.truth is not None
        model.learn(Example(event_id=str(row.id), features=row.features, label=row.truth))
    return model


def worker(model: Model, lines: list[bytes], folder: Path, people: LabelSource) -> Worker:
    """Return the whole worker, as `stream-al run` has it: JSONL in and out, SQLite with synchronous=FULL."""
    (folder / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    made = Worker(
        ActiveLearner(model, Budgeted(0.04)),
        JsonlEvents(event_lines(str(folder / "events.jsonl"))),
        people,
        JsonlSink({"predictions": folder / "predictions.jsonl"}),
        SqliteStore(folder / "store.db"),
        batch_size=SEGMENT,
    )
    made.recover()
    return made


class Embedded:
    """The learner in somebody's own loop, with people who answer `LATER` events later."""

    def __init__(self, model: Model, truths: dict[str, ClassLabel]) -> None:
        self.learner = ActiveLearner(model, Budgeted(0.04))
        self._truths = truths
        self._answers: deque[tuple[int, bytes]] = deque()  # with the event they come after

    def work(self, lines: list[bytes]) -> bytes:
        out, learner, answers = [], self.learner, self._answers
        for start in range(0, len(lines), RUN):
            while answers and answers[0][0] <= learner.events:
                learner.teach(parse_label(answers.popleft()[1]))
            predictions, incidents = learner.answer(decode_events(lines[start : start + RUN]))  # type: ignore[arg-type]
            for incident in incidents:
                if (query := incident.query) is not None:
                    label = Label(event_id=query.event_id, label=self._truths[query.event_id])
                    answers.append((incident.events + LATER, label.to_json()))
            out.append(encode_predictions(predictions))
        return b"".join(out)


def measure(
    make: Callable[[], Any], rows: list[LabelledRow], passes: int, folder: Path
) -> list[dict[str, float]]:
    """Return the µs of CPU that each way took over a segment, round by round; of the rounds that were not disturbed."""
    model, estimator = taught(make, rows), make()
    for row in rows:
        estimator.learn_one(dict(sorted(row.features.items())), row.truth)
    rows = [
        LabelledRow(row.features, f"{p}-{row.id}", truth=row.truth) for p in range(passes) for row in rows
    ]
    lines = [encode_json({"id": row.id, "features": row.features}) for row in rows]
    features = [dict(sorted(row.features.items())) for row in rows]
    deciding = ActiveLearner(copy.deepcopy(model), Budgeted(0.04))
    embedded = Embedded(
        copy.deepcopy(model), {str(row.id): row.truth for row in rows if row.truth is not None}
    )
    durable = worker(model, lines, folder, People(rows))

    def bare(part: slice) -> None:
        predict = estimator.predict_proba_one
        for x in features[part]:
            predict(x)

    def decide(part: slice) -> None:
        for start in range(part.start, part.stop, RUN):
            deciding.answer(decode_events(lines[start : start + RUN]))  # type: ignore[arg-type]  # all are events

    def at(way: Callable[[slice], object]) -> Callable[[int], object]:
        return lambda number: way(slice(number * SEGMENT, (number + 1) * SEGMENT))

    elapsed: list[float] = []

    def timed(_: int) -> None:
        began = time.perf_counter()
        durable.step()
        elapsed.append((time.perf_counter() - began) * 1e6)

    ways = {
        "bare": at(bare),
        "decide": at(decide),
        "learn": at(lambda part: embedded.work(lines[part])),
        "durable": timed,
    }
    tune_collector()
    rounds = take_turns(ways, len(rows) // SEGMENT - 1)
    gc.unfreeze()
    for turn, waited in zip(rounds, elapsed[1:], strict=True):
        turn["elapsed"] = waited
    return undisturbed(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a CSV file (or .gz) of labelled events")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--events", type=int, default=40_000, help="how many to use at most")
    parser.add_argument("--passes", type=int, default=3, help="how often to go through them")
    options = parser.parse_args()
    if options.data:
        name, source = options.data.name, opened(options.data, options.label_column)
    else:
        name, source = "river:Shuttle", RiverEvents("river:Shuttle")
    rows = rows_of(source, options.events)
    table = Table(
        "model", "bare, µs", "decide", "+ learn, write", "+ durable", "elapsed, µs", "rounds",
        title=f"{name}, {len(rows):,} events, CPU time an event: how often bare (quartiles)",
    )  # fmt: skip
    for label, make in MODELS.items():
        if "Logistic" in label and len({row.truth for row in rows}) > 2:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rounds = measure(make, rows, options.passes, Path(folder))
        table.add_row(
            label,
            f"{median(found['bare'] for found in rounds) / SEGMENT:.1f}",
            *(ratio(rounds, way, "bare") for way in ("decide", "learn", "durable")),
            f"{median(found['elapsed'] for found in rounds) / SEGMENT:.1f}",
            f"{len(rounds)} of {len(rows) * options.passes // SEGMENT - 1}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
