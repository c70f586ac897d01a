"""What a flood of crafted events does to the queries that honest sources get, with `Guard` and without.

    python benchmarks/flood.py [--data electricity.csv.gz] [--events 3000] [--rate 10]

The running pipeline (a worker, a SQLite store, a simulated annotator) answers the honest events of a stream, which come from
a dozen sources, a minute apart. After a third of them one more source sends ``--rate`` events for each honest one. It
knows the data, and the model as it is at that moment: *fgsm* moves an earlier honest event just over the boundary to the
next best class (`stream_al.robustness.fgsm`); *random* takes the boundary between two random points of different answers;
*copies* sends one such point again and again, each feature off by a thousandth of its range. Crafted events are answered
as the events they were made of; random ones by any class, by chance.

*Honest*: how many queries the honest sources got from there on, of those that they get without a flood and a guard. *Flood*:
how many it got, of the same. *Accuracy*: on the honest events from there on. The strategy is `Budgeted` at 10 %, alone
and within 6 labels an hour, which is what 10 % of the honest events comes to.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from efficiency_streams import Stream, linear, streams
from efficiency_tables import markdown
from river import datasets

from connectors.memory import MemorySink
from connectors.sqlite import SqliteStore
from stream_al import ActiveLearner, Budgeted, ColdStart, Guard, Limited, Model, QueryStrategy, Quota
from stream_al.codec import EventRow
from stream_al.draws import Draws
from stream_al.ports import LabelledRow
from stream_al.records import ClassLabel
from stream_al.replay.oracle import SimulatedOracle
from stream_al.replay.people import Crowd
from stream_al.robustness.fgsm import fgsm, slopes_of
from stream_al.robustness.space import Space
from stream_al.robustness.victim import Victim
from stream_al.runtime import Worker

SOURCES, BOT, START = 12, "bot", datetime(2026, 3, 1, tzinfo=UTC)
ATTACKS = ("fgsm", "random", "copies")
GUARDS: dict[str, dict[str, Any]] = {
    "none": {},
    "quota 0.2": {"quotas": (Quota("key", 0.2),)},
    "source": {"source": "key"},
    "duplicates": {"duplicates": 1000},
    "outlier": {"outlier": 3.0},
    "all three": {"source": "key", "duplicates": 1000, "outlier": 3.0},
}
PHISHING = Stream("phishing", "extra", lambda seed: [(x, str(y)) for x, y in datasets.Phishing()], False, 2)
Rows = Sequence[tuple[dict[str, Any], ClassLabel]]


@dataclass
class Flooded:
    """A source of events: the honest ones, and what an attacker makes for the model as it is when they are read."""

    rows: Rows
    learner: ActiveLearner
    attack: str | None = None
    rate: int = 10
    after: int = 0
    seed: int = 0
    position: int = 0
    _waiting: list[EventRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = Draws(f"flood {self.seed}")
        self._space = Space.of([features for features, _ in self.rows])
        self._rng = np.random.default_rng(self.seed)
        self._classes = sorted({label for _, label in self.rows})
        self._copied: dict[str, Any] | None = None

    @property
    def exhausted(self) -> bool:
        return self.position >= len(self.rows) and not self._waiting

    def seek(self, position: Any) -> None:
        assert not position, "an attacker does not go back"

    def read(self, limit: int, wait: float) -> list[EventRow]:
        """Return one honest event, and what the attacker sends before the next."""
        if self.exhausted:
            return []
        number = self.position
        self.position += 1
        features, truth = self.rows[number]
        at = START + timedelta(minutes=number)
        key = f"site {int(self._draw(f'source {number}') * SOURCES)}"
        found: list[EventRow] = [LabelledRow(features, f"e{number}", at, key, truth=truth)]
        if self.attack is not None and number >= self.after:
            for turn in range(self.rate):
                crafted, told = self._crafted()
                moment = at + timedelta(seconds=60 * (turn + 1) / (self.rate + 1))
                found.append(LabelledRow(crafted, f"{BOT} {number}/{turn}", moment, BOT, truth=told))
        return found

    def close(self) -> None: ...

    def _crafted(self) -> tuple[dict[str, Any], ClassLabel]:
        told = self._classes[self._rng.integers(len(self._classes))]
        if self.attack == "random":
            return self._between(self._point(), self._point()), told
        if self.attack == "copies":
            if self._copied is None:
                self._copied = self._between(self._point(), self._point())
            off = self._rng.uniform(-1e-3, 1e-3, len(self._space.names)) * (
                self._space.high - self._space.low
            )
            names = zip(self._space.names, off.tolist(), strict=True)
            return self._copied | {name: self._copied[name] + by for name, by in names}, told
        features, truth = self.rows[int(self._rng.integers(self.position))]
        model = self.learner.model
        shares = model.score(features).probabilities
        next_best = sorted(shares, key=shares.__getitem__)[-2]
        attempt = fgsm(Victim(model, "", features, self._space, next_best), slopes_of(model), most=3.0)
        if attempt.fooled is None:
            return features, truth
        return features | {change.name: change.after for change in attempt.fooled.changes}, truth

    def _point(self) -> dict[str, Any]:
        """Return one honest event with all its numbers drawn anew, each within its range."""
        features, _ = self.rows[int(self._rng.integers(self.position))]
        values = self._rng.uniform(self._space.low, self._space.high).tolist()
        return features | dict(zip(self._space.names, values, strict=True))

    def _between(self, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        """Return where the model's answer changes between two points; one of them if it does not."""
        score = self.learner.model.score
        mine = score(one).label
        if score(other).label == mine:
            return one
        for _ in range(20):
            middle = one | {name: (one[name] + other[name]) / 2 for name in self._space.names}
            one, other = (middle, other) if score(middle).label == mine else (one, middle)
        return one


