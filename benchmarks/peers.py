"""What others take for the same: Vowpal Wabbit, scikit-activeml, and a durable loop as one would write it first.

    pip install 'stream-al[bench]'
    python benchmarks/peers.py [--data electricity.csv.gz] [--label-column label] [--events 40000] [--rounds 9]

Each pair takes turns over the same events, in this process, and the table has how many times as long the other takes: the
median of the rounds (the quartiles). Without --data the events are those of River's Bananas, four times.

- ``vw -t -p``: Vowpal Wabbit's own driver answers a file of examples by a logistic regression that it learned before, and
  writes the predictions to a file; less what it takes for a file of one example. Ours reads JSON from a file, validates,
  scores, decides whether to ask, and writes predictions with probabilities, by a scaler and a logistic regression. CPU time
  of all threads, as VW parses in a second one.
- scikit-activeml: `FixedUncertainty`'s `query` and `update` for one event, given the model's probabilities, beside our
  `decide` given the same; and *with a model*, scikit-learn's Gaussian naive Bayes as their users wrap it, beside River's
  in an `ActiveLearner`: from an event's features to whether to ask. CPU time.
- The naive durable loop: River's `predict_proba_one`, pydantic in and out, each prediction committed to SQLite
  (`synchronous=FULL`) before the next event. Ours is the whole worker, as `stream-al run` has it, with the same guarantee.
  By the clock, as it waits for the disk. (2,000 events a round.)
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from efficiency_peers import Peer
from efficiency_vw import lines as vw_lines
from rich.console import Console
from rich.table import Table
from river import linear_model, naive_bayes, preprocessing
from skactiveml.classifier import SklearnClassifier
from skactiveml.stream import FixedUncertainty
from sklearn.naive_bayes import GaussianNB
from speed import opened, rows_of, taught
from turns import ratio, take_turns, undisturbed
from vowpalwabbit import Workspace

from connectors.datasets import RiverEvents
from connectors.files import JsonlEvents, JsonlSink, event_lines
from connectors.memory import MemoryLabels
from connectors.sqlite import SqliteStore
from stream_al import ActiveLearner, Budgeted, Event, Model, Prediction
from stream_al.codec import EventRow, decode_events, encode_json, encode_predictions
from stream_al.draws import Draws
from stream_al.ports import LabelledRow
from stream_al.runtime import Worker, tune_collector
from stream_al.runtime.worker import RUN
from stream_al.uncertainty import Scores

NAIVE = 2000
QUERIES = 1000


def make() -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def beside_vw(model: Model, rows: list[LabelledRow], folder: Path, rounds: int) -> list[dict[str, float]]:
    """Let both answer a file of events, and write the predictions to another, by turns."""
    texts = [text for text, _ in vw_lines([(row.features, row.truth) for row in rows])]  # type: ignore[misc]
    (folder / "events.vw").write_text("\n".join(texts) + "\n")
    (folder / "one.vw").write_text(texts[0] + "\n")
    (folder / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in json_lines(rows)))
    common = f"--quiet -p {folder / 'predictions.vw'}"
    learning = f"-d {folder / 'events.vw'} --loss_function logistic --link logistic -f {folder / 'model.vw'}"
    Workspace(f"{common} {learning}").finish()
    learner = ActiveLearner(model, Budgeted(0.04))

    def vw(name: str) -> Callable[[int], object]:
        return lambda _: Workspace(f"{common} -t -i {folder / 'model.vw'} -d {folder / name}").finish()

    def ours(_: int) -> None:
        with (folder / "events.jsonl").open("rb") as file, (folder / "predictions").open("wb") as out:
            read = file.readlines()
            for start in range(0, len(read), RUN):
                answered = learner.answer(decode_events(read[start : start + RUN]))  # type: ignore[arg-type]
                out.write(encode_predictions(answered[0]))

    found = take_turns(
        {"vw": vw("events.vw"), "start": vw("one.vw"), "ours": ours}, rounds, clock=time.process_time
    )
    return [{**turn, "vw": turn["vw"] - turn["start"]} for turn in undisturbed(found)]


def beside_scikit_activeml(model: Model, rows: list[LabelledRow], rounds: int) -> list[dict[str, float]]:
    """Let both decide about the same answers, by turns."""
    features = [row.features for row in rows[:QUERIES]]
    answers = [answer for answer in model.score_all(features) if isinstance(answer, Scores)]
    theirs = Peer("FixedUncertainty", 0.04, 2, 1, list(features[0]), checked=True)
    strategy, draws = Budgeted(0.04), Draws("key").all([str(row.id) for row in rows[:QUERIES]])
    part = QUERIES // (rounds + 1)

    def peer(number: int) -> None:
        for answer, known in zip(answers[number * part :][:part], features[number * part :], strict=False):
            theirs.decide(answer, known, 0.5)  # type: ignore[arg-type]

    def ours(number: int) -> None:
        decide, state = strategy.decide, strategy.start()
        for answer, draw in zip(answers, draws, strict=True):
            _, state = decide(answer, state, draw)

    found = undisturbed(take_turns({"scikit-activeml": peer, "ours": ours}, rounds))
    return [
        {"scikit-activeml": turn["scikit-activeml"] / part, "ours": turn["ours"] / len(answers)}
        for turn in found
    ]


def with_a_model(rows: list[LabelledRow], rounds: int) -> list[dict[str, float]]:
    """Let both score events and decide about them, one at a time, by turns."""
    table = np.array([list(row.features.values()) for row in rows[:QUERIES]])
    truths = np.array([row.truth for row in rows[:QUERIES]])
    classifier = SklearnClassifier(GaussianNB(), classes=list(range(2)), missing_label=-1).fit(table, truths)
    theirs = FixedUncertainty(classes=[0, 1], budget=0.04, random_state=1)
    learner = ActiveLearner(taught(naive_bayes.GaussianNB, rows[:QUERIES]), Budgeted(0.04))
    part = QUERIES // (rounds + 1)

    def peer(number: int) -> None:
        for at in range(number * part, (number + 1) * part):
            candidate = table[at : at + 1]
            theirs.update(candidate, theirs.query(candidates=candidate, clf=classifier))

    def ours(number: int) -> None:
        for row in rows[number * part : (number + 1) * part]:
            learner.answer([EventRow(row.features, f"{number}-{row.id}")])

    found = undisturbed(take_turns({"theirs": peer, "ours": ours}, rounds))
    return [{way: turn[way] / part for way in ("theirs", "ours")} for turn in found]


def beside_naive(model: Model, rows: list[LabelledRow], folder: Path, rounds: int) -> list[dict[str, float]]:
    """Let both answer events durably, by turns."""
    numbers = count()
    needed = NAIVE * (rounds + 1)
    lines = [encode_json({"id": f"e{n}", "features": rows[n % len(rows)].features}) for n in range(needed)]
    (folder / "durable.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    connection = sqlite3.connect(folder / "naive.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE predictions (number INTEGER PRIMARY KEY, prediction TEXT)")
    estimator = model.estimator

    def naive(number: int) -> None:
        for line in lines[number * NAIVE : (number + 1) * NAIVE]:
            event = Event.model_validate_json(line)
            answer = estimator.predict_proba_one(event.features)
            first, second = sorted(answer.values(), reverse=True)
            prediction = Prediction(
                event_id=event.id,
                label=int(max(answer, key=answer.__getitem__)),
                probabilities={int(label): p for label, p in answer.items()},
                confidence=first,
                margin=first - second,
                model_version=model.version,
                utility=1 - first + second,
                threshold=0.2,
                propensity=float(first - second < 0.2),
                queried=first - second < 0.2,
                reason="uncertain" if first - second < 0.2 else "none",
            )
            written = prediction.model_dump_json()
            connection.execute("INSERT INTO predictions VALUES (?, ?)", (next(numbers), written))

    store = SqliteStore(folder / "ours.db")
    worker = Worker(
        ActiveLearner(model, Budgeted(0.04)),
        JsonlEvents(event_lines(str(folder / "durable.jsonl"))),
        MemoryLabels(),
        JsonlSink({"predictions": folder / "ours.jsonl"}),
        store,
    )
    worker.recover()

    def ours(_: int) -> None:
        until = worker.progress.events + NAIVE
        while worker.progress.events < until:
            worker.step()

    found = undisturbed(take_turns({"naive": naive, "ours": ours}, rounds, clock=time.perf_counter))
    store.close()
    connection.close()
    return found


def json_lines(rows: Sequence[LabelledRow]) -> list[bytes]:
    return [encode_json({"id": row.id, "features": row.features}) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a CSV file (or .gz) of labelled events, of two classes")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--events", type=int, default=40_000, help="how many to use at most")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    if options.data:
        name, rows = options.data.name, rows_of(opened(options.data, options.label_column), options.events)
    else:
        name, known = "River's Bananas", rows_of(RiverEvents("river:Bananas"), options.events)
        rows = [
            LabelledRow(row.features, f"{n}-{row.id}", truth=row.truth) for n in range(4) for row in known
        ]
    model = taught(make, rows)
    tune_collector()
    table = Table(
        "beside ours",
        "theirs",
        "ours",
        "theirs / ours",
        "rounds",
        title=f"{name}, {len(rows):,} events; µs an event",
    )
    with tempfile.TemporaryDirectory() as folder:
        vw = beside_vw(model, rows, Path(folder), options.rounds)
        activeml = beside_scikit_activeml(model, rows, options.rounds)
        modelled = with_a_model(rows, options.rounds)
        naive = beside_naive(model, rows, Path(folder), options.rounds)
    for title, way, rounds, events in (
        ("vw -t -p (CPU)", "vw", vw, len(rows)),
        ("scikit-activeml's FixedUncertainty, a decision (CPU)", "scikit-activeml", activeml, 1),
        ("the same with a model (CPU)", "theirs", modelled, 1),
        ("the naive durable loop (by the clock)", "naive", naive, NAIVE),
    ):
        middle = sorted(rounds, key=lambda turn: turn[way] / turn["ours"])[len(rounds) // 2]
        table.add_row(
            title,
            f"{middle[way] / events:,.1f}",
            f"{middle['ours'] / events:.1f}",
            ratio(rounds, way, "ours"),
            f"{len(rounds)} of {options.rounds}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
