"""What it gives to withdraw open queries that the model has become sure of (`[labels] withdraw_below`).

    python benchmarks/withdraw.py --data DIR [--seeds 3]

The default strategy at a budget of 5 % (by margin, after a cold start), with labels 500 and 2,000 events late. *Asked* is
the same in all: a withdrawn query was asked, and its budget does not come back. *Labels* are what people still gave.
Accuracy is prequential, over all events. The utility is 1 - margin. The last column is the accuracy of asking less to begin
with: nothing withdrawn, and the budget that comes to as many labels. Means over seeds, which decide what is explored.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean

from efficiency_streams import LEARNERS, Stream, streams
from rich.console import Console
from rich.table import Table

from stream_al import DeskRules, Model
from stream_al.ports import LabelledRow
from stream_al.replay import LabelledStream, Trial, replay
from stream_al.replay.contenders import parse_strategy
from stream_al.replay.people import Crowd

BELOW = (0.2, 0.8)
DELAYS = (500, 2_000)
PAIRS = (
    ("electricity", "linear"),
    ("electricity", "ht"),
    ("weather", "linear"),
    ("rbf", "ht"),
    ("sea", "ht"),
)


def _model(learner: str, source: Stream) -> Model:
    return Model(LEARNERS[learner].make(source))


def _runs(
    stream: LabelledStream,
    make: Callable[[], Model],
    budget: float,
    delay: int,
    below: float | None,
    seeds: int,
) -> tuple[float, float, float]:
    """Return how many were asked, how many answered, and the accuracy: means over seeds."""
    contender = parse_strategy("margin", budget=budget, events=len(stream.rows))
    crowd = Crowd(Crowd.one(delay).people, DeskRules(withdraw_below=below))
    made = [replay(stream, contender, Trial(make, crowd, f"seed {seed}")) for seed in range(seeds)]
    return (
        mean(run.labels for run in made),
        mean(run.answered for run in made),
        mean(run.accuracy for run in made),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of electricity.csv.gz and weather.csv.gz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.05)
    options = parser.parse_args()
    found = streams(options.data)
    table = Table("stream, learner")
    for column in ("late", "withdrawn below", "asked", "labels", "saved", "accuracy", "so many asked"):
        table.add_column(column, justify="right")
    for name, learner in PAIRS:
        if name not in found:
            continue
        source = found[name]
        rows = [
            LabelledRow(features, f"e{number}", truth=label)
            for number, (features, label) in enumerate(source.rows(0)[:20_000])
        ]
        stream = LabelledStream(name, tuple(rows), tuple(sorted({str(row.truth) for row in rows})), {})

        make = partial(_model, learner, source)
        for delay in DELAYS:
            asked, before, accuracy = _runs(stream, make, options.budget, delay, None, options.seeds)
            title = f"{name}, {learner}" if delay == DELAYS[0] else ""
            table.add_row(
                title, f"{delay:,}", "never", f"{asked:,.0f}", f"{before:,.0f}", "", f"{accuracy:.2%}"
            )
            for below in BELOW:
                asked, labels, accuracy = _runs(stream, make, options.budget, delay, below, options.seeds)
                share = options.budget * labels / before
                fewer = _runs(stream, make, share, delay, None, options.seeds)[2]
                numbers = f"{asked:,.0f}", f"{labels:,.0f}", f"{1.0 - labels / before:.0%}"
                table.add_row("", "", f"{below:g}", *numbers, f"{accuracy:.2%}", f"{fewer:.2%}")
        table.add_section()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
