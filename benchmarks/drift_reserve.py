"""What a reserve for after drift alarms is worth: the same budget, with a part kept back and without.

    python benchmarks/drift_reserve.py [--events 20000] [--seeds 3] [--data electricity.csv.gz]

Each stream changes at every quarter: *SEA* gets another threshold (10 % noise), *RBF* other centroids, *turned* the
other label everywhere. Labels come 100 events late. Beside the default strategy with the whole budget: with a fifth of
it in reserve (`Reserve`), whose alarms are those of *ADWIN* on the error at the labels; of Page-Hinkley on the *surprise* at
them; and *foretold*, which come at once with every change, as no detector can better. Shown are the gains in points of
prequential accuracy, the mean over models and seeds, and its standard error (±) over these. With --data
also a real stream, whose changes nobody knows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from river import linear_model, preprocessing, tree
from river.datasets import synth

from stream_al import Budgeted, ColdStart, Decision, DriftRules, Model, QueryStrategy, Reserve, Scores
from stream_al.cli.assemble import open_events
from stream_al.config import EventsConfig
from stream_al.ports import LabelledRow
from stream_al.replay import LabelledStream
from stream_al.replay.contenders import Contender
from stream_al.replay.people import Crowd
from stream_al.replay.run import Trial, replay
from stream_al.strategies import State

BUDGETS = (0.02, 0.05, 0.1)
KEPT = 0.2
RULES = {
    "ADWIN": DriftRules(),
    "surprise": DriftRules("PageHinkley", {"threshold": 4.0, "delta": 0.02, "mode": "up"}, ("surprise",)),
}
DELAY = 100
MODELS: dict[str, Callable[[], Any]] = {
    "linear": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "tree": tree.HoeffdingTreeClassifier,
}


@dataclass(frozen=True, slots=True)
class Foretold(QueryStrategy):
    """Tells ``then`` of an alarm at given events, as a perfect detector would."""

    then: QueryStrategy
    changes: tuple[int, ...]

    def start(self) -> State:
        return (0, *self.then.start())

    def decide(self, scores: Scores, state: State, draw: float) -> tuple[Decision, State]:
        number, *inner = state
        before = self.then.alarmed(tuple(inner)) if number in self.changes else tuple(inner)
        decision, after = self.then.decide(scores, before, draw)
        return decision, (number + 1, *after)


def sea(part: int, seed: int) -> Any:
    return synth.SEA(variant=(0, 2, 3, 1)[part], seed=seed + part, noise=0.1)


def rbf(part: int, seed: int) -> Any:
    return synth.RandomRBF(seed_model=seed + part, seed_sample=seed, n_features=6, n_centroids=20)


def turned(part: int, seed: int) -> Any:
    source = synth.SEA(variant=0, seed=seed + part, noise=0.1)
    return ((features, bool(truth) != bool(part % 2)) for features, truth in source)


STREAMS: dict[str, Callable[[int, int], Any]] = {"SEA": sea, "RBF": rbf, "turned": turned}


def changing(name: str, events: int, seed: int) -> LabelledStream:
    def rows() -> Iterator[LabelledRow]:
        for part in range(4):
            for number, (features, truth) in enumerate(islice(STREAMS[name](part, seed), events // 4)):
                named = {str(key): value for key, value in features.items()}
                yield LabelledRow(named, f"e{part}-{number}", truth=str(int(truth)))

    return LabelledStream(name, tuple(rows()), ("0", "1"), {})


def contenders(budget: float, changes: tuple[int, ...]) -> dict[str, QueryStrategy]:
    whole = ColdStart(Budgeted(budget))
    kept = Reserve(ColdStart(Budgeted(budget * (1 - KEPT))), earned=budget * KEPT)
    foretold = Foretold(kept, changes) if changes else kept
    return {"whole": whole, **dict.fromkeys(RULES, kept), "foretold": foretold}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="a CSV file (or .gz) of labelled events, column `label`")
    given = parser.parse_args()
    table = Table(
        title=f"a fifth of the budget in reserve; {given.events:,} events, {given.seeds} seeds, 2 models"
    )
    for column in ("stream", "budget", "whole", "ADWIN", "±", "surprise", "±", "foretold", "±"):
        table.add_column(column)
    table.add_column("labels of each")
    sources = [*STREAMS, *([given.data.name] if given.data else [])]
    for name in sources:
        for budget in BUDGETS:
            rows: list[list[float]] = []
            for seed in range(1, given.seeds + 1):
                stream, changes = _stream(name, given, seed)
                for make in MODELS.values():
                    rows.append(_compared(stream, changes, budget, make, seed))
            table.add_row(name, f"{budget:.0%}", *_cells(np.array(rows), bool(changes)))
    Console(width=140).print(table)


def _stream(name: str, given: argparse.Namespace, seed: int) -> tuple[LabelledStream, tuple[int, ...]]:
    if name in STREAMS:
        return changing(name, given.events, seed), tuple(given.events // 4 * part for part in (1, 2, 3))
    source = open_events(EventsConfig(path=str(given.data), label_column="label"))
    return LabelledStream.read(source, name, given.events), ()


def _compared(
    stream: LabelledStream, changes: tuple[int, ...], budget: float, make: Callable[[], Any], seed: int
) -> list[float]:
    """Return the accuracy of each contender, then its labels."""
    accuracies, labels = [], []
    for name, strategy in contenders(budget, changes).items():
        trial = Trial(lambda: Model(make()), Crowd.one(DELAY), f"seed {seed}", drift=RULES.get(name))
        outcome = replay(stream, Contender(name, name, strategy), trial)
        accuracies.append(outcome.accuracy)
        labels.append(float(outcome.labels))
    return [*accuracies, *labels]


def _cells(found: Any, foretold: bool) -> list[str]:
    whole, labels = found[:, 0], found[:, 4:].mean(axis=0)
    cells = [f"{whole.mean():.1%}"]
    for column in (1, 2, 3):
        gain = 100 * (found[:, column] - whole)
        known = column < 3 or foretold
        cells += [f"{gain.mean():+.2f}", f"{gain.std(ddof=1) / len(gain) ** 0.5:.2f}"] if known else ["", ""]
    return [*cells, ", ".join(f"{count:,.0f}" for count in labels)]


if __name__ == "__main__":
    main()