@dataclass
class Outcome:
    """What happened from the first crafted event on."""

    honest: int = 0
    flood: int = 0
    events: int = 0
    right: int = 0


def run(
    path: Path, rows: Rows, estimator: Any, strategy: QueryStrategy, attack: str | None, rate: int = 10
) -> tuple[Outcome, SqliteStore]:
    """Run the pipeline over a stream under attack, and return what became of it."""
    learner = ActiveLearner(Model(estimator), strategy)
    after = len(rows) // 3
    source = Flooded(rows, learner, attack, rate, after)
    store = SqliteStore(path, {"any": "thing"})
    worker = Worker(learner, source, SimulatedOracle(Crowd.one(20)), MemorySink(), store)
    worker.recover()
    worker.run()
    outcome = Outcome()
    truths = {f"e{number}": label for number, (_, label) in enumerate(rows) if number >= after}
    for name, label, queried in told(store):
        if name in truths:
            outcome.events += 1
            outcome.right += label == truths[name]
            outcome.honest += queried
        outcome.flood += queried and name.startswith(BOT)
    return outcome, store


def told(store: SqliteStore) -> Iterator[tuple[str, ClassLabel | None, bool]]:
    """Yield each event's id, the answer, and whether it was asked about."""
    yield from store.connection.execute("SELECT event_id, label, queried FROM predictions")


def guarded(guard: str, hourly: float | None) -> QueryStrategy:
    """Return the strategy, within its limits and behind a guard, as a configuration would make it."""
    strategy: QueryStrategy = ColdStart(Budgeted(0.1))
    settings = dict(GUARDS[guard])
    quotas = settings.pop("quotas", ())
    if hourly is not None or quotas:
        strategy = Limited(strategy, labels_per_hour=hourly, quotas=quotas)
    return Guard(strategy, **settings) if settings else strategy


def cells(
    stream: Stream, rows: Rows, options: argparse.Namespace, hourly: float | None
) -> Iterator[list[str]]:
    """Yield the rows of the table for a stream: each attack on each guard."""

    def outcome(guard: str, attack: str | None) -> Outcome:
        with TemporaryDirectory() as folder:
            found, store = run(
                Path(folder) / "flood.db", rows, linear(stream), guarded(guard, hourly), attack, options.rate
            )
            store.close()
        return found

    calm = outcome("none", None)
    for guard in GUARDS:
        alone = outcome(guard, None)
        found = [f"{alone.honest / calm.honest:.0%}"]
        for attack in ATTACKS:
            it = outcome(guard, attack)
            found += [f"{it.honest / calm.honest:.0%}", f"{it.flood / calm.honest:.0%}"]
            found.append(f"{100 * it.right / it.events:.1f}")
        budget = "10 %" if hourly is None else f"{hourly:g} an hour"
        yield [stream.name, budget, guard, *found, f"{100 * alone.right / alone.events:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of electricity.csv.gz, weather.csv.gz, …")
    parser.add_argument("--streams", nargs="+", default=["phishing"])
    parser.add_argument("--events", type=int, default=3000, help="honest events")
    parser.add_argument("--rate", type=int, default=10, help="crafted events for each honest one")
    options = parser.parse_args()
    head = ["stream", "asked", "guard", "honest, calm"]
    for attack in ATTACKS:
        head += [f"{attack}: honest", "flood", "accuracy"]
    head.append("accuracy, calm")
    found, found_streams = [], {"phishing": PHISHING, **streams(options.data)}
    for name in options.streams:
        stream = found_streams[name]
        rows = stream.rows(0)[: options.events]
        for hourly in (None, 6.0):
            for row in cells(stream, rows, options, hourly):
                sys.stderr.write(" | ".join(row) + "\n")
                found.append(row)
    sys.stdout.write(markdown("What a flood leaves to honest sources", head, found) + "\n")


if __name__ == "__main__":
    main()
